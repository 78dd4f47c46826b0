"""The importance-weighted bound with K samples of z a row, and three estimators of its gradient.

    loss    = -(1/B) sum_b log (1/K) sum_k w_bk                           in nats a row
    log w   = -nll + beta r,    r = log p(z) - log q(z|x)                 importance_weights.py; beta = 1 in the paper
    v_k     = w_k / sum_l w_l                                             so d loss / d log w_bk = -v_bk / B

A lower bound on log p(x) for every K, the ELBO at K = 1, and tighter the larger K. The encoder runs once a row, the
decoder K times; its parameters, and the likelihood's own, have one gradient:

    dnll_k = v_k / B        doutputs = likelihood';   decoder'(doutputs)

For the encoder there are three. Each has its own dz_k, after which always

    dmu = sum_k dz_k        dlogvar = sum_k dz_k eps_k s / 2

**standard**: the derivative of the loss as it is computed, by mu and logvar at fixed eps. r = sum_j [eps^2 + logvar -
z^2] / 2 depends on z and, through logvar, on s:

    dz_k = dz_k(nll) + (beta/B) v_k z_k                dlogvar gets -(beta/B) sum_k v_k / 2 = -beta / (2B) more

**sticking the landing** ("stl"): log q(z|x) depends on mu and logvar through z and directly. The direct part, the
score, has expectation 0 at K = 1, but not variance 0; it is left out. d(-log q)/dz = (z - mu) / s^2 = eps / s, so

    dz_k = dz_k(nll) + (beta/B) v_k (z_k - eps_k / s)

At K = 1 it is unbiased, and where q(z|x) is the posterior exactly its variance is 0. For K > 1 it is biased: v_k
depends on z_k, so the score no longer averages out.

**doubly reparameterised** ("dreg"): the score is not left out but reparameterised once more. For a function f of z
E_q[f d log q/d phi] = E_q[(df/dz) (dz/d phi)], and f = v_k has dv_k/dz_k = (v_k - v_k^2) d log w_k/dz_k. The score
enters the gradient of sum_k v_k log w_k with the factor -beta, so every path derivative ends with the factor

    v_k - beta (v_k - v_k^2) = v_k q_k,     q_k = 1 - beta + beta v_k              beta = 1: v_k^2

    dz_k = q_k [ dz_k(nll) + (beta/B) v_k (z_k - eps_k / s) ]

Unbiased for every K and beta, and its signal does not drown in noise as K grows. It needs one backward pass, as the
others do: dz_k(nll) is linear in the v_k that is handed to the likelihood.

Memory: eps and the weights need K numbers a row. Rows are decoded ``at_once`` at a time, so activations need no more
than that whatever K is; the gradient is the same to rounding. If not even one row's samples fit, they are decoded
twice: for the weights, and for the gradient.

Sources: Burda, Grosse & Salakhutdinov (2016), "Importance weighted autoencoders", eq. 8, 13 and 14; Roeder, Wu &
Duvenaud (2017), "Sticking the landing"; Tucker, Lawson, Gu & Maddison (2019), "Doubly reparameterized gradient
estimators", eq. 8.
"""

from __future__ import annotations

from npvae.errors import InputError
from npvae.mathematics.objectives.base import Objective, Terms, check_batch
from npvae.mathematics.objectives.decoding import Decoding
from npvae.mathematics.objectives.importance_weights import log_mean_exp
from npvae.support import check
from npvae.support.batches import batches
from npvae.support.memory_need import numbers_a_decoded_sample, numbers_a_sample, refuse_what_does_not_fit

ESTIMATORS = ("standard", "stl", "dreg")

#: Samples of z that are decoded at a time, unless said otherwise.
AT_ONCE = 8192


def encoder_gradient(xp, decoding, dz, shares, weights, beta, estimator):
    """The gradients by mu and logvar, (B, Z) each, from dz (K, B, Z) by way of nll. weights: v, (K, B). shares: v /
    B.
    """
    ties = (beta * shares)[:, :, None]
    if estimator == "standard":
        dz = dz + ties * decoding.z
    elif estimator in ("stl", "dreg"):
        dz = dz + ties * (decoding.z - decoding.eps / decoding.s)
    else:
        check.one_of("estimator", estimator, ESTIMATORS)
    if estimator == "dreg":
        dz = (1.0 - beta + beta * weights)[:, :, None] * dz
    dmu = xp.sum(dz, axis=0)
    dlogvar = (0.5 * decoding.s) * xp.sum(dz * decoding.eps, axis=0)
    if estimator == "standard":
        dlogvar = dlogvar - 0.5 * xp.sum(ties, axis=0)
    return dmu, dlogvar


def importance_weighted_loss(
    model, theta, x, eps, beta: float = 1.0, gradient: bool = True, estimator: str = "standard", at_once: int = AT_ONCE
):
    """Return ``(terms, backward)``; ``backward(dloss=1.0, out=None)`` gives dtheta, (P,).

    theta: (P,). x: (B, I). eps: (K, B, Z), standard normal noise. All of one floating dtype; none is modified.
    terms: a :class:`Terms`, whose loss is the negative bound with beta, ``bound`` the bound without, ``reconstruction``
    the mean over all samples and ``kl`` the exact one. estimator: "standard", "stl" or "dreg"; only the first is the
    gradient of the loss at this eps. at_once: samples decoded at a time.
    InputError, InputTypeError: shapes or dtypes do not fit, or there are no rows.
    """
    ops, xp = model.ops, model.ops.xp
    check_batch(model, theta, x)
    rows, latent_dim = x.shape[0], model.architecture.latent_dim
    if len(eps.shape) != 3 or eps.shape[1:] != (rows, latent_dim) or eps.shape[0] < 1:
        raise InputError(f"eps must have shape (samples, {rows}, {latent_dim}), got {tuple(eps.shape)}")
    check.same_dtype("eps", eps, "x", x)
    views = model.views(theta)
    samples = eps.shape[0]
    (mu, logvar), encoder_backward = model.encode(views, x)
    ratio, nll = (xp.zeros((samples, rows), dtype=x.dtype) for _ in range(2))
    bound_rows, plain_rows = (xp.zeros(rows, dtype=x.dtype) for _ in range(2))
    one_piece = rows * samples <= at_once
    if gradient and not one_piece:
        dmu, dlogvar, total = xp.zeros_like(mu), xp.zeros_like(mu), xp.zeros_like(theta)

    def decode(part, some, gradient):
        return Decoding(model, views, x[part, ...], mu[part, ...], logvar[part, ...], eps[some, part, ...], gradient)

    def go_back(decoding, shares, weights, into):
        return encoder_gradient(xp, decoding, decoding.backward(shares, into), shares, weights, beta, estimator)

    chunks = list(batches(samples, at_once))
    for part in batches(rows, max(1, at_once // samples)):
        for chunk in chunks:
            decoded = decode(part, chunk, gradient and len(chunks) == 1)
            ratio[chunk, part], nll[chunk, part] = decoded.log_prior_ratio, decoded.nll
        bound_rows[part], weights = log_mean_exp(xp, beta * ratio[:, part] - nll[:, part])
        plain_rows[part] = log_mean_exp(xp, ratio[:, part] - nll[:, part])[0]
        if not gradient or one_piece:
            continue
        for chunk in chunks:
            if len(chunks) > 1:
                decoded = decode(part, chunk, True)
            piece = xp.zeros_like(theta)
            some = weights[chunk, ...]
            by_mu, by_logvar = go_back(decoded, some * (1.0 / rows), some, model.views(piece))
            dmu[part, ...] += by_mu
            dlogvar[part, ...] += by_logvar
            total += piece
    kl = ops.kl_forward(mu, logvar)
    nll_rows = xp.sum(nll, axis=0) * (1.0 / samples)
    terms = Terms(
        loss=-xp.sum(bound_rows) * (1.0 / rows),
        reconstruction=xp.sum(nll_rows) * (1.0 / rows),
        kl=xp.sum(kl) * (1.0 / rows),
        kl_rows=kl,
        mu=mu,
        nll_rows=nll_rows,
        bound=xp.sum(plain_rows) * (1.0 / rows),
    )

    def backward(dloss: float = 1.0, out=None):
        dtheta = xp.empty_like(theta) if out is None else out
        into = model.views(dtheta)
        if one_piece:
            by_mu, by_logvar = go_back(decoded, weights * (dloss / rows), weights, into)
        else:
            dtheta[...] = dloss * total
            by_mu, by_logvar = dloss * dmu, dloss * dlogvar
        encoder_backward(by_mu, by_logvar, into)
        return dtheta

    return terms, (backward if gradient else None)


class ImportanceWeighted(Objective):
    """The importance-weighted bound.

    samples: K, of z for each row. estimator: of the encoder's gradient, "standard", "stl" or "dreg". at_once: samples
    decoded at a time; fewer need less memory, and change the result by rounding alone.
    """

    name = "importance_weighted"
    more_columns = ("bound",)

    def __init__(self, samples: int = 5, estimator: str = "standard", at_once: int = AT_ONCE) -> None:
        self.samples = check.whole_number("samples", samples, 1)
        self.estimator = estimator
        check.one_of("estimator", estimator, ESTIMATORS)
        self.at_once = check.whole_number("at_once", at_once, 1)

    def config(self):
        return {"samples": self.samples, "estimator": self.estimator, "at_once": self.at_once}

    def noise_shape(self, rows, latent_dim):
        return self.samples, rows, latent_dim

    def check_memory(self, model, rows, itemsize):
        refuse_what_does_not_fit(
            model.ops,
            "samples",
            self.samples,
            rows * itemsize * numbers_a_sample(model.architecture),
            f"for the noise and weights of a batch of {rows} rows",
        )
        refuse_what_does_not_fit(
            model.ops,
            "at_once",
            min(self.at_once, rows * self.samples),
            itemsize * numbers_a_decoded_sample(model.architecture, gradient=True),
            "for the samples that are decoded together",
        )

    def loss(self, model, theta, x, eps, beta=1.0, gradient=True):
        return importance_weighted_loss(model, theta, x, eps, beta, gradient, self.estimator, self.at_once)
