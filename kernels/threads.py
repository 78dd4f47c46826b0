"""Threads that run one program together and wait for each other between its phases.

Every thread runs the same compiled function on its own part of the arrays. ``barrier`` lets none go on before all
have come:

    ticket = counter, counter += 1 (atomically);   wait until counter >= (ticket // threads + 1) * threads

The counter only rises, so nothing is reset. A waiting thread spins, since the others are microseconds
away; after ``SPINS`` looks it offers its core to whoever needs it at every further look, so that it never stands in the
way of a thread that shares the core.

Threads are started for a stretch of many steps and end with it: between calls none of them keeps a core from a BLAS.
"""

from __future__ import annotations

from types import SimpleNamespace

import llvmlite.ir as ir
from numba import int64, types

from npvae.kernels.loops import compiled, make_intrinsic
from npvae.kernels.vector import I64, integer

#: Looks at the counter before a waiting thread begins to yield: some microseconds. Where two threads have to share a core
#: for a while, this is what each phase costs them.
SPINS = 100


def _place(builder, address):
    return builder.inttoptr(address, I64.as_pointer())


def make(has_pause: bool):
    """``barrier(counter, threads, yield_address)`` and ``part(count, thread, threads)``.

    counter: the address of a 64-bit integer, 0 at first. yield_address: that of a C function without
    arguments that yields the core, or 0. ``has_pause``: whether the processor has x86's pause.
    ``part`` is the half-open range of 0 .. count - 1 that falls to a thread.
    """

    def arrive(context, builder, _, arguments):
        return builder.atomic_rmw("add", _place(builder, arguments[0]), integer(1), "seq_cst")

    def look(context, builder, _, arguments):
        if has_pause:
            kind = ir.FunctionType(ir.VoidType(), [])
            name = "llvm.x86.sse2.pause"
            pause = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
            builder.call(pause, [])
        return builder.load_atomic(_place(builder, arguments[0]), "acquire", 8)

    def offer(context, builder, _, arguments):
        kind = ir.FunctionType(ir.IntType(32), [])
        builder.call(builder.inttoptr(arguments[0], kind.as_pointer()), [])
        return context.get_dummy_value()

    arrive = make_intrinsic(int64(int64), arrive)
    look = make_intrinsic(int64(int64), look)
    offer = make_intrinsic(types.void(int64), offer)

    @compiled(3)
    def barrier(counter, threads, yield_address):
        if threads == 1:
            return
        goal = (arrive(counter) // threads + 1) * threads
        looks = 0
        while look(counter) < goal:
            looks += 1
            if looks > SPINS and yield_address != 0:
                offer(yield_address)

    @compiled(3, result=types.UniTuple(int64, 2))
    def part(count, thread, threads):
        return count * thread // threads, count * (thread + 1) // threads

    return SimpleNamespace(barrier=barrier, part=part)
