"""The training loop: what a step does, what the history says, and how a run ends."""

from __future__ import annotations

import math
import os
import signal
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest
from small import grey_rows, small_vae

from npvae import VAE, backend, fused
from npvae.backend.base import Ops
from npvae.errors import InputError, InputTypeError, NonFiniteError, TrainingInterrupted
from npvae.evaluation import evaluate_elbo
from npvae.fused.base import StepsTaken
from npvae.fused.on_numpy import LatentNoise
from npvae.mathematics import likelihoods, objectives, random
from npvae.mathematics.layers import activations
from npvae.mathematics.model import Architecture, Model
from npvae.mathematics.optimizers import SGD
from npvae.training import TrainingSettings, train
from npvae.training.loop import initial_state
from npvae.training.state import interruption, is_failure

#: A backend without a training program: steps are taken one by one, where a test can look on.
ONE_BY_ONE = Ops(np)


def model_and_settings(ops=None, **changes):
    model = Model(Architecture(6, 2, (5,)), ops or backend.get("numpy"))
    settings = {"seed": 5, "epochs": 2, "batch_size": 7, "optimizer": SGD(), "learning_rate": 0.01, **changes}
    return model, TrainingSettings(**settings)


def test_training_is_the_loop_written_out():
    """Two epochs of gradient descent with a partial batch, against the loop in plain sight."""
    model, settings = model_and_settings()
    x = grey_rows(16)
    state = train(model, settings, x)

    theta, step, losses, norms = model.initial_parameters(5, "float64"), 0, [], []
    for epoch in range(2):
        order = random.permutation(5, "shuffle", epoch, 16)
        total, norm = 0.0, 0.0
        for start in (0, 7, 14):
            batch = x[order[start : start + 7]]
            eps = random.normal(5, "latent noise", step, (len(batch), 2))
            loss, gradient = objectives.value_and_gradient(model, theta, batch, eps)
            theta = theta - 0.01 * gradient
            step += 1
            total += float(loss) * len(batch)
            norm += float(np.linalg.norm(gradient))
        losses.append(total / 16)
        norms.append(norm / 3)
    np.testing.assert_allclose(state.theta, theta, rtol=1e-12)
    np.testing.assert_allclose(state.history["loss"], losses, rtol=1e-12)
    np.testing.assert_allclose(state.history["gradient_norm"], norms, rtol=1e-12)
    assert state.step == 6 and state.epoch == 2 and state.stop_reason == "finished"


@pytest.mark.parametrize("likelihood", likelihoods.KNOWN)
@pytest.mark.parametrize(("hidden", "decoder_hidden"), [((), ()), ((5,), (4,)), ((5, 4, 3), (4, 6)), ((), (5,))])
def test_the_numpy_program_takes_the_steps_of_the_specification(likelihood, hidden, decoder_hidden):
    """Every likelihood, depth and activation, a partial batch, a clipped gradient, warm-up, binarisation."""
    activation = activations.NAMES[(len(hidden) + len(decoder_hidden)) % len(activations.NAMES)]
    kind = likelihoods.KNOWN[likelihood].example(6)
    architecture = Architecture(6, 3, hidden, decoder_hidden, activation=activation, likelihood=kind)
    binarize = "dynamic" if likelihood == "bernoulli" else "none"
    settings = TrainingSettings(
        seed=5,
        epochs=3,
        batch_size=7,
        optimizer="adam",
        learning_rate=0.01,
        kl_warmup=2,
        clip_norm=1.0,
        binarize=binarize,
    )
    x = grey_rows(16)
    wanted = train(Model(architecture, ONE_BY_ONE), settings, x)
    found = train(Model(architecture, backend.get("numpy")), settings, x)
    np.testing.assert_allclose(found.theta, wanted.theta, rtol=1e-9, atol=1e-12)
    for name in wanted.history:
        if name != "seconds":
            np.testing.assert_allclose(found.history[name], wanted.history[name], rtol=1e-9, err_msg=name)
    assert max(wanted.history["gradient_norm"]) > settings.clip_norm


@pytest.mark.parametrize("rows", [7, 40000])  # many steps' noise at once; more than there is room for
def test_noise_drawn_ahead_is_that_of_the_step_wherever_a_run_begins(rows):
    steps, counts = [3, 4, 15, 16, 40, 2], [rows, 5, rows, rows, 1, rows]
    ahead = LatentNoise(5, rows, 3, np.float64)
    for step, count in zip(steps, counts, strict=True):
        wanted = random.normal(5, "latent noise", step, (count, 3))
        np.testing.assert_allclose(ahead.of(step, count), wanted, rtol=1e-15)
        np.testing.assert_array_equal(ahead.of(step, count), LatentNoise(5, rows, 3, np.float64).of(step, count))


