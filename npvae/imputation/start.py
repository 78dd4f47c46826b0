"""Parameters to begin training on a table with: those of the normal distribution that fits it (normal.py), or near.

    S ~ V^T V + diag(n)                                factor analysis: x = m + z V + noise, z ~ N(0, I)
    decoder    linear path V, bias m, spread n         in the likelihood's own terms: Likelihood.linear_start
    encoder    mu = (x - m) N,  N = diag(1/n) V^T C,   C = (I + V diag(1/n) V^T)^-1    linear path N, bias -m N
               logvar_j = sum_i observed_i log(C_jj) A_ij / sum_l A_lj,   A_ij = V_ji^2 / n_i,  then 0.2 more

E[z | x_o] is linear in E[x | x_o], so on rows that the normal distribution has completed the mean of the posterior is
exact, whatever is missing. The precision is 1 + sum_i observed_i A_ij on the diagonal; its logarithm is replaced by the
straight line between nothing observed, the prior's 0, and everything, log C_jj, which is above it; that latent
dimensions depend on each other where something is missing it does not know. All that is not linear is left to the
hidden layers, whose last weights begin at a tenth of their size.

A network that begins here has no need to find, from a few hundred rows, what linear algebra knows, and where there is
nothing else to find it is stopped early and stays as good as the normal distribution.
"""

from __future__ import annotations

import numpy as np

from npvae.imputation.factor_analysis import FactorAnalysis
from npvae.imputation.normal import Normal
from npvae.mathematics.encoder_view import EncoderView

#: What the weights that follow the hidden layers are multiplied by.
QUIET = 0.1
#: What is added to the log-variance: importance weights are tamer where q is the wider.
WIDER = 0.2


def start_from(model, theta, normal: Normal | FactorAnalysis, view: EncoderView | None = None) -> None:
    """Change theta (P,), in place, of a model with linear paths and completed rows, to what the normal distribution
    says.

    view: where the normal distribution is of what the encoder sees of x, as completed rows are too; None: of x.
    """
    views, architecture = model.views(theta), model.architecture
    dtype = model.ops.dtype_name(theta)
    V, noise = normal.factors(architecture.latent_dim)

    def put(name, value, where=slice(None)):
        views[name][where, ...] = model.ops.asarray(value, dtype)

    for _, heads in (architecture.encoder(), architecture.decoder()):
        for head in heads:
            views[head.W] *= QUIET
    moments = (normal.mean, V, noise) if view is None else view.moments(normal.mean, V, noise)
    start = model.likelihood.linear_start(*moments)
    for kind, place in (("path", "decoder/linear/{}/V"), ("bias", "decoder/{}/b"), ("parameters", "likelihood/{}")):
        for name, value in start.get(kind, {}).items():
            put(place.format(name), value)
    C = np.linalg.inv(np.eye(architecture.latent_dim) + (V / noise) @ V.T)
    N = (V / noise).T @ C
    features = architecture.n_features
    put("encoder/linear/mean/V", N, slice(features))
    put("encoder/mean/b", -normal.mean @ N)
    A = (V * V / noise).T
    put("encoder/linear/logvar/V", np.log(np.diag(C)) * A / np.maximum(A.sum(axis=0), 1e-12), slice(features, None))
    put("encoder/logvar/b", np.full(architecture.latent_dim, WIDER))
