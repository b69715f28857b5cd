"""Predictions on screen: their progress and their result."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from balpoe.evaluation.prior_estimation import PriorEstimate
from balpoe.reporting.formatting import duration
from balpoe.reporting.live_display import LiveDisplay
from balpoe.reporting.table_style import Cell, table_of, text_cell

_BAR_WIDTH = 28
_PLAIN_LINES = 10
_CLASSES_SHOWN = 10


@dataclass(frozen=True, slots=True)
class PredictionProgress:
    """The number of predicted images after some seconds."""

    done: int
    images: int
    seconds: float

    @property
    def left_seconds(self) -> float:
        """The time for the remaining images at the same pace."""
        return (self.images - self.done) * self.seconds / self.done


class PredictionDisplay(LiveDisplay[PredictionProgress]):
    """Shows the progress after each batch."""

    def __init__(self, console: Console) -> None:
        super().__init__(console, Live(console=console, transient=True))
        self._lines = 0

    def __call__(self, news: PredictionProgress) -> None:
        """Update the live bar, or print a plain line for every tenth of the images."""
        if self._live is not None:
            self._live.update(prediction_bar(news))
        elif news.done * _PLAIN_LINES >= (self._lines + 1) * news.images:
            self._lines = news.done * _PLAIN_LINES // news.images
            self._console.print(prediction_line(news), soft_wrap=True, highlight=False)


def prediction_bar(progress: PredictionProgress) -> RenderableType:
    """The live bar."""
    row = Table.grid(padding=(0, 2))
    bar = ProgressBar(total=progress.images, completed=progress.done, width=_BAR_WIDTH)
    row.add_row(bar, prediction_line(progress))
    return row


def prediction_line(progress: PredictionProgress) -> str:
    """`12,800/50,000 images · 830 images/s · 0:45 left`."""
    pace = progress.done / progress.seconds if progress.seconds else 0.0
    return (
        f"{progress.done:,}/{progress.images:,} images · {pace:,.0f} images/s · "
        f"{duration(progress.left_seconds)} left"
    )


def predicted_classes_table(
    class_names: Sequence[str],
    predicted_counts: Sequence[int],
    prior: Sequence[float],
    estimate: PriorEstimate | None = None,
) -> RenderableType:
    """The most frequently predicted classes, their prior, and its interval if it is estimated."""
    images = sum(predicted_counts)
    order = sorted(range(len(class_names)), key=lambda y: -predicted_counts[y])
    left_out = len(order) - _CLASSES_SHOWN
    rows = (
        (
            text_cell("class", class_names[y], style="bold"),
            text_cell("images", f"{predicted_counts[y]:,}", justify="right"),
            text_cell("share %", f"{100 * (predicted_counts[y] / images):.1f}", justify="right"),
            text_cell("prior %", f"{100 * prior[y]:.1f}", justify="right"),
            *([] if estimate is None else [_interval_cell(estimate, y)]),
        )
        for y in order[:_CLASSES_SHOWN]
    )
    return table_of("Predicted classes", rows, f"and {left_out} more" if left_out > 0 else None)


def _interval_cell(estimate: PriorEstimate, y: int) -> Cell:
    low, high = float(estimate.low_c[y]), float(estimate.high_c[y])
    return text_cell("95 %", f"{100 * low:.1f}..{100 * high:.1f}", justify="right")


def estimate_line(estimate: PriorEstimate) -> str:
    """Whether the estimate differs from the training prior, and the test that decided it."""
    test = f"p = {estimate.p_value:.2g}; {estimate.held_out:,} held-out images"
    if estimate.moved:
        return (
            f"estimated prior: the images have other class frequencies than the training images "
            f"({test}; sd of the log ratios {estimate.variance**0.5:.1f})"
        )
    return f"estimated prior: the training frequencies; the images do not support others ({test})"


def left_out_lines(ignored: int, unreadable: Sequence[str]) -> Iterator[str]:
    """A line for each kind of files that were not predicted."""
    if ignored:
        yield f"{ignored:,} files were no images and were left out"
    if unreadable:
        yield f"{len(unreadable):,} images were skipped; the first: {unreadable[0]}"
