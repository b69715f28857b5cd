"""A final training on the screen while it runs: a live bar, or plain lines."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live

from balpoe.reporting.training_progress import (
    TrainingProgress,
    deserves_line,
    training_bar,
    training_line,
)


class TrainingDisplay:
    """Shows the progress after each epoch; call it inside a ``with`` block."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console) if console.is_terminal else None

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def __call__(self, progress: TrainingProgress) -> None:
        """Show `progress` in place of what was shown before, or as a line of its own."""
        if self._live is not None:
            self._live.update(training_bar(progress))
        elif deserves_line(progress):
            self._console.print(training_line(progress), soft_wrap=True, highlight=False)
