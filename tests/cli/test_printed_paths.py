"""Paths in the output of commands: as they are, and quoted where they are to be copied."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

import balpoe.launch.predict
import balpoe.launch.train
from balpoe.cli.main import cli
from balpoe.launch.predict import PredictionReport
from balpoe.launch.train import TrainedSeeds


def _shown(*arguments: str) -> str:
    return CliRunner().invoke(cli, arguments, catch_exceptions=False).stdout


def test_train_prints_paths_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    def train(*_: Any, **__: Any) -> tuple[TrainedSeeds, ...]:
        return tuple(TrainedSeeds(Path("a.yaml"), Path(path), (1,)) for path in ("[/x]", "a b"))

    monkeypatch.setattr(balpoe.launch.train, "train", train)
    shown = _shown("train", "a.yaml")
    assert shown.splitlines()[0] == "model  [/x]/seed_1"
    assert shown.splitlines()[-1] == "Next:  balpoe evaluate '[/x]' 'a b'"


def test_predict_prints_paths_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    report = PredictionReport(
        out=Path("[/x]:smile:"),
        images=2,
        ignored=0,
        unreadable=("[bold]y.png: no image",),
        class_names=("[/a]", "b"),
        predicted_counts=(1, 1),
        prior_c=torch.tensor([0.5, 0.5]),
        estimate=None,
        seconds=1.0,
    )
    monkeypatch.setattr(balpoe.launch.predict, "predict", lambda *_, **__: report)
    shown = _shown("predict", "model", "images")
    assert "2 predictions  [/x]:smile:" in shown
    assert "the first: [bold]y.png: no image" in shown
    assert "[/a]" in shown
