"""The compiled random numbers are those of npvae.mathematics.random, from any place of a stream to any other."""

import math

import naive
import numpy as np
import pytest
from compiled import Guarded, bits, run

from npvae.kernels.cpu import sizes
from npvae.kernels.cpu.plan import Operation
from npvae.mathematics import random

STREAMS = [
    (0, "latent noise", 0),
    (1, "binarize", 1),
    (1406, "validation noise", 123_456),
    (7, "evaluation noise", 2**40),
    (2**63 - 1, "latent noise", 3),
    (2**62 + 12345, "static binarize", 2**62),
]


def normal(seed, purpose, step, first, last, dtype):
    """Elements first to last of a stream, in an array that begins with element 0 and is NaN elsewhere."""
    out = Guarded(1, last, dtype)
    scratch = Guarded(1, sizes.NORMAL_BYTES // 8, np.float64)
    run(dtype, Operation.NORMAL, seed, random.PURPOSES[purpose], step, out.address, first, last, scratch.address)
    assert out.intact() and scratch.intact()
    return out.array[0]


def bernoulli(seed, purpose, step, probability, first, last):
    """The elements first to last drawn, the others as they were."""
    x = Guarded(1, probability.size, probability.dtype, values=probability)
    run(probability.dtype, Operation.DRAW_BERNOULLI, seed, random.PURPOSES[purpose], step, x.address, first, last)
    assert x.intact()
    return x.array[0].copy()


@pytest.mark.parametrize(("seed", "purpose", "step"), STREAMS)
def test_normal_numbers_are_those_of_the_library(seed, purpose, step, dtype):
    """To rounding: neither sine nor logarithm is rounded to the last digit on either side."""
    found = normal(seed, purpose, step, 0, 2001, dtype)
    wanted = random.normal(seed, purpose, step, (2001,))
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(found, wanted, rtol=0.51 * eps if dtype == np.float32 else 8 * eps, atol=4e-15)
    if dtype == np.float32:
        # Both round what they computed in float64: a difference of the last digit is one in millions.
        assert (found != wanted.astype(np.float32)).sum() <= 1


def test_normal_numbers_are_box_and_muller_of_the_words():
    """Against the definition on Python's numbers, with the counter and key written out."""
    words = [word for block in (1, 2, 3) for word in naive.philox4x64((block, 17, 0, 0), (2**63 - 1, 3))]
    u = [(word >> 11) / 2**53 for word in words]
    wanted = []
    for u1, u2 in zip(u[::2], u[1::2], strict=True):
        radius = math.sqrt(-2.0 * math.log1p(-u1))
        wanted += [radius * math.cos(2.0 * math.pi * u2), radius * math.sin(2.0 * math.pi * u2)]
    np.testing.assert_allclose(normal(2**63 - 1, "latent noise", 17, 0, 12, np.float64), wanted, rtol=2e-15, atol=4e-15)


def ranges(count):
    """Beginnings and ends of every remainder by 4, next to the ends of the pieces it works in, and nothing."""
    piece = 2 * sizes.PAIRS
    yield from ((first, last) for first in range(9) for last in range(first, 12))
    for first in (0, 1, 3, 254, 509, piece - 1, piece, piece + 2):
        for last in (piece - 3, piece, piece + 1, 2 * piece - 1, 2 * piece + 7, count):
            if first <= last:
                yield first, last


def test_any_part_of_a_normal_stream_is_the_same(dtype):
    count = 3 * 2 * sizes.PAIRS + 5
    whole = normal(5, "latent noise", 9, 0, count, dtype)
    for first, last in ranges(count):
        part = normal(5, "latent noise", 9, first, last, dtype)
        np.testing.assert_array_equal(bits(part[first:]), bits(whole[first:last]), f"{first} to {last}")
        assert np.isnan(part[:first]).all()


@pytest.mark.parametrize(("seed", "purpose", "step"), STREAMS)
def test_zeros_and_ones_are_those_of_the_library(seed, purpose, step, dtype):
    p = np.random.default_rng(3).random(3001).astype(dtype)
    p[:4] = 0.0, 1.0, 0.0, 1.0
    found = bernoulli(seed, purpose, step, p, 0, p.size)
    np.testing.assert_array_equal(found, random.bernoulli(seed, purpose, step, p))
    assert set(found.tolist()) == {0.0, 1.0}


def test_the_uniform_number_itself_is_not_below_itself(dtype):
    """u < p decides: a probability of exactly u gives 0, the next larger number 1."""
    u = random.uniform(4, "binarize", 2, (23,), np.float32)
    assert not bernoulli(4, "binarize", 2, u.astype(dtype), 0, 23).any()
    above = np.nextafter(u.astype(dtype), dtype.type(2))
    assert bernoulli(4, "binarize", 2, above, 0, 23).all()


def test_any_part_of_the_zeros_and_ones_is_the_same(dtype):
    p = np.full(1100, 0.5, dtype)
    whole = bernoulli(5, "binarize", 9, p, 0, p.size)
    for first, last in ranges(p.size):
        last = min(last, p.size)
        part = bernoulli(5, "binarize", 9, p, first, last)
        np.testing.assert_array_equal(part[first:last], whole[first:last], f"{first} to {last}")
        assert (part[:first] == 0.5).all() and (part[last:] == 0.5).all()


def test_streams_differ():
    """By seed, purpose and step, one of which changes at a time."""
    places = [(1, "binarize", 1), (2, "binarize", 1), (1 + 2**62, "binarize", 1), (1, "shuffle", 1), (1, "binarize", 2)]
    streams = {tuple(normal(*place, 0, 4, np.float64).tolist()) for place in places}
    assert len(streams) == len(places)
