"""A Ctrl-C while the command line is being imported: exit code 130, at most a line, no traceback."""

import os
import signal
import sys

import processes
import pytest

from npvae import __main__ as start

#: For every ``step``-th import from number ``at`` on: a Python that gets a SIGINT when ``main`` comes to it.
PROGRAM = """
import os, signal, sys

signal.signal(signal.SIGINT, signal.default_int_handler)

class Interrupt:
    left = None

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if cls.left is not None:
            cls.left -= 1
            if cls.left == 0:
                os.kill(os.getpid(), signal.SIGINT)

def run(at):
    sys.meta_path.insert(0, Interrupt)
    sys.argv = ["npvae", "info"]
    from npvae.__main__ import main
    Interrupt.left = at
    return main(), Interrupt.left <= 0

step, at = map(int, sys.argv[1:])
for at in range(at, 100_000, step):
    reader, writer = os.pipe()
    child = os.fork()  # so that every interrupt finds a Python that has imported nothing yet
    if child == 0:
        os.dup2(writer, 1), os.dup2(writer, 2)
        code, interrupted = run(at)
        sys.stdout.flush()
        os._exit(code if interrupted else 99)
    os.close(writer)
    said = b""
    while piece := os.read(reader, 65536):
        said += piece
    os.close(reader)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code == 99:
        print("all of", at)
        break
    print(at, code, said.decode().strip().splitlines()[-1:], flush=True)
    if code != 130:
        break
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_an_interrupt_at_any_import_ends_with_130():
    done = processes.run([sys.executable, "-c", PROGRAM, "17", "1"])
    *lines, last = done.stdout.splitlines()
    assert done.returncode == 0 and last.startswith("all of"), done.stdout + done.stderr
    assert len(lines) > 20 and {line.split(maxsplit=1)[1] for line in lines} == {"130 []", "130 ['npvae: interrupted']"}


@pytest.mark.skipif(os.name != "posix", reason="no SIGINT to send on this system")
def test_where_ctrl_c_is_ignored_it_stays_ignored():
    program = (
        "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); sys.argv = ['npvae', 'info'];"
        "from npvae.__main__ import main; code = main(); os.kill(os.getpid(), signal.SIGINT); sys.exit(code)"
    )
    done = processes.run([sys.executable, "-c", program])
    assert done.returncode == 0 and done.stdout, done.stderr


def test_nothing_heavy_is_imported_before_somebody_waits_for_an_interrupt():
    program = (
        "import sys; before = {*sys.modules}; import npvae.__main__; print(*{*sys.modules} - before - {'__future__'})"
    )
    done = processes.run([sys.executable, "-c", program])
    assert sorted(done.stdout.split()) == ["npvae", "npvae.__main__", "npvae._version"]


@pytest.mark.parametrize("handler", [signal.default_int_handler, signal.SIG_IGN], ids=["raises", "ignored"])
def test_ctrl_c_ends_the_process_at_once_until_the_command_begins(monkeypatch, handler):
    """Only where it would raise KeyboardInterrupt; ``ready``, which the command line calls, puts that back."""
    events = []
    monkeypatch.setattr(signal, "getsignal", lambda number: events.append(("asked", number)) or handler)
    monkeypatch.setattr(signal, "signal", lambda number, what: events.append((number, what)))
    monkeypatch.setattr(os, "_exit", lambda code: events.append(("exit", code)))

    def run(ready):
        events.append("run")
        if len(events) == 3:
            events[1][1](signal.SIGINT, None)  # a Ctrl-C now
        ready()
        return 7

    monkeypatch.setattr("npvae.cli.main", run)
    assert start.main() == 7
    if handler is signal.SIG_IGN:
        assert events == [("asked", signal.SIGINT), "run"]
    else:
        (number, _), *rest = events[1:]
        assert number == signal.SIGINT and rest == ["run", ("exit", 130), (signal.SIGINT, signal.default_int_handler)]


def test_an_interrupt_that_nobody_catches_is_130(monkeypatch):
    def run(ready):
        raise KeyboardInterrupt

    monkeypatch.setattr("npvae.cli.main", run)
    assert start.main() == 130
