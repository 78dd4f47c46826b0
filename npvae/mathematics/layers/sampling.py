"""Sample z ~ N(mu, diag(exp(logvar))) from noise drawn by the caller (the reparameterisation).

    z       = mu + s * eps           s = exp(logvar / 2), eps ~ N(0, I)
    dmu     = dz
    dlogvar = dz * eps * s / 2       all arrays (B, Z)

The noise is an argument, so the function is deterministic: it can be differentiated, checked by finite
differences and repeated. Its mean and variance over eps are mu and exp(logvar).

Source: Kingma & Welling (2014), "Auto-Encoding Variational Bayes", section 2.4.
"""

from __future__ import annotations

from npvae.support import check


def sample_forward(xp, mu, logvar, eps):
    return mu + xp.exp(0.5 * logvar) * eps


def sample_backward(xp, dz, logvar, eps):
    return dz, dz * eps * (0.5 * xp.exp(0.5 * logvar))


def sample(ops, mu, logvar, eps):
    """Return ``(z, backward)``; ``backward(dz)`` gives ``(dmu, dlogvar)``.

    mu, logvar, eps: (B, Z), all float32 or all float64, on one device; none is modified. exp overflows to
    inf past logvar = 177 (float32) or 1419 (float64); nothing is clipped here.
    InputError: shapes differ. InputTypeError: dtypes differ.
    """
    check.same_shape(mu=mu, logvar=logvar, eps=eps)
    z = ops.sample_forward(mu, logvar, eps)

    def backward(dz):
        if dz.shape != z.shape or dz.dtype != z.dtype:
            check.same_shape(z=z, dz=dz)
        return ops.sample_backward(dz, logvar, eps)

    return z, backward
