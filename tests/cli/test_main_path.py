"""The commands from a study to an evaluated model, each as a process."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient

BALPOE = str(Path(sys.executable).parent / "balpoe")
TRIALS, EPOCHS = 3, 2
STUDY = f"""
name: tiny
data: {{name: digits_lt, imbalance_ratio: 20}}
model: {{backbone: resnet8}}
training: {{epochs: {EPOCHS}, batch_size: 64}}
search:
  experts.count: {{type: int, low: 1, high: 3}}
  experts.spread: {{type: float, low: 0.0, high: 2.0}}
  experts.sharing: {{type: categorical, choices: [shared, independent]}}
  mixup.alpha: {{type: float, low: 0.0, high: 1.0}}
objectives: {{val/accuracy: maximize, val/ece: minimize}}
budget: {{trials: {TRIALS}}}
seed: 0
"""


def balpoe(*arguments: str, directory: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BALPOE, *arguments], cwd=directory, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("main_path")
    (directory / "tiny.yaml").write_text(STUDY)
    return directory


@pytest.fixture(scope="module")
def study(directory: Path) -> subprocess.CompletedProcess[str]:
    """The study, run once for all tests of this module."""
    return balpoe("run", "tiny.yaml", directory=directory)


@pytest.fixture(scope="module")
def export(directory: Path, study: subprocess.CompletedProcess[str]) -> Path:
    exported = balpoe("export", "tiny", "--top", "1", directory=directory)
    assert exported.returncode == 0, exported.stderr
    return next((directory / "runs/tiny/exports").glob("rank_1_*.yaml"))


@pytest.fixture(scope="module")
def models(directory: Path, export: Path) -> Path:
    trained = balpoe("train", str(export), "--seeds", "1,2", directory=directory)
    assert trained.returncode == 0, trained.stderr
    return directory / f"runs/models/tiny_{export.stem}"


def test_a_study_ends_with_its_front_and_what_to_do_next(
    study: subprocess.CompletedProcess[str],
) -> None:
    assert study.returncode == 0, study.stderr
    assert study.stderr == ""
    assert f"[{TRIALS}/{TRIALS}]" in study.stdout
    assert "Pareto front of tiny: 3 trials" in study.stdout
    assert "balpoe export tiny --top 1" in study.stdout


def test_every_trial_is_a_child_run_with_its_parameters_and_epochs(
    directory: Path, study: subprocess.CompletedProcess[str]
) -> None:
    client = MlflowClient(f"sqlite:///{directory / 'runs/mlflow.db'}")
    experiment = client.get_experiment_by_name("tiny")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    parents = [run for run in runs if run.data.tags["role"] == "study"]
    children = [run for run in runs if run.data.tags["role"] == "trial"]
    assert len(parents) == 1
    assert sorted(run.info.run_name for run in children) == [
        f"trial {number:04d}" for number in range(TRIALS)
    ]
    for run in children:
        assert run.data.tags["mlflow.parentRunId"] == parents[0].info.run_id
        searched = {"experts.count", "experts.spread", "experts.sharing", "mixup.alpha"}
        fixed = {name for name in run.data.params if name.startswith("fixed/")}
        assert set(run.data.params) - fixed - {"experts.centre"} == searched
        assert {"fixed/data.name", "fixed/model.backbone", "fixed/training.epochs"} <= fixed
        for metric in ("val/accuracy", "val/ece", "val/mce", "val/kl_to_target_prior"):
            history = client.get_metric_history(run.info.run_id, metric)
            assert [point.step for point in history] == list(range(1, EPOCHS + 1))
        assert "val/expert_0/kl_to_target_prior" in run.data.metrics


def test_the_trials_of_the_front_have_their_figures(
    directory: Path, study: subprocess.CompletedProcess[str]
) -> None:
    client = MlflowClient(f"sqlite:///{directory / 'runs/mlflow.db'}")
    experiment = client.get_experiment_by_name("tiny")
    assert experiment is not None
    [first, *_] = client.search_runs([experiment.experiment_id], "tags.front = '1'")
    figures = {file.path for file in client.list_artifacts(first.info.run_id, "figures")}
    assert {"figures/reliability.png", "figures/class_accuracy.png"} <= figures


def test_a_finished_study_says_so_and_does_nothing(
    directory: Path, study: subprocess.CompletedProcess[str]
) -> None:
    results = sorted((directory / "runs/tiny").rglob("result.json"))
    before = [path.stat().st_mtime_ns for path in results]
    again = balpoe("run", "tiny.yaml", directory=directory)
    assert again.returncode == 0
    assert "tiny is finished" in again.stdout
    assert [path.stat().st_mtime_ns for path in results] == before
    assert len(sorted((directory / "runs/tiny").rglob("result.json"))) == TRIALS


def test_a_study_file_with_another_model_is_refused_with_the_change(
    directory: Path, study: subprocess.CompletedProcess[str]
) -> None:
    file = directory / "changed.yaml"
    file.write_text(STUDY.replace("resnet8", "resnet14"))
    refused = balpoe("run", "changed.yaml", directory=directory)
    assert refused.returncode == 2
    assert "model.backbone: was resnet8, is resnet14" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_the_export_says_where_it_comes_from(export: Path) -> None:
    text = export.read_text()
    assert "of the study tiny: rank 1 on the Pareto front" in text
    provenance = json.loads(export.with_suffix("").with_suffix(".provenance.json").read_text())
    assert provenance["study"] == "tiny"
    assert set(provenance["searched"]) >= {"experts.count", "mixup.alpha"}


def test_an_exported_configuration_is_trained_on_every_seed(models: Path) -> None:
    for seed in (1, 2):
        names = {path.name for path in (models / f"seed_{seed}").iterdir()}
        files = {"weights.safetensors", "model.json", "metrics.json", "manifest.json"}
        files |= {"test_summary.json"}
        predictions = {f"{name}_predictions.parquet" for name in ("test", "validation", "held_out")}
        assert names == files | predictions | {"README.md"}
    assert "n = 2 seed(s)" in (models / "README.md").read_text()


def test_training_again_finds_the_models_finished(
    directory: Path, export: Path, models: Path
) -> None:
    weights = models / "seed_1/weights.safetensors"
    before = weights.stat().st_mtime_ns
    assert balpoe("train", str(export), "--seeds", "1,2", directory=directory).returncode == 0
    assert weights.stat().st_mtime_ns == before


def test_the_parent_directory_is_evaluated_as_mean_and_spread(
    directory: Path, models: Path
) -> None:
    evaluated = balpoe("evaluate", str(models), "--experts", "--per-class", directory=directory)
    assert evaluated.returncode == 0, evaluated.stderr
    assert "n = 2 seeds" in evaluated.stdout
    assert "forward 50" in evaluated.stdout
    assert "expert 0" in evaluated.stdout
    assert "Classes from head to tail: mean ± sd, n = 2 seeds" in evaluated.stdout
    assert "◀ worst" in evaluated.stdout
    assert "Confusion matrix, prior known" in evaluated.stdout
    assert re.search(r"±\d", evaluated.stdout)


def test_the_evaluation_as_json_is_that_of_the_saved_metrics(directory: Path, models: Path) -> None:
    evaluated = balpoe("evaluate", str(models / "seed_2"), "--json", directory=directory)
    (seed,) = json.loads(evaluated.stdout)
    assert len(seed["distributions"]) == 22
    whole = seed["distributions"][0]
    saved = json.loads((models / "seed_2/metrics.json").read_text())
    assert whole["metrics"]["accuracy"] == saved["final"]["test/accuracy"]
    assert whole["images"] == whole["effective_images"] == 400
    assert seed["per_class"] == saved["per_class"]
    for row in seed["distributions"]:
        numbers = {name: row[name] for name in ("images", "effective_images", "weighted")}
        assert numbers == saved["distributions"][row["distribution"]]


def test_a_touched_model_is_refused(directory: Path, models: Path, tmp_path: Path) -> None:
    subprocess.run(["cp", "-r", str(models / "seed_1"), str(tmp_path / "touched")], check=True)
    weights = tmp_path / "touched/weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    refused = balpoe("evaluate", str(tmp_path / "touched"), directory=directory)
    assert refused.returncode == 2
    assert refused.stderr.startswith(f"error: {weights}: was changed after it was saved")
    assert "Traceback" not in refused.stderr
