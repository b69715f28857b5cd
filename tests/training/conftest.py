"""Small image sets for the engine's tests."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from balpoe.config import (
    AugmentationConfig,
    Configuration,
    ExpertsConfig,
    MixupConfig,
    ModelConfig,
    Precision,
    TrainingConfig,
)
from balpoe.data.decoding.decoded_images import Decoding
from balpoe.data.decoding.encoded_images import EncodedImages, LabelledImages
from balpoe.data.decoding.image_decoding import ImageShape
from balpoe.data.decoding.streamed_images import StreamedImages, stream_rows
from balpoe.data.sources.digits_lt import DigitsLT
from balpoe.data.splits import DataDescription, ImageSet, Normalisation
from balpoe.method.long_tailed_counts import Indices
from balpoe.training.training import Training


def make_images(
    counts: tuple[int, ...], *, size: int = 8, channels: int = 1, seed: int = 0
) -> ImageSet:
    """Noise around one prototype per class: learnable, and unlike between seeds."""
    generator = np.random.default_rng(seed)
    prototypes = np.random.default_rng(0).integers(40, 216, (len(counts), size, size, channels))
    labels = np.repeat(np.arange(len(counts)), counts)
    noise = generator.normal(0, 30, (len(labels), size, size, channels))
    images = np.clip(prototypes[labels] + noise, 0, 255).astype(np.uint8)
    return ImageSet(torch.from_numpy(images), torch.from_numpy(labels))


def describe_images(
    counts: tuple[int, ...], *, size: int = 8, channels: int = 1
) -> DataDescription:
    return DataDescription(
        class_names=tuple(map(str, range(len(counts)))),
        class_counts=counts,
        height=size,
        width=size,
        channels=channels,
        normalisation=Normalisation((0.5,) * channels, (0.25,) * channels),
        fingerprint="noise",
    )


COUNTS = (30, 12, 5)
Describe = Callable[[tuple[int, ...]], DataDescription]


@pytest.fixture
def train() -> ImageSet:
    return make_images(COUNTS)


@pytest.fixture
def validation() -> ImageSet:
    return make_images((6, 6, 6), seed=1)


@pytest.fixture
def description() -> DataDescription:
    return describe_images(COUNTS)


@pytest.fixture
def describe() -> Describe:
    """The description of noise images with the given class counts."""
    return describe_images


@pytest.fixture
def configuration() -> Configuration:
    """Every source of randomness is switched on; the last batch is a partial one."""
    return Configuration(
        data=DigitsLT(),
        model=ModelConfig(backbone="resnet8"),
        experts=ExpertsConfig(count=2, sharing="shared"),
        mixup=MixupConfig(alpha=0.4),
        training=TrainingConfig(
            epochs=4,
            batch_size=16,
            learning_rate=0.05,
            precision="float32",
            augmentation=AugmentationConfig(crop_padding=1, flip=True, rotation_degrees=15),
        ),
    )


LEARNABLE_COUNTS = (60, 24, 10)
Learn = Callable[..., Training]


@pytest.fixture
def learn(configuration: Configuration) -> Learn:
    """Train on images that every seed learns: at least 0.93 of 180 are right, chance is 0.33."""
    training = replace(configuration.training, epochs=15, evaluate_every=15)

    def train_on_learnable_images(
        seed: int, *, device: str = "cpu", precision: Precision = "float32"
    ) -> Training:
        learnt = Training(
            replace(configuration, training=replace(training, precision=precision)),
            train=make_images(LEARNABLE_COUNTS),
            description=describe_images(LEARNABLE_COUNTS),
            validation=make_images((60, 60, 60), seed=1),
            seed=seed,
            device=torch.device(device),
        )
        assert len(list(learnt.fit())) == training.epochs
        return learnt

    return train_on_learnable_images


class _Encoded:
    """The images of a set as PNG files would hold them."""

    def __init__(self, images: ImageSet) -> None:
        self._images = images

    def place(self, row: int) -> str:
        return f"image {row}"

    def paths(self, rows: Indices) -> Iterator[str | None]:
        return (None for _ in rows)

    def encoded_images(self, rows: Indices) -> Iterator[EncodedImages]:
        encoded = []
        for row in rows.tolist():
            buffer = io.BytesIO()
            Image.fromarray(self._images.images_nhwd[row].squeeze().numpy()).save(buffer, "PNG")
            encoded.append(buffer.getvalue())
        yield EncodedImages(np.arange(len(rows)), rows, encoded)


def stream_images(images: ImageSet, workers: int = 1) -> StreamedImages:
    """The same images from files, decoded by so many processes."""
    decoding = Decoding(ImageShape(*images.shape_hwd), fitted=False, skipped=False, threads=workers)
    labelled = LabelledImages(_Encoded(images), images.labels_n.numpy())
    return stream_rows(labelled, np.arange(len(images)), decoding)


@pytest.fixture
def streamed() -> Callable[..., StreamedImages]:
    """What streams the images of a set."""
    return stream_images
