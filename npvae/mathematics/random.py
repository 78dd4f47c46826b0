"""Random numbers as a pure function of (seed, purpose, step).

Nothing here keeps a state. The words come from the counter-based generator Philox4x64-10

    four words = Philox(key = (seed, purpose), counter = (block, step, draw, 0)),   block = 1, 2, ...

so any draw can be repeated alone: a resumed run, one split over processes, and another backend all meet
the same noise. Numbers are made from the words by fixed formulas, never by a library's sampler whose
stream may change between versions:

    uniform   u = k / 2^53              k = the upper 53 bits of a word, u in [0, 1)
    normal    z0 = r cos(2 pi u2)       r = sqrt(-2 log(1 - u1)),  u1, u2 from two following words
              z1 = r sin(2 pi u2)       so |z| < 8.58
    shuffle   the order that sorts n words

Sources: Salmon et al. (2011), "Parallel random numbers: as easy as 1, 2, 3"; Box & Muller (1958).
"""

from __future__ import annotations

import math
import secrets

import numpy as np

from npvae.errors import InputError, InputTypeError
from npvae.support import check

# A purpose keeps its number for ever: changing one changes every run made with it.
PURPOSES = {
    "initial weights": 1,
    "shuffle": 2,
    "latent noise": 3,
    "binarize": 4,
    "validation noise": 5,
    "prior sample": 6,
    "data sample": 7,
    "validation split": 8,
    "evaluation noise": 9,
    "static binarize": 10,
    "reconstruction noise": 11,
    "evaluation binarize": 12,
    "likelihood noise": 13,
    "aggregate posterior order": 14,
    "aggregate posterior noise": 15,
    "initial biases": 16,
    "imputation noise": 17,
    "imputation choice": 18,
    "imputation draw": 19,
    "imputation chain": 20,
    "held-out cells": 21,
    "members": 22,
    "shuffle offset": 23,
    "feature noise": 24,
    "label choice": 25,
    "validation feature noise": 26,
    "class sample": 27,
    "held-out noise": 28,
    "features": 29,
    "posterior of a row": 30,
    "marginal sample": 31,
    "given columns": 32,
    "support": 33,
    "calibration": 34,
}


def words(seed: int, purpose: str, step: int, count: int, draw: int = 0) -> np.ndarray:
    """``count`` random 64-bit words, uint64 of shape (count,). ``draw`` counts several draws of one step."""
    counter = np.array([0, step, draw, 0], dtype=np.uint64)
    key = np.array([seed, PURPOSES[purpose]], dtype=np.uint64)
    return np.random.Philox(counter=counter, key=key).random_raw(count)


def seed_for_part(seed: int, purpose: str, part: int) -> int:
    """A seed in [0, 2^63) of its own for a part of a run that is trained like a run."""
    return int(words(seed, purpose, part, 1)[0]) >> 1


def words_of_steps(seed: int, purpose: str, first: int, steps: int, count: int) -> np.ndarray:
    """``words`` of ``steps`` steps from ``first`` on, uint64 (steps, count), for less than as many calls cost."""
    raw = np.empty((steps, count), np.uint64)
    generator = np.random.Philox(key=np.array([seed, PURPOSES[purpose]], np.uint64))
    state = generator.state
    for i in range(steps):
        state["state"]["counter"][1] = first + i
        generator.state = state
        raw[i] = generator.random_raw(count)
    return raw


def uniform(seed: int, purpose: str, step: int, shape, dtype=np.float64, draw: int = 0) -> np.ndarray:
    """Uniform numbers on [0, 1), an array of ``shape``; float32 keeps the upper 24 bits of each word."""
    return _unit_interval(words(seed, purpose, step, math.prod(shape), draw).reshape(shape), dtype)


def _unit_interval(raw: np.ndarray, dtype) -> np.ndarray:
    """Numbers on [0, 1) from as many upper bits of each word as the dtype holds."""
    bits = np.finfo(dtype).nmant + 1
    return (raw >> np.uint64(64 - bits)).astype(dtype) * np.asarray(2.0**-bits, dtype=dtype)


