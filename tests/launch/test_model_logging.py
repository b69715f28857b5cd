"""Models that `balpoe train` logs to an MLflow store."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Protocol

import mlflow
import numpy as np
import pytest
from click.testing import CliRunner
from mlflow import MlflowClient
from mlflow.entities import LoggedModel
from mlflow.models import Model

import balpoe
from balpoe.cli.evaluate import evaluate
from balpoe.data import load_final_splits
from balpoe.errors import StorageError, UserError
from balpoe.files import configuration_from_plain
from balpoe.launch.export import export
from balpoe.launch.logged_models import register_evaluated
from balpoe.launch.train import TrainedSeeds, train
from balpoe.tracking.tracking_store import local_store
from tests.tracking.tracking_server import tracking_server


class TinyStudy(Protocol):
    runs: Path


@pytest.fixture(scope="module")
def configuration(tiny_study: TinyStudy) -> Path:
    (exported,) = export("tiny", runs=tiny_study.runs).exports
    return exported.path


@pytest.fixture(scope="module")
def trained(
    tiny_study: TinyStudy, configuration: Path, tmp_path_factory: pytest.TempPathFactory
) -> TrainedSeeds:
    return train(configuration, [1, 2], out=tmp_path_factory.mktemp("models"))


def _uri(study: TinyStudy) -> str:
    return f"sqlite:///{study.runs / 'mlflow.db'}"


def _models(study: TinyStudy) -> list[LoggedModel]:
    client = MlflowClient(_uri(study))
    experiment = client.get_experiment_by_name("tiny")
    assert experiment is not None
    return list(client.search_logged_models([experiment.experiment_id]))


def test_every_seed_is_a_finished_run_of_the_study_with_its_figures(
    tiny_study: TinyStudy, trained: TrainedSeeds
) -> None:
    assert trained.unlogged is None
    client = MlflowClient(_uri(tiny_study))
    experiment = client.get_experiment_by_name("tiny")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], "tags.role = 'final'")
    assert sorted(run.data.params["seed"] for run in runs) == ["1", "2"]
    for run in runs:
        assert run.info.status == "FINISHED"
        saved = json.loads(
            (trained.path / f"seed_{run.data.params['seed']}/metrics.json").read_text()
        )
        assert run.data.metrics["test/accuracy"] == saved["final"]["test/accuracy"]
        assert run.data.params["model.backbone"] == "resnet8"
        losses = client.get_metric_history(run.info.run_id, "train/loss")
        assert [point.step for point in losses] == [1, 2]


def test_the_loaded_pyfunc_gives_the_probabilities_of_the_model_directory(
    tiny_study: TinyStudy, trained: TrainedSeeds, monkeypatch: pytest.MonkeyPatch
) -> None:
    (logged,) = [model for model in _models(tiny_study) if model.name.endswith("seed_2")]
    model = balpoe.load(trained.path / "seed_2")
    splits = load_final_splits(
        configuration_from_plain(model.provenance.configuration, "model").data
    )
    monkeypatch.setenv("MLFLOW_TRACKING_URI", _uri(tiny_study))
    loaded = mlflow.pyfunc.load_model(f"models:/{logged.model_id}")
    images_nhwd = splits.test.images_nhwd.numpy()
    probabilities = loaded.predict(images_nhwd)
    assert probabilities.dtype == np.float32
    np.testing.assert_array_equal(probabilities, model.predict_proba(images_nhwd))


def test_the_logged_model_holds_the_directory_as_it_is_and_no_pickle(
    tiny_study: TinyStudy, trained: TrainedSeeds, tmp_path: Path
) -> None:
    (logged,) = [model for model in _models(tiny_study) if model.name.endswith("seed_1")]
    root = Path(logged.artifact_location.removeprefix("file://"))
    names = {path.name for path in root.rglob("*") if path.is_file()}
    assert not {name for name in names if name.endswith((".pkl", ".pickle", ".pt", ".pth"))}
    (copy,) = root.rglob("weights.safetensors")
    assert copy.read_bytes() == (trained.path / "seed_1/weights.safetensors").read_bytes()
    assert "pyfunc_model.py" in names


def test_training_again_logs_nothing_again(
    tiny_study: TinyStudy, configuration: Path, trained: TrainedSeeds
) -> None:
    before = sorted(model.model_id for model in _models(tiny_study))
    assert len(before) == 2
    assert train(configuration, [1, 2], out=trained.path).unlogged is None
    assert sorted(model.model_id for model in _models(tiny_study)) == before


def test_what_was_interrupted_while_it_was_logged_is_completed_under_its_run(
    tiny_study: TinyStudy, configuration: Path, trained: TrainedSeeds
) -> None:
    client = MlflowClient(_uri(tiny_study))
    before = sorted(model.model_id for model in _models(tiny_study))
    run_id = _models(tiny_study)[0].source_run_id
    assert run_id is not None
    client.update_run(run_id, status="RUNNING")
    assert train(configuration, [1, 2], out=trained.path).unlogged is None
    assert client.get_run(run_id).info.status == "FINISHED"
    assert sorted(model.model_id for model in _models(tiny_study)) == before


def test_a_server_that_is_down_fails_no_training(configuration: Path, tmp_path: Path) -> None:
    out = tmp_path / "models"
    trained = train(configuration, [3], out=out, tracking_uri="http://127.0.0.1:9")
    assert trained.unlogged is not None
    assert (out / "seed_3/manifest.json").is_file()


def test_an_impossible_address_is_refused_before_the_training(
    configuration: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="--tracking-uri"):
        train(configuration, [3], out=tmp_path / "models", tracking_uri="nowhere")
    assert not (tmp_path / "models").exists()


def test_training_imports_mlflow_only_when_there_is_something_to_log() -> None:
    code = "import sys, balpoe.launch.train; print('mlflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_registered_seeds_are_versions_once_and_the_first_seed_is_the_champion(
    tiny_study: TinyStudy, configuration: Path, trained: TrainedSeeds
) -> None:
    client = MlflowClient(_uri(tiny_study))
    for _ in range(2):
        again = train(configuration, [1, 2], out=trained.path, register="tiny model")
        assert again.unlogged is None
    evaluated = {path: {"test/new": 0.5, "test/accuracy": -1.0} for path in trained.models}
    register_evaluated(local_store(tiny_study.runs), "tiny model", evaluated)
    versions = client.search_model_versions("name = 'tiny model'")
    assert sorted(version.tags["seed"] for version in versions) == ["1", "2"]
    champion = client.get_model_version_by_alias("tiny model", "champion")
    assert champion.tags["seed"] == "1"
    run = client.get_run(str(champion.run_id))
    assert run.data.metrics["test/new"] == 0.5
    assert run.data.metrics["test/accuracy"] >= 0  # what the training logged stays
    directory = str(champion.source).removeprefix("file://")
    metadata = Model.load(directory)
    assert metadata.signature is not None
    assert metadata.saved_input_example_info is not None
    loaded = mlflow.pyfunc.load_model(directory)
    example = metadata.load_input_example(directory)
    assert loaded.predict(np.asarray(example, np.uint8)).shape == (1, 10)


def test_several_configurations_or_bad_names_are_not_registered(configuration: Path) -> None:
    with pytest.raises(UserError, match=r"^--register: takes one configuration, got 2"):
        train([configuration, configuration], [1], register="tiny")
    with pytest.raises(UserError, match=r"^--register: must be letters"):
        train(configuration, [1], register="a/b")


@pytest.mark.slow
def test_a_server_has_metrics_and_figures_in_the_run_of_each_registered_version(
    configuration: Path,
    trained: TrainedSeeds,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with tracking_server(tmp_path / "server", workers=1) as server:
        for _ in range(2):
            again = train(
                configuration,
                [1, 2],
                out=trained.path,
                tracking_uri=server.uri,
                register="by train",
            )
            assert again.unlogged is None
        _evaluate(trained, "--register", "by evaluate", "--tracking-uri", server.uri)
        client = MlflowClient(server.uri)
        for name in ("by train", "by evaluate"):
            versions = client.search_model_versions(f"name = '{name}'")
            assert sorted(version.tags["seed"] for version in versions) == ["1", "2"]
            champion = client.get_model_version_by_alias(name, "champion")
            assert champion.tags["seed"] == "1"
            run = client.get_run(str(champion.run_id))
            saved = json.loads((trained.models[0] / "metrics.json").read_text())["final"]
            assert run.data.metrics["test/accuracy"] == saved["test/accuracy"]
            # with the prior of the shift, which only the evaluation logs of all metrics
            assert run.data.metrics["test_forward_10/nll"] > 0
            figures = {file.path for file in client.list_artifacts(run.info.run_id, "figures")}
            expected = ("reliability", "class_accuracy", "confusion", "test_distributions")
            assert {f"figures/{figure}.png" for figure in expected} <= figures
            monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
            loaded = mlflow.pyfunc.load_model(f"models:/{name}@champion")
            assert loaded.metadata.signature is not None
            assert loaded.predict(np.asarray(loaded.input_example, np.uint8)).shape == (1, 10)
            monkeypatch.delenv("MLFLOW_TRACKING_URI")


def _evaluate(trained: TrainedSeeds, *options: str) -> str:
    done = CliRunner().invoke(evaluate, [str(trained.path), *options], catch_exceptions=False)
    assert done.exit_code == 0
    return done.output


def test_what_cannot_be_registered_is_refused_before_the_evaluation(
    trained: TrainedSeeds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("balpoe.launch.evaluate.evaluate", None)
    with pytest.raises(UserError, match=r"^--register: must be letters"):
        _evaluate(trained, "--register", "a/b")
    with pytest.raises(UserError, match=r"^--tracking-uri: must begin with http"):
        _evaluate(trained, "--register", "tiny", "--tracking-uri", "nowhere")
    with pytest.raises(UserError, match=r"^--tracking-uri: names the store of --register"):
        _evaluate(trained, "--tracking-uri", "http://127.0.0.1:9")


def test_a_store_that_is_away_loses_no_evaluation(trained: TrainedSeeds) -> None:
    arguments = [str(trained.path), "--register", "tiny", "--tracking-uri", "http://127.0.0.1:9"]
    done = CliRunner().invoke(evaluate, arguments)
    assert isinstance(done.exception, StorageError)
    assert "http://127.0.0.1:9: cannot be written" in str(done.exception)
    assert "backward" in done.output
