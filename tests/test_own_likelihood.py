"""The likelihood that docs/own_likelihood.md writes is what the page says: right, and all that is needed."""

import re
import warnings
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from small import small_vae

from npvae import VAE
from npvae.backend.base import Ops
from npvae.errors import InputError, InputTypeError, ModelFileError, UnregisteredLikelihoodWarning
from npvae.gradcheck import own_gradients
from npvae.mathematics import likelihoods, random

PAGE = Path(__file__).parent.parent / "docs" / "own_likelihood.md"


@pytest.fixture(scope="module")
def page():
    """The names that the page's code makes, run in order."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    names: dict = {}
    for block in blocks:
        exec(block, names)
    return names


def test_its_gradient_check_passes(page):
    assert page["case"].check().passed
    assert [row.name for row in page["case"].check().rows] == ["location", "raw_scale"]


def test_it_is_a_density_with_its_draws(page):
    likelihood, x = page["Laplace"](), np.linspace(-60, 60, 40_001)[:, None]
    outputs = tuple(np.full(x.shape, value) for value in (1.5, 0.4))
    density = np.exp(-likelihood.negative_log_likelihood(Ops(np), outputs, x, {}, False)[0])
    assert np.sum(density) * (x[1, 0] - x[0, 0]) == pytest.approx(1.0, abs=1e-4)
    drawn = likelihood.draw(
        tuple(np.full((100_000, 1), value) for value in (1.5, 0.4)), {}, random.Stream(0, "data sample", 0)
    )
    assert np.median(drawn) == pytest.approx(1.5, abs=0.03)
    assert np.mean(np.abs(drawn - 1.5)) == pytest.approx(1e-3 + np.exp(0.4), rel=0.03)


def test_a_draw_is_finite_whatever_the_random_word(page):
    class Zeros:
        def uniform(self, shape, dtype):
            return np.zeros(shape, dtype)

    outputs = (np.zeros((1, 2), np.float32), np.zeros((1, 2), np.float32))
    assert np.isfinite(page["Laplace"]().draw(outputs, {}, Zeros())).all()


@mock.patch.dict(likelihoods.KNOWN)
def test_the_line_is_all_that_is_needed(page, monkeypatch, tmp_path, rng):
    Laplace, x = page["Laplace"], rng.standard_normal((30, 4))
    with pytest.warns(UnregisteredLikelihoodWarning, match=r"cannot be saved.*register\(Laplace\)"):
        vae = small_vae(likelihood=Laplace(0.01)).fit(x)
    table = likelihoods.Table([(Laplace(), 3), ("gaussian", 1)])
    for model in (vae, small_vae(likelihood=table)):
        with (
            pytest.raises(InputError, match=r"npvae.likelihoods.register\(Laplace\) and save again"),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore", UnregisteredLikelihoodWarning)
            model.fit(x).save(tmp_path / "m.npz")
    assert likelihoods.register(Laplace) is Laplace and likelihoods.register(Laplace) is Laplace
    vae.save(tmp_path / "m.npz")
    named = small_vae(likelihood={"name": "laplace", "floor": 0.01}).fit(x)
    np.testing.assert_array_equal(named.theta_, vae.theta_)
    named.save(tmp_path / "m.npz")
    loaded = VAE.load(tmp_path / "m.npz")
    np.testing.assert_array_equal(loaded.sample(3, mean=False), named.sample(3, mean=False))
    assert np.isfinite(loaded.log_likelihood(x, samples=20).mean)
    small_vae(likelihood="laplace", objective={"name": "importance_weighted", "estimator": "dreg"}).fit(x)
    small_vae(likelihood={"name": "table", "columns": [["laplace", 3], ["gaussian", 1]]}).fit(x)
    monkeypatch.delitem(likelihoods.KNOWN, "laplace")
    with pytest.raises(ModelFileError, match=r"'laplace'.*npvae.likelihoods.register\(CLASS\)"):
        VAE.load(tmp_path / "m.npz")
    likelihoods.register(Laplace)
    titles = [case.title for case in own_gradients.cases()]
    assert "likelihood, laplace" in titles


def test_what_cannot_be_registered(page):
    class Bernoulli(page["Laplace"]):
        name = "bernoulli"

    class Nameless(page["Laplace"]):
        name = "a:b"

    for kind, words in (
        (Bernoulli, "the name 'bernoulli' is that of Bernoulli"),
        (Nameless, "Nameless.name must be a text"),
    ):
        with pytest.raises(InputError, match=words):
            likelihoods.register(kind)
    with pytest.raises(InputTypeError, match="a subclass"):
        likelihoods.register(page["Laplace"]())
