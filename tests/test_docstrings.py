"""The examples in docstrings print what they say."""

from __future__ import annotations

import doctest
import importlib

import pytest


@pytest.mark.parametrize(
    "name", ["npvae.gradcheck.checker", "npvae.estimators.vae", "npvae.estimators.outliers.estimator"]
)
def test_doctests(name):
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted > 0 and result.failed == 0


def test_every_argument_of_the_estimator_is_explained_and_none_that_is_not_there():
    import inspect
    import re

    from npvae import VAE

    text = VAE.__doc__.split("Parameters")[1].split("Attributes")[0]
    explained = {name for line in re.findall(r"^    ([\w, ]+) :", text, flags=re.M) for name in line.split(", ")}
    assert explained == set(inspect.signature(VAE.__init__).parameters) - {"self"}


@pytest.mark.parametrize(
    "name",
    [
        "npvae.gradcheck.checker.check_gradient",
        "npvae.gradcheck.checker.numerical_gradient",
        "npvae.mathematics.objectives.negative_elbo",
        "npvae.training.loop.train",
        "npvae.mathematics.layers.dense.dense",
        "npvae.mathematics.layers.network.network",
        "npvae.data.own_files.load_file",
        "npvae.data.catalog.load_dataset",
    ],
)
def test_every_argument_of_the_main_functions_is_named_in_its_docstring(name):
    import inspect

    module, function = name.rsplit(".", 1)
    function = getattr(importlib.import_module(module), function)
    self_explaining = {
        "ops",
        "model",
        "function",
        "inputs",
        "path",
        "name",
        "parameters",
        "settings",
        "hidden",
        "head_layers",
        "beta",
        "x",
        "activation",
    }
    for argument in inspect.signature(function).parameters:
        assert argument in self_explaining or argument in function.__doc__, argument
