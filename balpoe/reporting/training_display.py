"""A final training on the screen while it runs: a live bar, or plain lines."""

from __future__ import annotations

from rich.console import Console
from rich.live import Live

from balpoe.reporting.live_display import LiveDisplay
from balpoe.reporting.training_progress import (
    TrainingProgress,
    deserves_line,
    training_bar,
    training_line,
)


class TrainingDisplay(LiveDisplay[TrainingProgress]):
    """Shows the progress after each epoch."""

    def __init__(self, console: Console) -> None:
        super().__init__(console, Live(console=console))

    def __call__(self, news: TrainingProgress) -> None:
        """Show the progress in place of what was shown before, or as a line of its own."""
        if self._live is not None:
            self._live.update(training_bar(news))
        elif deserves_line(news):
            self._console.print(training_line(news), soft_wrap=True, highlight=False)
