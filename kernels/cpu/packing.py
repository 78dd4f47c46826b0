"""Copies that bring a piece of a matrix into the order in which a tile reads it: as it is, turned, or without zeros."""

from __future__ import annotations

from types import SimpleNamespace

import llvmlite.ir as ir
from numba import int64, types

from npvae.kernels.cpu import vector
from npvae.kernels.cpu.loops import Range, compiled, make_access, make_intrinsic
from npvae.kernels.cpu.sizes import B_TRANSPOSED
from npvae.kernels.cpu.vector import I32, I64, integer


def make_copy_rows(target, width: int):
    """``copy(count, source, stride, out, out_stride)``: ``width`` numbers of each row, in whole vectors.

    It reads and writes past the last number, up to a vector's end.
    """
    dtype, lanes = target.dtype, target.lanes

    def codegen(context, builder, _, arguments):
        count, source, stride, out, out_stride = arguments
        source, out = vector.pointer(builder, dtype, source), vector.pointer(builder, dtype, out)
        rows = Range(builder, integer(0), count, 1, [source, out])
        source, out = rows.carried
        for start in range(0, width, lanes):
            offset = [integer(start)]
            vector.store(vector.load(builder, dtype, lanes, builder.gep(source, offset)), builder.gep(out, offset))
        rows.close([builder.gep(source, [stride]), builder.gep(out, [out_stride])])
        return context.get_dummy_value()

    return make_intrinsic(types.void(*[int64] * 5), codegen)


def make_compress(target, rows: int, across: bool):
    """``compress(count, source, stride, out, indices) -> kept``: the k at which one of ``rows`` numbers is not zero.

    Number i of k is source[k * stride + i], or with ``across`` source[i * stride + k]. Kept ones go to
    out[kept * rows + i], and k to indices[kept], 32 bits. Nothing branches: each k is written, and written over if
    it was zero. Without ``across`` it reads and writes past the last number, up to a vector's end.
    """
    dtype, lanes = target.dtype, target.lanes
    kind = vector.BITS[dtype][0]

    def codegen(context, builder, _, arguments):
        count, source, stride, out, indices = arguments
        source, out = vector.pointer(builder, dtype, source), vector.pointer(builder, dtype, out)
        indices = builder.inttoptr(indices, I32.as_pointer())
        turns = Range(builder, integer(0), count, 1, [integer(0)])
        k, (kept,) = turns.index, turns.carried
        here = builder.gep(out, [builder.mul(kept, integer(rows))])
        if across:
            bits = ir.Constant(kind, 0)
            for i in range(rows):
                place = builder.gep(source, [builder.add(builder.mul(stride, integer(i)), k)])
                number = builder.load(place)
                bits = builder.or_(bits, builder.bitcast(number, kind))
                builder.store(number, builder.gep(here, [integer(i)]))
            # The sign does not count: -0 is zero.
            some = builder.icmp_unsigned("!=", builder.shl(bits, ir.Constant(kind, 1)), ir.Constant(kind, 0))
        else:
            row = builder.gep(source, [builder.mul(k, stride)])
            some = ir.Constant(ir.IntType(1), 0)
            for start in range(0, rows, lanes):
                values = vector.load(builder, dtype, lanes, builder.gep(row, [integer(start)]))
                vector.store(values, builder.gep(here, [integer(start)]))
                not_zero = builder.fcmp_unordered("!=", values.value, values.like(0.0).value)
                mask = builder.bitcast(not_zero, ir.IntType(lanes))
                wanted = (1 << min(lanes, rows - start)) - 1
                mask = builder.and_(mask, ir.Constant(ir.IntType(lanes), wanted))
                some = builder.or_(some, builder.icmp_unsigned("!=", mask, ir.Constant(ir.IntType(lanes), 0)))
        builder.store(builder.trunc(k, I32), builder.gep(indices, [kept]))
        turns.close([builder.add(kept, builder.zext(some, I64))])
        return turns.carried[0]

    return make_intrinsic(int64(*[int64] * 5), codegen)


