"""Threads that run one program together, phase by phase: who does which share, and when the next phase may begin.

Every thread runs the same compiled function. Each phase is divided into the same number of shares; a thread takes its
own first and then those that nobody has begun, so that a thread that comes late, because the system has given its core
to another program, leaves its shares to the others and then passes over the phases that they have done. Who computes a
share changes no bit of it.

    take share s of phase p     if taken[s] == p - 1:  taken[s] = p       (one atomic compare and exchange)
    a share is done             done += 1                                 (atomically)
    phase p begins when         done >= (p - 1) * shares                  (p counts from 1)

All counters only rise, so nothing is reset, and no thread need arrive anywhere.

A waiting thread looks at ``done`` again and again for some microseconds, since the others are seldom further away. Then
it sleeps until the phase is done: a core on which a thread waits awake is a core that the system cannot give to the
thread that is waited for. On Linux that is a futex on the lower half of ``done``; elsewhere it offers its core at every
further look.

Threads are started for a stretch of many steps and end with it: between calls none of them keeps a core from a BLAS.
"""

from __future__ import annotations

from types import SimpleNamespace

import llvmlite.ir as ir
from numba import int64, types

from npvae.kernels.cpu.loops import compiled, make_integer_access, make_intrinsic
from npvae.kernels.cpu.plan import Train
from npvae.kernels.cpu.sizes import DONE, SLEEPERS, TAKEN
from npvae.kernels.cpu.target import CACHE_LINE
from npvae.kernels.cpu.vector import I32, I64, integer

#: Looks at the counter before a waiting thread gives way: about as long as a thread takes to wake up.
SPINS = 1000

#: Linux's futex operations, on memory of one process.
WAIT, WAKE = 128, 129
EVERYBODY = 2**31 - 1


def _place(builder, address):
    return builder.inttoptr(address, I64.as_pointer())


def make(has_pause: bool):
    """``take(plan, phase, own, finished)`` and ``wait(plan, phase)``; ``part(count, thread, threads)``.

    ``take`` gives the number of a share of the phase, or -1 when all have been taken; before the first it waits until
    the phase begins. own: the share to begin with. finished: whether the share that was taken before is done. ``wait``
    returns when all shares of the phase are done. The plan's SHARES: how many a phase has; its SYNC: the address of the
    counters, of which each has a line of the cache: see sizes.py; FUTEX: the address of the C library's ``syscall`` and
    in FUTEX_CALL the system's number of the call, or 0; YIELD: the address of a C function without arguments that
    yields the core, or 0. ``has_pause``: whether the processor has x86's pause. ``part`` is the half-open range of 0 ..
    count - 1 that falls to a thread.
    """
    get_integer, _ = make_integer_access()

    def add(context, builder, _, arguments):
        return builder.atomic_rmw("add", _place(builder, arguments[0]), arguments[1], "seq_cst")

    def look(context, builder, _, arguments):
        return builder.load_atomic(_place(builder, arguments[0]), "seq_cst", 8)

    def rest(context, builder, _, arguments):
        if has_pause:
            kind = ir.FunctionType(ir.VoidType(), [])
            name = "llvm.x86.sse2.pause"
            pause = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
            builder.call(pause, [])
        return context.get_dummy_value()

    def exchange(context, builder, _, arguments):
        """Whether it held the second number, and now holds the third."""
        result = builder.cmpxchg(_place(builder, arguments[0]), arguments[1], arguments[2], "seq_cst")
        return builder.zext(builder.extract_value(result, 1), I64)

    def offer(context, builder, _, arguments):
        kind = ir.FunctionType(I32, [])
        builder.call(builder.inttoptr(arguments[0], kind.as_pointer()), [])
        return context.get_dummy_value()

    def futex(context, builder, _, arguments):
        """``syscall(number, address, operation, value, no time limit)``."""
        kind = ir.FunctionType(I64, [I64] * 5)
        builder.call(builder.inttoptr(arguments[0], kind.as_pointer()), [*arguments[1:], integer(0)])
        return context.get_dummy_value()

    add = make_intrinsic(int64(int64, int64), add)
    look = make_intrinsic(int64(int64), look)
    rest = make_intrinsic(types.void(int64), rest)
    exchange = make_intrinsic(int64(int64, int64, int64), exchange)
    offer = make_intrinsic(types.void(int64), offer)
    futex = make_intrinsic(types.void(*[int64] * 5), futex)

    @compiled(2)
    def wait_until(plan, goal):
        """Return when ``done`` has reached the goal."""
        done = get_integer(plan, Train.SYNC) + CACHE_LINE * DONE
        looks = 0
        while look(done) < goal:
            looks += 1
            if looks < SPINS:
                rest(0)
            elif get_integer(plan, Train.FUTEX) != 0:
                sleepers = get_integer(plan, Train.SYNC) + CACHE_LINE * SLEEPERS
                # Whoever completes a phase looks for sleepers after it has counted, and this one counts itself before
                # it looks.
                add(sleepers, 1)
                seen = look(done)
                if seen < goal:  # the system lets it sleep only if nothing has been counted since
                    futex(
                        get_integer(plan, Train.FUTEX),
                        get_integer(plan, Train.FUTEX_CALL),
                        done,
                        WAIT,
                        seen & 0xFFFFFFFF,
                    )
                add(sleepers, -1)
            elif get_integer(plan, Train.YIELD) != 0:
                offer(get_integer(plan, Train.YIELD))

    @compiled(2)
    def wait(plan, phase):
        if get_integer(plan, Train.SHARES) > 1:
            wait_until(plan, phase * get_integer(plan, Train.SHARES))

    @compiled(4, result=int64)
    def take(plan, phase, own, finished):
        shares, sync = get_integer(plan, Train.SHARES), get_integer(plan, Train.SYNC)
        if shares == 1:  # one thread
            return -1 if finished else 0
        if finished:
            if add(sync + CACHE_LINE * DONE, 1) + 1 == phase * shares:
                if look(sync + CACHE_LINE * SLEEPERS) != 0:
                    futex(
                        get_integer(plan, Train.FUTEX),
                        get_integer(plan, Train.FUTEX_CALL),
                        sync + CACHE_LINE * DONE,
                        WAKE,
                        EVERYBODY,
                    )
        else:
            wait_until(plan, (phase - 1) * shares)
        for turn in range(shares):
            share = own + turn
            if share >= shares:
                share -= shares
            taken = sync + CACHE_LINE * (TAKEN + share)
            if look(taken) == phase - 1 and exchange(taken, phase - 1, phase):
                return share
        return -1

    @compiled(3, result=types.UniTuple(int64, 2))
    def part(count, thread, threads):
        return count * thread // threads, count * (thread + 1) // threads

    return SimpleNamespace(take=take, wait=wait, part=part)
