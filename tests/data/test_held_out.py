"""The validation images that a final training leaves out."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from balpoe.config import Configuration, ModelConfig, TrainingConfig
from balpoe.data import load_final_splits, load_search_splits
from balpoe.data.held_out import held_out_images
from balpoe.data.sources.digits_lt import DigitsLT
from balpoe.data.sources.gaussian_lt import GaussianLT
from balpoe.data.sources.parquet import ParquetImages
from balpoe.data.splits import FinalSplits, ImageSet
from balpoe.training.final_training import FinalTraining, train_final
from balpoe.training.model_directory import load_model

SMALL = GaussianLT(classes=3, head_count=20, validation_per_class=4, test_per_class=5)


def written(path: Path, seed: int, images: int) -> str:
    """A Parquet file of noise with the classes 0 and 1 in turn."""
    noise = np.random.default_rng(seed)
    rows = []
    for _ in range(images):
        buffer = io.BytesIO()
        Image.fromarray(noise.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(buffer, "PNG")
        rows.append({"bytes": buffer.getvalue(), "path": None})
    labels = [n % 2 for n in range(images)]
    pq.write_table(pa.table({"image": rows, "label": labels}), path)
    return str(path)


@pytest.mark.parametrize("settings", [SMALL, DigitsLT()])
def test_a_cut_leaves_all_validation_images_out(settings: GaussianLT | DigitsLT) -> None:
    validation = load_search_splits(settings).validation
    found = held_out_images(settings, load_final_splits(settings))
    assert found is not None
    assert torch.equal(found.images_nhwd, validation.images_nhwd)
    assert torch.equal(found.labels_n, validation.labels_n)


@pytest.mark.parametrize("in_memory_limit", [1.0, 1e-9])
def test_training_images_are_not_held_out(tmp_path: Path, in_memory_limit: float) -> None:
    """The second half of the validation images is trained on."""
    train, other = written(tmp_path / "a.parquet", 0, 12), written(tmp_path / "b.parquet", 1, 6)
    settings = ParquetImages(
        train=train, test=train, validation=other, in_memory_limit=in_memory_limit
    )
    validation = load_search_splits(settings).validation
    final = load_final_splits(replace(settings, validation=None))
    found = held_out_images(settings, final)
    assert found is not None
    assert torch.equal(found.labels_n, validation.labels_n)
    half = ParquetImages(train=written(tmp_path / "c.parquet", 1, 3), test=train)
    trained = replace(final, train=load_final_splits(half).train)
    found = held_out_images(settings, trained)
    assert found is not None
    assert torch.equal(found.images_nhwd, validation.images_nhwd[3:])
    everything = replace(final, train=load_final_splits(replace(half, train=other)).train)
    assert held_out_images(settings, everything) is None


def test_a_set_that_cannot_be_read_has_none(tmp_path: Path) -> None:
    gone = ParquetImages(train=str(tmp_path / "a.parquet"), test=str(tmp_path / "a.parquet"))
    assert held_out_images(gone, load_final_splits(SMALL)) is None


def trained(path: Path, splits: FinalSplits) -> Path:
    configuration = Configuration(
        data=SMALL,
        model=ModelConfig(backbone="resnet8"),
        training=TrainingConfig(epochs=1, precision="float32"),
    )
    train_final(
        FinalTraining(configuration, seed=0, path=path, balpoe_version="1.2.3"),
        splits,
        torch.device("cpu"),
        lambda result: None,
    )
    return path


def test_a_model_carries_its_own_predictions_for_them(tmp_path: Path) -> None:
    splits = load_final_splits(SMALL)
    model = load_model(trained(tmp_path / "model", splits))
    found = model.held_out_predictions()
    validation = load_search_splits(SMALL).validation
    assert found is not None
    assert found.labels_n.tolist() == validation.labels_n.tolist()
    expected = model.predict(validation, torch.device("cpu"))
    assert torch.equal(torch.from_numpy(found.logits_nec), expected)
    both = torch.cat([splits.train.images_nhwd, validation.images_nhwd])
    labels_n = torch.cat([splits.train.labels_n, validation.labels_n])
    everything = replace(splits, train=ImageSet(both, labels_n))
    model = load_model(trained(tmp_path / "all", everything))
    assert model.held_out_predictions() is None
