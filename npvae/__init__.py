"""npvae: variational autoencoders in NumPy with every gradient written by hand and checked.

Sizes, everywhere: B rows of a minibatch, N rows of data, I data features, H hidden units, Z latent
dimensions, P parameters, K importance samples. Names: x data, h hidden, mu and logvar of q(z|x), eps noise,
z latent, W (in, out) and b (out,) weights; d + name is the gradient of the loss by that name. A loss is
summed over features and averaged over rows, in nats.
"""

from __future__ import annotations

import os
import sys

from npvae._version import __version__

TYPE_CHECKING = False  # type checkers take it for true; importing typing would cost more than the rest of this file
if TYPE_CHECKING:
    from npvae import backend as backend
    from npvae import plots as plots
    from npvae import random as random
    from npvae.data import load_dataset as load_dataset
    from npvae.data import load_file as load_file
    from npvae.data.tables.read import read_table as read_table
    from npvae.estimator import VAE as VAE
    from npvae.gradcheck import check_gradient as check_gradient
    from npvae.gradcheck import numerical_gradient as numerical_gradient
    from npvae.model import Architecture as Architecture
    from npvae.model import Model as Model
    from npvae.objectives import negative_elbo as negative_elbo
    from npvae.objectives import value_and_gradient as value_and_gradient
    from npvae.outliers import OutlierVAE as OutlierVAE
    from npvae.semisupervised import LatentClassifier as LatentClassifier
    from npvae.semisupervised import SemiSupervisedVAE as SemiSupervisedVAE
    from npvae.semisupervised import SoftmaxRegression as SoftmaxRegression
    from npvae.tables import TableImputer as TableImputer
    from npvae.training import TrainingSettings as TrainingSettings
    from npvae.training import train as train

# Public names are imported at first use: ``import npvae`` then costs next to nothing, which a command
# line, a worker process and a test of a single function all feel.
_HOME = {
    "Architecture": "npvae.model",
    "LatentClassifier": "npvae.semisupervised",
    "Model": "npvae.model",
    "OutlierVAE": "npvae.outliers",
    "SemiSupervisedVAE": "npvae.semisupervised",
    "SoftmaxRegression": "npvae.semisupervised",
    "TableImputer": "npvae.tables",
    "TrainingSettings": "npvae.training",
    "VAE": "npvae.estimator",
    "check_gradient": "npvae.gradcheck",
    "load_dataset": "npvae.data",
    "load_file": "npvae.data",
    "negative_elbo": "npvae.objectives",
    "numerical_gradient": "npvae.gradcheck",
    "read_table": "npvae.data.tables.read",
    "train": "npvae.training",
    "value_and_gradient": "npvae.objectives",
}

_MODULES = ("backend", "plots", "random")

_FOLDER = os.path.dirname(os.path.abspath(__file__))


class _SourceTree:
    """Finds ``npvae.kernels`` in a source tree, where its folder lies beside this package; installed, it lies
    inside.
    """

    @staticmethod
    def find_spec(name, path=None, target=None):
        folder = os.path.join(os.path.dirname(_FOLDER), "kernels")
        if name != "npvae.kernels" or not os.path.isfile(os.path.join(folder, "library.py")):
            return None
        from importlib.util import spec_from_file_location

        return spec_from_file_location(name, os.path.join(folder, "__init__.py"), submodule_search_locations=[folder])


if not os.path.isdir(os.path.join(_FOLDER, "kernels")):
    sys.meta_path.insert(0, _SourceTree)  # the first to be asked: an editable install may be of another tree

__all__ = ["__version__", *_MODULES, *_HOME]


def __getattr__(name: str):
    import importlib

    if name in _HOME:
        value = getattr(importlib.import_module(_HOME[name]), name)
    elif name in _MODULES:
        value = importlib.import_module(f"npvae.{name}")
    else:
        raise AttributeError(f"module 'npvae' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*{*globals(), *__all__}]
