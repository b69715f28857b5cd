"""Models of two configurations side by side."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from rich.console import Console

import balpoe
from balpoe.cli.evaluate import evaluate as command
from balpoe.data import load_final_splits
from balpoe.errors import DataError, UserError
from balpoe.files import load_configuration
from balpoe.launch.evaluate import SideBySide
from balpoe.parquet_tables import sha256_of
from balpoe.reporting.side_by_side_tables import side_by_side_tables, untested_models
from balpoe.study.selection.comparison import Difference
from balpoe.study.selection.side_by_side import ModelDifferences, SeedMetrics
from balpoe.training.final_training import FinalTraining, train_final

SEEDS = (1, 2, 3)
CONFIGURATION = """
data: {name: digits_lt}
model: {backbone: resnet8}
experts: {count: COUNT}
training: {epochs: 1, batch_size: 64}
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Trained as `balpoe.train` does, without MLflow."""
    directory = tmp_path_factory.mktemp("side_by_side")
    for name, count in (("two", 2), ("one", 1)):
        file = directory / f"{name}.yaml"
        file.write_text(CONFIGURATION.replace("COUNT", str(count)))
        configuration = load_configuration(file)
        splits = load_final_splits(configuration.data)
        for seed in SEEDS:
            path = directory / f"digits_{name}" / f"seed_{seed}"
            task = FinalTraining(configuration, seed, path, balpoe.__version__)
            train_final(task, splits, torch.device("cpu"), lambda epoch: None)
    return [directory / "digits_two", directory / "digits_one"]


def changed(model: Path, copy: Path, **description: object) -> Path:
    """Return a copy of a model with changed fields in its description or provenance."""
    shutil.copytree(model, copy)
    for seed in copy.glob("seed_*"):
        content = json.loads((seed / "model.json").read_text())
        for name, value in description.items():
            place = content["description"] if name in content["description"] else content
            place[name] = value
        (seed / "model.json").write_text(json.dumps(content))
        manifest = json.loads((seed / "manifest.json").read_text())
        manifest["sha256"]["model.json"] = sha256_of(seed / "model.json")
        (seed / "manifest.json").write_text(json.dumps(manifest))
    return copy


def test_differences_are_those_of_the_seeds_one_by_one(models: list[Path]) -> None:
    compared = balpoe.evaluate(models)
    assert isinstance(compared, SideBySide)
    accuracies = [
        [
            seed.rows[0].evaluation.ensemble.accuracy
            for seed in model.seeds
            if seed.rows[0].evaluation
        ]
        for model in compared.models
    ]
    (found,) = compared.differences
    assert found.seeds == SEEDS
    mean = np.mean(np.subtract(accuracies[1], accuracies[0]))
    assert found.differences["test/accuracy"].mean == pytest.approx(mean)
    # the test set is balanced: metrics over classes are those over images
    assert list(found.differences) == ["test/accuracy", "test/ece"]
    shifted = balpoe.evaluate(models, shifts=True).differences[0].differences
    assert len(shifted) == 2 + 10 * 2 * 2


def test_a_single_model_is_evaluated_as_before(models: list[Path]) -> None:
    assert [seed.seed for seed in balpoe.evaluate(models[0])] == list(SEEDS)
    alone = balpoe.evaluate([models[0]])
    assert (len(alone.models), alone.differences) == (1, ())


def test_the_command_shows_figures_differences_and_verdicts(models: list[Path]) -> None:
    shown = CliRunner().invoke(command, list(map(str, models)), catch_exceptions=False)
    rows = [line.split() for line in shown.stdout.splitlines()]
    assert "whole test set, 400 images" in shown.stdout
    assert [row[0] for row in rows if row and row[-1] == "3"] == ["two", "one"]
    assert "Differences from two" in shown.stdout
    [accuracy] = [row for row in rows if row[:3] == ["one", "accuracy", "%"]]
    (found,) = balpoe.evaluate(models).differences
    difference = found.differences["test/accuracy"]
    assert difference.mean is not None
    assert difference.interval is not None
    low, high = difference.interval
    assert accuracy[3:] == [
        f"{100 * difference.mean:+.1f}",
        *(f"{100 * low:+.1f}", "to", f"{100 * high:+.1f}"),
        *("3", *difference.verdict.split()),
    ]
    assert max(map(len, shown.stdout.splitlines())) <= 80
    arguments = [*map(str, models), "--shifts"]
    shown = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert "one minus two on shifts: n = 3 shared seeds" in shown.stdout
    assert "backward 50" in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) <= 80


def test_an_interval_wider_than_a_fraction_is_a_dash() -> None:
    paths = [Path("a"), Path("b")]
    shown = []
    for half_width in (0.99, 1.01):
        differences = {
            "test/accuracy": Difference(-0.1, half_width, "not tested"),
            "test/ece": Difference(0.1, 0.2, "not separable"),
        }
        is_balanced = half_width < 1
        if not is_balanced:
            differences["test/balanced_ece"] = Difference(0.1, 0.2, "not separable")
        found = ModelDifferences((1, 2, 3), differences, "too few")
        values = {**dict.fromkeys(differences, 0.5), "test/ece_floor": 0.1}
        values["test/balanced_ece_floor"] = 0.1
        models: list[SeedMetrics] = [dict.fromkeys((1, 2, 3), values)] * 2
        console = Console(width=80, color_system=None)
        with console.capture() as captured:
            for table in side_by_side_tables(paths, models, [found], 400):
                console.print(table)
        rows = [line.split() for line in captured.get().splitlines()]
        shown += [row for row in rows if row[:3] == ["b", "accuracy", "%"]]
        assert untested_models(paths, [found]) == ["b is not tested: too few"]
        words = " ".join(captured.get().split())
        assert ("their mean balanced ECE beside balanced ECE" in words) == (not is_balanced)
    assert shown[0][3:7] == ["-10.0", "-109.0", "to", "+89.0"]
    assert shown[1][3:] == ["-10.0", "–", "3", "not", "tested"]


def test_the_comparison_as_json(models: list[Path]) -> None:
    arguments = [*map(str, models), "--json"]
    printed = json.loads(CliRunner().invoke(command, arguments, catch_exceptions=False).stdout)
    assert printed["reference"] == str(models[0])
    assert [len(model["seeds"]) for model in printed["models"]] == [3, 3]
    [found] = printed["differences"]
    assert (found["model"], found["n"]) == (str(models[1]), 3)
    assert (found["reason"] is None) == (found["verdict"] != "not tested")
    assert set(found["differences"]["test/ece"]) >= {"difference", "low", "high", "verdict"}


def test_models_without_a_shared_seed_are_shown_with_the_reason(models: list[Path]) -> None:
    seeds = [str(models[0] / "seed_1"), str(models[1] / "seed_2")]
    shown = CliRunner().invoke(command, seeds, catch_exceptions=False)
    assert "is not tested: no shared seed (1 and 2)" in " ".join(shown.stdout.split())


@pytest.mark.parametrize(
    ("field", "value", "differing"),
    [
        ("class_names", [f"digit {n}" for n in range(10)], "classes"),
        ("test_fingerprint", "of other images", "test images"),
        ("fingerprint", "of other data", "training images"),
    ],
)
def test_models_of_other_data_are_refused_by_name(
    models: list[Path], tmp_path: Path, field: str, value: object, differing: str
) -> None:
    other = changed(models[1], tmp_path / "other", **{field: value})
    with pytest.raises(DataError, match=rf"{other}: has other {differing} than {models[0]}"):
        balpoe.evaluate([models[0], other])


def test_a_model_that_is_given_twice_is_refused(models: list[Path]) -> None:
    with pytest.raises(UserError, match="is given twice"):
        balpoe.evaluate([models[0], models[0]])
    for parts in (["seed_1", ""], ["", "seed_1"]):
        with pytest.raises(UserError, match="a model of it is given twice, by"):
            balpoe.evaluate([models[0] / part for part in parts])
    with pytest.raises(UserError, match="no model is given"):
        balpoe.evaluate(())


@pytest.mark.parametrize("option", ["--post-hoc", "--per-class", "--experts"])
def test_options_of_a_single_model_are_refused_for_several(models: list[Path], option: str) -> None:
    refused = CliRunner().invoke(command, [*map(str, models), option])
    assert isinstance(refused.exception, UserError)
    assert f"{option}: takes one model, got 2" in str(refused.exception)
