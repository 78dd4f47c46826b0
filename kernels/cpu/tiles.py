"""The innermost loop of a matrix product: a tile of C in vector registers while k runs.

    for k:  C[i, :] += A[i, k] * B[k, :]        one multiply-add a vector, i over the tile's rows

Each k loads ``tile_vectors`` vectors of B and ``tile_rows`` single numbers of A for tile_rows * tile_vectors
multiply-adds. 16 registers hold 6 x 2 of C, two of B and one of A; 32 registers hold 10 x 2, and more would gain
nothing: two multiply-adds a cycle of latency 4 need 8 independent sums.
"""

from __future__ import annotations

from numba import int64, types

from npvae.kernels.cpu import vector
from npvae.kernels.cpu.loops import Range, make_intrinsic
from npvae.kernels.cpu.vector import I32, I64, Vector, integer

#: Turns of the loop over k that are written out.
UNROLL = 4


def make_tile(target, rows: int, packed: bool, listed: bool = False):
    """``tile(k, a, lda, b, c, ldc, add)``: rows x panel of C (+)= A B over k, addresses of numbers.

    ``packed``: A's element (i, k) is a[k * rows + i], else a[i * lda + k]. B's row k is b[k * panel ...]; ``listed``:
    it is b[list[k] * panel ...], and ``lda`` is the address of the list, of 32-bit integers.
    """
    dtype, lanes, vectors, panel = target.dtype, target.lanes, target.tile_vectors, target.panel

    def codegen(context, builder, _, arguments):
        k_count, a, lda, b, c, ldc, add = arguments
        a, b, c = (vector.pointer(builder, dtype, address) for address in (a, b, c))
        c_rows = [builder.gep(c, [builder.mul(ldc, integer(i))]) for i in range(rows)]
        places = [builder.gep(row, [integer(v * lanes)]) for row in c_rows for v in range(vectors)]

        # C is needed last: it is asked for first, so that it is there by then.
        for row in c_rows:
            vector.prefetch(builder, row)
        sums = [vector.constant(dtype, lanes, 0.0)] * (rows * vectors)

        if listed:
            the_list = builder.inttoptr(lda, I32.as_pointer())

        def turn(a_rows, b_row, sums, k: int, index):
            """One k: ``a_rows`` point at its elements of A (packed: one pointer), ``b_row`` at row 0 of the turn."""
            if listed:
                number = builder.load(builder.gep(the_list, [builder.add(index, integer(k))]))
                b_row = builder.gep(b, [builder.mul(builder.zext(number, I64), integer(panel))])
            offset = 0 if listed else k * panel
            row = [
                vector.load(builder, dtype, lanes, builder.gep(b_row, [integer(offset + v * lanes)]))
                for v in range(vectors)
            ]
            sums = list(sums)
            for i in range(rows):
                place = (
                    builder.gep(a_rows[0], [integer(k * rows + i)]) if packed else builder.gep(a_rows[i], [integer(k)])
                )
                factor = vector.broadcast(builder, dtype, lanes, builder.load(place))
                for v in range(vectors):
                    sums[i * vectors + v] = factor.fma(
                        row[v], Vector(builder, dtype, lanes, sums[i * vectors + v])
                    ).value
            return sums

        a_rows = [a] if packed else [builder.gep(a, [builder.mul(lda, integer(i))]) for i in range(rows)]
        start, b_rows = integer(0), b
        for width in (UNROLL, 1):
            carried = [*sums, *a_rows, b_rows]
            turns = Range(builder, start, k_count, width, carried)
            sums, pointers = turns.carried[: len(sums)], turns.carried[len(sums) :]
            now = sums
            for k in range(width):
                now = turn(pointers[:-1], pointers[-1], now, k, turns.index)
            forward = [builder.gep(p, [integer(width * rows if packed else width)]) for p in pointers[:-1]]
            turns.close([*now, *forward, builder.gep(pointers[-1], [integer(width * panel)])])
            start = turns.index
            sums, a_rows, b_rows = turns.carried[: len(sums)], turns.carried[len(sums) : -1], turns.carried[-1]
        with builder.if_else(builder.icmp_signed("!=", add, integer(0))) as (to_c, fresh):
            with to_c:
                for value, place in zip(sums, places, strict=True):
                    vector.store(
                        vector.load(builder, dtype, lanes, place) + Vector(builder, dtype, lanes, value), place
                    )
            with fresh:
                for value, place in zip(sums, places, strict=True):
                    vector.store(Vector(builder, dtype, lanes, value), place)
        return context.get_dummy_value()

    return make_intrinsic(types.void(*[int64] * 7), codegen)