def normal(seed: int, purpose: str, step: int, shape, dtype=np.float64, draw: int = 0) -> np.ndarray:
    """Standard normal numbers, an array of ``shape``; computed in float64, then rounded to ``dtype``."""
    count = math.prod(shape)
    pairs = uniform(seed, purpose, step, ((count + 1) // 2, 2), draw=draw)
    return np.asarray(_box_muller(pairs).reshape(-1)[:count].reshape(shape), dtype)


def normal_of_steps(seed: int, purpose: str, first: int, steps: int, shape, dtype=np.float64) -> np.ndarray:
    """``normal`` of ``steps`` steps from ``first`` on, (steps, *shape), for less than as many calls cost."""
    count = math.prod(shape)
    raw = words_of_steps(seed, purpose, first, steps, (count + 1) // 2 * 2)
    z = _box_muller(_unit_interval(raw, np.float64).reshape(-1, 2))
    return np.asarray(z.reshape(raw.shape)[:, :count].reshape(steps, *shape), dtype)


def normal_of_rows(
    seed: int, purpose: str, rows, first: int, count: int, latent_dim: int, dtype=np.float64
) -> np.ndarray:
    """Standard normal numbers, (count, rows, latent_dim): samples ``first``, ``first`` + 1, ... of a stream for each
    row.

    Row r's stream is ``normal`` of step r, cut into pieces of ``latent_dim``: where it is cut changes nothing.
    ``first`` is a multiple of four: a block of the generator has four words.
    """
    if first % 4:
        raise InputError(f"first must be a multiple of 4, got {first}")
    numbers = count * latent_dim
    raw = np.empty((len(rows), numbers + numbers % 2), np.uint64)
    generator = np.random.Philox(key=np.array([seed, PURPOSES[purpose]], np.uint64))
    state = generator.state
    for i, row in enumerate(rows):
        state["state"]["counter"][0] = first // 4 * latent_dim
        state["state"]["counter"][1] = row
        generator.state = state
        raw[i] = generator.random_raw(raw.shape[1])
    z = _box_muller(_unit_interval(raw, np.float64).reshape(-1, 2)).reshape(raw.shape)[:, :numbers]
    return np.ascontiguousarray(z.reshape(len(rows), count, latent_dim).transpose(1, 0, 2), dtype=dtype)


def _box_muller(pairs: np.ndarray) -> np.ndarray:
    """Pairs of standard normal numbers from pairs of uniform ones on [0, 1), float64 (N, 2).

        z_1 = r cos a,  z_2 = r sin a        r = sqrt(-2 log(1 - u_1)),  a = 2 pi u_2

    Source: Box & Muller (1958), "A note on the generation of random normal deviates".
    """
    radius = np.sqrt(-2.0 * np.log1p(-pairs[:, 0]))
    angle = (2.0 * math.pi) * pairs[:, 1]
    z = np.empty(pairs.shape)
    np.multiply(radius, np.cos(angle), out=z[:, 0])
    np.multiply(radius, np.sin(angle), out=z[:, 1])
    return z


def permutation(seed: int, purpose: str, step: int, count: int) -> np.ndarray:
    """A random order of 0 .. count-1, int64 of shape (count,); ties of 64-bit words keep their order."""
    return np.argsort(words(seed, purpose, step, count), kind="stable")


def bernoulli(seed: int, purpose: str, step: int, probability: np.ndarray, draw: int = 0) -> np.ndarray:
    """Zeros and ones of the dtype and shape of ``probability``, one with that probability (to 2^-24); NaN stays NaN."""
    u = uniform(seed, purpose, step, probability.shape, np.float32, draw)
    return np.where(u < probability, np.ones((), probability.dtype), 0 * probability)


class Stream:
    """Several draws for one purpose and step, each its own: what is asked for first is draw 0, then 1, ..."""

    def __init__(self, seed: int, purpose: str, step: int) -> None:
        self._place = (seed, purpose, step)
        self._draws = 0

    def _next(self) -> int:
        self._draws += 1
        return self._draws - 1

    def uniform(self, shape, dtype=np.float64) -> np.ndarray:
        """See :func:`uniform`."""
        return uniform(*self._place, shape, dtype, self._next())

    def normal(self, shape, dtype=np.float64) -> np.ndarray:
        """See :func:`normal`."""
        return normal(*self._place, shape, dtype, self._next())

    def bernoulli(self, probability: np.ndarray) -> np.ndarray:
        """See :func:`bernoulli`."""
        return bernoulli(*self._place, probability, self._next())


def seed_from(random_state) -> int:
    """A seed in [0, 2^63) from None (fresh entropy), a whole number, or a NumPy generator.

    InputError: a negative number. InputTypeError: anything else. A generator gives its next integer,
    so it is advanced.
    """
    if random_state is None:
        return secrets.randbits(63)
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(0, 2**63))
    if isinstance(random_state, np.random.RandomState):
        return random_state.randint(0, 2**31)
    try:
        seed = check.whole_number("random_state", random_state, 0)
    except InputTypeError:
        raise InputTypeError(
            f"random_state must be None, a whole number or a numpy.random generator, got {type(random_state).__name__}"
        ) from None
    if seed >= 2**63:
        raise InputError(f"random_state must be below 2**63, got {seed}")
    return seed
