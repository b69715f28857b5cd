"""The wish to stop a study: gently at the end of the running epochs, or at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from balpoe.exit_status import SIGNALLED

SEEDS_SAVE_SECONDS = 30.0
"""What the seeds of a final training on a cluster get to save a checkpoint when it is left."""


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
        """Within the block the first SIGINT asks to stop, a second one acts at once.

        SIGTERM is `leaving_at_sigterm`.
        """

        def stop_gently(number: int, frame: FrameType | None) -> None:
            self.request()
            self.signal = signal.Signals(number)
            signal.signal(signal.SIGINT, signal.default_int_handler)

        with _handled(signal.SIGINT, stop_gently), leaving_at_sigterm():
            yield


@contextmanager
def leaving_at_sigterm() -> Iterator[None]:
    """Within the block SIGTERM raises SystemExit with status 143.

    Whoever sends it kills soon after (Ray's jobs: three seconds), too soon to wait for an epoch.
    """

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(SIGNALLED + number)

    with _handled(signal.SIGTERM, leave):
        yield


@contextmanager
def _handled(number: signal.Signals, handler: signal._HANDLER) -> Iterator[None]:
    """Signals can only be caught in the main thread; elsewhere the block changes nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)
