"""What the tests run programs with ends what hangs, and nothing else."""

import subprocess
import sys
import time

import processes
import pytest


def python(code, **options):
    return processes.run([sys.executable, "-S", "-c", code], **options)


@pytest.fixture
def often(monkeypatch):
    """Looks every twentieth of a second."""
    monkeypatch.setattr(processes, "LOOK", 0.05)


def test_what_a_program_says_and_returns(often):
    done = python("import sys, time; time.sleep(0.2); print('out'); print('err', file=sys.stderr); sys.exit(3)")
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\n", 3)


@pytest.mark.skipif(processes.session_seconds(0) is None, reason="no /proc on this system")
@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import time; print('begun', flush=True); time.sleep(1e6)", "waits"),
        ("print('begun', flush=True)\nwhile True: pass", "of the processor"),
        (
            "import subprocess, sys; print('begun', flush=True); subprocess.run([sys.executable, '-S', '-c', 'while 1: "
            "1'])",
            "of the processor",
        ),
    ],
)
def test_a_hang_is_ended(often, monkeypatch, code, reason):
    monkeypatch.setattr(processes, "IDLE_LOOKS", 20)
    started = []
    original = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *a, **k: started.append(original(*a, **k)) or started[-1])
    with pytest.raises(processes.Hang, match=f"(?s){reason}.*begun"):
        python(code, cpu_seconds=0.5)
    for _ in range(600):  # what is killed takes its time to go
        if not processes.session_seconds(started[0].pid):
            break
        time.sleep(0.1)
    assert started[0].returncode == -9 and processes.session_seconds(started[0].pid) == 0.0
