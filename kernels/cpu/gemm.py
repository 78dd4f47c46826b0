"""Matrix products C = A B, C = A B^T and C = A^T B, written for the registers and caches of one core.

Three levels, from the inside (the scheme of Goto & van de Geijn 2008, "Anatomy of high-performance matrix
multiplication"):

1. A *tile* of C, ``tile_rows`` x ``panel`` numbers, stays in vector registers while k runs: tiles.py.

2. A *panel* of B, ``BLOCK_K`` x ``panel``, is first copied so that it lies in one piece in the first-level
   cache; every tile of its columns runs over it. Copying is also where B is transposed, and where the last
   panel is filled up with zeros.

3. ``BLOCK_M`` rows of A stay in the second-level cache while all panels run over them.

A is read where it is for A B; for A^T B its columns are copied as they are met, tile by tile.

Zeros are skipped in a *sparse* A, such as images, most of whose pixels are black: for each tile of rows, only the k at
which one of its rows is not zero are kept, with the list of these k (``compress``). A sparse tile looks its
rows of B up in the list. For finite B the result is the same, since what is left out is zero; a dense A costs a
few hundredths more. Pixels lie side by side and pictures are alike, so on MNIST more than half of all k are skipped.

A *narrow* C, of fewer columns than a vector has numbers, such as mean and log-variance of a 2-dimensional latent
space, would leave most of a tile unused. There C^T = B^T A^T is computed instead: the panels are of A^T, of which
there are many columns, and the rows of a tile are those of B^T. Tiles of C^T are turned on their way to C.

Every element of C is summed over k in the same order whatever the number of threads, since threads divide C, not k.
Edges: the last rows by tiles of 4, 2 and 1 rows, the last columns through a small buffer.
"""

from __future__ import annotations

from types import SimpleNamespace

from numba import int64

from npvae.kernels.cpu.loops import compiled, make_access, make_integer_access
from npvae.kernels.cpu.packing import make_compress, make_packing
from npvae.kernels.cpu.sizes import (
    A_TRANSPOSED,
    B_TRANSPOSED,
    BLOCK_K,
    BLOCK_M,
    PLAIN,
    ROW_TILES,
    SPARSE,
    SPARSE_TRANSPOSED,
)
from npvae.kernels.cpu.tiles import make_tile


