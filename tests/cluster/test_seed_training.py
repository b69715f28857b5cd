"""Final trainings on a real cluster: parallel seeds, and lost nodes."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from balpoe.exit_status import SIGNALLED
from balpoe.training.model_directory import load_model
from balpoe.training.model_files import VALIDATION_PREDICTIONS
from tests.cluster.ray_nodes import RayCluster, ray_cluster

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

BEFORE = Path(__file__).parents[1] / "fixtures" / "0.1.0-99a681c"
BALPOE = str(Path(sys.executable).parent / "balpoe")


def write_configuration(directory: Path, epochs: int) -> None:
    (directory / "digits.yaml").write_text(f"""
data: {{name: digits_lt}}
model: {{backbone: resnet8}}
training: {{epochs: {epochs}, batch_size: 64}}
experts: {{count: 2}}
""")


@contextmanager
def training(
    cluster: RayCluster, directory: Path, seeds: str, address: str | None = None
) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [BALPOE, "train", "digits.yaml", "--seeds", seeds, "--address", address or cluster.address],
        cwd=directory,
        env=cluster.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


def test_seeds_on_a_cluster_are_those_of_one_machine_bit_for_bit(
    cluster: RayCluster, tmp_path: Path
) -> None:
    cluster.keep_nodes(2)
    cluster.await_nodes()
    here, there = tmp_path / "here", tmp_path / "there"
    for directory in (here, there):
        directory.mkdir()
        write_configuration(directory, epochs=2)
    with training(cluster, there, "1,2") as process:
        told, complaints = process.communicate(timeout=600)
    assert complaints == ""
    assert "seed 1, epoch 2/2" in told
    assert "seed 2, epoch 2/2" in told
    with training(cluster, here, "1,2", "local") as process:
        process.communicate(timeout=600)
    for seed in (1, 2):
        weights = f"runs/models/digits/seed_{seed}/weights.safetensors"
        assert (there / weights).read_bytes() == (here / weights).read_bytes()


def test_several_configurations_are_trained_side_by_side(
    cluster: RayCluster, tmp_path: Path
) -> None:
    cluster.keep_nodes(2)
    cluster.await_nodes()
    write_configuration(tmp_path, epochs=2)
    other = (tmp_path / "digits.yaml").read_text().replace("count: 2", "count: 1")
    (tmp_path / "other.yaml").write_text(other)
    (tmp_path / "runs/models/other").mkdir(parents=True)
    (tmp_path / "runs/models/other/seed_2").write_text("a file where a directory should be")
    trained = subprocess.run(
        [BALPOE, "train", "digits.yaml", "other.yaml", "--seeds=1,2", "--address", cluster.address],
        cwd=tmp_path,
        env=cluster.environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert "digits (1 of 2), seed 2, epoch 2/2" in trained.stdout
    assert "other (2 of 2), seed 1, epoch 2/2" in trained.stdout
    assert trained.returncode == 2
    [_, failure] = trained.stderr.splitlines()
    assert failure.startswith("  other seed 2: ")
    weights = tmp_path.glob("runs/models/*/*/weights.safetensors")
    models = {str(path.parent.relative_to(tmp_path)) for path in weights}
    assert models == {
        "runs/models/digits/seed_1",
        "runs/models/digits/seed_2",
        "runs/models/other/seed_1",
    }
    assert (tmp_path / "runs/models/digits/README.md").is_file()


def test_seeds_of_an_export_carry_the_validation_predictions_of_its_trial(
    cluster: RayCluster, tmp_path: Path
) -> None:
    """Models lie elsewhere than the study, whose directory the nodes may lack."""
    cluster.keep_one_node()
    shutil.copytree(BEFORE / "balanced" / "study", tmp_path / "balanced")
    (file,) = tmp_path.glob("balanced/exports/*.yaml")
    command = [BALPOE, "train", str(file), "--seeds", "1,2", "--out", "models"]
    subprocess.run(
        [*command, "--address", cluster.address],
        cwd=tmp_path,
        env=cluster.environment,
        check=True,
        timeout=600,
    )
    trial = int(file.stem.rpartition("_")[2])
    stored = tmp_path / f"balanced/trials/{trial}/repeat_0/predictions.parquet"
    for seed in (1, 2):
        model = load_model(tmp_path / "models" / f"seed_{seed}")
        assert model.validation_predictions() is not None
        assert (model.directory / VALIDATION_PREDICTIONS).read_bytes() == stored.read_bytes()
        assert model.test_predictions() is not None
    assert not list((tmp_path / "models").glob(".*.parquet"))


def test_a_training_whose_control_store_is_killed_continues_on_the_next_cluster(
    tmp_path: Path,
) -> None:
    write_configuration(tmp_path, epochs=60)
    with ray_cluster(nodes=1) as cluster, training(cluster, tmp_path, "1,2") as process:
        assert process.stdout is not None
        assert any(line.startswith("seed 1, epoch") for line in process.stdout)
        assert cluster.head.kill_named("gcs_server") == 1
        _, complaints = process.communicate(timeout=280)
    assert process.returncode == 70
    assert "error: the driver died unexpectedly" in complaints
    assert "continue with: balpoe train digits.yaml --seeds 1,2 --address" in complaints
    with ray_cluster(nodes=1) as cluster, training(cluster, tmp_path, "1,2") as process:
        _, complaints = process.communicate(timeout=280)
    assert (process.returncode, complaints) == (0, "")
    assert len(list(tmp_path.glob("runs/models/digits/*/weights.safetensors"))) == 2


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (signal.SIGINT, "\ninterrupted; the same command continues from the saved state\n"),
        (signal.SIGTERM, ""),
    ],
)
def test_a_training_is_left_without_delay_and_without_a_word_too_many(
    cluster: RayCluster, tmp_path: Path, number: signal.Signals, told: str
) -> None:
    cluster.keep_one_node()
    write_configuration(tmp_path, epochs=500)
    with training(cluster, tmp_path, "1") as process:
        assert process.stdout is not None
        assert any(line.startswith("seed 1, epoch") for line in process.stdout)
        process.send_signal(number)
        _, complaints = process.communicate(timeout=20)
    assert (process.returncode, complaints) == (SIGNALLED + number, told)


def test_a_seed_whose_node_is_lost_goes_on_and_one_that_fails_disturbs_no_other(
    cluster: RayCluster, tmp_path: Path
) -> None:
    cluster.keep_nodes(2)
    cluster.await_nodes()
    write_configuration(tmp_path, epochs=300)
    models = tmp_path / "runs/models/digits"
    models.mkdir(parents=True)
    (models / "seed_3").write_text("a file where a directory should be")
    with training(cluster, tmp_path, "3,4,5") as process:
        assert process.stdout is not None
        lines = iter(process.stdout)
        for seed in (4, 5):
            assert any(line.startswith(f"seed {seed}, epoch") for line in lines)
        cluster.nodes.pop(0).kill()
        cluster.keep_nodes(2)
        told, complaints = process.communicate(timeout=600)
    assert process.returncode == 2, told + complaints
    [heading, failure] = complaints.splitlines()
    assert heading == "error: seeds that failed, while the others have their models:"
    assert failure.startswith(f"  seed 3: {models / 'seed_3'}")
    assert {path.parent.name for path in models.glob("*/weights.safetensors")} == {
        "seed_4",
        "seed_5",
    }
