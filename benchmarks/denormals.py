"""Fifty epochs of 784-256-2 on MNIST, every step timed: no optimiser slows down as its accumulators decay.

    NPVAE_DATA=... python benchmarks/denormals.py [--backend numba] [--epochs 50]

Weights of pixels that are never lit have a gradient of 0, and an accumulator that is only multiplied by rho reaches the
denormal numbers after some 800 steps (rho 0.9, float32); arithmetic on those is many times slower. For each optimiser
this prints the median step of the first and of the slowest epoch, how many steps took more than twice the overall
median (whatever else the machine did counts here too), and how many accumulators are denormal at the end. The last row
leaves the flush out, to show what it is for.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from npvae import Architecture, Model, backend, load_dataset
from npvae.mathematics import optimizers
from npvae.training import TrainingSettings, steps, train
from npvae.training.loop import initial_state

OPTIMIZERS = {
    "RMSprop": optimizers.RMSprop(),
    "RMSprop, epsilon outside": optimizers.RMSprop(epsilon_inside=False),
    "Adam": optimizers.Adam(),
}


class NeverFlushed(optimizers.RMSprop):
    """RMSprop with epsilon outside, and accumulators left to decay."""

    def flush_intervals(self) -> dict:
        return {}


def run(name: str, optimizer, x, options) -> None:
    model = Model(Architecture(784, 2, (256,)), backend.get(options.backend))
    settings = TrainingSettings(seed=0, epochs=options.epochs, optimizer=optimizer)
    state = initial_state(model, settings, x)
    times, take = [], steps.Stepper.take

    def timed(self, *arguments):
        started = time.perf_counter()
        taken = take(self, *arguments)
        times.append(time.perf_counter() - started)
        return taken

    steps.Stepper.take = timed
    steps.CALL_SECONDS = 0.0  # one step a call
    try:
        train(model, settings, model.ops.asarray(x), state=state)
    finally:
        steps.Stepper.take = take
    per_epoch = np.array(times).reshape(options.epochs, -1) * 1e3
    medians, middle = np.median(per_epoch, axis=1), np.median(per_epoch)
    slow = int((per_epoch > 2.0 * middle).sum())
    smallest = np.finfo(np.float32).tiny
    denormal = sum(int(((a != 0) & (np.abs(a) < smallest)).sum()) for a in state.optimizer_state.values())
    ratio = medians.max() / medians[0]
    print(
        f"{name:<26} first {medians[0]:6.3f} ms, slowest epoch {medians.max():6.3f} ms ({ratio:.2f}x), "
        f"{slow} of {per_epoch.size} steps above twice the median; {denormal} denormal accumulators",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", default="numba")
    parser.add_argument("--epochs", type=int, default=50)
    options = parser.parse_args()
    x = (load_dataset("mnist").x_train / 255.0).astype(np.float32)
    for name, optimizer in OPTIMIZERS.items():
        run(name, optimizer, x, options)
    from npvae.fused.program_fields import STATES

    STATES[NeverFlushed] = ("accumulator",)
    run("never flushed", NeverFlushed(epsilon_inside=False), x, options)


if __name__ == "__main__":
    main()
