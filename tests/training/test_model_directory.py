from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from balpoe.config import Configuration, ExpertsConfig, Sharing
from balpoe.data.splits import DataDescription, FinalSplits, ImageSet
from balpoe.errors import CorruptFile, StorageError
from balpoe.training.epoch import EpochResult
from balpoe.training.final_training import FinalTraining, evaluate_on, train_final
from balpoe.training.model_directory import TrainedModel, load_model
from balpoe.training.model_files import (
    CARD,
    MANIFEST,
    METRICS,
    MODEL,
    TEST_PREDICTIONS,
    TEST_SUMMARY,
    VALIDATION_PREDICTIONS,
    WEIGHTS,
)
from balpoe.training.training import Training

CPU = torch.device("cpu")


@pytest.fixture
def splits(train: ImageSet, validation: ImageSet, description: DataDescription) -> FinalSplits:
    return FinalSplits(train, validation, description)


def train_seed(
    configuration: Configuration, splits: FinalSplits, path: Path, *, seed: int = 0
) -> tuple[TrainedModel, list[EpochResult]]:
    seen: list[EpochResult] = []
    model = train_final(
        FinalTraining(configuration, seed=seed, path=path, balpoe_version="1.2.3"),
        splits,
        CPU,
        seen.append,
    )
    return model, seen


@pytest.mark.parametrize("sharing", ["shared", "linear", "independent"])
def test_a_loaded_model_predicts_what_the_trained_one_did(
    configuration: Configuration,
    splits: FinalSplits,
    train: ImageSet,
    description: DataDescription,
    tmp_path: Path,
    sharing: Sharing,
) -> None:
    configuration = replace(configuration, experts=ExpertsConfig(count=2, sharing=sharing))
    train_seed(configuration, splits, tmp_path / "model", seed=4)
    again = Training(configuration, train=train, description=description, seed=4, device=CPU)
    for _ in again.fit():
        pass
    loaded = load_model(tmp_path / "model")
    assert torch.equal(loaded.predict(splits.test, CPU), again.predict(splits.test))
    assert loaded.provenance.seed == 4
    assert loaded.provenance.lambdas == (1.0, -1.0)
    assert loaded.provenance.description == description
    assert loaded.provenance.balpoe_version == "1.2.3"


def test_the_saved_metrics_are_those_of_the_final_evaluation(
    configuration: Configuration, splits: FinalSplits, tmp_path: Path
) -> None:
    model, seen = train_seed(configuration, splits, tmp_path / "model")
    rows = evaluate_on(model.predict(splits.test, CPU), splits.test, model.provenance)
    expected = {name: value for row in rows for name, value in row.scalars().items()}
    assert model.metrics["final"] == expected
    assert len(expected) > 0
    assert [epoch["epoch"] for epoch in model.metrics["epochs"]] == [1, 2, 3, 4]
    assert [epoch.epoch for epoch in seen] == [1, 2, 3, 4]


def test_nothing_but_the_model_is_left_at_the_end(
    configuration: Configuration, splits: FinalSplits, tmp_path: Path
) -> None:
    train_seed(configuration, splits, tmp_path / "model")
    names = {path.name for path in (tmp_path / "model").iterdir()}
    assert names == {WEIGHTS, MODEL, METRICS, TEST_PREDICTIONS, TEST_SUMMARY, MANIFEST, CARD}


def test_predictions_of_an_interrupted_training_of_another_export_are_removed(
    configuration: Configuration, splits: FinalSplits, tmp_path: Path
) -> None:
    stale = tmp_path / "model" / VALIDATION_PREDICTIONS
    stale.parent.mkdir()
    stale.write_bytes(b"of another trial")
    model, _ = train_seed(configuration, splits, tmp_path / "model")
    assert model.validation_predictions() is None
    assert not stale.exists()


def test_a_finished_model_is_not_trained_again(
    configuration: Configuration, splits: FinalSplits, tmp_path: Path
) -> None:
    train_seed(configuration, splits, tmp_path / "model")
    before = (tmp_path / "model" / MANIFEST).stat().st_mtime_ns
    _, seen = train_seed(configuration, splits, tmp_path / "model")
    assert seen == []
    assert (tmp_path / "model" / MANIFEST).stat().st_mtime_ns == before


