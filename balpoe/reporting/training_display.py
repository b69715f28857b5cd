"""Progress of a final training on screen: a live bar, or plain lines where there is no terminal."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from balpoe.reporting.formatting import duration
from balpoe.reporting.live_display import LiveDisplay
from balpoe.training.epoch import EpochResult

_BAR_WIDTH = 28
_RECENT_EPOCHS = 5
_PLAIN_LINES = 20


@dataclass(frozen=True, slots=True)
class TrainingProgress:
    """A final training after an epoch; `left_seconds` covers this seed and all later ones.

    `configuration` is the name of the configuration if several are trained, else empty.
    """

    seed: int
    place: int
    seeds: int
    epoch: int
    epochs: int
    loss: float
    images_per_second: float
    left_seconds: float
    configuration: str = ""


class TrainingDisplay(LiveDisplay[TrainingProgress]):
    """Shows the progress after each epoch."""

    def __init__(self, console: Console) -> None:
        super().__init__(console, Live(console=console))

    def __call__(self, news: TrainingProgress) -> None:
        """Update the live bar, or print a plain line for some of the epochs."""
        if self._live is not None:
            self._live.update(training_bar(news))
        elif deserves_line(news):
            self._console.print(Text(training_line(news)), soft_wrap=True)


def training_progress(
    history: Sequence[EpochResult], *, seed: int, seeds: Sequence[int], epochs: int, images: int
) -> TrainingProgress:
    """Return the progress after the last epoch of `history`, at the pace of the last few epochs.

    Args:
        history: The finished epochs of this seed, at least one.
        seed: The seed in training.
        seeds: All seeds, in the order in which they are trained.
        epochs: Epochs per seed.
        images: Training images per epoch.
    """
    recent = [result.metrics["epoch_seconds"] for result in history[-_RECENT_EPOCHS:]]
    seconds = statistics.median(recent)
    place = list(seeds).index(seed) + 1
    left = epochs - len(history) + (len(seeds) - place) * epochs
    return TrainingProgress(
        seed=seed,
        place=place,
        seeds=len(seeds),
        epoch=len(history),
        epochs=epochs,
        loss=history[-1].metrics["train/loss"],
        images_per_second=images / seconds,
        left_seconds=left * seconds,
    )


def training_bar(progress: TrainingProgress) -> RenderableType:
    """The live bar."""
    head = Table.grid(padding=(0, 2))
    head.add_row(
        Text(_seed(progress), style="bold"),
        ProgressBar(total=progress.epochs, completed=progress.epoch, width=_BAR_WIDTH),
        f"epoch {progress.epoch}/{progress.epochs}",
        _left(progress),
    )
    return Group(head, Text(_pace(progress), style="dim"))


def training_line(progress: TrainingProgress) -> str:
    """The progress as one plain line."""
    place = f"{_seed(progress)}, epoch {progress.epoch}/{progress.epochs}"
    return f"{place}: {_pace(progress)} · {_left(progress)}"


def deserves_line(progress: TrainingProgress) -> bool:
    """Whether an epoch gets a plain line: about twenty epochs do, and the last one."""
    every = max(1, progress.epochs // _PLAIN_LINES)
    return progress.epoch % every == 0 or progress.epoch == progress.epochs


def _seed(progress: TrainingProgress) -> str:
    place = f" ({progress.place} of {progress.seeds})" if progress.seeds > 1 else ""
    configuration = f"{progress.configuration}, " if progress.configuration else ""
    return f"{configuration}seed {progress.seed}{place}"


def _pace(progress: TrainingProgress) -> str:
    return f"loss {progress.loss:.3f} · {progress.images_per_second:,.0f} images/s"


def _left(progress: TrainingProgress) -> str:
    of_what = " for this configuration" if progress.configuration else ""
    return f"{duration(progress.left_seconds)} left{of_what}"
