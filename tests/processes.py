"""Run a program in a process of its own, and end it if it hangs, without measuring the clock.

On a busy machine a sound program may take any time, but it gets on; what hangs either waits, and uses no processor time
for as long as anybody looks, or runs in circles, and uses more than its bound.
"""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

#: Seconds between two looks; looks in a row without a hundredth of a second of processor time that are a hang.
LOOK, IDLE_LOOKS = 5.0, 60


class Hang(AssertionError):
    """The program was ended because it would not have ended."""


def run(
    command, *, cpu_seconds: float = 600.0, text: bool = True, check: bool = False, **options
) -> subprocess.CompletedProcess:
    """As ``subprocess.run(command, capture_output=True, text=True, **options)``. Hang: see above. AssertionError:
    ``check``.
    """
    process = subprocess.Popen(
        list(map(str, command)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=text,
        start_new_session=os.name == "posix",
        **options,
    )
    try:
        out, err = finish(process, cpu_seconds)
    finally:
        end(process)
    assert not check or process.returncode == 0, f"{process.args} ended with {process.returncode}\n{out}\n{err}"
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def finish(process: subprocess.Popen, cpu_seconds: float = 600.0):
    """``process.communicate()`` of a process that leads a session. Hang: see above; the process is then ended."""
    used, idle, looks = 0.0, 0, 0
    while True:
        try:
            return process.communicate(timeout=LOOK)
        except subprocess.TimeoutExpired:
            looks += 1
            now = session_seconds(process.pid)
            if now is None:  # a system that does not say: by the clock, twenty times the bound
                reason = f"has not ended after {looks} looks" if looks * LOOK > 20 * cpu_seconds else None
            else:
                idle = 0 if now > used + 0.01 else idle + 1
                used = max(used, now)
                reason = f"has used {used:.0f} s of the processor" if used > cpu_seconds else None
                if idle >= IDLE_LOOKS:
                    reason = "waits, and uses no processor time"
            if reason:
                end(process)
                out, err = process.communicate()
                raise Hang(f"{process.args} {reason}\n{out}\n{err}") from None


def end(process: subprocess.Popen) -> None:
    """Kill a process, and the session that it leads, if it still runs."""
    if process.poll() is None:
        if os.name == "posix" and os.getsid(process.pid) == process.pid:
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()


def session_seconds(leader: int) -> float | None:
    """Processor time of a session's running processes and of children they waited for; None where there is no /proc."""
    if not Path("/proc/self/stat").exists():
        return None
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text(errors="replace").rpartition(")")[2].split()
        except OSError:  # ended meanwhile
            continue
        if fields[0] != "Z" and int(fields[3]) == leader:
            ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")