def test_the_numpy_program_takes_no_more_memory_the_longer_it_runs():
    model, settings = model_and_settings()
    x, theta = grey_rows(16), model.initial_parameters(5, "float64")
    trainer = fused.trainer_for(model.ops, model, settings, x)
    gradient, state = np.zeros_like(theta), settings.optimizer.initial_state(model.ops, theta)
    order, sizes = random.permutation(5, "shuffle", 0, 16), []
    tracemalloc.start()
    try:
        for steps in (20, 200):
            for step in range(steps):
                trainer.take_steps(theta, gradient, state, order, 0, step, [0.01], [1.0])
            sizes.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert sizes[1] < sizes[0] + 4096


class TwiceDerived(likelihoods.KNOWN["bernoulli"]):
    """A likelihood that a user wrote, which asks for its derivative a second time."""

    name = "twice-derived"

    def negative_log_likelihood(self, ops, outputs, x, parameters, gradient=True):
        nll, backward = super().negative_log_likelihood(ops, outputs, x, parameters, gradient)

        def both(dnll):
            (once,), _ = backward(dnll)
            (again,), _ = backward(dnll)
            return (once + again,), {}

        return 2.0 * nll, both


def test_a_likelihood_that_a_user_wrote_may_look_at_its_derivative_twice():
    architecture = Architecture(6, 2, (5,), likelihood=TwiceDerived())
    settings = TrainingSettings(seed=5, epochs=2, batch_size=7, optimizer="adam")
    wanted = train(Model(architecture, ONE_BY_ONE), settings, grey_rows(16))
    found = train(Model(architecture, backend.get("numpy")), settings, grey_rows(16))
    np.testing.assert_allclose(found.theta, wanted.theta, rtol=1e-9)


class Lookahead(SGD):
    """An optimiser that a user wrote, which keeps what an operation returned."""

    name = "lookahead"

    def _step(self, ops, theta, gradient, state, learning_rate, step):
        row = gradient.reshape(1, -1)
        half, whole = ops.scale_rows(row, 0.5), ops.scale_rows(row, 1.0)
        super()._step(ops, theta, (half + whole)[0], state, learning_rate, step)
        np.testing.assert_array_equal(whole, 2.0 * half)
        np.testing.assert_array_equal(whole, row)


def test_an_optimizer_that_a_user_wrote_may_keep_results():
    settings = {"optimizer": Lookahead(), "epochs": 2}
    wanted = train(*model_and_settings(ONE_BY_ONE, **settings), grey_rows(16))
    found = train(*model_and_settings(**settings), grey_rows(16))
    np.testing.assert_allclose(found.theta, wanted.theta, rtol=1e-9)


def test_rows_of_a_partial_batch_weigh_the_same_in_the_history():
    """With a learning rate of next to nothing the epoch's loss is the mean over all rows."""
    model, settings = model_and_settings(epochs=1, learning_rate=1e-300)
    x = grey_rows(10)
    state = train(model, settings, x)
    theta = model.initial_parameters(5, "float64")
    order = random.permutation(5, "shuffle", 0, 10)
    rows = []
    for step, part in enumerate((order[:7], order[7:])):
        eps = random.normal(5, "latent noise", step, (len(part), 2))
        terms, _ = objectives.negative_elbo(model, theta, x[part], eps)
        rows.extend(np.asarray(terms.nll_rows) + np.asarray(terms.kl_rows).sum(axis=1))
    assert state.history["loss"][0] == pytest.approx(np.mean(rows), rel=1e-12)


@pytest.mark.parametrize("rows", [1, 2, 7, 8])
def test_any_number_of_rows_and_a_batch_larger_than_the_data(rows):
    model, settings = model_and_settings(batch_size=100 if rows < 3 else 7)
    state = train(model, settings, grey_rows(rows))
    assert math.isfinite(state.history["loss"][-1])


def test_history_columns_are_equally_long_and_add_up():
    model, settings = model_and_settings(epochs=4, beta=0.5)
    history = train(model, settings, grey_rows(20), grey_rows(9, seed=4)).history
    assert {len(column) for column in history.values()} == {4}
    assert history["epoch"] == [1, 2, 3, 4]
    for prefix in ("", "val_"):
        for i in range(4):
            reconstruction, kl = history[prefix + "reconstruction"][i], history[prefix + "kl"][i]
            assert history[prefix + "loss"][i] == pytest.approx(reconstruction + 0.5 * kl)
            assert history[prefix + "elbo"][i] == pytest.approx(-reconstruction - kl)
            assert kl == pytest.approx(sum(history[prefix + "kl_per_dimension"][i]))
            assert history[prefix + "active_units"][i] in (0, 1, 2)
    assert all(norm > 0 for norm in history["gradient_norm"])
    assert all(seconds > 0 for seconds in history["seconds"])


