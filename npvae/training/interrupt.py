"""Ctrl-C that waits for the end of a step, so that no update is left half done."""

from __future__ import annotations

import signal
import threading


class DeferredInterrupt:
    """A context in which the first SIGINT only sets ``requested``; a second one interrupts at once.

    Outside the main thread, where Python allows no signal handlers, it does nothing.
    """

    requested = False

    def __enter__(self) -> DeferredInterrupt:
        self._previous = None
        if threading.current_thread() is threading.main_thread():
            self._previous = signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(self, *exception) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)

    def _handle(self, number, frame) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
