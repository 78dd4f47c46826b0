"""Whole training runs on the CUDA backend: on the GPU, or through the stand-in with kernels built for the CPU."""

import dataclasses
import math

import gpu_backends
import numpy as np
import pytest
import trained

if gpu_backends.NO_GPU is not None and gpu_backends.NO_STANDIN is not None:
    pytest.skip(gpu_backends.NO_STANDIN, allow_module_level=True)

from npvae import VAE, fused
from npvae.errors import DeviceMemoryError, NonFiniteError
from npvae.fused import cupy_phases, on_cupy
from npvae.fused.cupy_phases import Phases
from npvae.fused.on_cupy import GRAPH_STEPS
from npvae.kernels.gpu.records import SIDES, Kind, Task
from npvae.mathematics.model import Architecture

LAUNCHES = ("graph", "cooperative", "single")
pytestmark = [] if gpu_backends.NO_GPU is not None else [pytest.mark.cuda]

#: Architecture and settings: each likelihood and optimiser that the program knows, with and without hidden layers.
RUNS = {
    "note": ({}, {}),
    "tanh, adam, dynamic": ({"hidden": (6, 5), "activation": "tanh"}, {"optimizer": "adam", "binarize": "dynamic"}),
    "linear": ({"hidden": (), "latent_dim": 3, "likelihood": "squared_error"}, {"optimizer": "sgd"}),
    "wide": (
        {"hidden": (70,), "latent_dim": 40, "activation": "softplus"},
        {"optimizer": {"name": "rmsprop", "epsilon_inside": False}, "beta": 0.5, "kl_warmup": 1},
    ),
    "momentum, clipped": (
        {"likelihood": {"name": "gaussian", "variance": 0.3}, "decoder_hidden": (4, 6)},
        {"optimizer": {"name": "sgd", "momentum": 0.5}, "clip_norm": 0.1, "binarize": "static"},
    ),
    "one batch": ({"latent_dim": 1}, {"batch_size": 1000}),
}


def on_host(ops, state):
    """A state whose arrays are NumPy's."""
    arrays = {name: ops.to_numpy(array) for name, array in state.optimizer_state.items()}
    return dataclasses.replace(state, theta=ops.to_numpy(state.theta), optimizer_state=arrays)


def run(ops, x, x_valid=None, architecture=None, state=None, callbacks=(), **settings):
    """The state after a run, with NumPy's arrays."""
    return on_host(
        ops,
        trained.run(
            ops,
            ops.asarray(x),
            None if x_valid is None else ops.asarray(x_valid),
            architecture,
            state,
            callbacks,
            **settings,
        ),
    )


@pytest.mark.parametrize("launch", LAUNCHES)
@pytest.mark.parametrize("name", RUNS)
def test_a_run_is_the_specification_s(name, launch):
    architecture, settings = RUNS[name]
    x, x_valid = trained.grey(40), trained.grey(9, seed=4)
    ops = gpu_backends.on_gpu_or_standin(launch=launch)
    with trained.only_the_program():
        found = run(ops, x, x_valid, architecture, **settings)
    trained.assert_close(found, trained.run(trained.specification(), x, x_valid, architecture, **settings))


