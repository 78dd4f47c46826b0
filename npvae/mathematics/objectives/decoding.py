"""Several samples of z for each of some rows, decoded: what the importance-weighted bound and log p(x) are made of."""

from __future__ import annotations

from npvae.mathematics.objectives.importance_weights import log_prior_ratio, samples_of


class Decoding:
    """The samples of eps (K, B, Z) for rows x (B, I) with posteriors mu, logvar (B, Z).

    z, eps: (K, B, Z). s: exp(logvar / 2), (B, Z). nll: -log p(x|z), log_prior_ratio: log p(z) - log q(z|x), (K, B)
    each, so that log w = log_prior_ratio - nll. With ``gradient=False`` there is no ``backward``.
    """

    def __init__(self, model, views, x, mu, logvar, eps, gradient: bool) -> None:
        xp = model.ops.xp
        samples, rows, latent_dim = eps.shape
        self._model, self._views, self._reshape, self.eps = model, views, xp.reshape, eps
        self.z, self.s = samples_of(xp, mu, logvar, eps)
        self._outputs, self._decoder_backward = model.decode(views, xp.reshape(self.z, (samples * rows, latent_dim)))
        self._x = x = xp.reshape(xp.broadcast_to(x, (samples, *x.shape)), (samples * rows, x.shape[1]))
        nll, self._nll_backward = model.negative_log_likelihood(views, self._outputs, x, gradient)
        self.nll = xp.reshape(nll, (samples, rows))
        self.log_prior_ratio = log_prior_ratio(xp, self.z, logvar, eps)

    def mean(self, curves=None, wanted=None):
        """E[x|z] of every sample, (K, B, I). curves, wanted: as of Table.mean; a likelihood of another kind knows no
        curves, and gives all.
        """
        own = self._model.likelihood_parameters(self._views)
        more = {"curves": curves, "wanted": wanted} if self._model.likelihood.has_curves else {}
        mean = self._model.likelihood.mean(self._model.ops, self._outputs, own, **more)
        return self._reshape(mean, (*self.z.shape[:2], mean.shape[1]))

    def losses_by_variable(self) -> list:
        """The terms of nll, (K, B) each, of the likelihood's variables."""
        losses = self._model.losses_by_variable(self._views, self._outputs, self._x)
        return [self._reshape(loss, self.z.shape[:2]) for loss in losses]

    def backward(self, dnll, into):
        """dz (K, B, Z) by way of nll, for dnll (K, B); the decoder's and the likelihood's tensors in ``into``, a
        mapping of views by name, are overwritten.
        """
        samples, rows, _ = self.z.shape
        doutputs, dparameters = self._nll_backward(self._reshape(dnll, (samples * rows,)))
        for name, value in dparameters.items():
            into[f"likelihood/{name}"][...] = value
        return self._reshape(self._decoder_backward(doutputs, into), self.z.shape)
