"""Time of one training step of 784-256-2 (batch 100, float32, RMSprop) on the NumPy backend.

    python benchmarks/step_time.py [--rounds 48]

Compared in one process, in every order in turn (24 rounds are all), medians over the rounds:

    npvae        loss, gradient and update through the library
    by hand      the same step as one flat script in plain NumPy, every array allocated once, every operation
                 in place, the same formulas and tricks: as fast as we could write it
    plain        the same step as it is usually written, with a new array for every result
    products     the step's five large matrix products alone, into arrays allocated once

All three gather their rows, draw their noise and measure the gradient's length, as a training run must, and the first
two add up what its history shows (KL divergence, mean and square of each latent dimension). They are first checked to
give one loss, step after step.
"""

from __future__ import annotations

import argparse
import itertools
import math
import statistics
import time

import numpy as np

from npvae import Architecture, Model, TrainingSettings, backend, load_dataset
from npvae.fused import trainer_for
from npvae.mathematics import random
from npvae.mathematics.optimizers import RMSprop

B, INPUTS, HIDDEN, LATENT = 100, 784, 256, 2
EPOCH_STEPS = 40  # of the 4000 training digits; then the rows come again, in the same order
NOISE_STEPS = 16  # whose noise is drawn at once
WARM_UP = 5  # steps before each turn that are not timed
RATE, RHO, EPSILON = 1e-3, 0.9, 1e-7


class Library:
    """The step through npvae's fused trainer."""

    def __init__(self, theta, x, order) -> None:
        model = Model(Architecture(INPUTS, LATENT, (HIDDEN,)), backend.get("numpy"))
        settings = TrainingSettings(seed=0, batch_size=B, learning_rate=RATE, optimizer=RMSprop(RHO, EPSILON))
        self.theta, self.order = model.ops.copy(theta), order
        self.gradient = model.ops.copy(np.zeros_like(theta))
        self.state = settings.optimizer.initial_state(model.ops, self.theta)
        self.trainer = trainer_for(model.ops, model, settings, x)
        self.count = 0

    def steps(self, count: int) -> list[float]:
        """As in a run: many steps in one call, as far as the order of the rows goes."""
        losses = []
        while count:
            start = self.count % EPOCH_STEPS * B
            taken = min(count, EPOCH_STEPS - self.count % EPOCH_STEPS)
            losses += list(
                self.trainer.take_steps(
                    self.theta, self.gradient, self.state, self.order, start, self.count, [RATE] * taken, [1.0] * taken
                ).losses
            )
            self.count += taken
            count -= taken
        return losses


