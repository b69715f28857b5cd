"""The predictions for the test images that are saved beside a model."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from balpoe.config import Configuration
from balpoe.data import load_final_splits
from balpoe.data.image_locations import ImageLocations, positions
from balpoe.data.sources.folder import ImageFolder
from balpoe.data.splits import DataDescription
from balpoe.errors import CorruptFile
from balpoe.inference import Classifier
from balpoe.training.final_training import FinalTraining, train_final
from balpoe.training.model_directory import TrainedModel, load_model
from balpoe.training.model_files import TEST_PREDICTIONS
from balpoe.training.test_predictions import METADATA, write_test_predictions

CPU = torch.device("cpu")


@pytest.fixture
def settings(tmp_path: Path) -> ImageFolder:
    """Write a folder of noisy images of three classes."""
    generator = np.random.default_rng(0)
    for split, counts in {"train": (30, 12, 5), "test": (8, 8, 8)}.items():
        for y, count in enumerate(counts):
            folder = tmp_path / "images" / split / f"class_{y}"
            folder.mkdir(parents=True)
            for n in range(count):
                pixels = np.clip(generator.normal(60 + 60 * y, 60, (8, 8, 3)), 0, 255)
                Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{n}.png")
    return ImageFolder(root=str(tmp_path / "images"), image_size=8)


@pytest.fixture
def model(configuration: Configuration, settings: ImageFolder, tmp_path: Path) -> TrainedModel:
    """A model of these images."""
    training = replace(configuration.training, epochs=2)
    configuration = replace(configuration, data=settings, training=training)
    task = FinalTraining(configuration, 0, tmp_path / "model", "1.2.3")
    return train_final(task, load_final_splits(settings), CPU, lambda result: None)


def predictions(model: TrainedModel) -> pa.Table:
    path = model.test_predictions()
    assert path is not None
    return pq.read_table(path, page_checksum_verification=True)


def test_a_wrong_image_can_be_looked_up_and_predicted_again(model: TrainedModel) -> None:
    rows = predictions(model).to_pylist()
    wrong = [row for row in rows if row["predicted"] != row["label"]]
    assert len(rows) == 24
    assert wrong
    assert 1 - len(wrong) / 24 == pytest.approx(model.metrics["final"]["test/accuracy"])
    classifier = Classifier(model, CPU)
    for row in wrong:
        path = Path(row["path"])
        assert path.parent.name == row["label"]
        again = classifier.predict_proba(path)[0]
        assert row["probabilities"] == pytest.approx(again.tolist(), abs=1e-5)
        assert classifier.predict(path)[0] == row["predicted"]
        assert row["probability"] == max(row["probabilities"])


def test_the_file_names_its_classes_and_its_model(model: TrainedModel) -> None:
    about = json.loads(predictions(model).schema.metadata[METADATA])
    assert about["classes"] == ["class_0", "class_1", "class_2"]
    assert about["model"] == model.provenance.identity
    assert predictions(model)["row"].to_pylist() == list(range(24))


def test_a_changed_file_is_refused(model: TrainedModel) -> None:
    path = model.directory / TEST_PREDICTIONS
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(CorruptFile, match=TEST_PREDICTIONS):
        load_model(model.directory).test_predictions()


def test_large_sets_are_written_in_row_groups_and_above_a_limit_in_float16(
    description: DataDescription, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("balpoe.training.test_predictions._ROW_GROUP_BYTES", 240)
    logits_nec = torch.randn(25, 2, 3, generator=torch.Generator().manual_seed(0))
    labels_n = torch.arange(25) % 3
    tables = []
    for limit in (300, 299):
        path = tmp_path / f"{limit}.parquet"
        write_test_predictions(
            path,
            logits_nec,
            labels_n,
            positions(25),
            description,
            identity="drawn",
            float32_bytes=limit,
        )
        with pq.ParquetFile(path) as file:
            assert [file.metadata.row_group(g).num_rows for g in range(3)] == [10, 10, 5]
        tables.append(pq.read_table(path))
    whole, halved = tables
    expected_nc = logits_nec.mean(dim=1).double().softmax(dim=1).float()
    assert torch.equal(torch.tensor(whole["probabilities"].to_pylist()), expected_nc)
    assert str(halved.schema.field("probabilities").type.value_type) == "halffloat"
    assert np.abs(np.array(halved["probabilities"].to_pylist()) - expected_nc.numpy()).max() < 1e-3
    columns = ["path", "row", "label", "predicted", "probability"]
    assert halved.select(columns).equals(whole.select(columns))
    assert whole["path"].null_count == 25


def test_what_was_written_before_stays_if_writing_fails(
    description: DataDescription, tmp_path: Path
) -> None:
    path = tmp_path / "predictions.parquet"
    path.write_bytes(b"before")
    with pytest.raises(ValueError, match=r".*"):
        write_test_predictions(
            path,
            torch.zeros(4, 2, 3),
            torch.zeros(4, dtype=torch.int64),
            ImageLocations(np.arange(3)),
            description,
            identity="drawn",
        )
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]
