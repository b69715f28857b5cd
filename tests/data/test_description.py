"""Normalisation compared with numpy, and the fingerprint with its definition."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch

from balpoe.data import ImageSet, Normalisation
from balpoe.data.description import describe_search, fingerprint, measure_normalisation

HALF = Normalisation((0.5,), (0.25,))


def images(seed: int, count: int = 5, channels: int = 1) -> ImageSet:
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(256, (count, 2, 3, channels), generator=generator).byte()
    return ImageSet(pixels, torch.arange(count) % 2)


def test_mean_and_standard_deviation_are_those_of_all_pixels_of_a_channel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("balpoe.data.description._PIXELS_AT_ONCE", 13)
    measured = measure_normalisation(images(0, count=100, channels=3))
    scaled = images(0, count=100, channels=3).images_nhwd.numpy().astype(np.float64) / 255
    assert measured.mean == pytest.approx(scaled.mean((0, 1, 2)), rel=1e-12)
    assert measured.std == pytest.approx(scaled.std((0, 1, 2)), rel=1e-12)


def test_the_description_counts_training_images_only() -> None:
    splits = describe_search(images(0, 5), images(1, 9), ("cat", "dog"))
    assert splits.description.class_counts == (3, 2)
    assert splits.description.normalisation == measure_normalisation(splits.train)


def test_the_fingerprint_follows_its_definition() -> None:
    train, validation = images(0), images(1)
    header = (
        '{"class_names":["cat","dög"],"format":1,"mean":[0.5],'
        '"splits":[["train",[5,2,3,1]],["validation",[5,2,3,1]]],"std":[0.25]}'
    )
    content = header.encode() + b"".join(
        split.images_nhwd.numpy().tobytes() + split.labels_n.numpy().astype("<i8").tobytes()
        for split in (train, validation)
    )
    splits = {"train": train, "validation": validation}
    found = fingerprint(splits, ("cat", "dög"), HALF)
    assert found == hashlib.sha256(content).hexdigest()


def test_pixels_labels_names_and_normalisation_all_change_the_fingerprint() -> None:
    train = images(0)
    pixels, labels = train.images_nhwd.clone(), train.labels_n.clone()
    pixels[0, 0, 0, 0] ^= 1
    labels[0] = 1
    found = {
        fingerprint({"train": train}, ("cat", "dog"), HALF),
        fingerprint({"test": train}, ("cat", "dog"), HALF),
        fingerprint({"train": ImageSet(pixels, train.labels_n)}, ("cat", "dog"), HALF),
        fingerprint({"train": ImageSet(train.images_nhwd, labels)}, ("cat", "dog"), HALF),
        fingerprint({"train": train}, ("dog", "cat"), HALF),
        fingerprint({"train": train}, ("cat", "dog"), Normalisation((0.5,), (0.2,))),
    }
    assert len(found) == 6


def test_the_memory_layout_of_the_images_does_not_change_the_fingerprint() -> None:
    train = images(0)
    strided = train.images_nhwd.transpose(1, 2).contiguous().transpose(1, 2)
    assert not strided.is_contiguous()
    assert fingerprint({"train": train}, ("a", "b"), HALF) == fingerprint(
        {"train": ImageSet(strided, train.labels_n)}, ("a", "b"), HALF
    )