@pytest.mark.parametrize("launch", LAUNCHES)
def test_a_run_in_float32(launch):
    x = trained.grey(40, dtype="float32")
    found = run(gpu_backends.on_gpu_or_standin(launch=launch), x)
    assert found.theta.dtype == np.float32
    wanted = trained.run(trained.specification(), x)
    trained.assert_close(found, wanted, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize(
    "name", [name if name == "note" else pytest.param(name, marks=pytest.mark.slow) for name in RUNS]
)
def test_every_way_to_launch_has_the_same_bits(name):
    architecture, settings = RUNS[name]
    x = trained.grey(150)
    settings = {"batch_size": 3, "epochs": 1, **settings}  # more steps than a graph has
    states = [
        run(gpu_backends.on_gpu_or_standin(launch=launch), x, None, architecture, **settings) for launch in LAUNCHES
    ]
    for state in states[1:]:
        trained.assert_same_bits(state, states[0])


@pytest.mark.parametrize("optimizer", trained.DECAYING, ids=repr)
@pytest.mark.parametrize("first", [1e-24, 3e-30])
def test_accumulators_never_become_denormal(optimizer, first):
    trained.check_that_accumulators_never_become_denormal(gpu_backends.on_gpu_or_standin(), optimizer, first)


def make_trainer(ops, x, architecture=None, **settings):
    """A trainer with what ``take_steps`` wants: vectors and a state."""
    x = ops.asarray(x)
    model, settings = trained.make(ops, x, architecture, **settings)
    theta = model.initial_parameters(3, x.dtype.name)
    gradient, state = ops.copy(ops.xp.zeros_like(theta)), settings.optimizer.initial_state(ops, theta)
    return fused.trainer_for(ops, model, settings, x), theta, gradient, state


def test_no_rows_are_left_to_the_operations():
    ops = gpu_backends.on_gpu_or_standin()
    model, settings = trained.make(ops, trained.grey(1))
    x = ops.asarray(trained.grey(1))
    assert fused.trainer_for(ops, model, settings, x) is not None
    assert fused.trainer_for(ops, model, settings, x[:0]) is None


def test_graphs_follow_other_vectors():
    x, results = trained.grey(2 * GRAPH_STEPS), []
    for launch in ("graph", "single"):
        ops = gpu_backends.on_gpu_or_standin(launch=launch)
        trainer, theta, gradient, state = make_trainer(ops, x, batch_size=2)
        order = ops.asarray(np.arange(len(x)))
        other, other_state = ops.copy(theta), {name: ops.copy(array) for name, array in state.items()}
        trainer.take_steps(theta, gradient, state, order, 0, 0, [0.01] * GRAPH_STEPS, [1.0] * GRAPH_STEPS)
        trainer.take_steps(other, gradient, other_state, order, 0, 0, [0.02] * GRAPH_STEPS, [1.0] * GRAPH_STEPS)
        results.append((ops.to_numpy(theta).tobytes(), ops.to_numpy(other).tobytes()))
    assert results[0] == results[1] and results[0][0] != results[0][1]


@pytest.mark.parametrize("steps", [1, GRAPH_STEPS - 1, GRAPH_STEPS, 2 * GRAPH_STEPS + 3])
def test_graphs_take_as_many_steps_as_asked(steps):
    x, results = trained.grey(2 * steps + 1), []
    for launch in ("graph", "single"):
        ops = gpu_backends.on_gpu_or_standin(launch=launch)
        trainer, theta, gradient, state = make_trainer(ops, x, batch_size=2)
        order = ops.asarray(np.arange(len(x))[::-1].copy())
        first = trainer.take_steps(theta, gradient, state, order, 0, 0, [0.01] * steps, [1.0] * steps)
        last = trainer.take_steps(theta, gradient, state, order, 2 * steps, steps, [0.01], [1.0])
        assert (first.done, last.done) == (steps, 1)  # the last batch has one row
        rows, sums = trainer.take_sums()
        assert rows == len(x) and trainer.take_sums()[0] == 0
        assert sums["loss"] == pytest.approx(2 * first.losses.sum() + last.losses.sum())
        results.append((ops.to_numpy(theta).tobytes(), first.losses.tobytes(), last.norms.tobytes()))
    assert results[0] == results[1]


def test_a_call_takes_no_more_steps_than_there_is_room_for(monkeypatch):
    monkeypatch.setattr(on_cupy, "MOST_STEPS", 4)
    ops = gpu_backends.on_gpu_or_standin()
    trainer, theta, gradient, state = make_trainer(ops, trained.grey(20), batch_size=2)
    result = trainer.take_steps(theta, gradient, state, ops.asarray(np.arange(20)), 0, 0, [0.01] * 9, [1.0] * 9)
    assert result.done == 4 and len(result.losses) == len(result.norms) == 4
    x = trained.grey(20)
    trained.assert_close(run(ops, x, batch_size=2), trained.run(trained.specification(), x, batch_size=2))


@pytest.mark.parametrize("launch", LAUNCHES)
@pytest.mark.parametrize("side", SIDES)
def test_tiles_of_every_side(launch, side, monkeypatch):
    """As on GPUs with many and with few multiprocessors to keep busy."""
    monkeypatch.setattr(cupy_phases, "side_of", lambda rows, columns, multiprocessors: side)
    x = trained.grey(140, features=67)
    settings = {"architecture": {"hidden": (65, 3), "activation": "tanh"}, "batch_size": 70, "epochs": 1}
    found = run(gpu_backends.on_gpu_or_standin(launch=launch), x, **settings)
    trained.assert_close(found, trained.run(trained.specification(), x, **settings))


def test_tiles_are_the_larger_the_fewer_multiprocessors_there_are_to_keep_busy():
    """256 x 784 is 52 tiles of 64, or 200 of 32, or 784 of 16."""
    assert [cupy_phases.side_of(256, 784, count) for count in (20, 132, 2000)] == [64, 32, 16]
    assert cupy_phases.side_of(5, 3, 132) == 16


def test_the_update_and_the_next_batch_are_no_more_blocks_than_the_gpu_holds():
    phases = Phases(Architecture(784), 100, multiprocessors=20)
    assert sum(phases._elementwise_tiles(78_400, 10**6)) <= 20
    assert phases._elementwise_tiles(1, 10**6) == [1, 19]
    assert phases._elementwise_tiles(5000, 100) == [3, 1]


@pytest.mark.parametrize("hidden", [(), (5,), (5, 6, 7)])
def test_every_part_of_the_gradient_is_made_once(hidden):
    """Of every tensor exactly one task writes the gradient, and no two partial sums share a place."""
    architecture = Architecture(11, 2, hidden)
    phases = Phases(architecture, 7, 4)
    names = [name for layer in architecture.dense_layers() for name in layer.shapes()]
    address = {name: 1000 + place for place, name in enumerate(names)}
    arrays = {name: 1 + place for place, name in enumerate(phases.arrays())}
    phases.build(arrays, address, address, 100)
    tasks = [task for record in phases.records for task in record["task"][: record["tasks"]]]
    written = [task[Task.D_W] for task in tasks if task[Task.KIND] == Kind.WEIGHT_GRADIENT]
    written += [task[Task.D_B] for task in tasks if task[Task.KIND] == Kind.BIAS_GRADIENT]
    assert sorted(written) == sorted(address.values())
    places = [
        place
        for task in tasks
        if task[Task.KIND] in (Kind.WEIGHT_GRADIENT, Kind.BIAS_GRADIENT)
        for place in range(task[Task.PARTIAL], task[Task.PARTIAL] + task[Task.TILES])
    ]
    assert sorted(places) == list(range(phases.norm_parts))
    for record in phases.records:
        assert record["tiles"] == sum(task[Task.TILES] for task in record["task"][: record["tasks"]])


@pytest.mark.parametrize("launch", LAUNCHES)
def test_a_run_taken_up_again_has_the_same_bits(launch):
    x, ops = trained.grey(40), gpu_backends.on_gpu_or_standin(launch=launch)
    whole = run(ops, x, optimizer="adam", epochs=4)
    part = trained.run(ops, ops.asarray(x), optimizer="adam", epochs=2)
    part.stop_reason = None
    trained.assert_same_bits(run(ops, x, state=part, optimizer="adam", epochs=4), whole)


@pytest.mark.parametrize("launch", LAUNCHES)
def test_numbers_that_are_not_finite_are_refused_and_found(launch):
    ops = gpu_backends.on_gpu_or_standin(launch=launch)
    x = trained.grey(60)
    x[33] = np.inf
    model, settings = trained.make(ops, ops.asarray(x), None, batch_size=2, epochs=1)
    state = trained.initial_state(model, settings, ops.asarray(x))
    with pytest.raises(NonFiniteError, match="minibatch x holds a number that is not finite") as error:
        trained.train(model, settings, ops.asarray(x), state=state)
    assert np.isfinite(ops.to_numpy(state.theta)).all()
    wanted = trained.start(trained.specification(), x, None, batch_size=2, epochs=1)
    with pytest.raises(NonFiniteError) as same:
        trained.train(*trained.make(trained.specification(), x, None, batch_size=2, epochs=1), x, state=wanted)
    assert str(error.value) == str(same.value) and state.step == wanted.step


def test_a_refused_step_changes_nothing():
    x = trained.grey(12)
    x[7] = np.nan
    for launch in LAUNCHES:
        ops = gpu_backends.on_gpu_or_standin(launch=launch)
        trainer, theta, gradient, state = make_trainer(ops, x, batch_size=2)
        order = ops.asarray(np.arange(12))
        first = trainer.take_steps(theta, gradient, state, order, 0, 0, [0.01] * 3, [1.0] * 3)
        before = ops.to_numpy(theta), ops.to_numpy(state["accumulator"]), trainer.take_sums()
        assert first.done == 3 and before[2][0] == 6
        second = trainer.take_steps(theta, gradient, state, order, 6, 3, [0.01] * 3, [1.0] * 3)
        assert second.done == 0 and len(second.losses) == 0
        np.testing.assert_array_equal(ops.to_numpy(theta), before[0])
        np.testing.assert_array_equal(ops.to_numpy(state["accumulator"]), before[1])
        rows, sums = trainer.take_sums()
        assert rows == 0 and sums["loss"] == 0.0


@pytest.mark.parametrize("likelihood", ["gaussian_decoder", "gaussian_per_feature", "gaussian_one_variance"])
@pytest.mark.parametrize("settings", [{}, {"clip_norm": 0.5, "optimizer": "adam"}])
def test_what_the_program_does_not_know_is_trained_by_operations(likelihood, settings):
    x, ops = trained.real(40), gpu_backends.on_gpu_or_standin()
    model, made = trained.make(ops, ops.asarray(x), {"likelihood": likelihood}, **settings)
    assert fused.trainer_for(ops, model, made, ops.asarray(x)) is None
    with trained.only_the_program():
        found = run(ops, x, architecture={"likelihood": likelihood}, **settings)
    wanted = trained.run(trained.specification(), x, architecture={"likelihood": likelihood}, **settings)
    trained.assert_close(found, wanted)


def test_the_estimator_on_the_backend(tmp_path):
    x = trained.grey(60)
    ops = gpu_backends.on_gpu_or_standin()
    arguments = {"hidden": (9,), "batch_size": 7, "epochs": 2, "random_state": 1, "dtype": "float64"}
    ours = VAE(backend=ops, validation_fraction=0.2, **arguments).fit(x, checkpoint=tmp_path / "c.npz")
    theirs = VAE(backend="numpy", validation_fraction=0.2, **arguments).fit(x)
    assert type(ours.theta_) is np.ndarray
    for name in ("transform", "reconstruct", "score_samples", "encode"):
        a, b = getattr(ours, name)(x), getattr(theirs, name)(x)
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9, err_msg=name)
    np.testing.assert_allclose(ours.sample(5), theirs.sample(5), atol=1e-9)
    assert ours.elbo(x) == pytest.approx(theirs.elbo(x), rel=1e-9)
    assert ours.history_["val_elbo"] == pytest.approx(theirs.history_["val_elbo"], rel=1e-9)
    ours.save(tmp_path / "m.npz")
    np.testing.assert_array_equal(VAE.load(tmp_path / "m.npz", backend=ops).transform(x), ours.transform(x))
    again = VAE(backend=ops, validation_fraction=0.2, **{**arguments, "epochs": 3})
    again.fit(x, checkpoint=tmp_path / "c.npz", resume=True)
    straight = VAE(backend=ops, validation_fraction=0.2, **{**arguments, "epochs": 3}).fit(x)
    np.testing.assert_array_equal(again.theta_, straight.theta_)