def test_an_interrupted_training_is_continued_by_the_same_call(
    configuration: Configuration, splits: FinalSplits, tmp_path: Path
) -> None:
    def interrupt(result: EpochResult) -> None:
        if result.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_final(
            FinalTraining(
                configuration, seed=0, path=tmp_path / "interrupted", balpoe_version="1.2.3"
            ),
            splits,
            CPU,
            interrupt,
        )
    model, seen = train_seed(configuration, splits, tmp_path / "interrupted")
    assert [epoch.epoch for epoch in seen] == [1, 2, 3, 4]
    uninterrupted, _ = train_seed(configuration, splits, tmp_path / "uninterrupted")
    assert (tmp_path / "interrupted" / WEIGHTS).read_bytes() == (
        tmp_path / "uninterrupted" / WEIGHTS
    ).read_bytes()
    assert model.metrics["final"] == uninterrupted.metrics["final"]


@pytest.mark.parametrize("change", ["seed", "configuration", "data"])
def test_a_model_of_something_else_is_not_taken_for_this_one(
    configuration: Configuration, splits: FinalSplits, tmp_path: Path, change: str
) -> None:
    train_seed(configuration, splits, tmp_path / "model")
    if change == "configuration":
        configuration = replace(configuration, experts=ExpertsConfig(count=1))
    if change == "data":
        other = replace(splits.description, fingerprint="another")
        splits = FinalSplits(splits.train, splits.test, other)
    with pytest.raises(StorageError, match="another configuration, data or seed"):
        train_seed(configuration, splits, tmp_path / "model", seed=int(change == "seed"))


@pytest.mark.parametrize("name", [WEIGHTS, MODEL, METRICS])
@pytest.mark.parametrize("touch", ["flip", "truncate", "remove"])
def test_a_touched_model_is_refused_before_it_is_used(
    configuration: Configuration, splits: FinalSplits, tmp_path: Path, name: str, touch: str
) -> None:
    train_seed(configuration, splits, tmp_path / "model")
    file = tmp_path / "model" / name
    content = bytearray(file.read_bytes())
    if touch == "remove":
        file.unlink()
    else:
        content[len(content) // 2] ^= 1
        file.write_bytes(content if touch == "flip" else content[:-1])
    with pytest.raises(CorruptFile, match=str(file)):
        load_model(tmp_path / "model")


def test_a_model_of_the_first_format_is_read(
    configuration: Configuration, splits: FinalSplits, tmp_path: Path
) -> None:
    """It has no predictions, no checksums of further files and no fields that came later."""
    model, _ = train_seed(configuration, splits, tmp_path / "model")
    content = json.loads((tmp_path / "model" / MODEL).read_text())
    later = ("search_validation", "own_validation")
    first = {name: value for name, value in content.items() if name not in later} | {"format": 1}
    (tmp_path / "model" / MODEL).write_text(json.dumps(first))
    digests = {
        name: hashlib.sha256((tmp_path / "model" / name).read_bytes()).hexdigest()
        for name in (WEIGHTS, MODEL, METRICS)
    }
    (tmp_path / "model" / MANIFEST).write_text(json.dumps({"format": 1, "sha256": digests}))
    earlier = load_model(tmp_path / "model")
    assert earlier.validation_predictions() is None
    assert earlier.test_predictions() is None
    assert torch.equal(earlier.predict(splits.test, CPU), model.predict(splits.test, CPU))


def test_a_model_of_a_newer_format_is_refused_with_the_cure(
    configuration: Configuration, splits: FinalSplits, tmp_path: Path
) -> None:
    train_seed(configuration, splits, tmp_path / "model")
    manifest = tmp_path / "model" / MANIFEST
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"format": 99}))
    with pytest.raises(CorruptFile, match=r"has format 99.*use the version that wrote it"):
        load_model(tmp_path / "model")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": 1, "sha256": 3}'])
def test_a_broken_manifest_is_refused(
    configuration: Configuration, splits: FinalSplits, tmp_path: Path, content: str
) -> None:
    train_seed(configuration, splits, tmp_path / "model")
    (tmp_path / "model" / MANIFEST).write_text(content)
    with pytest.raises(CorruptFile, match="damaged"):
        load_model(tmp_path / "model")


def test_a_directory_without_a_model_says_so(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="holds no finished model"):
        load_model(tmp_path)


def test_where_posteriors_are_known_the_distance_to_the_bayes_rule_is_saved(
    configuration: Configuration, splits: FinalSplits, tmp_path: Path
) -> None:
    assert isinstance(splits.test, ImageSet)
    known = replace(
        splits.test, log_likelihood_nc=torch.zeros(len(splits.test), 3, dtype=torch.float64)
    )
    final = FinalSplits(splits.train, known, splits.description)
    model, _ = train_seed(configuration, final, tmp_path / "model")
    assert model.metrics["final"]["test/bayes_posterior_kl"] > 0
