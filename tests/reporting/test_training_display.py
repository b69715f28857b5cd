from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable

import pytest
from rich.console import Console, RenderableType

from balpoe.reporting.training_display import (
    TrainingDisplay,
    TrainingProgress,
    deserves_line,
    training_bar,
    training_line,
    training_progress,
)
from balpoe.training.epoch import EpochResult

Lines = Callable[[RenderableType], list[str]]


def _progress(epoch: int, seconds: float = 5.0) -> TrainingProgress:
    history = [
        EpochResult(e, 0.0, {"train/loss": 10.0 / e, "epoch_seconds": seconds})
        for e in range(1, epoch + 1)
    ]
    return training_progress(history, seed=7, seeds=[3, 7, 9], epochs=200, images=12_406)


def test_time_left_is_that_of_this_seed_and_all_later_ones() -> None:
    progress = _progress(150)
    assert (progress.place, progress.seeds) == (2, 3)
    assert progress.left_seconds == pytest.approx((50 + 200) * 5.0)
    assert progress.images_per_second == pytest.approx(12_406 / 5)


def test_a_slow_first_epoch_is_forgotten() -> None:
    slow = EpochResult(1, 0.0, {"train/loss": 9.0, "epoch_seconds": 90.0})
    fast = [EpochResult(e, 0.0, {"train/loss": 1.0, "epoch_seconds": 2.0}) for e in range(2, 12)]
    progress = training_progress([slow, *fast], seed=1, seeds=[1], epochs=20, images=100)
    assert progress.left_seconds == pytest.approx(9 * 2.0)


def test_bar_and_line_state_seed_epoch_loss_speed_and_time_left(lines: Lines) -> None:
    progress = _progress(50)
    head, pace = lines(training_bar(progress))
    assert head.startswith("seed 7 (2 of 3)")
    assert head.endswith("epoch 50/200  29:10 left")
    assert pace == "loss 0.200 · 2,481 images/s"
    assert training_line(progress) == (
        "seed 7 (2 of 3), epoch 50/200: loss 0.200 · 2,481 images/s · 29:10 left"
    )


@pytest.mark.parametrize(("epochs", "printed"), [(200, 20), (30, 30), (15, 15), (390, 21)])
def test_a_log_gets_about_twenty_lines_and_always_the_last(epochs: int, printed: int) -> None:
    history = [
        EpochResult(e, 0.0, {"train/loss": 1.0, "epoch_seconds": 1.0}) for e in range(1, epochs + 1)
    ]
    progress = [
        training_progress(history[:e], seed=1, seeds=[1], epochs=epochs, images=10)
        for e in range(1, epochs + 1)
    ]
    assert deserves_line(progress[-1])
    assert sum(map(deserves_line, progress)) == printed


def test_a_terminal_shows_the_newest_epoch_and_a_file_a_line_now_and_then() -> None:
    terminal, file = io.StringIO(), io.StringIO()
    for console in (
        Console(file=terminal, width=80, force_terminal=True, color_system=None),
        Console(file=file, width=80),
    ):
        with TrainingDisplay(console) as display:
            for epoch in range(1, 21):
                display(_progress(epoch))
    assert "epoch 20/200" in terminal.getvalue()
    assert [line.split(":")[0] for line in file.getvalue().splitlines()] == [
        "seed 7 (2 of 3), epoch 10/200",
        "seed 7 (2 of 3), epoch 20/200",
    ]


def test_one_of_several_configurations_is_named_and_its_time_left_is_its_own() -> None:
    progress = dataclasses.replace(_progress(50), configuration="known_ce (2 of 4)")
    assert training_line(progress) == (
        "known_ce (2 of 4), seed 7 (2 of 3), epoch 50/200: loss 0.200 · 2,481 images/s · "
        "29:10 left for this configuration"
    )


def test_a_plain_line_shows_the_name_of_a_configuration_as_it_is() -> None:
    console = Console(width=80, color_system=None, force_terminal=False)
    with console.capture() as captured:
        TrainingDisplay(console)(dataclasses.replace(_progress(200), configuration="[red]:x:"))
    assert captured.get().startswith("[red]:x:, seed ")