on_standin = pytest.mark.skipif(gpu_backends.NO_GPU is None, reason="counts what only the stand-in counts")


@on_standin
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian_decoder"])
@pytest.mark.parametrize("epochs", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_copies_to_the_host_do_not_grow_with_the_steps(epochs, likelihood, monkeypatch):
    """An epoch reads the losses of its stretches, its sums, and whether theta is finite; nothing a step."""
    monkeypatch.setattr("npvae.training.steps.CALL_SECONDS", 1e9)
    counts = {}
    for rows in (80, 400):
        module = gpu_backends.standin()
        ops = gpu_backends.on_standin(module)
        x, before = ops.asarray(trained.grey(rows)), module.count["to_host"]
        trained.run(ops, x, architecture={"likelihood": likelihood}, batch_size=2, epochs=epochs)
        counts[rows] = module.count["to_host"] - before
    # Stretches grow fourfold: 200 steps of an epoch are a few more stretches than 40.
    assert counts[400] - counts[80] <= 2 * epochs and counts[400] <= 14 * epochs + 2


@on_standin
def test_a_graph_is_captured_once_and_launched_again():
    module = gpu_backends.standin()
    ops = gpu_backends.on_standin(module)
    trainer, theta, gradient, state = make_trainer(ops, trained.grey(200), batch_size=2)
    order, steps = ops.asarray(np.arange(200)), 2 * GRAPH_STEPS
    for start in (0, 2 * steps):
        trainer.take_steps(theta, gradient, state, order, start, 0, [0.01] * steps, [1.0] * steps)
    assert module.count["graphs"] == 4
    other = ops.copy(theta)
    trainer.take_steps(
        other, gradient, state, order, 0, 0, [0.01] * steps, [1.0] * steps
    )  # other memory, another graph
    assert np.isfinite(ops.to_numpy(other)).all() and module.count["graphs"] == 6


@on_standin
def test_device_memory_does_not_grow_over_epochs():
    module = gpu_backends.standin()
    ops, used = gpu_backends.on_standin(module), []
    x = ops.asarray(trained.grey(40))
    trained.run(ops, x, epochs=6, callbacks=[lambda state: used.append(module.used)])
    assert max(used[1:]) <= used[1] and module.most_used < 2 * used[1]
    before = module.used
    trained.run(ops, x, epochs=2)
    assert module.used == before


@on_standin
def test_out_of_memory_names_the_bytes_and_a_batch_that_fits():
    module = gpu_backends.standin(memory=200_000)
    ops = gpu_backends.on_standin(module)
    x = ops.asarray(trained.grey(200))
    with pytest.raises(
        DeviceMemoryError, match=r"no memory left for 150 rows at a time: [\d,]+ bytes or more.*try"
    ) as error:
        trained.run(ops, x, {}, {"hidden": (40,)}, batch_size=150)
    batch = int(str(error.value).rpartition("batch_size=")[2])
    assert 1 <= batch <= 75 and isinstance(error.value, MemoryError)
    del error
    while True:  # a hint, not a promise: but it leads down to what fits, quickly
        try:
            state = trained.run(ops, x, None, {"hidden": (40,)}, batch_size=batch, epochs=1)
            break
        except DeviceMemoryError as again:
            smaller = int(str(again).rpartition("batch_size=")[2])
            assert smaller <= batch // 2
            batch = smaller
    assert math.isfinite(state.history["loss"][0])


@on_standin
def test_a_model_that_never_fits_is_told_so():
    ops = gpu_backends.on_standin(gpu_backends.standin(memory=200_000))
    with pytest.raises(DeviceMemoryError, match="the model itself does not fit"):
        trained.run(ops, ops.asarray(trained.grey(3)), None, {"hidden": (200,)}, batch_size=1)
    for move in (ops.asarray, ops.copy):
        with pytest.raises(
            DeviceMemoryError, match=r"an array of 800,000 bytes does not fit on the GPU, which has [\d,]+"
        ):
            move(np.zeros(100_000))


@pytest.mark.parametrize("name", RUNS)
def test_no_races_in_two_steps(name):
    """What the thread sanitizer looks at: all phases of every kind of model, on several blocks at once."""
    architecture, settings = RUNS[name]
    x = trained.grey(40)
    ops = gpu_backends.on_gpu_or_standin(launch="cooperative")
    settings = {"epochs": 1, "batch_size": 33, **settings}
    found = run(ops, x, None, architecture, **settings)
    trained.assert_close(found, trained.run(trained.specification(), x, None, architecture, **settings))


def test_a_step_outside_the_program_would_be_noticed():
    x = trained.real(20)
    x[3] = np.nan
    with trained.only_the_program(), pytest.raises(AssertionError, match="a step outside the program"):
        run(gpu_backends.on_gpu_or_standin(), x, architecture={"likelihood": "squared_error"})
