"""What the encoder sees of counts: logarithms, standardised, while the likelihood is of the counts themselves."""

from __future__ import annotations

import math

import numpy as np
import pytest

from npvae import VAE, SemiSupervisedVAE
from npvae.backend.base import Ops
from npvae.errors import InputError, ModelFileError
from npvae.estimators import model_file, preparation
from npvae.evaluation.report import evaluate_model
from npvae.gradcheck.own_gradients import model_case
from npvae.mathematics.encoder_view import DECLARATION, EncoderView
from npvae.mathematics.model import Architecture, Model
from npvae.mathematics.objectives import negative_elbo
from npvae.support import npz_file

MIXED = {
    "name": "table",
    "columns": [{"likelihood": "poisson", "columns": 2}, {"likelihood": "gaussian_decoder", "columns": 1}],
}


def counts(rows=60, rate=1000.0, features=4, seed=0) -> np.ndarray:
    """Poisson counts whose rates depend on one latent number a row."""
    generator = np.random.default_rng(seed)
    z = generator.standard_normal((rows, 1))
    return generator.poisson(rate * np.exp(z * generator.standard_normal((1, features)))).astype(float)


def small(**arguments) -> VAE:
    return VAE(
        **{
            "latent_dim": 2,
            "hidden": (8,),
            "likelihood": "poisson",
            "epochs": 3,
            "backend": "numpy",
            "random_state": 0,
            **arguments,
        }
    )


def test_a_view_number_by_number():
    """Logarithms of x + 1 by column, of what is there less their mean, over their deviation, or what noise allows;
    others as they are.
    """
    few = EncoderView.fit(
        np.array([[9999.0, 99.0], [9999.0, 99.0]]), np.array([True, True])
    )  # alike: 5 deviations of their noise
    np.testing.assert_allclose(few.scale, [5.0 / 100.0, 5.0 / 10.0], rtol=1e-15)
    x = np.array([[0.0, 5.0, -2.0], [255.0, 3.0, 7.0], [np.nan, 4.0, 1.0]])
    view = EncoderView.fit(x, np.array([True, True, False]))
    half, logs = math.log(256.0) / 2, np.log([6.0, 4.0, 5.0])
    np.testing.assert_allclose(view.center, [half, logs.mean(), 0.0], rtol=1e-15)
    np.testing.assert_allclose(view.scale, [half, 1.0, 1.0], rtol=1e-15)
    wanted = np.array([[-1.0, 0.0, -2.0], [1.0, 0.0, 7.0], [np.nan, 0.0, 1.0]])
    wanted[:, 1] = logs - logs.mean()
    np.testing.assert_allclose(view.of(x), wanted, atol=1e-15)
    np.testing.assert_allclose(view.inverse(view.of(x)), x, rtol=1e-13)
    for dtype in ("float32", "float64"):
        rows = view.beside(x.astype(dtype))
        assert rows.dtype == dtype
        np.testing.assert_array_equal(rows[:, :3], x)
        np.testing.assert_allclose(rows[:, 3:], np.where(np.isnan(wanted), 0.0, wanted), atol=1e-7)
    empty = EncoderView.fit(np.full((2, 1), np.nan), np.array([True]))
    assert empty.beside(np.full((2, 1), np.nan))[:, 1].tolist() == [0.0, 0.0]
    with pytest.raises(InputError, match=r"X holds -3.0 in column 1 \(row 0\), but counts are not negative"):
        view.of(np.array([[0.0, -3.0, 0.0]]))


def test_a_view_in_a_file():
    view = EncoderView(np.array([0.1, 2.0]), np.array([1.0, 1e-30]), np.array([True, False]))
    again = EncoderView.from_config(DECLARATION.read("view", view.config()), 2)
    for name in ("center", "scale", "log1p"):
        assert (
            getattr(again, name).tolist() == getattr(view, name).tolist()
            and getattr(again, name).dtype == getattr(view, name).dtype
        )
    assert EncoderView(view.center, view.scale).config()["log1p"] == [False, False]
    with pytest.raises(ModelFileError, match="the center of the encoder's view has 2 entries for 3 features"):
        EncoderView.from_config(view.config(), 3)
    for entry in ({"scale": [0.0, 1.0]}, {"center": [None, 1.0]}, {"log1p": [1, 0]}, {"more": 1}):
        with pytest.raises(InputError):
            DECLARATION.read("view", {**view.config(), **entry})


