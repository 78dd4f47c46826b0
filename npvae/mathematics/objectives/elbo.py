"""The negative ELBO: the loss that training minimises by default, and its gradient.

    loss = (1/B) sum_b [ nll_b + beta sum_j kl_bj ]            in nats a row

    nll_b  = -log p(x_b | z_b),   z_b = mu_b + exp(logvar_b / 2) eps_b      one sample, L = 1
    kl_bj  = KL(N(mu_bj, exp(logvar_bj)) || N(0, 1))
    elbo   = -(1/B) sum_b [ nll_b + sum_j kl_bj ]              beta = 1: a lower bound on mean log p(x)

The gradient runs the chain backwards; z and the KL both depend on mu and logvar, so their parts add up:

    dnll = 1/B      dkl = beta/B
    doutputs = likelihood';   dz = decoder'(doutputs)
    dmu, dlogvar = sample'(dz) + kl'(dkl);   encoder'(dmu, dlogvar)

With free bits, a latent dimension costs at least ``free_bits`` nats, so using that many is free, and training has no
reason to switch the dimension off:

    loss = (1/B) sum_b nll_b + beta sum_j max(free_bits, m_j)          m_j = (1/B) sum_b kl_bj
    dkl_bj = beta/B if m_j > free_bits, else 0

Sources: Kingma & Welling (2014), eq. 7 and 10; Higgins et al. (2017), "beta-VAE", for beta; Kingma et al. (2016),
"Improved variational inference with inverse autoregressive flow", eq. 15, for free bits, here of one dimension each.
"""

from __future__ import annotations

from npvae.mathematics.layers.kl import kl_divergence
from npvae.mathematics.layers.sampling import sample
from npvae.mathematics.objectives.base import Objective, Terms, check_batch
from npvae.support import check


def negative_elbo(model, theta, x, eps, beta: float = 1.0, gradient: bool = True, free_bits: float = 0.0):
    """Return ``(terms, backward)``; ``backward(dloss=1.0, out=None)`` gives dtheta, (P,).

    theta: (P,). x: (B, I). eps: (B, Z), standard normal noise. All of one floating dtype; none is modified.
    terms: a :class:`Terms`. ``out`` is a vector like theta to be overwritten with the gradient. free_bits: nats that a
    latent dimension may use for nothing; 0 for the ELBO itself.
    With ``gradient=False`` nothing is kept for the gradient, and ``backward`` is None.
    InputError, InputTypeError: shapes or dtypes do not fit, or there are no rows.
    """
    ops, xp = model.ops, model.ops.xp
    check_batch(model, theta, x)
    views = model.views(theta)

    (mu, logvar), encoder_backward = model.encode(views, x)
    z, sample_backward = sample(ops, mu, logvar, eps)
    outputs, decoder_backward = model.decode(views, z)
    nll, nll_backward = model.negative_log_likelihood(views, outputs, x, gradient)
    kl, kl_backward = kl_divergence(ops, mu, logvar)

    rows = x.shape[0]
    reconstruction = xp.sum(nll) * (1.0 / rows)
    kl_mean = xp.sum(kl) * (1.0 / rows)
    counted, is_paid = kl_mean, None
    if free_bits > 0.0:
        mean_of_each = xp.sum(kl, axis=0) * (1.0 / rows)
        is_paid = mean_of_each > free_bits
        counted = xp.sum(xp.where(is_paid, mean_of_each, xp.full_like(mean_of_each, free_bits)))
    terms = Terms(reconstruction + beta * counted, reconstruction, kl_mean, kl, mu, nll)

    def backward(dloss: float = 1.0, out=None):
        dtheta = xp.empty_like(theta) if out is None else out
        into = model.views(dtheta)
        doutputs, dparameters = nll_backward(dloss / rows)
        for name, value in dparameters.items():
            into[f"likelihood/{name}"][...] = value
        dmu, dlogvar = sample_backward(decoder_backward(doutputs, into))
        dkl = dloss * beta / rows
        if is_paid is not None:
            dkl = xp.where(is_paid, xp.full_like(kl, dkl), xp.zeros_like(kl))
        dmu_kl, dlogvar_kl = kl_backward(dkl)
        encoder_backward(dmu + dmu_kl, dlogvar + dlogvar_kl, into)
        return dtheta

    return terms, (backward if gradient else None)


class ELBO(Objective):
    """The evidence lower bound. free_bits: nats that a latent dimension may use for nothing, on a minibatch's
    average.
    """

    name = "elbo"
    more_columns = ()

    def __init__(self, free_bits: float = 0.0) -> None:
        self.free_bits = check.real_number("free_bits", free_bits, minimum=0.0)

    def config(self):
        return {"free_bits": self.free_bits}

    def loss(self, model, theta, x, eps, beta=1.0, gradient=True):
        return negative_elbo(model, theta, x, eps, beta, gradient, self.free_bits)


def value_and_gradient(model, theta, x, eps, beta: float = 1.0, out=None):
    """The whole model as one function of one vector: ``(loss, dtheta)``. See :func:`negative_elbo`."""
    terms, backward = negative_elbo(model, theta, x, eps, beta)
    return terms.loss, backward(out=out)