def test_validation_is_the_elbo_at_the_epochs_end_and_sees_the_same_noise():
    model, settings = model_and_settings(epochs=1)
    x_valid = grey_rows(9, seed=4)
    state = train(model, settings, grey_rows(20), x_valid)
    eps = random.normal(5, "validation noise", 0, (9, 2))
    terms, _ = objectives.negative_elbo(model, state.theta, x_valid, eps)
    assert state.history["val_elbo"][0] == pytest.approx(-float(terms.loss), rel=1e-12)


def test_validation_takes_a_thousand_samples_at_a_time_each_time_with_noise_of_its_own():
    """Rows of the ELBO; of a bound with K samples a row, 1000 // K rows, and at least one."""
    model, settings = model_and_settings(epochs=1, learning_rate=1e-300)
    theta = model.initial_parameters(5, "float64")
    for objective, rows, count in (
        ("elbo", 1000, 1003),
        ({"name": "importance_weighted", "samples": 300}, 3, 7),
        ({"name": "importance_weighted", "samples": 1001}, 1, 2),
    ):
        model, settings = model_and_settings(epochs=1, learning_rate=1e-300, objective=objective)
        x_valid, total = grey_rows(count, seed=4), 0.0
        for step, start in enumerate(range(0, count, rows)):
            part = x_valid[start : start + rows]
            eps = random.normal(5, "validation noise", step, settings.objective.noise_shape(len(part), 2))
            total += len(part) * float(settings.objective.loss(model, theta, part, eps, gradient=False)[0].loss)
        state = train(model, settings, grey_rows(8), x_valid)
        assert state.history["val_loss"][0] == pytest.approx(total / count, rel=1e-10)


def test_pixels_that_are_drawn_once_are_drawn_by_their_purpose(monkeypatch):
    """Static: the data as number 0, validation rows as number 1; rows that training draws at every step are
    validated as number 1 too.
    """
    from npvae.training import loop

    x, x_valid = grey_rows(16), grey_rows(9, seed=4)

    def drawn(rows, number):
        return (random.uniform(5, "static binarize", number, rows.shape, "float32") < rows).astype(float)

    plain = {"epochs": 2, "learning_rate": 0.01}
    model, static = model_and_settings(ONE_BY_ONE, binarize="static", **plain)
    found = train(model, static, x, x_valid)
    wanted = train(model, model_and_settings(ONE_BY_ONE, **plain)[1], drawn(x, 0), drawn(x_valid, 1))
    np.testing.assert_array_equal(found.theta, wanted.theta)
    assert found.history["val_loss"] == wanted.history["val_loss"]
    seen = []
    monkeypatch.setattr(
        loop.evaluation, "evaluate_elbo", lambda model, theta, x, *rest: seen.append(x) or {"loss": 0.0, "elbo": 0.0}
    )
    train(*model_and_settings(ONE_BY_ONE, binarize="dynamic", epochs=1), x, x_valid)
    np.testing.assert_array_equal(seen, [drawn(x_valid, 1)])


def test_seconds_are_those_from_the_beginning_of_an_epoch_to_its_end(monkeypatch):
    from npvae.training import loop

    readings = iter([100.0, 107.5, 200.0, 200.25])
    monkeypatch.setattr(loop, "time", SimpleNamespace(perf_counter=lambda: next(readings)))
    assert train(*model_and_settings(ONE_BY_ONE), grey_rows(16)).history["seconds"] == [7.5, 0.25]


