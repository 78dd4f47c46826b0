"""A command that a signal ends in an epoch of its training."""

from __future__ import annotations

import signal
import sys

import processes

PROGRAM = """
import os, signal, sys
from npvae.cli import main
from npvae.training import loop
signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever the parent does with it
whole, begun = loop._epoch, 0
def epoch(*arguments):
    global begun
    begun += 1
    if begun == 1 + int(sys.argv[2]):
        os.kill(os.getpid(), int(sys.argv[1]))
    return whole(*arguments)
loop._epoch = epoch
sys.exit(main(sys.argv[3:]))
"""


def ended_in_epoch(epoch: int, number: int, arguments) -> str:
    """Run a command, which gets a signal when that epoch of all its trainings begins, counted from 0; what it said."""
    done = processes.run([sys.executable, "-c", PROGRAM, int(number), epoch, *arguments])
    assert done.returncode == (130 if number == signal.SIGINT else -number), done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr
