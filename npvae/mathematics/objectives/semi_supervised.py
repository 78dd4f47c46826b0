"""The loss of the semi-supervised model M2: labelled rows, unlabelled rows, and a term for the classifier.

    L(x, y) = E_q(z|x,y)[log p(x|y, z)] + log p(y) - KL(q(z|x, y) || p(z))  <=  log p(x, y)
    U(x)    = sum_y q(y|x) (L(x, y) - log q(y|x))                           <=  log p(x),     y summed out exactly

    loss = (1/B) [ - sum over labelled L(x, y) - sum over unlabelled U(x) - a sum over labelled log q(y|x) ]

a = alpha N / N_l, with N_l of all N rows labelled: without the last term q(y|x) would learn nothing from a label.

With c_p = -L of pair p (row and class), one sample z_p = mu_p + exp(logvar_p / 2) eps of it, and q_uc = q(c|x_u):

    dc_p = 1/B of a labelled row, q_uc/B of an unlabelled one          into the likelihood, the KL and the encoder
    dlogits_u = q_uc (c_uc + log q_uc + U_u) / B                       c + log q less its mean under q, which is -U
    dlogits_l = a (q_lc - 1[c = y_l]) / B

eps is the same for all classes of a row: their differences, of which q(y|x) learns, have less noise.

Source: Kingma, Rezende, Mohamed & Welling (2014), eq. 6 to 9, and appendix of the authors' code for a.
"""

from __future__ import annotations

import numpy as np

from npvae.mathematics.layers.kl import kl_divergence
from npvae.mathematics.layers.pairs import Pairs
from npvae.mathematics.layers.sampling import sample
from npvae.mathematics.layers.softmax import log_softmax
from npvae.mathematics.objectives.base import Objective, Terms, check_batch
from npvae.support import check


def semi_supervised_loss(
    model, theta, batch, eps, beta: float = 1.0, classifier_weight: float = 1.0, gradient: bool = True
):
    """Return ``(terms, backward)``; ``backward(dloss=1.0, out=None)`` gives dtheta, (P,).

    batch: (B, I + 1), or (B, 2 I + 1) of a completed architecture, features and label, -1 for none. eps: (B, Z).
    classifier_weight: a. terms: those of an unlabelled row are expected ones under q(y|x); ``bound``: the mean of L and
    U.
    """
    ops, xp, architecture = model.ops, model.ops.xp, model.architecture
    check_batch(model, theta, batch)
    views = model.views(theta)
    x, eps, pairs = labelled_first(model, batch, eps)
    rows, known = x.shape[0], pairs.labelled
    log_prior = ops.asarray(architecture.log_prior(), ops.dtype_name(theta))

    logits, classifier_backward = model.classify(views, x)
    log_q = log_softmax(xp, logits)
    (mu, logvar), encoder_backward = model.encode_pairs(views, x, pairs)
    z, sample_backward = sample(ops, mu, logvar, pairs.spread(eps))
    outputs, decoder_backward = model.decode_pairs(views, z, pairs)
    nll, nll_backward = model.negative_log_likelihood(views, outputs, pairs.spread(x), gradient)
    kl, kl_backward = kl_divergence(ops, mu, logvar)

    q = xp.exp(log_q)
    weights = pairs.join(xp.ones_like(nll[:known]), q[known:, :].T)  # (P,): of a pair in the loss
    own = pairs.one_hot @ log_prior
    cost = nll + beta * xp.sum(kl, axis=1) - own
    per_class = pairs.by_class(cost).T + log_q[known:, :]  # (U, C)
    free = xp.sum(q[known:, :] * per_class, axis=1, keepdims=True)  # -U
    cross_entropy = -xp.sum(pairs.one_hot_labels * log_q[:known, :], axis=1)
    scale = 1.0 / rows
    loss = scale * (xp.sum(cost[:known]) + xp.sum(free) + classifier_weight * xp.sum(cross_entropy))

    def of_rows(values):
        """Means over the classes of a row, under q."""
        return pairs.gather(weights[:, None] * values)

    kl_rows, nll_rows = of_rows(kl), of_rows(nll[:, None])[:, 0]
    reconstruction, kl_mean = scale * xp.sum(nll_rows), scale * xp.sum(kl_rows)
    entropy = -xp.sum(q[known:, :] * log_q[known:, :])
    bound = -(reconstruction + kl_mean - scale * (xp.sum(weights * own) + entropy))
    best = xp.max(log_q[:known, :], axis=1) if known else cross_entropy
    wrong = xp.sum(xp.where(-cross_entropy < best, xp.ones_like(best), xp.zeros_like(best)))
    labelled = (known, wrong, xp.sum(cross_entropy))
    terms = Terms(loss, reconstruction, kl_mean, kl_rows, of_rows(mu), nll_rows, bound, labelled)

    def backward(dloss: float = 1.0, out=None):
        dtheta = xp.empty_like(theta) if out is None else out
        into, by_row = model.views(dtheta), dloss * scale
        dcost = by_row * weights
        doutputs, dparameters = nll_backward(dcost)
        for name, value in dparameters.items():
            into[f"likelihood/{name}"][...] = value
        dmu, dlogvar = sample_backward(decoder_backward(doutputs, into))
        dmu_kl, dlogvar_kl = kl_backward(xp.broadcast_to((beta * dcost)[:, None], kl.shape))
        encoder_backward(dmu + dmu_kl, dlogvar + dlogvar_kl, into)
        dlabelled = (classifier_weight * by_row) * (q[:known, :] - pairs.one_hot_labels)
        dunlabelled = by_row * q[known:, :] * (per_class - free)
        classifier_backward(ops.concat([dlabelled, dunlabelled]), into)
        return dtheta

    return terms, (backward if gradient else None)


def labelled_first(model, batch, eps):
    """``(x, eps, pairs)``: rows without labels and noise (B, Z) of a batch in an order that begins with the labelled
    rows, and what is paired."""
    ops = model.ops
    labels = ops.to_numpy(batch[:, -1]).astype(np.int64)
    known = labels >= 0
    count = int(known.sum())
    if not known[:count].all():
        order = ops.asarray(np.argsort(~known, kind="stable"))
        batch, eps = ops.take_rows(batch, order), ops.take_rows(eps, order)
    pairs = Pairs(ops, labels[known], len(known) - count, model.architecture.n_classes, ops.dtype_name(batch))
    return batch[:, :-1], eps, pairs


class SemiSupervised(Objective):
    """Labelled and unlabelled bound, and the classifier's term. classifier_weight: a = alpha N / N_l."""

    name = "semi_supervised"
    more_columns = ("bound", "error", "cross_entropy")

    def __init__(self, classifier_weight: float = 1.0) -> None:
        self.classifier_weight = check.real_number("classifier_weight", classifier_weight, minimum=0.0)

    def config(self):
        return {"classifier_weight": self.classifier_weight}

    def spread(self, model, x):
        return model.ops.to_numpy(x[:, -1]) >= 0

    def loss(self, model, theta, x, eps, beta=1.0, gradient=True):
        return semi_supervised_loss(model, theta, x, eps, beta, self.classifier_weight, gradient)

    def tensors(self, model, views, x, eps):
        x, eps, pairs = labelled_first(model, x, eps)
        yield "logits", "the classifier's output", model.classify(views, x)[0]
        (mu, logvar), _ = model.encode_pairs(views, x, pairs)
        yield from self._latent_tensors(
            model, mu, logvar, pairs.spread(eps), lambda z: model.decode_pairs(views, z, pairs)
        )