@pytest.mark.parametrize("missing", [False, True])
def test_the_encoder_sees_one_half_and_the_likelihood_the_other(missing):
    model = Model(Architecture(3, 2, (4,), likelihood="poisson", missing=missing, completed=True), Ops(np))
    generator = np.random.default_rng(0)
    theta = model.initial_parameters(0, "float64") + 0.1 * generator.standard_normal(model.layout.size)
    x, seen, eps = (
        generator.poisson(2.0, (5, 3)).astype(float),
        generator.standard_normal((5, 3)),
        generator.standard_normal((5, 2)),
    )
    plain = Model(Architecture(3, 2, (4,), likelihood="poisson"), Ops(np))

    def terms(x, seen):
        return negative_elbo(model, theta, np.hstack([x, seen]), eps)[0]

    first, other_x, other_seen = terms(x, seen), terms(x + 1.0, seen), terms(x, seen + 1.0)
    np.testing.assert_array_equal(first.mu, other_x.mu)
    assert not np.array_equal(first.nll_rows, other_x.nll_rows) and not np.array_equal(first.mu, other_seen.mu)
    if not missing:  # the plain model, whose encoder is handed what this one's sees
        (mu, _), _ = plain.encode(plain.views(theta), seen)
        np.testing.assert_array_equal(first.mu, mu)


def test_the_gradient_of_a_model_with_a_view():
    case = model_case(
        Ops(np), Architecture(3, 2, (4,), likelihood="poisson", completed=True), np.random.default_rng(0), rows=4
    )
    assert case.check().passed


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize(("likelihood", "rate"), [("poisson", 100.0), ("poisson", 1e6), ("negative_binomial", 1e6)])
def test_counts_of_any_size_are_learnt_by_the_defaults(backend, likelihood, rate):
    """No error, no warning (here an error), and better by far than rates that know nothing of the row."""
    x = counts(200, rate)
    vae = VAE(likelihood=likelihood, epochs=100, backend=backend, random_state=0).fit(x)
    elbo = np.array(vae.history_["elbo"])
    assert np.isfinite(elbo).all() and elbo[-1] > elbo[0]
    log_rate = np.log(x.mean(axis=0))
    knows_nothing = (x * log_rate - np.exp(log_rate) - np.vectorize(math.lgamma)(x + 1.0)).sum(axis=1).mean()
    assert vae.elbo(x) > 0.2 * knows_nothing
    assert np.isfinite(vae.reconstruct(x[:5])).all() and np.isfinite(vae.score_samples(x[:5], samples=10)).all()
    assert np.isfinite(vae.sample(5, mean=False)).all()


def test_everything_a_model_does_goes_through_the_view(tmp_path):
    x = counts()
    vae = small().fit(x)
    view = vae.encoder_view_
    np.testing.assert_allclose(view.center, np.log1p(x).mean(axis=0), rtol=1e-6)
    model, theta = vae.model_, vae.theta_
    rows = view.beside(x.astype("float32"))
    (mu, logvar), _ = model.encode(model.views(theta), rows)
    np.testing.assert_array_equal(vae.transform(x), mu)
    np.testing.assert_array_equal(vae.model_input(x), rows)
    np.testing.assert_array_equal(vae.encode(x)[1], logvar)
    vae.save(tmp_path / "m.npz")
    again = VAE.load(tmp_path / "m.npz", backend="numpy")
    for result in ("transform", "reconstruct", "score_samples", "elbo"):
        np.testing.assert_array_equal(getattr(again, result)(x), getattr(vae, result)(x))
    report = evaluate_model(vae, x, samples=5)
    assert report["squared_error"] == pytest.approx(np.square(vae.reconstruct(x) - x).sum(axis=1).mean(), rel=1e-5)
    with pytest.raises(InputError, match="counts are not negative"):
        vae.transform(-x)


@pytest.mark.parametrize(
    "missing, methods",
    [(False, ("single_pass", "pseudo_gibbs", "metropolis", "importance")), (True, ("single_pass", "importance"))],
)
def test_missing_counts_are_filled_in(missing, methods):
    """By every method but the single pass, which only has to be of the right size, near what was hidden: the row's
    other counts tell.
    """
    generator = np.random.default_rng(0)
    x = generator.poisson(20.0 * np.exp(generator.standard_normal((300, 1)) * np.ones(6))).astype(float)
    holes = x.copy()
    holes[::3, 1], holes[1::3, 4] = np.nan, np.nan
    vae = small(epochs=300, hidden=(32,), missing=missing).fit(holes if missing else x)
    for method in methods:
        found = vae.impute(holes, int(method != "single_pass"), method=method, samples=100, steps=20, warm_up=10)
        hidden = np.isnan(holes)
        off = np.abs(np.log1p(found.mean) - np.log1p(x))[hidden].mean()
        column = np.abs(np.log1p(x) - np.log1p(x).mean(axis=0))[hidden].mean()
        assert off < (2.0 if method == "single_pass" else 0.6) * column, method
        np.testing.assert_array_equal(found.mean[~hidden], x.astype("float32")[~hidden])


def test_only_the_counts_of_a_table_are_seen_as_logarithms():
    x = np.hstack([counts(features=2), np.random.default_rng(1).standard_normal((60, 1))])
    vae = small(likelihood=MIXED).fit(x)
    assert vae.encoder_view_.log1p.tolist() == [True, True, False]
    np.testing.assert_array_equal(vae.model_input(x)[:, 5], x[:, 2].astype("float32"))
    assert small(likelihood="gaussian_decoder").fit(x[:, 2:]).encoder_view_ is None
    assert small(likelihood="poisson", binarize="static").fit((x[:, :2] > 1000) * 1.0).encoder_view_ is None


