"""What only a GPU can show: ``python -m pytest -m cuda``. The parity of operations and of runs is tested with those of
all backends and in test_cupy_training.py, which take the GPU where there is one.
"""

import shutil
import sys

import numpy as np
import processes
import pytest
import trained
from test_semi_supervised import blobs, small, small_features

from npvae import VAE, TableImputer, backend, load_dataset
from npvae.errors import DeviceMemoryError

pytestmark = pytest.mark.cuda


@pytest.fixture
def cuda():
    """The backend, and CuPy."""
    ops = backend.get("cupy")
    ops.release_memory()
    return ops, ops.xp


def test_float32_products_have_all_their_bits(cuda, rng):
    """TF32 would keep 10 of them: errors of 1e-3."""
    ops, xp = cuda
    x, W = (rng.standard_normal((512, 512)).astype(np.float32) for _ in range(2))
    y = ops.dense_forward(ops.asarray(x), ops.asarray(W), xp.zeros(512, xp.float32), "identity")
    exact = x.astype(np.float64) @ W.astype(np.float64)
    assert np.abs(ops.to_numpy(y) - exact).max() < 1e-5 * np.abs(exact).max()


@pytest.mark.parametrize("launch", ["graph", "cooperative", "single"])
def test_the_main_job_is_numpy_s(launch):
    """784-256-2 on the embedded digits: losses of five epochs, and the bits of two runs."""
    x = load_dataset("digits").x_train
    arguments = {"divide_by": 255, "epochs": 5, "random_state": 0}
    runs = [VAE(backend={"name": "cupy", "launch": launch}, **arguments).fit(x) for _ in range(2)]
    wanted = VAE(backend="numpy", **arguments).fit(x)
    np.testing.assert_allclose(runs[0].history_["loss"], wanted.history_["loss"], rtol=5e-3)
    np.testing.assert_array_equal(runs[0].theta_, runs[1].theta_)


@pytest.mark.parametrize("stacked", [False, True])
def test_semi_supervised_training_is_numpy_s(stacked):
    x, y, _ = blobs()
    made = []
    for name in ("numpy", "cupy"):
        model = small(small_features(backend="numpy") if stacked else None, backend=name, dtype="float64").fit(x, y)
        made.append(
            (model.theta_, model.predict_proba(x), model.transform(x), model.analogies(x[:3]), model.sample(1, 2))
        )
    for plain, on_gpu in zip(*made, strict=True):
        np.testing.assert_allclose(on_gpu, plain, rtol=1e-6, atol=1e-9)


def test_a_table_is_filled_in_as_on_numpy():
    rng = np.random.default_rng(0)
    table = rng.standard_normal((120, 2)) @ rng.standard_normal((2, 4)) + 0.1 * rng.standard_normal((120, 4))
    table[rng.random(table.shape) < 0.3] = np.nan
    filled = [
        TableImputer(members=1, epochs=20, backend=name, random_state=0).fit_transform(table)
        for name in ("numpy", "cupy")
    ]
    assert np.isfinite(filled[1]).all()
    np.testing.assert_allclose(*filled, rtol=0.05, atol=0.05)


def test_device_memory_does_not_grow_over_epochs(cuda):
    ops, xp = cuda
    pool, used = xp.get_default_memory_pool(), []
    x = ops.asarray(trained.grey(4000, features=784, dtype="float32"))
    trained.run(
        ops,
        x,
        architecture={"hidden": (256,)},
        batch_size=100,
        epochs=6,
        callbacks=[lambda state: used.append((pool.used_bytes(), pool.total_bytes()))],
    )
    assert used[-1] == used[1], used


def test_a_batch_too_large_is_explained(cuda):
    ops, xp = cuda
    pool, limit = xp.get_default_memory_pool(), 64 * 2**20
    ops.release_memory()
    x = ops.asarray(trained.grey(20_000, features=50, dtype="float32"))
    try:
        pool.set_limit(size=pool.total_bytes() + limit)
        with pytest.raises(DeviceMemoryError, match=r"20000 rows at a time: [\d,]+ bytes or more.*try batch_size=\d+"):
            trained.run(ops, x, architecture={"hidden": (2000,)}, batch_size=20_000)
    finally:
        pool.set_limit(size=0)


def test_an_array_too_large_is_explained(cuda):
    ops, xp = cuda
    pool = xp.get_default_memory_pool()
    ops.release_memory()
    try:
        pool.set_limit(size=pool.total_bytes() + 2**20)
        beyond = np.zeros(pool.get_limit() // 4 + 1, np.float32)  # more than the pool holds, its free blocks included
        with pytest.raises(DeviceMemoryError, match=r"an array of [\d,]+ bytes does not fit on the GPU"):
            ops.asarray(beyond)
    finally:
        pool.set_limit(size=0)


@pytest.mark.slow
@pytest.mark.parametrize("tool", ["memcheck", "racecheck", "synccheck"])
def test_the_memory_checker_finds_nothing(tool, tmp_path):
    checker = shutil.which("compute-sanitizer")
    if checker is None:
        pytest.skip("compute-sanitizer is not installed: it comes with the CUDA toolkit")
    command = [
        checker,
        "--tool",
        tool,
        "--error-exitcode",
        "9",
        sys.executable,
        "-m",
        "npvae",
        "train",
        "--backend",
        "cupy:launch=single",
        "--epochs",
        "1",
        "--hidden",
        "40",
        "--quiet",
        "--out",
        str(tmp_path / "run"),
    ]
    result = processes.run(command)
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-4000:]
