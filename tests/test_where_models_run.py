"""Where a fitted model runs: using one never waits for a compiler, and its backend and threads are those asked for."""

import pickle

import numpy as np
import pytest
from small import grey_rows, small_vae

from npvae import VAE, LatentClassifier, SemiSupervisedVAE, TableImputer, backend
from npvae.backend import blas
from npvae.backend.base import Ops
from npvae.errors import MissingDependencyError, UnknownNameError

if backend.reason_against("numba") is not None:
    pytest.skip("numba does not run here", allow_module_level=True)

from npvae.backend import numba_ops
from npvae.kernels.cpu import library

X = grey_rows()
Y = np.arange(len(X)) % 2
HIDDEN = np.where(np.arange(X.size).reshape(X.shape) % 7 == 0, np.nan, X)


def vae(**more):
    return small_vae(backend="numpy", **more).fit(X)


def semi_supervised():
    return SemiSupervisedVAE(latent_dim=2, hidden=(5,), epochs=2, batch_size=8, backend="numpy", random_state=0).fit(
        X, Y
    )


def on_features():
    model = SemiSupervisedVAE(
        vae(epochs=20, latent_dim=3), latent_dim=2, hidden=(5,), epochs=2, batch_size=8, backend="numpy", random_state=0
    )
    return model.fit(X, Y)


def classifier():
    return LatentClassifier(vae(epochs=20, latent_dim=3)).fit(X, Y)


def imputer():
    return TableImputer(members=2, epochs=2, imputation_samples=5, backend="numpy", random_state=0).fit(HIDDEN)


#: Each estimator, fitted, and what it is used for.
ESTIMATORS = {
    "VAE": (
        vae,
        [
            lambda m: m.transform(X),
            lambda m: m.score_samples(X),
            lambda m: m.sample(5, random_state=1),
            lambda m: m.elbo(X),
            lambda m: m.reconstruct(X),
            lambda m: m.log_likelihood(X, samples=20).rows,
        ],
    ),
    "VAE, missing": (
        lambda: small_vae(backend="numpy", missing=True).fit(HIDDEN),
        [lambda m: m.transform(HIDDEN), lambda m: m.impute(HIDDEN).mean],
    ),
    "SemiSupervisedVAE": (semi_supervised, [lambda m: m.predict_proba(X), lambda m: m.transform(X)]),
    "SemiSupervisedVAE on features": (on_features, [lambda m: m.predict_proba(X)]),
    "LatentClassifier": (classifier, [lambda m: m.predict_proba(X), lambda m: m.transform(X)]),
    "TableImputer": (imputer, [lambda m: m.transform(HIDDEN)]),
}


@pytest.fixture(params=ESTIMATORS, scope="module")
def estimator(request, tmp_path_factory):
    """``(class, its file, what it is used for)``."""
    make, uses = ESTIMATORS[request.param]
    path = tmp_path_factory.mktemp("models") / "model.npz"
    fitted = make()
    fitted.save(path)
    return type(fitted), path, uses


def models_of(fitted) -> list:
    """Every model inside an estimator."""
    if hasattr(fitted, "members_"):
        return [member.model for member in fitted.members_]
    features = getattr(fitted, "features_", None)
    return [*([fitted.model_] if hasattr(fitted, "model_") else []), *([] if features is None else models_of(features))]


@pytest.fixture(autouse=True)
def threads_of_blas_as_before():
    """They are the whole process's."""
    known = blas.threads()
    before = known and known.get()
    yield
    if known:
        known.set(before)


@pytest.fixture
def nothing_compiled(monkeypatch, tmp_path):
    """As in a new process of a user who has compiled nothing; the list holds what was asked of the compiler."""
    asked = []

    def refuse(target):
        asked.append(target.dtype)
        raise AssertionError("compiled")

    monkeypatch.setattr(library, "_loaded", {})
    monkeypatch.setattr(library, "_compile", refuse)
    monkeypatch.setattr(numba_ops, "program_folder", lambda: tmp_path / "kernels")
    return asked


def close(found, wanted):
    assert type(found) is type(wanted)
    for one, other in zip(found, wanted, strict=True) if isinstance(found, tuple) else ((found, wanted),):
        np.testing.assert_allclose(one, other, rtol=2e-4, atol=1e-5)


def test_using_a_model_compiles_nothing(estimator, nothing_compiled):
    cls, path, uses = estimator
    model, reference = cls.load(path, backend="numba"), cls.load(path, backend="numpy")
    assert {each.ops.name for each in models_of(model)} == {"numba"}
    for again in (model, pickle.loads(pickle.dumps(model))):
        for use in uses:
            close(use(again), use(reference))
    assert nothing_compiled == [] and library._loaded == {}