def make_transpose(target):
    """``transpose(count, source, stride, out)``: out[k * panel + t] = source[t * stride + k], t < panel.

    k runs to ``count`` rounded down to whole vectors. Squares of lanes x lanes are turned in registers: in
    log2(lanes) stages, groups of 1, 2, 4, ... lanes are exchanged between rows as far apart.
    """
    dtype, lanes = target.dtype, target.lanes

    def codegen(context, builder, _, arguments):
        count, source, stride, out = arguments
        source, out = vector.pointer(builder, dtype, source), vector.pointer(builder, dtype, out)
        columns = Range(builder, integer(0), count, lanes)
        k = columns.index
        for block in range(target.tile_vectors):
            square = []
            for t in range(lanes):
                row = builder.mul(stride, integer(block * lanes + t))
                square.append(vector.load(builder, dtype, lanes, builder.gep(source, [builder.add(row, k)])))
            group = 1
            while group < lanes:
                for t in range(lanes):
                    if not t // group % 2:
                        square[t], square[t + group] = vector.interleave(square[t], square[t + group], group)
                group *= 2
            for t in range(lanes):
                row = builder.mul(builder.add(k, integer(t)), integer(target.panel))
                vector.store(square[t], builder.gep(out, [builder.add(row, integer(block * lanes))]))
        columns.close()
        return context.get_dummy_value()

    return make_intrinsic(types.void(*[int64] * 4), codegen)


def make_packing(target):
    """What a product needs: ``pack_panel`` for B; ``pack_columns`` and ``compress_columns`` for a transposed A."""
    rows, panel, lanes, size = target.tile_rows, target.panel, target.lanes, target.itemsize
    get, put = make_access(target)
    heights = (rows, 4, 2, 1)
    copy_panel, transpose = make_copy_rows(target, panel), make_transpose(target)
    copy_whole, copy_4, copy_2, copy_1 = (make_copy_rows(target, m) for m in heights)
    down_whole, down_4, down_2, down_1 = (make_compress(target, m, False) for m in heights)

    @compiled(8)
    def pack_panel(b, ldb, k0, k1, j, n, form, out):
        """The columns j to j + panel of B, rows k0 to k1, in one piece; zeros beyond column n."""
        columns = min(panel, n - j)
        if form == B_TRANSPOSED:
            done = 0
            if columns == panel:
                done = (k1 - k0) // lanes * lanes
                transpose(done, b + size * (j * ldb + k0), ldb, out)
            for t in range(columns):
                for k in range(done, k1 - k0):
                    put(out, k * panel + t, get(b, (j + t) * ldb + k0 + k))
        elif columns == panel:
            copy_panel(k1 - k0, b + size * (k0 * ldb + j), ldb, out, panel)
        else:
            for k in range(k1 - k0):
                for t in range(columns):
                    put(out, k * panel + t, get(b, (k0 + k) * ldb + j + t))
        for k in range(k1 - k0):
            for t in range(columns, panel):
                put(out, k * panel + t, 0.0)

    @compiled(6)
    def pack_columns(m, count, source, lda, left, out):
        """m columns of A in one piece: out[k * m + i]; m is a tile's number of rows.

        ``left`` numbers from ``source`` on are A's, and none behind them is read: the last rows, where a vector would
        reach past the end, are copied number by number.
        """
        width = (m + lanes - 1) // lanes * lanes
        by_vectors = 0
        if left >= width:
            by_vectors = min(count, (left - width) // lda + 1)
        if m == rows:
            copy_whole(by_vectors, source, lda, out, m)
        elif m == 4:
            copy_4(by_vectors, source, lda, out, m)
        elif m == 2:
            copy_2(by_vectors, source, lda, out, m)
        else:
            copy_1(by_vectors, source, lda, out, m)
        for k in range(by_vectors, count):
            for i in range(m):
                put(out, k * m + i, get(source, k * lda + i))

    @compiled(6, result=int64)
    def compress_columns(m, count, source, lda, out, indices):
        """As ``pack_columns``, without the k at which all are zero; how many are left."""
        if m == rows:
            return down_whole(count, source, lda, out, indices)
        if m == 4:
            return down_4(count, source, lda, out, indices)
        if m == 2:
            return down_2(count, source, lda, out, indices)
        return down_1(count, source, lda, out, indices)

    return SimpleNamespace(pack_panel=pack_panel, pack_columns=pack_columns, compress_columns=compress_columns)