@pytest.mark.parametrize("ops", ["one by one", "numpy", "numba"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_history_is_of_python_s_own_numbers(ops, dtype):
    """They are written as text, where NumPy's look otherwise."""
    if ops == "numba" and backend.reason_against("numba") is not None:
        pytest.skip("no numba here")
    model, settings = model_and_settings(
        ONE_BY_ONE if ops == "one by one" else backend.get(ops), objective="importance_weighted"
    )
    history = train(model, settings, grey_rows(20).astype(dtype), grey_rows(9).astype(dtype)).history
    for name, column in history.items():
        kind = (
            int
            if name.removeprefix("val_") in ("epoch", "active_units")
            else list
            if name.endswith("kl_per_dimension")
            else float
        )
        assert {type(value) for value in column} == {kind}, name
    assert {type(value) for row in history["kl_per_dimension"] for value in row} == {float}


class Clocked:
    """In the place of a fused trainer: a step adds 1 to the parameters and takes so many seconds; some steps are
    left to the loop.
    """

    def __init__(self, seconds, left=()) -> None:
        self.now, self.seconds, self.left, self.calls = 50.0, seconds, set(left), []

    def perf_counter(self) -> float:
        return self.now

    def take_steps(self, theta, gradient, state, order, start, step, rates, betas):
        taken = range(step, step + len(rates))
        done = next((i for i, each in enumerate(taken) if each in self.left), len(rates))
        self.calls.append((start, step, rates, betas))
        theta += done
        self.now += sum(self.seconds(each) for each in taken[:done])
        return StepsTaken(done, np.zeros(done), np.arange(step, step + done, dtype=float))


def stepper_of(clocked, monkeypatch, rows: int = 200, **changes):
    from npvae import evaluation
    from npvae.training import steps

    monkeypatch.setattr(steps, "time", clocked)
    x = grey_rows(rows)
    model, settings = model_and_settings(ONE_BY_ONE, **{"batch_size": 1, **changes})
    state = initial_state(model, settings, x)
    state.theta[...] = 0.0
    stepper = steps.Stepper(model, settings, x, state, fused=False)
    stepper._trainer, stepper._candidate = clocked, state.theta.copy()
    return stepper, steps.Epoch(model, settings, x, np.arange(rows), evaluation.ElboAverages(np)), state


@pytest.mark.parametrize(
    ("seconds", "stretches"),
    [
        (lambda step: 0.004, [1, 4, *[12] * 16, 3]),
        (lambda step: 1.0, [1] * 200),
        (lambda step: 1e-6, [1, 4, 16, 64, 115]),
        (lambda step: 0.004 if step < 29 else 0.02, [1, 4, 12, 12, 12, *[2] * 79, 1]),
        (lambda step: 0.026, [1] * 200),
        (lambda step: 0.025, [1, *[2] * 99, 1]),
    ],
)
def test_a_call_of_compiled_steps_lasts_a_twentieth_of_a_second(monkeypatch, seconds, stretches):
    """It begins with one step, and a call is at most four times as long as the one before."""
    clocked = Clocked(seconds)
    stepper, epoch, state = stepper_of(
        clocked, monkeypatch, kl_warmup=2, schedule={"name": "exponential", "decay": 0.9}
    )
    index, taken = 0, []
    while index < 200:
        taken.append(stepper.take(epoch, state, index))
        index += taken[-1]
    assert taken == stretches
    assert [len(rates) for _, _, rates, _ in clocked.calls] == taken
    assert state.step == 200 and epoch.norm_sum == sum(range(200)) and type(epoch.norm_sum) is float
    for start, step, rates, betas in clocked.calls:
        assert start == step
        times = [(step + i) / 200 for i in range(len(rates))]
        assert rates == pytest.approx([0.01 * 0.9**t for t in times]) and betas == pytest.approx([t / 2 for t in times])


def test_the_parameters_before_a_call_are_kept_every_fifty_steps(monkeypatch):
    """Of a call whose first step is good: those of step 0, and of the first call that begins 50 steps after a copy
    or later.
    """
    clocked = Clocked(lambda step: 0.004)
    stepper, epoch, state = stepper_of(clocked, monkeypatch)
    index, kept, last = 0, 0.0, None
    while index < 200:
        begin, theta = state.step, state.theta.copy()
        index += stepper.take(epoch, state, index)
        if last is None or begin >= last + 50:
            kept, last = theta, begin
        np.testing.assert_array_equal(stepper._good, kept)
    assert last == 173  # the calls begin at 0, 1, 5, 17, ..., 53, ..., 113, ..., 173
    stepper.put_back(state)
    np.testing.assert_array_equal(state.theta, kept)


def test_a_step_that_the_program_leaves_is_taken_by_operations(monkeypatch):
    clocked = Clocked(lambda step: 1e-6, left=[0, 3])
    stepper, epoch, state = stepper_of(clocked, monkeypatch, rows=8)
    index, taken = 0, []
    while index < 8:
        taken.append(stepper.take(epoch, state, index))
        index += taken[-1]
    # A call that stops early grows no longer than four times what it was to be.
    assert taken == [1, 1, 1, 1, 4] and [step for _, step, _, _ in clocked.calls] == [0, 1, 2, 3, 4]


def test_active_units_are_the_dimensions_whose_mean_varies():
    """Burda's definition, on a linear encoder whose second mean is constant."""
    model = Model(Architecture(6, 2, ()), backend.get("numpy"))
    x = grey_rows(30)
    theta = model.initial_parameters(0, "float64")
    views = model.views(theta)
    views["encoder/mean/W"][:, 0] = 1.0
    views["encoder/mean/W"][:, 1] = 0.0
    result = evaluate_elbo(model, theta, x, 0, batch_size=7)
    assert np.var(x.sum(axis=1)) > 0.01 and result["active_units"] == 1


def test_warm_up_raises_beta_in_a_line_and_changes_the_run():
    model, settings = model_and_settings(epochs=4, kl_warmup=2, beta=0.8, batch_size=10)
    state = train(model, settings, grey_rows(20))
    # Two steps an epoch: the last of the first epoch is at t = 0.5, of the second at 1.5.
    assert state.history["beta"] == pytest.approx([0.8 * 0.25, 0.8 * 0.75, 0.8, 0.8])
    _, without = model_and_settings(epochs=4, kl_warmup=0, beta=0.8, batch_size=10)
    assert not np.array_equal(state.theta, train(model, without, grey_rows(20)).theta)


def test_learning_rate_follows_the_schedule():
    model, settings = model_and_settings(
        epochs=3, batch_size=20, schedule={"name": "steps", "factors": {1: 0.5, 2: 0.1}}
    )
    assert train(model, settings, grey_rows(20)).history["learning_rate"] == pytest.approx([0.01, 0.005, 0.001])


def test_clipping_bounds_the_step():
    model, settings = model_and_settings(epochs=1, batch_size=20, clip_norm=1e-3, learning_rate=1.0)
    state = train(model, settings, grey_rows(20))
    moved = np.linalg.norm(state.theta - model.initial_parameters(5, "float64"))
    assert moved == pytest.approx(1e-3, rel=1e-9)
    assert state.history["gradient_norm"][0] > 1e-3  # reported before clipping


class Elbos:
    """Replaces validation with a list of ELBOs."""

    def __init__(self, monkeypatch, values):
        from npvae.training import loop

        remaining = iter(values)
        monkeypatch.setattr(loop, "_validate", lambda *arguments: {"val_elbo": next(remaining)})


def test_early_stopping_waits_for_the_warm_up_and_restores_the_best(monkeypatch):
    """The ELBO falls while beta rises; that must neither stop the run nor count as its best."""
    model, settings = model_and_settings(epochs=10, kl_warmup=3, patience=2)
    Elbos(monkeypatch, [-1.0, -2.0, -9.0, -5.0, -6.0, -7.0, -1.0])
    thetas = []
    state = train(model, settings, grey_rows(20), grey_rows(5), callbacks=[lambda s: thetas.append(s.theta.copy())])
    assert state.epoch == 6 and state.best_epoch == 4 and state.best_elbo == -5.0
    np.testing.assert_array_equal(state.theta, thetas[3])
    assert "epoch 4" in state.stop_reason and "2 epochs" in state.stop_reason


def test_a_run_that_ends_before_the_warm_up_is_over_keeps_its_parameters():
    """None are the best yet."""
    model, settings = model_and_settings(epochs=9, kl_warmup=3, patience=2)
    thetas = []

    def stop(state):
        thetas.append(state.theta.copy())
        state.stop("enough")

    state = train(model, settings, grey_rows(20), grey_rows(5), callbacks=[stop])
    assert state.best_theta is None and state.best_epoch == 0
    np.testing.assert_array_equal(state.theta, thetas[0])


@pytest.mark.parametrize("elbos", [[-10.0, -9.5, -9.2, -1.0], [-10.0, -9.0, -9.0, -1.0]])  # as much as it, but no more
def test_min_delta_is_what_counts_as_better(monkeypatch, elbos):
    model, settings = model_and_settings(epochs=10, patience=2, min_delta=1.0)
    Elbos(monkeypatch, elbos)
    state = train(model, settings, grey_rows(20), grey_rows(5))
    assert state.epoch == 3 and state.best_epoch == 1


def test_a_callback_sees_every_epoch_and_can_stop_the_run():
    model, settings = model_and_settings(epochs=9)
    seen = []

    def callback(state):
        seen.append((state.epoch, state.history.epochs))
        if state.epoch == 3:
            state.stop("enough")

    state = train(model, settings, grey_rows(20), callbacks=[callback])
    assert seen == [(1, 1), (2, 2), (3, 3)] and state.stop_reason == "enough"


def test_dynamic_binarisation_is_drawn_anew_and_static_is_not(monkeypatch):
    batches = []
    original = objectives.ELBO.loss
    monkeypatch.setattr(
        objectives.ELBO,
        "loss",
        lambda self, model, theta, x, *rest: (batches.append(x.copy()), original(self, model, theta, x, *rest))[1],
    )
    x = np.full((4000, 6), 0.3)
    for how in ("dynamic", "static"):
        batches.clear()
        model, settings = model_and_settings(ONE_BY_ONE, epochs=2, batch_size=4000, binarize=how)
        train(model, settings, x)
        first, second = batches
        assert set(np.unique(first)) == {0.0, 1.0}
        assert abs(first.mean() - 0.3) < 5 * math.sqrt(0.21 / x.size)
        same = np.array_equal(np.sort(first, axis=0), np.sort(second, axis=0))
        assert same is (how == "static")


# The guard


def test_the_guard_names_epoch_step_tensor_and_cause_and_keeps_the_last_good_parameters():
    model, settings = model_and_settings(epochs=3, learning_rate=1e200)
    state = initial_state(model, settings, grey_rows(20))
    with pytest.raises(NonFiniteError, match=r"epoch 1, step \d: .* not finite; likely cause: .*learning_rate"):
        train(model, settings, grey_rows(20), state=state)
    # Not only are the numbers finite: the model they make is.
    with np.errstate(all="ignore"):
        assert math.isfinite(evaluate_elbo(model, state.theta, grey_rows(20), 0)["elbo"])


def test_the_parameters_put_back_are_those_of_the_last_copy(monkeypatch):
    """Every other step makes a copy, from the first on; the eighth update ruins the parameters."""
    from npvae.training import steps

    monkeypatch.setattr(steps, "SNAPSHOT_STEPS", 2)
    model, settings = model_and_settings(ONE_BY_ONE, epochs=4, batch_size=4)
    copies, step = [], type(settings.optimizer).update

    def update(self, ops, theta, gradient, state, learning_rate, count):
        copies.append(theta.copy())
        step(self, ops, theta, gradient, state, learning_rate, count)
        if count == 8:
            theta[:] = np.nan

    monkeypatch.setattr(type(settings.optimizer), "update", update)
    state = initial_state(model, settings, grey_rows(20))
    with pytest.raises(NonFiniteError):
        train(model, settings, grey_rows(20), state=state)
    np.testing.assert_array_equal(state.theta, copies[6])


def test_the_last_update_of_an_epoch_is_looked_at_too(monkeypatch):
    model, settings = model_and_settings(epochs=1, batch_size=20)
    monkeypatch.setattr(type(settings.optimizer), "update", lambda self, ops, theta, *rest: theta.fill(np.inf))
    state = initial_state(model, settings, grey_rows(20))
    with pytest.raises(NonFiniteError, match="epoch 1, step 1: the update made the parameter encoder/0/W not finite"):
        train(model, settings, grey_rows(20), state=state)
    np.testing.assert_array_equal(state.theta, model.initial_parameters(5, "float64"))


def test_a_validation_loss_that_is_not_finite_is_an_error():
    model, settings = model_and_settings(epochs=2)
    x_valid = np.full((5, 6), np.inf)
    with pytest.raises(NonFiniteError, match="epoch 1: the validation loss"):
        train(model, settings, grey_rows(20), x_valid)


@pytest.mark.parametrize(
    ("tensor", "spoil", "words"),
    [
        ("the parameter decoder/0/W", lambda v, x: v["decoder/0/W"].__setitem__((0, 0), np.nan), "learning_rate"),
        ("the minibatch x", lambda v, x: x.__setitem__((2, 1), np.inf), "data"),
        ("the minibatch x", lambda v, x: x.__setitem__((2, 1), np.nan), "data"),
        ("the latent sample z", lambda v, x: v["encoder/logvar/b"].__setitem__(0, 3000.0), "clip_norm"),
        ("the KL divergence", lambda v, x: v["encoder/logvar/b"].__setitem__(0, 800.0), "overflowed"),
    ],
)
def test_the_guard_finds_the_first_tensor(tensor, spoil, words):
    from npvae.training.guard import first_non_finite

    model = Model(Architecture(6, 2, (5,)), backend.get("numpy"))
    theta, x = model.initial_parameters(0, "float64"), grey_rows(5)
    spoil(model.views(theta), x)
    with np.errstate(all="ignore"):
        name, advice = first_non_finite(model, objectives.ELBO(), theta, x, np.ones((5, 2)), 1.0)
    assert name == tensor and words in advice


def test_where_data_may_be_missing_they_are_not_what_is_wrong():
    from npvae.training.guard import first_non_finite

    model = Model(Architecture(6, 2, (5,), missing=True), backend.get("numpy"))
    theta, x = model.initial_parameters(0, "float64"), grey_rows(5)
    x[1, 2] = np.nan
    assert first_non_finite(model, objectives.ELBO(), theta, x, np.ones((5, 2)), 1.0) == ("", "")
    model.views(theta)["encoder/logvar/b"][0] = 3000.0
    with np.errstate(all="ignore"):
        assert first_non_finite(model, objectives.ELBO(), theta, x, np.ones((5, 2)), 1.0)[0] == "the latent sample z"
    settings = model_and_settings()[1]
    x[2, 3] = -1e200
    with pytest.raises(NonFiniteError, match=r"largest value is 1e\+200"):
        train(model, settings, x)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_at_the_first_step_the_advice_is_to_scale_the_data(sign):
    model, settings = model_and_settings()
    with pytest.raises(NonFiniteError, match=r"step 1: .*not scaled .*largest value is 1e\+200.*divide_by"):
        train(model, settings, sign * grey_rows(20) * 1e200)


def test_a_callback_that_ruins_the_parameters_is_noticed():
    model, settings = model_and_settings(epochs=1)
    state = initial_state(model, settings, grey_rows(20))
    with pytest.raises(NonFiniteError, match="epoch 1, step 3: the update made the parameter encoder/0/W not finite"):
        train(model, settings, grey_rows(20), state=state, callbacks=[lambda s: s.theta.fill(np.nan)])
    assert np.isfinite(state.theta).all()


def test_nothing_is_found_where_all_is_finite():
    from npvae.training.guard import first_non_finite

    model = Model(Architecture(6, 2, (5,)), backend.get("numpy"))
    theta = model.initial_parameters(0, "float64")
    assert first_non_finite(model, objectives.ELBO(), theta, grey_rows(5), np.ones((5, 2)), 1.0) == ("", "")


# Ctrl-C


def test_ctrl_c_ends_after_the_step_and_leaves_a_usable_model():
    vae, handler = small_vae(epochs=1000), signal.getsignal(signal.SIGINT)

    def press(state):
        if state.epoch == 2:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(TrainingInterrupted, match="epoch 3 of 1000") as caught:
        vae.fit(grey_rows(), callbacks=[press])
    assert caught.value.estimator is vae and isinstance(caught.value, KeyboardInterrupt)
    assert vae.stop_reason_ == "interrupted" and vae.history_.epochs == 2
    assert np.isfinite(vae.transform(grey_rows())).all()
    assert signal.getsignal(signal.SIGINT) is handler


def test_ctrl_c_in_the_last_epoch_ends_the_loop_around_fit_too():
    """The training is complete, but whoever pressed Ctrl-C in a grid search wants out of it."""
    vae = small_vae(epochs=2)

    def press(state):
        if state.epoch == 2:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(TrainingInterrupted, match="as the training ended"):
        vae.fit(grey_rows(), callbacks=[press])
    assert vae.stop_reason_ == "finished"
    np.testing.assert_array_equal(vae.theta_, small_vae(epochs=2).fit(grey_rows()).theta_)


def test_ctrl_c_ends_a_grid_search():
    """Scikit-learn's loop gets out at the first; it would take an ordinary error for a candidate that fails."""
    search = pytest.importorskip("sklearn.model_selection").GridSearchCV
    fits = []

    class Pressed(VAE):
        def fit(self, X, y=None):
            fits.append(self)
            return super().fit(X, callbacks=[lambda state: os.kill(os.getpid(), signal.SIGINT)])

    with pytest.raises(KeyboardInterrupt):
        search(Pressed(hidden=(5,), epochs=3, random_state=0), {"latent_dim": [1, 2]}, cv=2).fit(grey_rows())
    assert len(fits) == 1 and fits[0].history_.epochs == 1


@pytest.mark.parametrize(("step", "epochs"), [(3, 1), (4, 1), (6, 2)])
def test_an_epoch_whose_last_step_is_done_counts_when_it_is_interrupted(monkeypatch, step, epochs):
    """Three steps an epoch: Ctrl-C in step 3 or 6 ends a whole epoch, in step 4 it cuts the second short."""
    model, settings = model_and_settings(ONE_BY_ONE, epochs=9)
    original = SGD.update

    def update(self, ops, theta, gradient, state, learning_rate, count):
        original(self, ops, theta, gradient, state, learning_rate, count)
        if count == step:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(SGD, "update", update)
    state = train(model, settings, grey_rows(16))
    assert state.stop_reason == "interrupted"
    assert state.epoch == state.history.epochs == epochs and state.step == step


def test_a_second_ctrl_c_interrupts_at_once():
    from npvae.training.interrupt import DeferredInterrupt

    with pytest.raises(KeyboardInterrupt), DeferredInterrupt() as interrupt:
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupt.requested
        os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize(
    ("reason", "failed"),
    [
        (None, True),
        ("a number was not finite", True),
        ("ended by KeyError('x')", True),
        ("finished", False),
        ("interrupted", False),
        ("no better validation ELBO for 3 epochs", False),
        ("as was ended by ", False),
        ("", False),
    ],
)
def test_which_ends_of_a_run_nobody_wanted(reason, failed):
    assert is_failure(reason) is failed


def test_when_ctrl_c_ended_a_run_in_words():
    state = SimpleNamespace(stop_reason="interrupted", epoch=4)
    assert interruption(state, 9) == "training interrupted in epoch 5 of 9"
    assert interruption(SimpleNamespace(stop_reason="finished", epoch=9), 9) == "interrupted as the training ended"


# Settings


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"batch_size": 0}, "batch_size"),
        ({"learning_rate": 0.0}, "learning_rate must be finite and above 0"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"beta": -1.0}, "beta"),
        ({"kl_warmup": 5, "epochs": 3}, "kl_warmup is 5 epochs, but the run has 3"),
        ({"schedule": {"name": "steps", "factors": {7: 0.1}}, "epochs": 3}, "epoch 7, but the run has 3"),
        ({"binarize": "sometimes"}, "known: 'none', 'static', 'dynamic'"),
        ({"optimizer": "adagrad"}, "known: 'rmsprop', 'adam', 'sgd'"),
        ({"patience": 0}, "patience"),
        ({"clip_norm": 0.0}, "clip_norm"),
    ],
)
def test_settings_that_cannot_be_are_refused_before_the_first_step(change, words):
    with pytest.raises(InputError) as error:
        model_and_settings(**change)
    assert words in str(error.value)


