"""The command ``npvae``, also as ``python -m npvae``.

Little is imported before ``main`` runs, and the rest within it. While that goes on, a Ctrl-C ends the process at once:
raised as KeyboardInterrupt inside somebody's import, it may come out as an ImportError.
"""

import sys


def main() -> int:
    """Run the command line; return the exit code, 130 without a word where a Ctrl-C comes before the command begins."""
    try:
        import os
        import signal

        may_raise = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # not where a parent ignores Ctrl-C
        if may_raise:
            signal.signal(signal.SIGINT, lambda *_: os._exit(130))
        from npvae.cli import main as run

        return run(ready=lambda: may_raise and signal.signal(signal.SIGINT, signal.default_int_handler))
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    if (
        not __package__
    ):  # started by its path: Python then looks for modules in this folder, where random.py is not its own
        import os.path

        sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    sys.exit(main())
