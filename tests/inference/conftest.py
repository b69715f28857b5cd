"""A saved model with random weights for small colour images, and images for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from balpoe.config import (
    AugmentationConfig,
    Configuration,
    CostMatrix,
    ExpertsConfig,
    ModelConfig,
    Sharing,
    TrainingConfig,
    to_plain,
)
from balpoe.config.loss import LOSSES
from balpoe.data.sources.digits_lt import DigitsLT
from balpoe.data.splits import DataDescription, Normalisation
from balpoe.inference import Classifier
from balpoe.models.experts import build_experts
from balpoe.training.loss_context import scalar_lambdas
from balpoe.training.model_directory import (
    OUTSIDE_A_STUDY,
    Calibration,
    Provenance,
    load_model,
    save_model,
)
from balpoe.training.model_files import HELD_OUT_PREDICTIONS
from balpoe.training.predictions_file import Predictions, write_predictions

CLASSES = ("cat", "dog", "Übermut", "鳥")
COUNTS = (60, 20, 8, 3)
HEIGHT, WIDTH = 8, 10
SaveModel = Callable[..., Path]


def save_drawn_model(
    path: Path,
    *,
    lambdas: tuple[float, ...] = (1.0, 0.0, -1.0),
    channels: int = 3,
    sharing: Sharing = "shared",
    calibration: Calibration = OUTSIDE_A_STUDY,
    resized_crop: int = 0,
    cost: CostMatrix | None = None,
    held_out: int = 0,
    loss: str = "logit_adjustment",
    class_lambdas: tuple[tuple[float, ...], ...] | None = None,
) -> Path:
    """Write a model directory with random weights, large enough for unequal predictions.

    The predictions for `held_out` images are invented: accurate, with all classes alike.
    """
    configuration = Configuration(
        data=DigitsLT(),
        model=ModelConfig(backbone="resnet8", cosine_scale=4.0),
        experts=ExpertsConfig(
            count=len(lambdas),
            lambdas=lambdas if class_lambdas is None else None,
            class_lambdas=class_lambdas,
            sharing=sharing,
        ),
        loss=LOSSES[loss](),
        training=TrainingConfig(
            precision="bfloat16", augmentation=AugmentationConfig(resized_crop=resized_crop)
        ),
        cost=cost,
    )
    networks = len(lambdas) if sharing == "independent" else 1
    experts = build_experts(
        configuration.model,
        configuration.experts,
        channels=channels,
        classes=len(CLASSES),
        generators=[torch.Generator().manual_seed(seed) for seed in range(networks)],
    )
    description = DataDescription(
        class_names=CLASSES,
        class_counts=COUNTS,
        height=HEIGHT,
        width=WIDTH,
        channels=channels,
        normalisation=Normalisation((0.5,) * channels, (0.25,) * channels),
        fingerprint="drawn",
    )
    provenance = Provenance(
        configuration=to_plain(configuration),
        identity="drawn",
        seed=3,
        lambdas=scalar_lambdas(configuration),
        description=description,
        balpoe_version="1.2.3",
        calibration=calibration,
    )
    written = []
    if held_out:
        path.mkdir(parents=True)
        labels_n = np.arange(held_out) % len(CLASSES)
        noise = np.random.default_rng(0).standard_normal((held_out, len(lambdas), len(CLASSES)))
        logits_nec = (noise + 2 * np.eye(len(CLASSES))[labels_n, None]).astype(np.float32)
        write_predictions(path / HELD_OUT_PREDICTIONS, Predictions(logits_nec, labels_n))
        written = [HELD_OUT_PREDICTIONS]
    save_model(path, experts, provenance, history=(), final_metrics={}, written=written)
    return path


@pytest.fixture(scope="session")
def save_model_of() -> SaveModel:
    return save_drawn_model


@pytest.fixture(scope="session")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three experts with λ 1, 0 and −1."""
    return save_drawn_model(tmp_path_factory.mktemp("models") / "drawn", held_out=40)


@pytest.fixture(scope="session")
def classifier(model_path: Path) -> Classifier:
    return Classifier(load_model(model_path), torch.device("cpu"))


@pytest.fixture(scope="session")
def images_nhwd() -> NDArray[np.uint8]:
    """Thirty images of the model's own shape."""
    generator = np.random.default_rng(5)
    return generator.integers(0, 256, (30, HEIGHT, WIDTH, 3), dtype=np.uint8)
