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
from balpoe.data.decoding.decoded_images import DecodedImages, Decoding, decode_rows
from balpoe.data.decoding.encoded_images import ImageSource
from balpoe.data.held_out import held_out_images
from balpoe.data.loading import load_validation_images
from balpoe.data.sources.digits_lt import DigitsLT
from balpoe.data.sources.gaussian_lt import GaussianLT
from balpoe.data.sources.parquet import ParquetImages
from balpoe.data.splits import FinalSplits, ImageSet
from balpoe.errors import DataError, NoValidationImages, UserError
from balpoe.method.long_tailed_counts import Indices
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
        train=train,
        test=train,
        validation=other,
        in_memory_limit=in_memory_limit,
        final_uses_validation=False,
    )
    validation = load_search_splits(settings).validation
    final = load_final_splits(settings)
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


@pytest.mark.parametrize("own_validation", [False, True])
def test_nothing_is_read_where_the_training_has_all_labelled_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_validation: bool
) -> None:
    train, other = written(tmp_path / "a.parquet", 0, 12), written(tmp_path / "b.parquet", 1, 6)
    settings = ParquetImages(train=train, test=train, validation=other if own_validation else None)
    final = load_final_splits(settings)
    monkeypatch.delattr("balpoe.data.held_out.load_validation_images")
    monkeypatch.delattr("balpoe.data.held_out._digests")
    assert held_out_images(settings, final) is None


def test_training_images_are_not_decoded_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, other = written(tmp_path / "a.parquet", 0, 12), written(tmp_path / "b.parquet", 1, 6)
    settings = ParquetImages(train=train, test=train, validation=other, final_uses_validation=False)
    final = load_final_splits(settings)
    decoded = []

    def recorded(source: ImageSource, rows: Indices, decoding: Decoding) -> DecodedImages:
        decoded.append(len(rows))
        return decode_rows(source, rows, decoding)

    monkeypatch.setattr("balpoe.data.encoded_splits.decode_rows", recorded)
    assert held_out_images(settings, final) is not None
    assert decoded == [6]


@pytest.mark.parametrize("own_validation", [False, True])
def test_validation_images_are_those_of_the_search(tmp_path: Path, own_validation: bool) -> None:
    train, other = written(tmp_path / "a.parquet", 0, 22), written(tmp_path / "b.parquet", 1, 6)
    for ratio in (None, 2.0):
        settings = ParquetImages(
            train=train,
            test=train,
            validation=other if own_validation else None,
            imbalance_ratio=ratio,
        )
        expected, found = load_search_splits(settings).validation, load_validation_images(settings)
        assert torch.equal(found.images_nhwd, expected.images_nhwd)
        assert torch.equal(found.labels_n, expected.labels_n)


def test_files_that_cannot_be_read_are_no_set_without_validation_images(tmp_path: Path) -> None:
    train, other = written(tmp_path / "a.parquet", 0, 12), written(tmp_path / "b.parquet", 1, 6)
    settings = ParquetImages(train=train, test=train, validation=other, final_uses_validation=False)
    final = load_final_splits(settings)
    Path(other).unlink()
    with pytest.raises(UserError, match=r"b\.parquet"):
        held_out_images(settings, final)
    images = [{"bytes": b"no image", "path": None}] * 2
    pq.write_table(pa.table({"image": images, "label": [0, 1]}), other)
    with pytest.raises(DataError, match=r"b\.parquet"):
        held_out_images(settings, final)


def test_a_set_without_validation_images_has_none(tmp_path: Path) -> None:
    train, two = written(tmp_path / "a.parquet", 0, 12), written(tmp_path / "b.parquet", 1, 2)
    settings = ParquetImages(train=train, test=train, imbalance_ratio=2.0, validation_per_class=6)
    with pytest.raises(NoValidationImages, match="validation_per_class: 6 leaves none of the 6"):
        load_validation_images(settings)
    assert held_out_images(settings, load_final_splits(settings)) is None
    with pytest.raises(NoValidationImages, match="there are no validation images"):
        load_validation_images(ParquetImages(train=two, test=two))  # one image of each class


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
