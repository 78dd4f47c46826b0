"""A competitor in a process of its own, from the outside: start it, give it turns, hear why it stopped."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent

#: Epochs of the warm-up, after which losses are compared (earlier, another seed moves them by some per cent); and
#: seconds of a turn, long beside waking a second core.
WARM_UP, TURN = 10, 1.0


class Competitor:
    """A process that waits for its turns: milliseconds a step of each are ``times``, on the device ``device_times``; of
    turns beside busy processes they are ``busy_times``.

    name: a module of peers/, or MODULE@PYTHON for the same in another environment, whose interpreter is PYTHON. Made,
    it is starting, beside others perhaps; :meth:`start_up` waits until it has.
    """

    def __init__(self, name: str, spec: str) -> None:
        self._module, _, python = name.partition("@")
        self.times, self.device_times, self.busy_times, self.loss = [], [], [], float("nan")
        self._complaints = tempfile.TemporaryFile("w+")
        self._process = subprocess.Popen(
            [python or sys.executable, str(HERE / "worker.py"), self._module, spec],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            text=True,
        )

    def start_up(self) -> None:
        """Wait until its data and model are there; RuntimeError, with its last complaint, if it stops before."""
        self.version = self._process.stdout.readline().strip()
        if not self.version:
            raise RuntimeError(f"{self._module} did not start: {self._last_complaint()}")

    def warm_up(self) -> None:
        """Compile, and train ``WARM_UP`` epochs, of which the last one's loss is kept."""
        _, self.loss, _ = self._train(f"epochs {WARM_UP}")

    def take_turn(self, busy: bool = False) -> None:
        """Train for ``TURN`` seconds; ``busy``: beside busy processes."""
        milliseconds, _, on_device = self._train(f"seconds {TURN}")
        if busy:
            self.busy_times.append(milliseconds)
            return
        self.times.append(milliseconds)
        self.device_times.append(on_device)

    def _train(self, order: str) -> tuple[float, float, float]:
        """What ``worker.py`` answers: milliseconds a step, the last epoch's loss, milliseconds a step by events."""
        self._process.stdin.write(order + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline().split()
        if not answer:
            raise RuntimeError(f"it stopped: {self._last_complaint()}")
        milliseconds, loss, on_device = map(float, answer)
        return milliseconds, loss, on_device

    def _last_complaint(self) -> str:
        self._process.wait()
        self._complaints.seek(0)
        return (self._complaints.read().strip().splitlines() or ["nothing was said"])[-1]

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()
        self._complaints.close()


@contextlib.contextmanager
def busy_processes(number: int):
    """So many processes that keep a core each busy, or want to."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(number)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def take_turns(
    modules, spec: str, rounds: int, pause: float, together: bool = False, busy: int = 0
) -> dict[str, Competitor]:
    """Competitors by module after so many turns each, with a pause before every turn until the threads of whoever ran
    before are asleep. Those that do not start or stop in the warm-up are left out, with a word. ``together``: they
    start beside each other, on a machine with cores for it. ``busy``: then as many turns again, beside so many busy
    processes.
    """
    workers = {module: Competitor(module, spec) for module in modules} if together else {}
    for module in modules:
        worker = workers.get(module) or Competitor(module, spec)
        try:
            worker.start_up()
            worker.warm_up()
            workers[module] = worker
        except RuntimeError as error:
            workers.pop(module, None)
            print(f"left out: {module}: {error}")
    for _ in range(rounds):
        for worker in workers.values():
            time.sleep(pause)
            worker.take_turn()
    if busy:
        with busy_processes(busy):
            for _ in range(rounds):
                for worker in workers.values():
                    time.sleep(pause)
                    worker.take_turn(busy=True)
    for worker in workers.values():
        worker.close()
    return workers