def test_patience_without_validation_data_is_refused():
    model, settings = model_and_settings(patience=2)
    with pytest.raises(InputError, match="validation"):
        train(model, settings, grey_rows())


def test_a_seed_is_a_whole_number_and_there_must_be_rows():
    with pytest.raises(InputTypeError, match="seed"):
        model_and_settings(seed="a")
    with pytest.raises(InputError, match="seed must be at least 0"):
        model_and_settings(seed=-1)
    model, settings = model_and_settings()
    with pytest.raises(InputError, match="no rows"):
        train(model, settings, np.zeros((0, 6)))


def test_a_linear_model_reaches_the_optimum_of_probabilistic_pca():
    """Squared error + KL of a linear encoder and decoder: the optimum is known from the data's eigenvalues.

    sum_i lambda_i - sum_j [lambda_j - 1/2 - log(2 lambda_j) / 2]   over the kept lambda_j > 1/2
    """
    generator = np.random.default_rng(0)
    x = generator.standard_normal((1000, 8)) @ np.diag([3.0, 2.0, 1.2, 0.6, 0.5, 0.3, 0.2, 0.1])
    x = x @ np.linalg.qr(generator.standard_normal((8, 8)))[0]
    values = np.linalg.eigvalsh(np.cov(x, rowvar=False, bias=True))[::-1]
    optimum = values.sum() - np.sum(values[:2] - 0.5 - 0.5 * np.log(2 * values[:2]))
    model = Model(Architecture(8, 2, (), likelihood="squared_error"), backend.get("numpy"))
    settings = TrainingSettings(
        seed=0, epochs=200, batch_size=50, optimizer="adam", learning_rate=0.02, schedule="cosine"
    )
    state = train(model, settings, x)
    losses = [-evaluate_elbo(model, state.theta, x, seed)["elbo"] for seed in range(50)]
    error = np.std(losses) / np.sqrt(len(losses))
    assert optimum - 4 * error < np.mean(losses) < optimum + 0.02 + 4 * error
    assert error < 0.02


