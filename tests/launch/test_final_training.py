from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import weakref
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from balpoe.cli.train import train as command
from balpoe.config import DataSource
from balpoe.data import FinalSplits, load_final_splits
from balpoe.data.splits import ImageSet
from balpoe.errors import DataError, StorageError, UserError
from balpoe.launch.evaluate import evaluate
from balpoe.launch.planned_trainings import default_output
from balpoe.launch.train import train
from balpoe.reporting.training_display import TrainingProgress
from balpoe.study.storage.lease import hold_lease
from balpoe.training.model_files import VALIDATION_PREDICTIONS

CONFIGURATION = """
data: {name: digits_lt}
model: {backbone: resnet8}
experts: {count: 2}
training: {epochs: EPOCHS, batch_size: 64}
"""


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    file = tmp_path / "tiny.yaml"
    file.write_text(CONFIGURATION.replace("EPOCHS", "2"))
    return file


def test_every_seed_becomes_a_model_and_progress_is_told(
    configuration: Path, tmp_path: Path
) -> None:
    seen: list[TrainingProgress] = []
    trained = train(configuration, (5, 3), out=tmp_path / "out", on_progress=seen.append)
    assert [path.name for path in trained.models] == ["seed_5", "seed_3"]
    assert [(progress.seed, progress.epoch) for progress in seen] == [
        (5, 1),
        (5, 2),
        (3, 1),
        (3, 2),
    ]
    evaluated = evaluate(trained.path)
    assert [seed.seed for seed in evaluated] == [3, 5]


def test_final_training_uses_the_whole_long_tail(configuration: Path, tmp_path: Path) -> None:
    trained = train(configuration, (0,), out=tmp_path / "out")
    (seed,) = evaluate(trained.models[0])
    assert seed.rows[0].images == 400
    assert seed.lambdas == (1.0, -1.0)


@pytest.mark.parametrize("seeds", [(), (1, 1), (-1,)])
def test_impossible_seeds_are_refused(
    configuration: Path, tmp_path: Path, seeds: tuple[int, ...]
) -> None:
    with pytest.raises(UserError, match="--seeds: must be different numbers from 0 up"):
        train(configuration, seeds, out=tmp_path / "out")


