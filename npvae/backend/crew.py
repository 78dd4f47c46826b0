"""Threads that take shares of short pieces of work, and stay for a moment in case there is more.

A product of a fifth of a millisecond is over before a thread has been started for it; one that waits is there in some
hundredths. Whoever has work does the first share, and then whatever shares nobody has begun: so work is done also where
the system gives no threads, or those that there are have other work. Shares must not wait for one another; for work whose parts do,
see together.py.

A thread that has had nothing to do for ``IDLE`` seconds ends. A forked child begins with none.
"""

from __future__ import annotations

import os
import queue
import threading

#: Seconds that a thread waits for more work.
IDLE = 0.2


class Crew:
    """Threads, none at first, and the shares that wait for one."""

    def __init__(self) -> None:
        self._shares: queue.SimpleQueue = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._members = 0

    def run(self, work, count: int) -> None:
        """Call ``work(0)`` to ``work(count - 1)``, on as many threads if there are so many; return when all have ended.

        ``work`` must not raise. It should hold what it works on: where Ctrl-C ends this call early, shares may still run.
        """
        ended: queue.SimpleQueue = queue.SimpleQueue()
        with self._lock:
            for number in range(1, count):
                self._shares.put((work, number, ended))
            self._grow_to(count - 1)
        work(0)
        left = count - 1
        while left:
            try:
                _do(self._shares.get_nowait())
            except queue.Empty:
                ended.get()
                left -= 1

    def _grow_to(self, members: int) -> None:
        try:
            while self._members < members:
                threading.Thread(target=self._serve, name="npvae crew", daemon=True).start()
                self._members += 1
        except RuntimeError:  # can't start new thread: those that have work do it
            pass

    def _serve(self) -> None:
        while True:
            try:
                _do(self._shares.get(timeout=IDLE))
            except queue.Empty:
                with self._lock:
                    if self._shares.empty():
                        self._members -= 1
                        return


def _do(share) -> None:
    work, number, ended = share
    work(number)
    ended.put(None)


def run(work, count: int) -> None:
    """``Crew.run`` of this process's crew."""
    _crew.run(work, count)


def _begin_anew() -> None:
    global _crew
    _crew = Crew()


_begin_anew()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
