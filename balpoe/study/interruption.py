"""The wish to stop a study: expressed by a signal, obeyed at the end of the running epochs."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Whether a study is to stop, and which signal said so."""

    def __init__(self) -> None:
        self.requested = False
        self.signal: signal.Signals | None = None

    def request(self) -> None:
        """Ask the study to stop."""
        self.requested = True

    @contextmanager
    def by_signals(self) -> Iterator[None]:
        """Within the block the first SIGINT or SIGTERM asks to stop; a second one acts at once.

        Signals can only be caught in the main thread; elsewhere the block changes nothing.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in _SIGNALS}

        def stop_gently(number: int, frame: FrameType | None) -> None:
            self.request()
            self.signal = signal.Signals(number)
            for caught, handler in before.items():
                signal.signal(caught, handler)

        for number in _SIGNALS:
            signal.signal(number, stop_gently)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