def test_compiled_code_is_looked_for_once(nothing_compiled, monkeypatch):
    """For each dtype: a look into the folder lasts longer than a small operation."""
    looked = []
    monkeypatch.setattr(library, "kept", lambda dtype, folder: looked.append(dtype))
    ops, x = backend.for_use("numba"), np.linspace(-1.0, 1.0, 6).reshape(2, 3)
    for _ in range(3):
        close(ops.kl_forward(x, x), Ops(np).kl_forward(x, x))
    ops.kl_forward(x.astype(np.float32), x.astype(np.float32))
    assert looked == ["float64", "float32"] and nothing_compiled == []


def test_whatis_compiled_already_is_used(estimator, monkeypatch):
    library.load("float32", numba_ops.program_folder())
    if not library.is_kept("float32", numba_ops.program_folder()):
        pytest.skip("compiled code cannot be kept here")
    monkeypatch.setattr(library, "_loaded", {})
    cls, path, uses = estimator
    model, reference = cls.load(path, backend="numba"), cls.load(path, backend="numpy")
    for use in uses:
        close(use(model), use(reference))
    assert library.loaded("float32").origin == "cache"


def test_training_compiles(nothing_compiled):
    loaded = pickle.loads(pickle.dumps(vae().set_params(backend="numba")))
    loaded.transform(X)
    assert nothing_compiled == []
    for train in (
        lambda: loaded.fit(X),
        lambda: small_vae(backend=loaded.model_.ops).fit(X),
        lambda: SemiSupervisedVAE(latent_dim=2, hidden=(5,), epochs=1, backend="numba", random_state=0).fit(X, Y),
    ):
        with pytest.raises(AssertionError, match="compiled"):
            train()
    assert nothing_compiled == ["float32"] * 3


def test_a_model_that_is_used_while_another_thread_compiles_does_not_wait(nothing_compiled, tmp_path):
    (tmp_path / "kernels").mkdir()
    model = vae().set_params(backend="numba")
    with library._loading:
        close(model.transform(X), vae().transform(X))
    assert nothing_compiled == []


@pytest.mark.parametrize("name", ["numpy", "numba"])
def test_load_obeys(estimator, name):
    cls, path, uses = estimator
    if name == "numpy" and blas.threads() is None:
        pytest.skip("the number of threads of this BLAS cannot be set")
    for number in (2, 1):
        model = cls.load(path, backend=name, threads=number)
        assert all(each.ops.name == name and each.ops._asked_threads == number for each in models_of(model))
        assert blas.threads() is None or blas.threads().get() == number
        if hasattr(model, "threads"):
            assert (model.backend, model.threads) == (name, number)
        uses[0](model)
    with pytest.raises(UnknownNameError, match="nimba"):
        cls.load(path, backend="nimba")


def test_set_params_obeys_after_load_and_after_fit(estimator):
    cls, path, uses = estimator
    wanted = uses[0](cls.load(path, backend="numpy"))
    loaded = cls.load(path, backend="numpy")
    prefix = "features__" if cls is LatentClassifier else ""
    for model in (loaded, vae()) if cls is VAE and not loaded.missing else (loaded,):
        for name, number in (("numba", 2), ("numba", 1), ("numpy", None)):
            assert model.set_params(**{f"{prefix}backend": name, f"{prefix}threads": number}) is model
            assert all(each.ops.name == name and each.ops._asked_threads == number for each in models_of(model))
            close(uses[0](model), wanted)
    loaded.set_params(**{f"{prefix}threads": 1})
    assert all(each.ops._asked_threads == 1 for each in models_of(loaded))


def test_setting_other_arguments_leaves_the_fitted_model(estimator):
    cls, path, _ = estimator
    loaded = cls.load(path, backend="numpy")
    before = models_of(loaded)
    name = "samples" if hasattr(loaded, "samples") else "verbose"
    loaded.set_params(**{name: getattr(loaded, name)})
    assert all(one is other for one, other in zip(models_of(loaded), before, strict=True))


def test_somebody_s_features_are_left_as_they_are():
    model = on_features()
    own = model.features
    model.set_params(threads=1)
    assert own.threads is None and own.model_.ops._asked_threads is None
    assert model.features_.model_.ops._asked_threads == model.model_.ops._asked_threads == 1


def test_a_backend_that_cannot_run_is_named_by_set_params(monkeypatch):
    monkeypatch.setattr(backend, "reason_against", lambda name: "no" if name == "numba" else None)
    model = vae()
    with pytest.raises(MissingDependencyError, match="'numba' cannot run here: no"):
        model.set_params(backend="numba")
