"""One compiled program on several threads: started together, and gone when it ends."""

from __future__ import annotations

import ctypes
import platform
import sys
import threading

import numpy as np

from npvae.kernels.cpu.plan import Train

#: The number of Linux's futex call by processor.
FUTEX = {"x86_64": 202, "amd64": 202, "aarch64": 98, "arm64": 98}


def run(program, plan: np.ndarray, threads: int) -> None:
    """Run the plan on ``threads`` threads, this one among them, and wait for all.

    Nobody waits for a thread that has not come: its shares are done by those that are there, with the same result. So
    this one begins at once, and where the system gives no more threads it does everything.
    """
    address = plan.ctypes.data
    plan[Train.THREADS] = threads
    started = []
    try:
        for number in range(1, threads):
            thread = threading.Thread(target=program.run, args=(address, number), daemon=True)
            thread.start()
            started.append(thread)
    except RuntimeError:  # can't start new thread
        pass
    try:
        program.run(address, 0)
    finally:
        for thread in started:
            thread.join()


def futex() -> tuple[int, int]:
    """The address of the C library's ``syscall``, and the number of Linux's futex; 0 and 0 on other systems."""
    number = FUTEX.get(platform.machine().lower())
    if not sys.platform.startswith("linux") or number is None or sys.maxsize < 2**32 or sys.byteorder != "little":
        return 0, 0
    try:
        function = ctypes.CDLL(None).syscall
    except (AttributeError, OSError):
        return 0, 0
    return ctypes.cast(function, ctypes.c_void_p).value or 0, number


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
