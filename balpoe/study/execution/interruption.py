"""Requests to stop a study: at the end of the running epochs, or immediately."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from balpoe.exit_status import SIGNALLED

SEEDS_SAVE_SECONDS = 30.0
"""The time for the seeds of a final training on a cluster to save a checkpoint when it stops."""


class Interruption:
    """Whether the study is requested to stop, and by which signal."""

    def __init__(self) -> None:
        self.requested = False
        self.signal: signal.Signals | None = None

    def request(self) -> None:
        """Request the study to stop at the end of the running epochs."""
        self.requested = True

    @contextmanager
    def handle_signals(self) -> Iterator[None]:
        """Within the block, request the study to stop at SIGINT and exit at SIGTERM.

        A second SIGINT raises KeyboardInterrupt.
        """

        def request_stop(number: int, frame: FrameType | None) -> None:
            self.request()
            self.signal = signal.Signals(number)
            signal.signal(signal.SIGINT, signal.default_int_handler)

        with _handled(signal.SIGINT, request_stop), exit_at_sigterm():
            yield


@contextmanager
def exit_at_sigterm() -> Iterator[None]:
    """Within the block, raise SystemExit with status 143 at SIGTERM.

    SIGKILL usually follows within seconds (for Ray's jobs three), too soon to finish an epoch.
    """

    def exit_(number: int, frame: FrameType | None) -> None:
        raise SystemExit(SIGNALLED + number)

    with _handled(signal.SIGTERM, exit_):
        yield


@contextmanager
def _handled(number: signal.Signals, handler: signal._HANDLER) -> Iterator[None]:
    """Handle a signal within the block; only the main thread can, others leave it as it is."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)
