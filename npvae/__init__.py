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
    from npvae.data import load_dataset as load_dataset
    from npvae.data import load_file as load_file
    from npvae.data.tables.read import read_table as read_table
    from npvae.estimators.outliers import OutlierVAE as OutlierVAE
    from npvae.estimators.semisupervised import LatentClassifier as LatentClassifier
    from npvae.estimators.semisupervised import SemiSupervisedVAE as SemiSupervisedVAE
    from npvae.estimators.semisupervised import SoftmaxRegression as SoftmaxRegression
    from npvae.estimators.tables import TableImputer as TableImputer
    from npvae.estimators.vae import VAE as VAE
    from npvae.gradcheck.checker import check_gradient as check_gradient
    from npvae.gradcheck.checker import numerical_gradient as numerical_gradient
    from npvae.mathematics import likelihoods as likelihoods
    from npvae.mathematics import optimizers as optim  # noqa: F401
    from npvae.mathematics import random as random
    from npvae.mathematics.model import Architecture as Architecture
    from npvae.mathematics.model import Model as Model
    from npvae.mathematics.objectives import negative_elbo as negative_elbo
    from npvae.mathematics.objectives import value_and_gradient as value_and_gradient
    from npvae.training import TrainingSettings as TrainingSettings
    from npvae.training import train as train

# Public names are imported at first use: ``import npvae`` then costs next to nothing, which a command
# line, a worker process and a test of a single function all feel.
_HOME = {
    "Architecture": "npvae.mathematics.model",
    "LatentClassifier": "npvae.estimators.semisupervised",
    "Model": "npvae.mathematics.model",
    "OutlierVAE": "npvae.estimators.outliers",
    "SemiSupervisedVAE": "npvae.estimators.semisupervised",
    "SoftmaxRegression": "npvae.estimators.semisupervised",
    "TableImputer": "npvae.estimators.tables",
    "TrainingSettings": "npvae.training",
    "VAE": "npvae.estimators.vae",
    "check_gradient": "npvae.gradcheck.checker",
    "load_dataset": "npvae.data",
    "load_file": "npvae.data",
    "negative_elbo": "npvae.mathematics.objectives",
    "numerical_gradient": "npvae.gradcheck.checker",
    "read_table": "npvae.data.tables.read",
    "train": "npvae.training",
    "value_and_gradient": "npvae.mathematics.objectives",
}

#: Modules that are public by a shorter name than that of their place.
_PLACES = {
    "npvae.likelihoods": "npvae.mathematics.likelihoods",
    "npvae.optim": "npvae.mathematics.optimizers",
    "npvae.random": "npvae.mathematics.random",
}
_MODULES = ("backend", "likelihoods", "optim", "plots", "random")

_FOLDER = os.path.dirname(os.path.abspath(__file__))


class _SourceTree:
    """Finds ``npvae.kernels`` in a source tree, where its folder lies beside this package; installed, it lies
    inside.
    """

    @staticmethod
    def find_spec(name, path=None, target=None):
        folder = os.path.join(os.path.dirname(_FOLDER), "kernels")
        if name != "npvae.kernels" or not os.path.isfile(os.path.join(folder, "cpu", "library.py")):
            return None
        from importlib.util import spec_from_file_location

        return spec_from_file_location(name, os.path.join(folder, "__init__.py"), submodule_search_locations=[folder])


class _PublicName:
    """Finds a module by its public name, and what is in it: the same module, not a second copy of it."""

    def __init__(self, place: str) -> None:
        self.place = place

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if not name.startswith("npvae."):
            return None
        for public, place in _PLACES.items():
            if name == public or name.startswith(public + "."):
                return type(__spec__)(name, cls(place + name[len(public) :]))
        return None

    def create_module(self, spec):
        import importlib

        module = importlib.import_module(self.place)
        self.spec = module.__spec__
        return module

    def exec_module(self, module) -> None:
        module.__spec__ = self.spec  # the import system has just written the public name's there


sys.meta_path.insert(0, _PublicName)
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
