from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from balpoe.errors import StorageError, UserError
from balpoe.launch.evaluate import evaluate
from balpoe.launch.train import default_output, train
from balpoe.reporting.training_display import TrainingProgress
from balpoe.study.storage.lease import hold_lease

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
