"""The negative ELBO: the loss that training minimises, and its gradient.

    loss = (1/B) sum_b [ nll_b + beta sum_j kl_bj ]            in nats a row

    nll_b  = -log p(x_b | z_b),   z_b = mu_b + exp(logvar_b / 2) eps_b      one sample, L = 1
    kl_bj  = KL(N(mu_bj, exp(logvar_bj)) || N(0, 1))
    elbo   = -(1/B) sum_b [ nll_b + sum_j kl_bj ]              beta = 1: a lower bound on mean log p(x)

The gradient runs the chain backwards; z and the KL both depend on mu and logvar, so their parts add up:

    dnll = 1/B      dkl = beta/B
    doutputs = likelihood';   dz = decoder'(doutputs)
    dmu, dlogvar = sample'(dz) + kl'(dkl);   encoder'(dmu, dlogvar)

Sources: Kingma & Welling (2014), eq. 7 and 10; Higgins et al. (2017), "beta-VAE", for beta.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from npvae import check
from npvae.layers.kl import kl_divergence
from npvae.layers.sampling import sample


@dataclass
class ElboTerms:
    """The loss and its parts, means over the rows, in nats; scalars of the backend (0-d arrays)."""

    loss: Any
    reconstruction: Any  #: mean of -log p(x|z)
    kl: Any  #: mean KL divergence, summed over latent dimensions, without beta
    kl_rows: Any  #: (B, Z), by row and latent dimension
    mu: Any  #: (B, Z), the posterior means
    nll_rows: Any  #: (B,)


def negative_elbo(model, theta, x, eps, beta: float = 1.0, gradient: bool = True):
    """Return ``(terms, backward)``; ``backward(dloss=1.0, out=None)`` gives dtheta, (P,).

    theta: (P,). x: (B, I). eps: (B, Z), standard normal noise. All of one floating dtype; none is modified.
    terms: an :class:`ElboTerms`. ``out`` is a vector like theta to be overwritten with the gradient.
    With ``gradient=False`` nothing is kept for the gradient, and ``backward`` is None.
    InputError, InputTypeError: shapes or dtypes do not fit, or there are no rows.
    """
    ops, xp = model.ops, model.ops.xp
    check.matrix("x", x, model.architecture.n_features)
    if x.shape[0] == 0:
        check.whole_number("the number of rows of x", 0, 1)
    check.same_dtype("theta", theta, "x", x)
    views = model.views(theta)

    (mu, logvar), encoder_backward = model.encode(views, x)
    z, sample_backward = sample(ops, mu, logvar, eps)
    outputs, decoder_backward = model.decode(views, z)
    nll, nll_backward = model.likelihood.negative_log_likelihood(
        ops, outputs, x, model.likelihood_parameters(views), gradient
    )
    kl, kl_backward = kl_divergence(ops, mu, logvar)

    rows = x.shape[0]
    reconstruction = xp.sum(nll) * (1.0 / rows)
    kl_mean = xp.sum(kl) * (1.0 / rows)
    terms = ElboTerms(reconstruction + beta * kl_mean, reconstruction, kl_mean, kl, mu, nll)

    def backward(dloss: float = 1.0, out=None):
        dtheta = xp.empty_like(theta) if out is None else out
        into = model.views(dtheta)
        doutputs, dparameters = nll_backward(dloss / rows)
        for name, value in dparameters.items():
            into[f"likelihood/{name}"][...] = value
        dmu, dlogvar = sample_backward(decoder_backward(doutputs, into))
        dmu_kl, dlogvar_kl = kl_backward(dloss * beta / rows)
        encoder_backward(dmu + dmu_kl, dlogvar + dlogvar_kl, into)
        return dtheta

    return terms, (backward if gradient else None)


def value_and_gradient(model, theta, x, eps, beta: float = 1.0, out=None):
    """The whole model as one function of one vector: ``(loss, dtheta)``. See :func:`negative_elbo`."""
    terms, backward = negative_elbo(model, theta, x, eps, beta)
    return terms.loss, backward(out=out)