def test_a_directory_that_cannot_be_written_is_refused_before_the_training(
    configuration: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    seen: list[TrainingProgress] = []
    with pytest.raises(StorageError, match=str(tmp_path / "file")):
        train(configuration, (0,), out=tmp_path / "file" / "out", on_progress=seen.append)
    assert seen == []


def test_two_trainings_do_not_share_a_directory(configuration: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with (
        hold_lease(tmp_path / "out" / "lease"),
        pytest.raises(UserError, match=f"is being run by process {os.getpid()}"),
    ):
        train(configuration, (0,), out=tmp_path / "out")


def test_exports_of_different_studies_do_not_share_a_directory() -> None:
    assert default_output(Path("a.yaml")) == Path("runs/models/a")
    assert default_output(Path("runs/first/exports/rank_1.yaml")).name == "first_rank_1"
    assert default_output(Path("runs/second/exports/rank_1.yaml")).name == "second_rank_1"


@pytest.fixture
def two(configuration: Path, tmp_path: Path) -> list[Path]:
    other = tmp_path / "other.yaml"
    other.write_text(configuration.read_text().replace("count: 2", "count: 1"))
    return [configuration, other]


def test_several_configurations_have_directories_in_one_parent(
    two: list[Path], tmp_path: Path
) -> None:
    seen: list[TrainingProgress] = []
    first, second = train(two, (3, 5), out=tmp_path / "out", on_progress=seen.append)
    assert [first.path, second.path] == [tmp_path / "out/tiny", tmp_path / "out/other"]
    assert [first.configuration_file, second.configuration_file] == two
    names = [f"{name} ({place} of 2)" for place, name in ((1, "tiny"), (2, "other"))]
    assert [(each.configuration, each.seed) for each in seen] == [
        (name, seed) for name in names for seed in (3, 3, 5, 5)
    ]
    alone = train(two[1], (3,), out=tmp_path / "alone")
    for name in ("weights.safetensors", "model.json"):
        assert (alone.models[0] / name).read_bytes() == (second.models[0] / name).read_bytes()
    again = train(two, (3, 5), out=tmp_path / "out", on_progress=seen.append)
    assert again == (first, second)
    assert len(seen) == 8  # finished models are left as they are


def test_errors_in_any_file_come_before_the_first_training(two: list[Path], tmp_path: Path) -> None:
    tiny, other = two
    other.write_text(other.read_text().replace("count", "cuont"))
    third = tmp_path / "third.yaml"
    third.write_text(tiny.read_text().replace("resnet8", "resnet9"))
    with pytest.raises(UserError) as caught:
        train([tiny, other, third], (1,), out=tmp_path / "out")
    assert "other.yaml:4 experts.cuont" in str(caught.value)
    assert "third.yaml:3 model.backbone" in str(caught.value)
    other.write_text(tiny.read_text().replace("digits_lt", "folder, root: nowhere, image_size: 8"))
    with pytest.raises(UserError, match="nowhere"):
        train([tiny, other], (1,), out=tmp_path / "out")
    assert not list(tmp_path.glob("out/*/seed_1"))


def test_a_model_of_another_configuration_is_refused_before_the_first_training(
    two: list[Path], tmp_path: Path
) -> None:
    train(two[0], (1,), out=tmp_path / "out/other")
    with pytest.raises(StorageError, match="holds a model of another configuration"):
        train(two, (1,), out=tmp_path / "out")
    assert not (tmp_path / "out/tiny/seed_1").exists()


def test_costs_of_other_classes_are_refused_before_the_first_training(
    two: list[Path], tmp_path: Path
) -> None:
    with two[1].open("a") as file:
        file.write("cost: {classes: [cat, dog], rows: [[0, 1], [1, 0]]}\n")
    seen: list[TrainingProgress] = []
    with pytest.raises(DataError, match=r"other\.yaml cost: .*has no costs.*; and 9 more$"):
        train(two, (1,), out=tmp_path / "out", on_progress=seen.append)
    assert seen == []


def test_a_data_set_is_released_before_the_next_one_is_loaded(
    two: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two[1].write_text(two[1].read_text().replace("digits_lt", "digits_lt, head_count: 90"))
    loaded: list[weakref.ref[torch.Tensor]] = []

    def recorded(settings: DataSource) -> FinalSplits:
        assert [images() for images in loaded] == [None] * len(loaded)
        splits = load_final_splits(settings)
        assert isinstance(splits.train, ImageSet)
        loaded.append(weakref.ref(splits.train.images_nhwd))
        return splits

    monkeypatch.setattr("balpoe.launch.train.load_final_splits", recorded)
    train(two, (1,), out=tmp_path / "out")
    assert len(loaded) == 2


def test_files_that_a_killed_training_left_are_deleted(configuration: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    checkpoints = out / "seed_0" / "checkpoints"
    checkpoints.mkdir(parents=True)
    temporary = f"model.json.{'0a' * 8}.tmp"
    left = [
        out / f".{VALIDATION_PREDICTIONS}",
        out / f"..{VALIDATION_PREDICTIONS}.{'0a' * 8}.tmp",
        *(path / f".{temporary}" for path in (out, out / "seed_0", checkpoints)),
    ]
    kept = [out / "notes.tmp", out / temporary, out / ".notes.tmp"]
    for path in (*left, *kept):
        path.write_text("")
    with hold_lease(out / "lease"), pytest.raises(UserError, match="is being run"):
        train(configuration, (0,), out=out)
    assert all(path.exists() for path in (*left, *kept))
    train(configuration, (0,), out=out)
    assert not [path for path in left if path.exists()]
    assert all(path.exists() for path in kept)


def test_configurations_with_one_directory_are_refused(configuration: Path, tmp_path: Path) -> None:
    same = tmp_path / "elsewhere" / configuration.name
    same.parent.mkdir()
    same.write_text(configuration.read_text())
    with pytest.raises(UserError, match=r"its models would be in .*tiny, like those of"):
        train([configuration, same], (1,), out=tmp_path / "out")
    with pytest.raises(UserError, match="is given twice"):
        train([configuration, configuration], (1,), out=tmp_path / "out")
    with pytest.raises(UserError, match="no configuration is given"):
        train((), (1,), out=tmp_path / "out")


def test_the_models_are_printed_as_json(two: list[Path], tmp_path: Path) -> None:
    arguments = [*map(str, two), "--seeds", "1", "--out", str(tmp_path / "out"), "--json"]
    printed = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert json.loads(printed.stdout) == [
        {
            "configuration": str(file),
            "path": str(tmp_path / "out" / file.stem),
            "seeds": [1],
            "models": [str(tmp_path / "out" / file.stem / "seed_1")],
            "unlogged": None,
        }
        for file in two
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_the_same_command_continues_after_a_signal(
    tmp_path: Path, number: signal.Signals, status: int
) -> None:
    file = tmp_path / "long.yaml"
    file.write_text(CONFIGURATION.replace("EPOCHS", "30"))
    command = [str(Path(sys.executable).parent / "balpoe"), "train", "long.yaml", "--out", "out"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout is not None
            while "epoch 5/30" not in running.stdout.readline():
                assert running.poll() is None
            running.send_signal(number)
            assert running.wait(timeout=60) == status
        finally:
            running.kill()
    assert not (tmp_path / "out/seed_0/manifest.json").exists()
    again = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    (seed,) = evaluate(tmp_path / "out")
    uninterrupted = train(file, (0,), out=tmp_path / "uninterrupted")
    (expected,) = evaluate(uninterrupted.path)
    for ours, theirs in zip(seed.rows, expected.rows, strict=True):
        assert ours.scalars() == theirs.scalars()


def test_a_mixer_without_strength_is_warned_of(
    configuration: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    configuration.write_text(f"{configuration.read_text()}mixing: remix\n")
    with caplog.at_level(logging.WARNING):
        train(configuration, (0,), out=tmp_path / "models")
    assert "mixing: remix mixes nothing with mixup.alpha 0: set mixup: {alpha: 1}" in caplog.text
