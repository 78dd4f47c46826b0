"""Threads that take shares of short pieces of work, sleep where they wait, and stay for a moment in case there is more.

A product of a fifth of a millisecond is over before a thread has been started for it; one that waits is there in some
hundredths. Whoever has work does the first share, and then those of its shares that nobody has begun: so work is done
also where the system gives no threads, or those that there are have other work. Shares must not wait for one another;
for work whose parts do, see parallel.py.

A thread that has had nothing to do for ``IDLE`` seconds ends. A forked child begins with none.
"""

from __future__ import annotations

import os
import queue
import threading
from collections import deque

#: Seconds that a thread waits for more work.
IDLE = 0.2


class Task:
    """Work in numbered shares: those that nobody has begun, and word of those that the pool has ended."""

    def __init__(self, work, count: int) -> None:
        self.work, self.numbers = work, deque(range(1, count))
        self.ended: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()

    def do_shares(self) -> None:
        """Do shares while there are such that nobody has begun, and say of each that it has ended, or by which
        exception.
        """
        while True:
            try:
                number = self.numbers.popleft()
            except IndexError:
                return
            error = None
            try:
                self.work(number)
            except BaseException as raised:  # it is the caller's
                error = raised
            self.ended.put(error)


class WorkerPool:
    """Threads, none at first, and the tasks that they are asked to help with."""

    def __init__(self) -> None:
        self._tasks: queue.SimpleQueue = queue.SimpleQueue()
        self._workers: set[threading.Thread] = set()
        self._lock = threading.RLock()  # a signal's handler may have work too

    def run(self, work, count: int, threads: int | None = None) -> None:
        """Call ``work(0)`` to ``work(count - 1)``, on as many threads if there are so many, and on ``threads`` at most;
        return when all have ended.

        Whoever is ready takes the next share: a thread that comes late, or that the system has put aside between two
        shares, leaves its shares to others. What shares compute must not depend on who does them. ``work`` should hold
        what it works on: where Ctrl-C ends this call, shares that were begun still run. What a share raises is raised
        here.
        """
        task = Task(work, count)
        helpers = min(count, count if threads is None else threads) - 1
        with self._lock:
            for _ in range(min(self._grown_to(helpers), helpers)):
                self._tasks.put(task)
        try:
            work(0)
            left = count - 1
            while task.numbers:
                try:
                    number = task.numbers.popleft()
                except IndexError:  # the pool was quicker
                    break
                work(number)
                left -= 1
            errors = [task.ended.get() for _ in range(left)]
        finally:
            task.numbers.clear()
        for error in errors:
            if error is not None:
                raise error

    def _grown_to(self, workers: int) -> int:
        """How many threads there are, after more were started if they are fewer than ``workers``."""
        try:
            while len(self._workers) < workers:
                thread = threading.Thread(target=self._serve, name="npvae worker", daemon=True)
                thread.start()
                self._workers.add(thread)
        except RuntimeError:  # can't start new thread: those that have work do it
            pass
        return len(self._workers)

    def _serve(self) -> None:
        while True:
            try:
                self._tasks.get(timeout=IDLE).do_shares()
            except queue.Empty:
                with self._lock:
                    if self._tasks.empty():
                        self._workers.discard(threading.current_thread())
                        return


_pool: WorkerPool  # of this process


def run(work, count: int, threads: int | None = None) -> None:
    """``WorkerPool.run`` of this process's pool."""
    _pool.run(work, count, threads)


def _begin_anew() -> None:
    global _pool
    _pool = WorkerPool()


_begin_anew()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