def aligned(array):
    """A copy at the beginning of a line of the cache: without it an array's place, and with it a hundredth of the time,
    is up to chance.
    """
    memory = np.empty(array.nbytes + 64, np.uint8)
    start = -memory.ctypes.data % 64
    new = memory[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    new[...] = array
    return new


class OneByOne:
    """Steps written one by one."""

    def steps(self, count: int) -> list[float]:
        return [self.step() for _ in range(count)]


class Rows:
    """What every step of a run begins with: its rows of the data, and its noise."""

    def __init__(self, x, order) -> None:
        self.data, self.order, self.count = x, order, 0
        self.x = aligned(np.empty((B, x.shape[1]), x.dtype))

    def next(self):
        start = self.count % EPOCH_STEPS * B
        np.take(self.data, self.order[start : start + B], axis=0, out=self.x, mode="clip")
        place = self.count % NOISE_STEPS
        if place == 0:
            self.noise = random.normal_of_steps(0, "latent noise", self.count, NOISE_STEPS, (B, LATENT), self.x.dtype)
        self.count += 1
        return self.x, self.noise[place]


def views_of(flat):
    """The tensors of the flat vector, in npvae's order."""
    shapes = [
        (INPUTS, HIDDEN),
        (HIDDEN,),
        (HIDDEN, LATENT),
        (LATENT,),
        (HIDDEN, LATENT),
        (LATENT,),
        (LATENT, HIDDEN),
        (HIDDEN,),
        (HIDDEN, INPUTS),
        (INPUTS,),
    ]
    views, start = [], 0
    for shape in shapes:
        size = int(np.prod(shape))
        views.append(flat[start : start + size].reshape(shape))
        start += size
    return views


class Plain(OneByOne):
    """The step as it is usually written."""

    def __init__(self, theta, x, order) -> None:
        self.theta, self.rows = theta.copy(), Rows(x, order)
        self.accumulator = np.zeros_like(theta)

    def step(self) -> float:
        x, eps = self.rows.next()
        W1, b1, Wm, bm, Wv, bv, W2, b2, W3, b3 = views_of(self.theta)
        h = np.maximum(x @ W1 + b1, 0)
        mu, logvar = h @ Wm + bm, h @ Wv + bv
        s = np.exp(0.5 * logvar)
        z = mu + s * eps
        d = np.maximum(z @ W2 + b2, 0)
        logits = d @ W3 + b3
        t = np.exp(-np.abs(logits))
        nll = (np.maximum(logits, 0) - logits * x + np.log1p(t)).sum() / B
        kl = 0.5 * (mu**2 + s * s - 1 - logvar).sum() / B
        dlogits = (np.where(logits >= 0, 1, t) / (1 + t) - x) / B
        dd = (dlogits @ W3.T) * (d > 0)
        dz = dd @ W2.T
        dmu = dz + mu / B
        dlogvar = dz * eps * s * 0.5 + 0.5 * (s * s - 1) / B
        dh = (dmu @ Wm.T + dlogvar @ Wv.T) * (h > 0)
        g = np.concatenate(
            [
                part.ravel()
                for part in (
                    x.T @ dh,
                    dh.sum(0),
                    h.T @ dmu,
                    dmu.sum(0),
                    h.T @ dlogvar,
                    dlogvar.sum(0),
                    z.T @ dd,
                    dd.sum(0),
                    d.T @ dlogits,
                    dlogits.sum(0),
                )
            ]
        )
        self.norm = float(np.sqrt(g @ g))
        self.accumulator = RHO * self.accumulator + (1 - RHO) * g * g
        self.theta -= RATE * g / np.sqrt(self.accumulator + EPSILON)
        return float(nll + kl)


class ByHand(OneByOne):
    """The step as one flat script, nothing allocated that is large."""

    def __init__(self, theta, x, order) -> None:
        new = lambda *shape: aligned(np.empty(shape, np.float32))  # noqa: E731
        self.theta, self.rows = aligned(theta), Rows(x, order)
        self.accumulator = aligned(np.full_like(theta, EPSILON))
        self.g = aligned(np.zeros_like(theta))
        self.views, self.grads = views_of(self.theta), views_of(self.g)
        self.h, self.d, self.dd, self.dh, self.dh2 = (new(B, HIDDEN) for _ in range(5))
        self.logits, self.s, self.f = (new(B, INPUTS) for _ in range(3))
        self.wide_mask = np.empty((B, INPUTS), bool)
        self.piece = -(-theta.size // 4)
        self.mask, self.scratch = np.empty((B, HIDDEN), bool), new(self.piece)
        self.zero, self.ones = np.zeros(HIDDEN, np.float32), np.ones(B, np.float32)
        self.wide_ones = np.ones(INPUTS // 8, np.float32)
        self.kl, self.mu, self.mu_squared = np.zeros((3, B, LATENT))

    def step(self) -> float:
        x, eps = self.rows.next()
        h, d, dd, dh = self.h, self.d, self.dd, self.dh
        logits, s, f, mask, ones = self.logits, self.s, self.f, self.mask, self.ones
        W1, b1, Wm, bm, Wv, bv, W2, b2, W3, b3 = self.views
        dW1, db1, dWm, dbm, dWv, dbv, dW2, db2, dW3, db3 = self.grads
        np.matmul(x, W1, out=h)
        h += b1
        np.maximum(h, self.zero, out=h)
        mu = h @ Wm
        mu += bm
        logvar = h @ Wv
        logvar += bv
        sd = np.exp(0.5 * logvar)
        z = mu + sd * eps
        np.matmul(z, W2, out=d)
        d += b2
        np.maximum(d, self.zero, out=d)
        np.matmul(d, W3, out=logits)
        logits += b3
        np.negative(logits, out=s)
        with np.errstate(over="ignore"):
            np.exp(s, out=s)
            s += 1.0
            np.divide(1.0, s, out=s)
        np.subtract(1.0, s, out=f)
        np.maximum(s, f, out=f)
        products = np.multiply.reduce(f.reshape(B, 8, INPUTS // 8), axis=1)
        np.subtract(np.greater(logits, 0, out=self.wide_mask), x, out=f)
        nll = np.matmul(logits[:, None, :], f[:, :, None])[:, 0, 0]
        nll -= np.log(products, out=products) @ self.wide_ones
        mu_squared = mu * mu
        growth = np.expm1(logvar)
        kl = 0.5 * (mu_squared + (growth - logvar))
        loss = nll.sum() + kl.sum()
        self.kl += kl
        self.mu += mu
        self.mu_squared += mu_squared
        s -= x
        s *= np.float32(1 / B)
        np.matmul(d.T, s, out=dW3)
        np.matmul(ones, s, out=db3)
        np.matmul(s, W3.T, out=dd)
        dd *= np.greater(d, 0, out=mask)
        np.matmul(z.T, dd, out=dW2)
        np.matmul(ones, dd, out=db2)
        dz = dd @ W2.T
        dmu = dz + mu * np.float32(1 / B)
        dlogvar = dz * eps * (0.5 * sd) + growth * np.float32(0.5 / B)
        np.matmul(h.T, dmu, out=dWm)
        np.matmul(ones, dmu, out=dbm)
        np.matmul(h.T, dlogvar, out=dWv)
        np.matmul(ones, dlogvar, out=dbv)
        np.matmul(dmu, Wm.T, out=dh)
        dh += np.matmul(dlogvar, Wv.T, out=self.dh2)
        dh *= np.greater(h, 0, out=mask)
        np.matmul(x.T, dh, out=dW1)
        np.matmul(ones, dh, out=db1)
        self.norm = math.sqrt(float(self.g @ self.g))
        for start in range(0, self.theta.size, self.piece):
            w, g, v = (a[start : start + self.piece] for a in (self.theta, self.g, self.accumulator))
            t = self.scratch[: w.size]
            np.multiply(g, g, out=t)
            t += EPSILON
            t *= 1 - RHO
            v *= RHO  # v += (1 - RHO) (t - v) would write v once, but lose epsilon beside a large v
            v += t
            np.sqrt(v, out=t)
            np.divide(g, t, out=t)
            t *= RATE
            w -= t
        return float(loss) / B


class Products(OneByOne):
    """The five large matrix products of the step."""

    def __init__(self, theta, x, order) -> None:
        x = x[:B]
        W1, W3 = views_of(theta)[0], views_of(theta)[8]
        h, a = np.ones((B, HIDDEN), np.float32), np.ones((B, INPUTS), np.float32)
        h2, dW1, dW3 = np.empty_like(h), np.empty_like(W1), np.empty_like(W3)
        self.pairs = [(x, W1, h2), (h, W3, a), (h.T, x, dW3), (x, W3.T, h2), (x.T, h, dW1)]

    def step(self) -> float:
        for left, right, out in self.pairs:
            np.matmul(left, right, out=out)
        return 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=48)
    parser.add_argument("--steps", type=int, default=40, help="steps a round")
    options = parser.parse_args()
    x = (load_dataset("digits").x_train / 255.0).astype(np.float32)
    order = random.permutation(0, "shuffle", 0, len(x))
    theta = Model(Architecture(INPUTS, LATENT, (HIDDEN,)), backend.get("numpy")).initial_parameters(0)
    kinds = {"npvae": Library, "by hand": ByHand, "plain": Plain, "products": Products}
    steps = {name: kind(theta, x, order) for name, kind in kinds.items()}
    losses = {name: steps[name].steps(20) for name in kinds if name != "products"}
    for name in losses:
        np.testing.assert_allclose(losses[name], losses["plain"], rtol=2e-4)
    times = {name: [] for name in kinds}
    orders = itertools.cycle(itertools.permutations(steps.items()))
    for order_of_round in itertools.islice(orders, options.rounds):
        for name, kind in order_of_round:
            kind.steps(WARM_UP)  # what ran before left caches and clocks in its own state
            started = time.perf_counter()
            kind.steps(options.steps)
            times[name].append((time.perf_counter() - started) / options.steps * 1e3)
    floor = statistics.median(times["products"])
    print(f"{'':<10} {'median':>8} {'fastest':>8} {'slowest':>8}  of products")
    for name, values in times.items():
        print(
            f"{name:<10} {statistics.median(values):8.3f} {min(values):8.3f} {max(values):8.3f}  "
            f"{statistics.median(values) / floor:.2f}   ms a step"
        )
    ratios = [a / b for a, b in zip(times["npvae"], times["by hand"], strict=True)]
    print(f"npvae / by hand, paired by round: median {statistics.median(ratios):.3f}")


if __name__ == "__main__":
    main()
