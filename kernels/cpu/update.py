"""The end of a step: the gradient's length, and the optimiser's update, block by block of the flat vector.

The blocks are the same whatever the number of threads, so the length is summed in the same order.
"""

from __future__ import annotations

import math
from types import SimpleNamespace

from numba import types

from npvae.kernels.cpu import bodies
from npvae.kernels.cpu.loops import compiled, loop, make_access, make_integer_access
from npvae.kernels.cpu.plan import Constant, Train
from npvae.kernels.cpu.sizes import NORM_BLOCK, SUMS_HEAD
from npvae.kernels.cpu.target import Target


def make(target, arithmetic, shares):
    """``norm_blocks(plan, thread, count)``, after all of them ``norm(plan)``, and with it
    ``update_blocks(plan, step, length, thread, count)``; ``shares`` is division.py's."""
    get_integer, _ = make_integer_access()
    get_wide, put_wide = make_access(Target("float64", target.vector_bytes, target.registers))
    number, size = getattr(types, target.dtype), target.itemsize
    number_of_layers, blocks_of_thread = shares.number_of_layers, shares.blocks_of_thread
    sum_of_squares = loop(target, 1, 0, 0, bodies.square, sums=True, unroll=4)
    update, flush = arithmetic.update, arithmetic.flush

    @compiled(3)
    def norm_blocks(plan, thread, count):
        """Sums of squares of the gradient, block by block."""
        parameters = get_integer(plan, Train.PARAMETERS)
        gradient, partial = get_integer(plan, Train.GRADIENT), get_integer(plan, Train.PARTIAL)
        for i in range(number_of_layers(plan)):
            first, last = blocks_of_thread(plan, i, thread, count)
            for block in range(first, last):
                start = block * NORM_BLOCK
                length = min(NORM_BLOCK, parameters - start)
                put_wide(partial, SUMS_HEAD + block, types.float64(sum_of_squares(length, gradient + size * start)))

    @compiled(1, result=types.float64)
    def norm(plan):
        """The gradient's length, from the blocks; every thread computes it for itself."""
        blocks = (get_integer(plan, Train.PARAMETERS) + NORM_BLOCK - 1) // NORM_BLOCK
        total = 0.0
        for block in range(blocks):
            total += get_wide(get_integer(plan, Train.PARTIAL), SUMS_HEAD + block)
        return math.sqrt(total)

    @compiled(2, types.float64, 2)
    def update_blocks(plan, step, length, thread, count):
        """The optimiser's step, and the flush of what has nearly decayed away."""
        parameters = get_integer(plan, Train.PARAMETERS)
        constants = get_integer(plan, Train.CONSTANTS)
        longest = get_wide(constants, Constant.LONGEST)
        factor = longest / length if length > longest else 1.0
        rate = get_wide(get_integer(plan, Train.RATES), 2 * step)
        root_scale = get_wide(get_integer(plan, Train.RATES), 2 * step + 1)
        step_number = get_integer(plan, Train.STEP) + step + 1
        for i in range(number_of_layers(plan)):
            first, last = blocks_of_thread(plan, i, thread, count)
            for block in range(first, last):
                start = block * NORM_BLOCK
                here = size * start
                extent = min(NORM_BLOCK, parameters - start)
                state, state_2 = get_integer(plan, Train.STATE) + here, get_integer(plan, Train.STATE_2) + here
                update(
                    get_integer(plan, Train.OPTIMIZER),
                    extent,
                    get_integer(plan, Train.THETA) + here,
                    get_integer(plan, Train.GRADIENT) + here,
                    state,
                    state_2,
                    constants,
                    rate,
                    root_scale,
                    factor,
                )
                interval, interval_2 = get_integer(plan, Train.FLUSH), get_integer(plan, Train.FLUSH_2)
                tiny = number(get_wide(constants, Constant.TINY))
                if interval != 0 and step_number % interval == 0:
                    flush(extent, state, state, tiny)
                if interval_2 != 0 and step_number % interval_2 == 0:
                    flush(extent, state_2, state_2, tiny)

    return SimpleNamespace(norm_blocks=norm_blocks, norm=norm, update_blocks=update_blocks)
