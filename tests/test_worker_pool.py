"""The threads that take shares of short work: every share is done once, whoever does it."""

import os
import queue
import threading
import time
import weakref
from types import SimpleNamespace

import numpy as np
import pytest

from npvae.backend import worker_pool
from npvae.backend.worker_pool import WorkerPool


def wait_for(condition, seconds=600.0):
    """Whether it comes true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


def members():
    return sum(thread.name == "npvae worker" for thread in threading.enumerate())


@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_every_share_is_done_once(count):
    each, own = WorkerPool(), []
    for _ in range(50):
        done = []
        each.run(done.append, count)
        assert sorted(done) == list(range(count))
        own.append(done)
    assert len(own) == 50


def test_shares_run_at_the_same_time():
    """Each waits for the other, which no one thread could do."""
    meeting = threading.Barrier(2, timeout=600.0)
    WorkerPool().run(lambda number: meeting.wait(), 2)


def test_without_threads_the_caller_does_it_all(monkeypatch):
    def refuse(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    done = []
    WorkerPool().run(lambda number: done.append((number, threading.get_ident())), 4)
    assert sorted(done) == [(number, threading.get_ident()) for number in range(4)]


@pytest.mark.parametrize("count", [1, 2, 5])
def test_what_a_share_raises_is_the_callers(count):
    """Whoever does it; and the pool goes on."""
    each = WorkerPool()
    for wrong in range(count):
        for _ in range(20):
            done = []

            def work(number, wrong=wrong, done=done):
                done.append(number)
                if number == wrong:
                    raise ValueError(number)

            with pytest.raises(ValueError, match=str(wrong)):
                each.run(work, count)
            assert wrong in done and len(set(done)) == len(done)
    done = []
    each.run(done.append, count)
    assert sorted(done) == list(range(count))


def test_a_caller_that_is_interrupted_takes_nothing_of_another_s():
    """One stands in its first share when it is ended, like a share that a Ctrl-C meets, while another has shares
    waiting.
    """
    each, begun, finished = WorkerPool(), threading.Event(), []

    def slow(number):
        begun.set()
        time.sleep(0.05)
        finished.append(number)

    other = threading.Thread(target=each.run, args=(slow, 6))
    other.start()
    assert begun.wait(600.0)

    def interrupted(number):
        raise KeyboardInterrupt

    for _ in range(20):
        with pytest.raises(KeyboardInterrupt):
            each.run(interrupted, 4)
    other.join(600.0)
    assert not other.is_alive() and sorted(finished) == list(range(6))


def test_shares_that_a_worker_begins_at_the_last_moment(monkeypatch):
    """Between the caller's look whether any are left and its taking one."""
    done = []

    class Numbers:
        def __init__(self, task) -> None:
            self.task = task

        def popleft(self):
            for number in (1, 2):
                done.append(number)
                self.task.ended.put(None)
            raise IndexError

        def clear(self):
            pass

    def task(work, count):
        made = SimpleNamespace(ended=queue.SimpleQueue())
        made.numbers = Numbers(made)
        return made

    monkeypatch.setattr(worker_pool, "Task", task)
    WorkerPool().run(done.append, 3, threads=1)
    assert done == [0, 1, 2]


def test_work_within_work():
    each, done = WorkerPool(), []
    each.run(lambda outer: each.run(lambda inner: done.append((outer, inner)), 3), 3)
    assert sorted(done) == [(outer, inner) for outer in range(3) for inner in range(3)]


def test_many_callers_at_once():
    each, results = WorkerPool(), {}

    def call(name):
        for _ in range(100):
            done = []
            each.run(done.append, 3)
            results.setdefault(name, []).append(sorted(done))

    callers = [threading.Thread(target=call, args=(name,)) for name in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert results == {name: [[0, 1, 2]] * 100 for name in range(4)}


def test_threads_end_when_there_is_no_work_and_come_back(monkeypatch):
    monkeypatch.setattr(worker_pool, "IDLE", 0.02)
    assert wait_for(lambda: members() == 0)  # those of earlier tests
    each = WorkerPool()
    for _ in range(2):
        each.run(lambda number: None, 3)
        assert wait_for(lambda: members() == 0)
    assert not each._workers and each._tasks.empty()


def test_what_was_worked_on_is_let_go():
    """A thread that waits holds nothing of its last share."""
    each, array = WorkerPool(), np.zeros(3)
    gone = weakref.ref(array)
    each.run(lambda number, held=array: None, 3)
    del array
    assert wait_for(lambda: gone() is None)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system does not fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_begins_anew():
    """Its parent's threads are not there, and whatever lock one of them held would never be opened."""
    worker_pool.run(lambda number: None, 3)
    with worker_pool._pool._lock:
        child = os.fork()
        if not child:
            done = []
            worker_pool.run(done.append, 3)
            os._exit(0 if sorted(done) == [0, 1, 2] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