def test_the_defaults_of_counts_and_of_others():
    """What is given wins; the epochs make 1,200 steps, but are from 20 to 400; a table, or drawn zeros and ones, are
    others' business.
    """

    def chosen(rows=60, **arguments):
        x = counts(rows, 0.5, features=3)
        vae = VAE(**{"likelihood": "negative_binomial", "backend": "numpy", "random_state": 0, **arguments})
        run = preparation.prepare(vae, x / x.max() if arguments.get("likelihood") == "bernoulli" else x)
        shape, settings = run.model.architecture, run.settings
        return (
            shape.latent_dim,
            shape.hidden,
            shape.decoder_hidden,
            shape.activation,
            settings.optimizer.name,
            settings.learning_rate,
            settings.batch_size,
            settings.epochs,
        )

    of_counts = 10, (256,), (), "tanh", "adam", 3e-3, 100
    for likelihood in ("poisson", "negative_binomial", "multinomial", "dirichlet_multinomial"):
        assert chosen(likelihood=likelihood) == (*of_counts, 400)
    assert chosen(1000) == (*of_counts, 120) and chosen(100, batch_size=1) == (*of_counts[:-1], 1, 20)
    given = {
        "latent_dim": 3,
        "hidden": (5,),
        "decoder_hidden": (4,),
        "activation": "relu",
        "optimizer": "sgd",
        "learning_rate": 0.1,
        "batch_size": 7,
        "epochs": 2,
    }
    assert chosen(**given) == tuple(given.values())
    note = 2, (256,), (256,), "relu", "rmsprop", 1e-3, 100, 50
    assert chosen(likelihood="bernoulli") == note and chosen(likelihood=MIXED) == note


def test_output_biases_fit_counts_by_default():
    x = counts()

    def biases(**arguments):
        return small(epochs=1, learning_rate=1e-12, **arguments).fit(x).parameters_["decoder/log_rate/b"]

    np.testing.assert_allclose(biases(), np.log(x.mean(axis=0)), rtol=1e-5)
    np.testing.assert_allclose(biases(output_bias="zero"), 0.0, atol=1e-6)
    grey = small(likelihood="bernoulli", epochs=1, learning_rate=1e-12).fit(x / x.max())
    np.testing.assert_allclose(grey.parameters_["decoder/logits/b"], 0.0, atol=1e-6)


def test_a_run_of_counts_is_resumed_to_the_same_bits(tmp_path):
    x, file = counts(), tmp_path / "c.npz"
    whole = small(epochs=4, validation_fraction=0.2).fit(x)
    small(epochs=2, validation_fraction=0.2).fit(x, checkpoint=file)
    resumed = small(epochs=4, validation_fraction=0.2).fit(x, checkpoint=file, resume=True)
    np.testing.assert_array_equal(resumed.theta_, whole.theta_)


def test_files_whose_view_is_missing_or_beside_are_refused(tmp_path):
    path, x = tmp_path / "m.npz", counts()
    vae = small().fit(x)
    for likelihood, change, message in (
        ("poisson", lambda header: header.pop("encoder_view"), "its encoder's view of counts is missing"),
        ("poisson", lambda header: header["encoder_view"]["center"].pop(), "has 3 entries for 4 features"),
        (
            "gaussian_decoder",
            lambda header: header.update(encoder_view=vae.encoder_view_.config()),
            "its encoder sees the data as they are",
        ),
    ):
        fitted = small(likelihood=likelihood).fit(x / 1000.0 if likelihood != "poisson" else x)
        header, arrays = model_file.describe(fitted)
        change(header)
        npz_file.save(path, "model", header, arrays, model_file.declaration(VAE))
        with pytest.raises(ModelFileError, match=message):
            VAE.load(path, backend="numpy")


def test_classes_of_counts(tmp_path):
    """A semi-supervised model, too: its classifier sees what its encoder sees."""
    generator = np.random.default_rng(0)
    y = generator.integers(0, 2, 200)
    x = generator.poisson(np.where(y[:, None] == 0, [[3000.0, 1500.0]], [[1500.0, 3000.0]])).astype(float)
    few = np.where(np.arange(200) < 20, y, -1)
    model = SemiSupervisedVAE(
        latent_dim=2, hidden=(8,), epochs=60, learning_rate=0.01, likelihood="poisson", backend="numpy", random_state=0
    )
    model.fit(x, few)
    assert (model.predict(x) == y).mean() > 0.95
    assert model.analogies(x[:3]).shape == (3, 2, 2)
    model.save(tmp_path / "m.npz")
    again = SemiSupervisedVAE.load(tmp_path / "m.npz", backend="numpy")
    for result in ("transform", "predict_proba"):
        np.testing.assert_array_equal(getattr(again, result)(x), getattr(model, result)(x))
