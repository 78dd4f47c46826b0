"""KL divergence from the posterior N(mu, diag(exp(logvar))) to the prior N(0, I), by latent dimension.

    kl_j    = (mu_j^2 + exp(logvar_j) - 1 - logvar_j) / 2        >= 0, in nats; zero only at mu = logvar = 0
    dmu     = dkl * mu
    dlogvar = dkl * (exp(logvar) - 1) / 2                        all arrays (B, Z)

The divergence of a row is the sum over j. The dimensions are kept apart because they are reported apart:
a dimension whose KL is zero carries nothing about the data.

Source: Kingma & Welling (2014), "Auto-Encoding Variational Bayes", appendix B.
"""

from __future__ import annotations

from npvae.support import check


def kl_forward(xp, mu, logvar):
    # expm1(v) - v instead of exp(v) - 1 - v: near v = 0 the error is eps |v|, not eps.
    return 0.5 * (mu * mu + (xp.expm1(logvar) - logvar))


def kl_backward(xp, dkl, mu, logvar):
    return dkl * mu, dkl * (0.5 * xp.expm1(logvar))


def kl_divergence(ops, mu, logvar):
    """Return ``(kl, backward)``; ``backward(dkl)`` gives ``(dmu, dlogvar)``; dkl is like kl, or one float for all.

    mu, logvar, kl: (B, Z), all float32 or all float64; none is modified. Where the value itself is
    beyond the dtype (logvar past 88 in float32, 709 in float64) kl and dlogvar are inf, never NaN.
    InputError: shapes differ. InputTypeError: dtypes differ.
    """
    check.same_shape(mu=mu, logvar=logvar)
    kl = ops.kl_forward(mu, logvar)

    def backward(dkl):
        if not isinstance(dkl, float):
            check.same_shape(kl=kl, dkl=dkl)
        return ops.kl_backward(dkl, mu, logvar)

    return kl, backward