def make(target, epilogue):
    """The products of a target, as Numba functions; all sizes in numbers, all addresses in bytes.

    ``multiply(a, lda, b, ldb, c, ldc, m, n, k, form, add, first, last, scratch, code, p, q)`` computes the tiles
    ``first`` to ``last`` of C, (m, n): counted down the rows of the first panel, then of the next.

        form = PLAIN            C = A B        A (m, k), B (k, n)
               B_TRANSPOSED     C = A B^T      A (m, k), B (n, k)
               A_TRANSPOSED     C = A^T B      A (k, m), B (k, n)
               SPARSE           C = A B        a is a list that ``compress_rows`` made
               SPARSE_TRANSPOSED               C = A^T B for a sparse A (k, m)

    ``add`` starts from C instead of 0. ``epilogue(code, c, ldc, rows, columns, row, column, p, q)`` is called for every
    finished piece of C, while it is in the cache. Rows of a transposed sparse A are read past their end, by less than a
    vector. ``tiles(m, n)`` says how many tiles there are, ``tiles_down(m)`` how many in a panel, ``row_of(t, m)`` where
    the panel's tile number t begins.

    ``compress_rows(a, lda, m, k, first, last, sparse)`` lists the tiles of rows ``first`` to ``last`` of A (m, k) at
    ``sparse``, which has room for ``sparse_bytes``.
    """
    rows, panel, lanes, size = target.tile_rows, target.panel, target.lanes, target.itemsize
    get, put = make_access(target)
    get_integer, put_integer = make_integer_access()
    heights = (rows, 4, 2, 1)
    tile_whole, tile_4, tile_2, tile_1 = (make_tile(target, m, False) for m in heights)
    packed_whole, packed_4, packed_2, packed_1 = (make_tile(target, m, True) for m in heights)
    listed_whole, listed_4, listed_2, listed_1 = (make_tile(target, m, True, True) for m in heights)
    packing = make_packing(target)
    pack_panel, pack_columns, compress_columns = packing.pack_panel, packing.pack_columns, packing.compress_columns
    across_whole, across_4, across_2, across_1 = (make_compress(target, m, True) for m in heights)

    @compiled(8)
    def tile(form, m, k, a, lda, b, c, ldc_add):
        """One tile; the sign of ``ldc_add`` says whether C is added to, its size is C's row length."""
        add = 1 if ldc_add < 0 else 0
        ldc = -ldc_add if add else ldc_add
        if form == PLAIN or form == B_TRANSPOSED:
            if m == rows:
                tile_whole(k, a, lda, b, c, ldc, add)
            elif m == 4:
                tile_4(k, a, lda, b, c, ldc, add)
            elif m == 2:
                tile_2(k, a, lda, b, c, ldc, add)
            else:
                tile_1(k, a, lda, b, c, ldc, add)
        elif form == A_TRANSPOSED:
            if m == rows:
                packed_whole(k, a, lda, b, c, ldc, add)
            elif m == 4:
                packed_4(k, a, lda, b, c, ldc, add)
            elif m == 2:
                packed_2(k, a, lda, b, c, ldc, add)
            else:
                packed_1(k, a, lda, b, c, ldc, add)
        else:
            if m == rows:
                listed_whole(k, a, lda, b, c, ldc, add)
            elif m == 4:
                listed_4(k, a, lda, b, c, ldc, add)
            elif m == 2:
                listed_2(k, a, lda, b, c, ldc, add)
            else:
                listed_1(k, a, lda, b, c, ldc, add)

    @compiled(2, result=int64)
    def tile_height(i, m):
        """Rows of the tile that starts at row i of m: whole tiles first, then 4, 2, 1."""
        left = m - i
        if left >= rows:
            return rows
        if left >= 4:
            return 4
        if left >= 2:
            return 2
        return 1

    @compiled(1, result=int64)
    def tiles_down(m):
        """Tiles in one panel of m rows."""
        left = m % rows
        return m // rows + left // 4 + left % 4 // 2 + left % 2

    @compiled(2, result=int64)
    def row_of(t, m):
        """The first row of a panel's tile number t; m for the number past the last."""
        whole = m // rows
        if t <= whole:
            return t * rows
        i = whole * rows
        for _ in range(t - whole):
            i += tile_height(i, m)
        return i

    @compiled(3, result=int64)
    def is_narrow(m, n, form):
        """Whether C^T is computed in the place of C: then a tile's vectors are full, though C has few columns."""
        return n <= lanes and n < m and form != SPARSE and form != SPARSE_TRANSPOSED

    @compiled(3, result=int64)
    def tiles(m, n, form):
        if is_narrow(m, n, form):
            return (m + panel - 1) // panel
        return tiles_down(m) * ((n + panel - 1) // panel)

    @compiled(1, result=int64)
    def block_of(k):
        """Blocks of equal size, a multiple of the lanes so that transposing works on whole vectors."""
        blocks = (k + BLOCK_K - 1) // BLOCK_K
        return ((k + blocks - 1) // blocks + lanes - 1) // lanes * lanes

    @compiled(10)
    def edge_tile(form, m, k, a, lda, b, c, ldc_add, columns, edge):
        """A tile of fewer columns than a panel goes through the buffer ``edge``."""
        tile(form, m, k, a, lda, b, edge, panel)
        ldc = abs(ldc_add)
        for i in range(m):
            for t in range(columns):
                value = get(edge, i * panel + t)
                if ldc_add < 0:
                    value += get(c, i * ldc + t)
                put(c, i * ldc + t, value)

    @compiled(7)
    def compress_rows(a, lda, m, k, first, last, sparse):
        """See ``make``. The list: m * k values; then m * k indices; then a count for each tile and block of k."""
        step = block_of(k)
        blocks = (k + step - 1) // step
        indices = sparse + size * m * k
        counts = indices + 4 * m * k // 8 * 8 + 8
        i = row_of(first, m)
        for t in range(first, last):
            height = tile_height(i, m)
            for block in range(blocks):
                k0 = block * step
                count = min(step, k - k0)
                source, out = a + size * (i * lda + k0), sparse + size * (i * k + k0 * height)
                to = indices + 4 * (t * k + k0)
                if height == rows:
                    kept = across_whole(count, source, lda, out, to)
                elif height == 4:
                    kept = across_4(count, source, lda, out, to)
                elif height == 2:
                    kept = across_2(count, source, lda, out, to)
                else:
                    kept = across_1(count, source, lda, out, to)
                put_integer(counts, t * blocks + block, kept)
            i += height

    @compiled(6)
    def turn_back(turned, c, ldc, rows, n, add):
        """C (+)= the transpose of ``turned``, (n, panel), of which ``rows`` columns count."""
        for i in range(rows):
            for j in range(n):
                value = get(turned, j * panel + i)
                if add:
                    value += get(c, i * ldc + j)
                put(c, i * ldc + j, value)

    @compiled(17)
    def multiply_narrow(a, lda, b, ldb, c, ldc, m, n, k, form, add, first, last, scratch, code, p, q):
        """``multiply`` by way of C^T = B^T A^T: its panels ``first`` to ``last``, each with all of its n rows."""
        step = block_of(k)
        packed_a = scratch
        packed_b = packed_a + size * BLOCK_K * panel
        turned = packed_b + size * BLOCK_K * lanes
        form_a = PLAIN if form == A_TRANSPOSED else B_TRANSPOSED  # A^T takes the place of B
        form_b = PLAIN if form == B_TRANSPOSED else A_TRANSPOSED  # and B^T that of A
        for s in range(first, last):
            row = s * panel
            rows_here = min(panel, m - row)
            k0 = 0
            while k0 < k:
                k1 = min(k, k0 + step)
                pack_panel(a, lda, k0, k1, row, m, form_a, packed_a)
                j = 0
                while j < n:
                    height = tile_height(j, n)
                    source, stride = b + size * (j * ldb + k0), ldb
                    if form_b == A_TRANSPOSED:
                        source, stride = packed_b + size * j * (k1 - k0), 0
                        if s == first or step < k:  # else it is there from the panel before
                            for t in range(k1 - k0):
                                for i in range(height):
                                    put(source, t * height + i, get(b, (k0 + t) * ldb + j + i))
                    to, signed = turned + size * j * panel, -panel if k0 > 0 else panel
                    tile(form_b, height, k1 - k0, source, stride, packed_a, to, signed)
                    j += height
                k0 = k1
            place = c + size * row * ldc
            turn_back(turned, place, ldc, rows_here, n, add)
            epilogue(code, place, ldc, rows_here, n, row, 0, p, q)

    @compiled(17)
    def multiply(a, lda, b, ldb, c, ldc, m, n, k, form, add, first, last, scratch, code, p, q):
        if first >= last:
            return
        if is_narrow(m, n, form):
            multiply_narrow(a, lda, b, ldb, c, ldc, m, n, k, form, add, first, last, scratch, code, p, q)
            return
        down = tiles_down(m)
        panel_first, panel_last = first // down, (last - 1) // down + 1
        step = block_of(k)
        blocks = (k + step - 1) // step
        packed_b = scratch
        packed_a = scratch + size * BLOCK_K * panel * (panel_last - panel_first)
        edge = packed_a + size * BLOCK_K * (BLOCK_M + 2 * rows)
        lists = edge + size * (rows * panel + 4 * panel)
        counts = lists + 4 * BLOCK_K * ROW_TILES
        if form == SPARSE:
            lists = a + size * m * k
            counts = lists + 4 * m * k // 8 * 8 + 8
        row_tiles = BLOCK_M // rows
        k0 = 0
        while k0 < k:
            k1 = min(k, k0 + step)
            signed_ldc = -ldc if add or k0 > 0 else ldc
            for s in range(panel_first, panel_last):
                pack_panel(b, ldb, k0, k1, s * panel, n, form, packed_b + size * BLOCK_K * panel * (s - panel_first))
            t0 = 0
            while t0 < down:
                t1 = min(down, t0 + row_tiles)
                i0 = row_of(t0, m)
                if form == A_TRANSPOSED or form == SPARSE_TRANSPOSED:
                    i = i0
                    for t in range(t0, t1):
                        height = tile_height(i, m)
                        source, out = a + size * (k0 * lda + i), packed_a + size * (i - i0) * (k1 - k0)
                        if form == A_TRANSPOSED:
                            pack_columns(height, k1 - k0, source, lda, (k - k0 - 1) * lda + m - i, out)
                        else:
                            to = lists + 4 * (t - t0) * BLOCK_K
                            put_integer(counts, t - t0, compress_columns(height, k1 - k0, source, lda, out, to))
                        i += height
                for s in range(panel_first, panel_last):
                    j = s * panel
                    columns = min(panel, n - j)
                    begin, end = max(t0, first - s * down), min(t1, last - s * down)
                    if begin >= end:
                        continue
                    row = row_of(begin, m)
                    i = row
                    panel_b = packed_b + size * BLOCK_K * panel * (s - panel_first)
                    for t in range(begin, end):
                        height = tile_height(i, m)
                        count, stride = k1 - k0, lda
                        if form == PLAIN or form == B_TRANSPOSED:
                            source = a + size * (i * lda + k0)
                        elif form == SPARSE:
                            source = a + size * (i * k + k0 * height)
                            count, stride = get_integer(counts, t * blocks + k0 // step), lists + 4 * (t * k + k0)
                        else:
                            source = packed_a + size * (i - i0) * (k1 - k0)
                            if form == SPARSE_TRANSPOSED:
                                count, stride = get_integer(counts, t - t0), lists + 4 * (t - t0) * BLOCK_K
                        place = c + size * (i * ldc + j)
                        if columns == panel:
                            tile(form, height, count, source, stride, panel_b, place, signed_ldc)
                        else:
                            edge_tile(form, height, count, source, stride, panel_b, place, signed_ldc, columns, edge)
                        i += height
                    if k1 == k:
                        epilogue(code, c + size * (row * ldc + j), ldc, i - row, columns, row, j, p, q)
                t0 = t1
            k0 = k1

    return SimpleNamespace(
        multiply=multiply, tiles=tiles, tiles_down=tiles_down, row_of=row_of, compress_rows=compress_rows
    )
