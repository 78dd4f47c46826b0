"""Which rows of a layer's dW, and which blocks of the flat vector of parameters, fall to a thread.

A thread updates, but for the ends of blocks, the weights whose gradient it computed itself: cores that lie far apart
hand numbers to each other slowly.
"""

from __future__ import annotations

from types import SimpleNamespace

from numba import int64, types

from npvae.kernels.cpu.loops import compiled, make_integer_access
from npvae.kernels.cpu.plan import RECORD, Layer, Train
from npvae.kernels.cpu.sizes import NORM_BLOCK


def make(target, products):
    """``by_rows(inputs, count)``: whether dW is divided by rows; ``row_of_thread(inputs, thread, count)``: where a
    thread's begin. ``blocks_of_thread(plan, i, thread, count)``: its half-open range of blocks in layer number i, of
    ``number_of_layers(plan)``."""
    get_integer, _ = make_integer_access()
    tiles_down, row_of, size = products.tiles_down, products.row_of, target.itemsize

    @compiled(2, result=int64)
    def by_rows(inputs, count):
        """Whether dW is divided by its rows: if that gives no thread much more than the others."""
        each = (tiles_down(inputs) + count - 1) // count
        return 16 * each * count <= 17 * tiles_down(inputs)

    @compiled(3, result=int64)
    def row_of_thread(inputs, thread, count):
        """The first row of W whose gradient and update fall to a thread."""
        if by_rows(inputs, count):
            return row_of(tiles_down(inputs) * thread // count, inputs)
        return inputs * thread // count

    @compiled(1, result=int64)
    def number_of_layers(plan):
        return get_integer(plan, Train.ENCODER) + 2 + get_integer(plan, Train.DECODER) + get_integer(plan, Train.HEADS)

    @compiled(4, result=int64)
    def block_of_row(plan, i, thread, count):
        """The first block of the flat vector that begins in a thread's part of layer number i, or behind it."""
        at = get_integer(plan, Train.PARAMETERS)
        if i < number_of_layers(plan):
            layer = get_integer(plan, Train.LAYERS) + RECORD * i
            row = row_of_thread(get_integer(layer, Layer.INPUTS), thread, count)
            at = (get_integer(layer, Layer.D_W) - get_integer(plan, Train.GRADIENT)) // size
            at += row * get_integer(layer, Layer.OUTPUTS)
        return (at + NORM_BLOCK - 1) // NORM_BLOCK

    @compiled(4, result=types.UniTuple(int64, 2))
    def blocks_of_thread(plan, i, thread, count):
        """The blocks of the flat vector, in layer number i's part of it, that fall to a thread."""
        first = block_of_row(plan, i, thread, count)
        if thread + 1 < count:
            return first, block_of_row(plan, i, thread + 1, count)
        return first, block_of_row(plan, i + 1, 0, count)

    return SimpleNamespace(
        by_rows=by_rows,
        row_of_thread=row_of_thread,
        number_of_layers=number_of_layers,
        blocks_of_thread=blocks_of_thread,
    )
