"""A model is evaluated only on the test images of its training."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import balpoe
from balpoe.config import Configuration, ModelConfig, TrainingConfig
from balpoe.data import load_final_splits
from balpoe.data.sources.parquet import ParquetImages
from balpoe.errors import CorruptFile, DataError, StorageError
from balpoe.training.final_training import FinalTraining, final_epochs, train_final
from balpoe.training.model_directory import load_model
from balpoe.training.model_files import MANIFEST, MODEL

WriteImages = Callable[[str, Sequence[int]], Path]
COUNTS = {"train": (40, 20, 10), "test": (20,) * 3}


@pytest.fixture
def configuration(write_grey_images: WriteImages) -> Configuration:
    """A small training."""
    train, test = (str(write_grey_images(name, counts)) for name, counts in COUNTS.items())
    return Configuration(
        data=ParquetImages(train=train, test=test),
        model=ModelConfig(backbone="resnet8"),
        training=TrainingConfig(epochs=1, batch_size=32),
    )


@pytest.fixture
def model(configuration: Configuration, tmp_path: Path) -> Path:
    """A trained model."""
    return trained(configuration, tmp_path / "model", seed=1)


def trained(configuration: Configuration, path: Path, *, seed: int) -> Path:
    train_final(
        FinalTraining(configuration, seed=seed, path=path, balpoe_version=""),
        load_final_splits(configuration.data),
        torch.device("cpu"),
        lambda result: None,
    )
    return path


def rows_of(model: Path) -> list[dict[str, float]]:
    (seed,) = balpoe.evaluate(model)
    return [row.scalars() for row in seed.rows]


def as_saved_before(model: Path) -> None:
    """Remove from a model what earlier versions did not save."""
    document = json.loads((model / MODEL).read_text())
    del document["test_fingerprint"]
    save_document(model, document)


def save_document(model: Path, document: dict[str, Any]) -> None:
    (model / MODEL).write_text(json.dumps(document))
    manifest = json.loads((model / MANIFEST).read_text())
    manifest["sha256"][MODEL] = hashlib.sha256((model / MODEL).read_bytes()).hexdigest()
    (model / MANIFEST).write_text(json.dumps(manifest))


def test_no_training_image_is_looked_at(model: Path, write_grey_images: WriteImages) -> None:
    known = rows_of(model)
    write_grey_images("train", (41, 20, 10))
    assert rows_of(model) == known


def test_other_test_images_are_refused(model: Path, write_grey_images: WriteImages) -> None:
    write_grey_images("test", (21, 20, 20))
    with pytest.raises(DataError, match=r"trained with other test images.*restore the files"):
        balpoe.evaluate(model)


def test_a_model_that_tells_of_all_its_data_alone_is_evaluated_where_all_are_the_same(
    model: Path, write_grey_images: WriteImages
) -> None:
    known = rows_of(model)
    as_saved_before(model)
    assert rows_of(model) == known
    write_grey_images("train", (41, 20, 10))
    with pytest.raises(DataError, match=r"trained with other data.*restore the files"):
        balpoe.evaluate(model)


def test_a_model_from_before_the_validation_split_was_trained_on_is_evaluated(
    configuration: Configuration, write_grey_images: WriteImages, tmp_path: Path
) -> None:
    data = configuration.data
    assert isinstance(data, ParquetImages)
    own = replace(data, validation=str(write_grey_images("validation", (5, 4, 3))))
    before = replace(configuration, data=replace(own, final_uses_validation=False))
    path = trained(before, tmp_path / "before", seed=1)
    known = rows_of(path)
    as_saved_before(path)
    document = json.loads((path / MODEL).read_text())
    del document["own_validation"], document["configuration"]["data"]["final_uses_validation"]
    save_document(path, document)
    assert rows_of(path) == known
    with pytest.raises(StorageError, match=r"another config.*data\.final_uses_validation: false"):
        trained(replace(configuration, data=own), path, seed=1)
    assert load_model(trained(before, path, seed=1)).provenance.own_validation is None


def test_an_unfinished_training_from_before_it_was_trained_on_gets_the_same_hint(
    configuration: Configuration,
    write_grey_images: WriteImages,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = configuration.data
    assert isinstance(data, ParquetImages)
    own = replace(data, validation=str(write_grey_images("validation", (5, 4, 3))))
    now = replace(configuration, data=own, training=TrainingConfig(epochs=2, batch_size=32))
    before = replace(now, data=replace(own, final_uses_validation=False))
    hint = "data.final_uses_validation: false"
    for path, checkpoint_format in ((tmp_path / "before", 1), (tmp_path / "present", 2)):
        with monkeypatch.context() as earlier:
            earlier.setattr("balpoe.training.checkpoint.FORMAT", checkpoint_format)
            interrupt(before, path)
        with pytest.raises(CorruptFile, match="another configuration, data or seed") as caught:
            trained(now, path, seed=1)
        assert (hint in str(caught.value)) is (checkpoint_format == 1)
        trained(before, path, seed=1)


def interrupt(configuration: Configuration, path: Path) -> None:
    task = FinalTraining(configuration, seed=1, path=path, balpoe_version="")
    splits = load_final_splits(configuration.data)
    with closing(final_epochs(task, splits, torch.device("cpu"))) as epochs:
        next(epochs)


def test_checkpoints_of_a_finished_model_are_deleted_after_a_crash(
    configuration: Configuration, model: Path
) -> None:
    (model / "checkpoints").mkdir()
    (model / "checkpoints" / "epoch_000001").write_bytes(b"of a crash after the manifest")
    trained(configuration, model, seed=1)
    assert not (model / "checkpoints").exists()
    assert (model / MANIFEST).exists()


def test_seeds_are_evaluated_together_where_they_were_trained_alike(
    configuration: Configuration, tmp_path: Path
) -> None:
    trained(configuration, tmp_path / "seed_1", seed=1)
    trained(configuration, tmp_path / "seed_10", seed=10)
    shutil.copytree(tmp_path / "seed_1", tmp_path / "seed_1_before")
    assert [seed.seed for seed in balpoe.evaluate(tmp_path)] == [1, 10]
    longer = replace(configuration, training=replace(configuration.training, epochs=2))
    trained(longer, tmp_path / "seed_2", seed=2)
    with pytest.raises(DataError, match=r"seed_2: was trained with another configuration than se"):
        balpoe.evaluate(tmp_path)
