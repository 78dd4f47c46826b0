"""The phases of a training step that are different for the importance-weighted bound with K samples.

The encoder runs on B rows, the decoder on K B of them: sample k of row b is row k B + b, in the order in which the
noise is drawn. Its log-weight and weight are at b K + k, so that a row's stand side by side.

    phase     divided by        writes
    draw      rows of z         z, log p(z) - log q(z|x)
    weigh     rows of x         weights v; bounds, with beta and without; d(outputs) of all samples, times v / B
    latent    rows of x         dmu, dlogvar

The equations, and what the three estimators are: npvae/mathematics/objectives/importance_weighted.py and
importance_weights.py.
"""

from __future__ import annotations

import math
from types import SimpleNamespace

from numba import types

from npvae.kernels.cpu import bodies
from npvae.kernels.cpu.loops import compiled, loop, make_access, make_integer_access
from npvae.kernels.cpu.plan import RECORD, Constant, Estimator, Layer, Train
from npvae.kernels.cpu.target import Target


def make(target, threads, arithmetic):
    """``draw(plan, rows, thread, count)``; ``weigh(plan, step, rows, thread, count)`` and ``latent_backward`` of the
    same arguments; ``batch_sums(plan, rows)``: loss, reconstruction and bound, summed over rows."""
    get_integer, _ = make_integer_access()
    get, put = make_access(target)
    get_wide, _ = make_access(Target("float64", target.vector_bytes, target.registers))
    number, size, part = getattr(types, target.dtype), target.itemsize, threads.part
    sample = loop(target, 3, 1, 0, bodies.sample_and_ratio, sums=True)
    log_weight = loop(target, 2, 1, 1, bodies.log_weight)
    shifted_exp = loop(target, 1, 1, 1, bodies.shifted_exp, sums=True)
    log, fill = loop(target, 1, 1, 0, bodies.logarithm), loop(target, 0, 1, 1, bodies.fill)
    scale, flush = arithmetic.scale, arithmetic.flush
    pull, pull_path = loop(target, 6, 2, 1, bodies.sample_pull), loop(target, 6, 2, 2, bodies.path_pull)

    @compiled(4)
    def draw(plan, rows, thread, count):
        """z = mu + s eps of every sample, and what z alone adds to its log-weight."""
        latent, samples = get_integer(plan, Train.LATENT), get_integer(plan, Train.SAMPLES)
        mean = get_integer(plan, Train.LAYERS) + RECORD * get_integer(plan, Train.ENCODER)
        mu, logvar = get_integer(mean, Layer.OUTPUT), get_integer(mean + RECORD, Layer.OUTPUT)
        eps, z, ratio = get_integer(plan, Train.EPS), get_integer(plan, Train.Z), get_integer(plan, Train.RATIO)
        first, last = part(rows * samples, thread, count)
        for drawn in range(first, last):
            k, b = drawn // rows, drawn % rows
            here, there = size * latent * b, size * latent * drawn
            twice = sample(latent, mu + here, logvar + here, eps + there, z + there)
            put(ratio, b * samples + k, number(0.5) * twice)

    @compiled(5, number, result=number)
    def log_sum(samples, ratio, nll, weights, out, beta):
        """log sum_k w_k of one row, also at ``out``; the weights are left there times exp(-m), m the largest
        log-weight. Returns their sum."""
        log_weight(samples, ratio, nll, weights, beta)
        largest = get(weights, 0)
        for k in range(1, samples):
            largest = max(largest, get(weights, k))
        total = shifted_exp(samples, weights, weights, largest)
        put(out, 0, total)
        log(1, out, out)
        put(out, 0, get(out, 0) + largest)
        return total

    @compiled(5)
    def weigh(plan, step, rows, thread, count):
        """The weights of every sample, the bound of every row, and the likelihood's derivatives times v / B."""
        samples, features = get_integer(plan, Train.SAMPLES), get_integer(plan, Train.FEATURES)
        heads = get_integer(plan, Train.ENCODER) + 2 + get_integer(plan, Train.DECODER)
        outputs = get_integer(get_integer(plan, Train.LAYERS) + RECORD * heads, Layer.OUTPUT)
        beta = number(get_wide(get_integer(plan, Train.BETAS), step))
        tiny = number(get_wide(get_integer(plan, Train.CONSTANTS), Constant.TINY))
        first, last = part(rows, thread, count)
        for b in range(first, last):
            here = size * samples * b
            ratio, nll = get_integer(plan, Train.RATIO) + here, get_integer(plan, Train.NLL) + here
            weights = get_integer(plan, Train.WEIGHTS) + here
            loss, bound = get_integer(plan, Train.LOSS_ROWS) + size * b, get_integer(plan, Train.BOUND_ROWS) + size * b
            log_sum(samples, ratio, nll, weights, bound, number(1.0))
            total = log_sum(samples, ratio, nll, weights, loss, beta)
            scale(samples, weights, weights, number(1.0) / total)
            # Denormal numbers would slow the products down, and so small a weight adds nothing.
            flush(samples, weights, weights, tiny)
            for k in range(samples):
                row = outputs + size * features * (k * rows + b)
                scale(features, row, row, get(weights, k) / number(rows))

    @compiled(5)
    def latent_backward(plan, step, rows, thread, count):
        """dmu and dlogvar: the sums over samples of what dz_k pulls at them."""
        samples, latent = get_integer(plan, Train.SAMPLES), get_integer(plan, Train.LATENT)
        estimator = get_integer(plan, Train.ESTIMATOR)
        mean = get_integer(plan, Train.LAYERS) + RECORD * get_integer(plan, Train.ENCODER)
        beta = number(get_wide(get_integer(plan, Train.BETAS), step))
        eps, z, dz = get_integer(plan, Train.EPS), get_integer(plan, Train.Z), get_integer(plan, Train.D_Z)
        first, last = part(rows, thread, count)
        for b in range(first, last):
            here = size * latent * b
            logvar = get_integer(mean + RECORD, Layer.OUTPUT) + here
            dmu = get_integer(mean, Layer.D_OUTPUT) + here
            dlogvar = get_integer(mean + RECORD, Layer.D_OUTPUT) + here
            fill(latent, dmu, number(0.0))
            fill(latent, dlogvar, number(0.0))
            for k in range(samples):
                there = size * latent * (k * rows + b)
                weight = get(get_integer(plan, Train.WEIGHTS), b * samples + k)
                tie = beta * weight / number(rows)
                if estimator == Estimator.STANDARD:
                    pull(latent, dz + there, z + there, eps + there, logvar, dmu, dlogvar, dmu, dlogvar, tie)
                else:
                    factor = number(math.nan)  # of an unknown code: compiled code cannot raise
                    if estimator == Estimator.STL:
                        factor = number(1.0)
                    elif estimator == Estimator.DREG:
                        factor = number(1.0) - beta + beta * weight
                    pull_path(
                        latent, dz + there, z + there, eps + there, logvar, dmu, dlogvar, dmu, dlogvar, tie, factor
                    )

    @compiled(2, result=types.UniTuple(types.float64, 3))
    def batch_sums(plan, rows):
        """Loss, -log p(x|z) averaged over a row's samples, and the bound without beta."""
        samples = get_integer(plan, Train.SAMPLES)
        log_samples = get_wide(get_integer(plan, Train.CONSTANTS), Constant.LOG_SAMPLES)
        loss, reconstruction, bound = 0.0, 0.0, 0.0
        for b in range(rows):
            loss -= types.float64(get(get_integer(plan, Train.LOSS_ROWS), b)) - log_samples
            bound += types.float64(get(get_integer(plan, Train.BOUND_ROWS), b)) - log_samples
        for i in range(rows * samples):
            reconstruction += types.float64(get(get_integer(plan, Train.NLL), i))
        return loss, reconstruction / samples, bound

    return SimpleNamespace(draw=draw, weigh=weigh, latent_backward=latent_backward, batch_sums=batch_sums)