def test_settings_survive_json():
    import json

    _, settings = model_and_settings(
        schedule={"name": "steps", "factors": {1: 0.5}}, optimizer={"name": "adam", "epsilon": 1e-4}
    )
    copy = TrainingSettings.from_config(json.loads(json.dumps(settings.config())))
    assert copy.config() == settings.config()


def test_the_loop_runs_on_the_bare_array_api():
    """A whole run on array-api-strict, where every NumPy-ism is an error, equals NumPy's."""
    strict = pytest.importorskip("array_api_strict")
    from npvae.backend.base import Ops

    x, x_valid = grey_rows(20), grey_rows(9, seed=4)
    thetas = []
    for ops in (backend.get("numpy"), Ops(strict)):
        model = Model(Architecture(6, 2, (5,)), ops)
        settings = TrainingSettings(
            seed=5, epochs=3, batch_size=7, optimizer="adam", clip_norm=1.0, patience=3, binarize="dynamic"
        )
        state = train(model, settings, ops.asarray(x), ops.asarray(x_valid))
        thetas.append(np.asarray(state.theta))
    np.testing.assert_allclose(thetas[0], thetas[1], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "smallest", "too_small"),
    [
        ("seed", 0, -1),
        ("epochs", 1, 0),
        ("batch_size", 1, 0),
        ("patience", 1, 0),
        ("learning_rate", 1e-300, 0.0),
        ("clip_norm", 1e-300, 0.0),
        ("beta", 0.0, -1e-9),
        ("min_delta", 0.0, -1e-9),
    ],
)
def test_limits_of_settings(name, smallest, too_small):
    assert getattr(TrainingSettings(**{"seed": 0, name: smallest}), name) == smallest
    with pytest.raises(InputError, match=f"^{name} must be"):
        TrainingSettings(**{"seed": 0, name: too_small})
    if name in ("patience", "clip_norm"):
        assert getattr(TrainingSettings(**{"seed": 0, name: None}), name) is None
    else:
        with pytest.raises(InputTypeError, match=f"^{name} must be"):
            TrainingSettings(**{"seed": 0, name: None})
