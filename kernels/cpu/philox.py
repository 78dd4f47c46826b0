"""Random numbers by counter: the words of npvae.mathematics.random, compiled.

Philox4x64-10 turns a key of two words and a counter of four into four random words; counters follow each
other, so any thread can make any stretch of a stream.

    ten times:   hi0, lo0 = M0 * c0;   hi1, lo1 = M1 * c2             128-bit products
                 c = (hi1 ^ c1 ^ k0, lo1, hi0 ^ c3 ^ k1, lo0)
                 k = (k0 + W0, k1 + W1)

    uniform      u = k / 2^53 from the upper 53 bits (2^24 from the upper 24 for float32)
    normal       z0 = r cos(2 pi u2),  z1 = r sin(2 pi u2),  r = sqrt(-2 log(1 - u1))

Source: Salmon et al. (2011), "Parallel random numbers: as easy as 1, 2, 3"; Box & Muller (1958).
"""

from __future__ import annotations

from types import SimpleNamespace

import llvmlite.ir as ir
from numba import types, uint64

from npvae.kernels.cpu import elementary
from npvae.kernels.cpu.loops import compiled, loop, make_access, make_intrinsic
from npvae.kernels.cpu.sizes import PAIRS
from npvae.kernels.cpu.target import Target

M0, M1 = 0xD2E7470EE14C6C93, 0xCA5A826395121157
W0, W1 = 0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B


def _high_product(context, builder, _, arguments):
    wide = ir.IntType(128)
    a, b = (builder.zext(argument, wide) for argument in arguments)
    product = builder.lshr(builder.mul(a, b), ir.Constant(wide, 64))
    return builder.trunc(product, ir.IntType(64))


def box_muller(u1, u2):
    """Two normal numbers from uniform ones, u1 in [0, 1)."""
    radius = (elementary.log(1.0 - u1) * -2.0).sqrt()
    sine, cosine = elementary.sine_and_cosine_of_turns(u2)
    return radius * cosine, radius * sine


def make(target):
    """``normal(key0, key1, step, out, first, last, scratch)`` and ``bernoulli(key0, key1, step, x, first, last)``.

    ``normal`` writes the elements first to last of the stream's normal numbers, rounded to the dtype, at
    out + their index; scratch is room for ``4 * PAIRS`` float64. ``bernoulli`` replaces the elements
    first to last of x by 1 with that probability, else 0.
    """
    high = make_intrinsic(uint64(uint64, uint64), _high_product)
    get, put = make_access(target)
    wide = Target("float64", target.vector_bytes, target.registers)
    get_wide, put_wide = make_access(wide)
    transform = loop(wide, 2, 2, 0, lambda inputs, _: list(box_muller(*inputs)))
    number = getattr(types, target.dtype)
    m0, m1, w0, w1 = (uint64(word) for word in (M0, M1, W0, W1))

    @compiled(4, result=types.UniTuple(uint64, 4))
    def block(key0, key1, counter, step):
        """The four words of one counter."""
        c0, c1, c2, c3 = uint64(counter), uint64(step), uint64(0), uint64(0)
        k0, k1 = uint64(key0), uint64(key1)
        for _ in range(10):
            high0, low0, high1, low1 = high(m0, c0), m0 * c0, high(m1, c2), m1 * c2
            c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
            k0 += w0
            k1 += w1
        return c0, c1, c2, c3

    @compiled(uint64, result=types.float64)
    def unit(word):
        """The upper 53 bits as a float64 in [0, 1)."""
        return types.float64(types.int64(word >> uint64(11))) * 2.0**-53

    @compiled(7)
    def normal(key0, key1, step, out, first, last, scratch):
        start = first // 4 * 4  # a block makes four numbers
        while start < last:
            stop = min(last, start + 2 * PAIRS)
            pairs = (stop - start + 3) // 4 * 2
            u1, u2 = scratch, scratch + 8 * PAIRS
            z0, z1 = u2 + 8 * PAIRS, u2 + 16 * PAIRS
            for i in range(pairs // 2):
                a, b, c, d = block(key0, key1, start // 4 + i + 1, step)
                put_wide(u1, 2 * i, unit(a))
                put_wide(u2, 2 * i, unit(b))
                put_wide(u1, 2 * i + 1, unit(c))
                put_wide(u2, 2 * i + 1, unit(d))
            transform(pairs, u1, u2, z0, z1)
            for i in range(max(first, start), stop):
                pair = (i - start) // 2
                z = get_wide(z1, pair) if (i - start) % 2 else get_wide(z0, pair)
                put(out, i, number(z))
            start = stop

    # Uniform numbers of 24 bits, as float32 has them, whatever the dtype of x.
    shift = uint64(64 - 24)

    @compiled(2, uint64)
    def draw(x, at, word):
        """x[at] = 1 with probability x[at], else 0."""
        u = number(types.int64(word >> shift)) * number(2.0**-24)
        put(x, at, number(1.0) if u < get(x, at) else number(0.0))

    @compiled(6)
    def bernoulli(key0, key1, step, x, first, last):
        for at in range(first // 4 * 4, last, 4):
            a, b, c, d = block(key0, key1, at // 4 + 1, step)
            if first <= at:
                draw(x, at, a)
            if first <= at + 1 < last:
                draw(x, at + 1, b)
            if first <= at + 2 < last:
                draw(x, at + 2, c)
            if first <= at + 3 < last:
                draw(x, at + 3, d)

    return SimpleNamespace(normal=normal, bernoulli=bernoulli)
