"""One compiled program on several threads: started together, and gone when it ends."""

from __future__ import annotations

import ctypes
import sys
import threading

import numpy as np

from npvae.kernels.plan import Train


def run(program, plan: np.ndarray, threads: int) -> None:
    """Run the plan on ``threads`` threads, this one among them, and wait for all.

    They begin only when all are there, since a barrier waits for every one of them; where the system gives no more
    threads, this one runs alone, with the same result.
    """
    address = plan.ctypes.data
    begin, complete = threading.Event(), [True]

    def work(number: int) -> None:
        begin.wait()
        if complete[0]:
            program.run(address, number)

    others = [threading.Thread(target=work, args=(i,), daemon=True) for i in range(1, threads)]
    started = []
    try:
        for thread in others:
            thread.start()
            started.append(thread)
    except RuntimeError:  # can't start new thread
        complete[0] = False
    plan[Train.THREADS] = threads if complete[0] else 1
    begin.set()
    try:
        program.run(address, 0)
    finally:
        for thread in started:
            thread.join()


def yield_address() -> int:
    """The address of the system's function that offers the core to others, or 0 where there is none."""
    try:
        if sys.platform == "win32":
            function = ctypes.windll.kernel32.SwitchToThread
        else:
            function = ctypes.CDLL(None).sched_yield
    except (AttributeError, OSError):
        return 0
    return ctypes.cast(function, ctypes.c_void_p).value or 0
