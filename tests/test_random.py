"""Random numbers: the words against Philox written out, and the distributions made from them."""

import math

import naive
import numpy as np
import pytest

from npvae.errors import InputError, InputTypeError
from npvae.mathematics import random


def naive_words(seed, purpose, step, count):
    blocks = range(1, -(-count // 4) + 1)
    key = (seed, random.PURPOSES[purpose])
    return [word for block in blocks for word in naive.philox4x64((block, step, 0, 0), key)][:count]


def test_the_naive_philox_has_the_published_answers():
    """The two extreme known answers of the Random123 distribution."""
    assert naive.philox4x64((0, 0, 0, 0), (0, 0)) == (
        0x16554D9ECA36314C,
        0xDB20FE9D672D0FDC,
        0xD7E772CEE186176B,
        0x7E68B68AEC7BA23B,
    )
    ones = 2**64 - 1
    assert naive.philox4x64((ones,) * 4, (ones,) * 2) == (
        0x87B092C3013FE90B,
        0x438C3C67BE8D0224,
        0x9CC7D7C69CD777B6,
        0xA09CAEBF594F0BA0,
    )


@pytest.mark.parametrize("seed", [0, 1, 2**63 - 1])
@pytest.mark.parametrize("purpose", ["latent noise", "shuffle"])
@pytest.mark.parametrize("step", [0, 1, 123456789])
def test_words_are_philox(seed, purpose, step):
    words = random.words(seed, purpose, step, 11)
    assert words.dtype == np.uint64 and words.shape == (11,)
    assert [int(word) for word in words] == naive_words(seed, purpose, step, 11)


def test_words_come_in_order_and_need_not_be_any():
    long = random.words(3, "shuffle", 5, 1000)
    np.testing.assert_array_equal(random.words(3, "shuffle", 5, 10), long[:10])
    assert random.words(3, "shuffle", 5, 0).shape == (0,)
    assert random.normal(3, "shuffle", 5, (0, 3)).shape == random.uniform(3, "shuffle", 5, (0, 3)).shape == (0, 3)


@pytest.mark.parametrize("shape", [(7, 2), (5, 3), (1, 1), (0, 2), (100, 2)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_noise_of_many_steps_is_that_of_each(shape, dtype):
    many = random.normal_of_steps(9, "latent noise", 30, 5, shape, dtype)
    assert many.shape == (5, *shape) and many.dtype == dtype
    for i in range(5):
        wanted = random.normal(9, "latent noise", 30 + i, shape, dtype)
        np.testing.assert_allclose(many[i], wanted, rtol=4 * np.finfo(dtype).eps)


def test_purposes_seeds_and_steps_give_different_words():
    streams = {
        tuple(random.words(seed, purpose, step, 2).tolist())
        for seed in (0, 1, 2)
        for purpose in random.PURPOSES
        for step in (0, 1, 2)
    }
    assert len(streams) == 9 * len(random.PURPOSES)
    numbers = list(random.PURPOSES.values())
    assert len(set(numbers)) == len(numbers)


def test_the_numbers_of_the_purposes_never_change():
    """Runs made with earlier versions depend on these."""
    assert random.PURPOSES == {
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


def test_uniform_numbers_are_the_upper_bits(dtype):
    bits = {4: 24, 8: 53}[dtype.itemsize]
    u = random.uniform(7, "binarize", 2, (3, 5), dtype)
    wanted = [float(word >> (64 - bits)) / 2**bits for word in naive_words(7, "binarize", 2, 15)]
    assert u.dtype == dtype and u.shape == (3, 5)
    np.testing.assert_array_equal(u.ravel(), np.array(wanted, dtype))


def test_uniform_numbers_are_uniform(dtype):
    n = 200_000
    u = random.uniform(1, "binarize", 0, (n,), dtype).astype(np.float64)
    assert u.min() >= 0.0 and u.max() < 1.0
    assert abs(u.mean() - 0.5) < 5 * math.sqrt(1 / 12 / n)
    counts = np.histogram(u, bins=10, range=(0, 1))[0]
    # Chi-squared of 9 degrees of freedom: 35 is passed once in 20 000 cases.
    assert ((counts - n / 10) ** 2 / (n / 10)).sum() < 35


def test_the_largest_word_gives_a_uniform_number_below_one(monkeypatch, dtype):
    monkeypatch.setattr(random, "words", lambda *_: np.array([2**64 - 1, 0], np.uint64))
    u = random.uniform(0, "shuffle", 0, (2,), dtype)
    assert 0.999999 < u[0] < 1.0 and u[1] == 0.0
    z = random.normal(0, "shuffle", 0, (2,), dtype)
    assert np.isfinite(z).all() and 8.5 < z[0] < 8.58


def test_normal_numbers_are_box_and_muller_of_the_words(dtype):
    z = random.normal(5, "latent noise", 4, (3, 3), dtype)
    assert z.dtype == dtype and z.shape == (3, 3)
    u = [(word >> 11) / 2**53 for word in naive_words(5, "latent noise", 4, 10)]
    wanted = []
    for u1, u2 in zip(u[::2], u[1::2], strict=True):
        radius = math.sqrt(-2 * math.log1p(-u1))
        wanted += [radius * math.cos(2 * math.pi * u2), radius * math.sin(2 * math.pi * u2)]
    np.testing.assert_allclose(z.ravel(), wanted[:9], rtol=4 * np.finfo(dtype).eps, atol=np.finfo(dtype).eps)


def test_normal_numbers_have_the_moments_of_the_normal():
    n = 400_000
    z = random.normal(11, "latent noise", 0, (n // 4, 4)).ravel()
    # Variances of z, z^2, z^3, z^4 are 1, 2, 15, 96.
    for power, moment, variance in [(1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)]:
        assert abs((z**power).mean() - moment) < 5 * math.sqrt(variance / n), power
    # The two numbers of a pair are independent, and so are their squares.
    a, b = z[::2], z[1::2]
    assert abs((a * b).mean()) < 5 / math.sqrt(n / 2)
    assert abs((a * a * b * b).mean() - 1) < 5 * math.sqrt(8 / (n / 2))


@pytest.mark.parametrize("count", [0, 1, 2, 1000])
def test_permutation(count):
    order = random.permutation(0, "shuffle", 1, count)
    assert sorted(order.tolist()) == list(range(count))
    assert order.dtype.kind == "i"
    words = naive_words(0, "shuffle", 1, count)
    assert order.tolist() == sorted(range(count), key=words.__getitem__)
    if count > 2:
        assert order.tolist() != random.permutation(0, "shuffle", 2, count).tolist()


def test_bernoulli(dtype):
    p = np.tile(np.array([0.0, 0.1, 0.5, 1.0], dtype), (40_000, 1))
    x = random.bernoulli(1, "binarize", 3, p)
    assert x.dtype == dtype and set(np.unique(x)) == {0.0, 1.0}
    assert not x[:, 0].any() and x[:, 3].all()
    assert (np.abs(x.mean(axis=0, dtype=np.float64) - p[0]) <= 5 * np.sqrt(p[0] * (1 - p[0]) / len(p))).all()


def test_a_probability_of_zero_never_gives_a_one(monkeypatch):
    """Even for the uniform number 0, which comes once in 2^24 words."""
    monkeypatch.setattr(random, "words", lambda *_: np.array([0, 2**63, 2**64 - 1], np.uint64))
    for p, wanted in [(0.0, [0, 0, 0]), (0.5, [1, 0, 0]), (1.0, [1, 1, 1])]:
        assert random.bernoulli(0, "binarize", 0, np.full(3, p)).tolist() == wanted


def test_seed_from():
    assert random.seed_from(0) == 0 and random.seed_from(np.int64(7)) == 7
    with pytest.raises(InputError, match="below 2"):
        random.seed_from(2**63)
    fresh = {random.seed_from(None) for _ in range(4)}
    assert len(fresh) == 4 and all(0 <= seed < 2**63 for seed in fresh)
    a, b = np.random.default_rng(3), np.random.default_rng(3)
    first = random.seed_from(a)
    assert first == random.seed_from(b) and first != random.seed_from(a)
    assert first == np.random.default_rng(3).integers(0, 2**63) and random.seed_from(2**63 - 1) == 2**63 - 1
    old = np.random.RandomState(3)
    assert random.seed_from(old) == np.random.RandomState(3).randint(0, 2**31)
    assert type(random.seed_from(np.random.default_rng(0))) is int
    with pytest.raises(InputError, match="random_state must be at least 0, got -1"):
        random.seed_from(-1)
    for wrong in ("0", 1.5, True):
        with pytest.raises(InputTypeError, match="random_state must be None, a whole number or a numpy.random"):
            random.seed_from(wrong)


def test_a_stream_gives_every_draw_its_own_noise_and_repeats_itself():
    first, again = random.Stream(3, "data sample", 5), random.Stream(3, "data sample", 5)
    a, b = first.normal((40,)), first.normal((40,))
    assert not np.isin(a, b).any()
    np.testing.assert_array_equal(a, again.normal((40,)))
    np.testing.assert_array_equal(b, again.normal((40,)))
    np.testing.assert_array_equal(a, random.normal(3, "data sample", 5, (40,)))
    np.testing.assert_array_equal(first.uniform((4,)), random.uniform(3, "data sample", 5, (4,), draw=2))


def test_a_part_of_a_run_has_a_seed_of_its_own():
    """The upper 63 bits of the part's first word."""
    seeds = [random.seed_for_part(11, "members", part) for part in range(5)]
    assert seeds == [naive_words(11, "members", part, 1)[0] // 2 for part in range(5)]
    assert {type(seed) for seed in seeds} == {int} and len(set(seeds)) == 5
    assert random.seed_for_part(12, "members", 0) != seeds[0] != random.seed_for_part(11, "features", 0)


def test_seeds_of_generators_are_their_next_integers(monkeypatch):
    for seed in range(20):
        assert random.seed_from(np.random.default_rng(seed)) == np.random.default_rng(seed).integers(0, 2**63)
        found = random.seed_from(np.random.RandomState(seed))
        assert found == np.random.RandomState(seed).randint(0, 2**31) and type(found) is int
    monkeypatch.setattr(random.secrets, "randbits", lambda bits: 2**bits - 1)
    assert random.seed_from(None) == 2**63 - 1


def test_ties_keep_their_order(monkeypatch):
    monkeypatch.setattr(random, "words", lambda *_: (np.arange(3000) * 7 % 3).astype(np.uint64))
    assert random.permutation(0, "shuffle", 1, 3000).tolist() == sorted(range(3000), key=lambda i: i * 7 % 3)


def test_every_draw_of_a_stream_is_counted_whatever_it_is():
    stream, p = random.Stream(3, "data sample", 5), np.full(200, 0.5)
    np.testing.assert_array_equal(stream.bernoulli(p), random.bernoulli(3, "data sample", 5, p))
    np.testing.assert_array_equal(stream.bernoulli(p), random.bernoulli(3, "data sample", 5, p, 1))
    np.testing.assert_array_equal(
        stream.normal((5,), np.float32), random.normal(3, "data sample", 5, (5,), np.float32, 2)
    )
    np.testing.assert_array_equal(
        stream.uniform((5,), np.float32), random.uniform(3, "data sample", 5, (5,), np.float32, 3)
    )
    # Words of another draw are others from the first on.
    drawn = [random.words(3, "data sample", 5, 4, draw).tolist() for draw in (0, 1, 2)]
    assert (
        drawn[0] == random.words(3, "data sample", 5, 4).tolist()
        and len({word for words in drawn for word in words}) == 12
    )


def test_zeros_and_ones_are_by_uniform_numbers_and_nan_stays(dtype):
    p = np.array([[0.5, np.nan, 0.25], [0.75, 0.5, np.nan]] * 20, dtype)
    for seed, step, draw in ((1, 0, 0), (2, 3, 0), (2, 3, 4)):
        x = random.bernoulli(seed, "binarize", step, p, draw)
        u = random.uniform(seed, "binarize", step, p.shape, np.float32, draw)
        np.testing.assert_array_equal(x, np.where(np.isnan(p), np.nan, u < p))
        assert x.dtype == dtype
