"""The format of a training, and float32 everywhere after it.

tests/inference/test_onnx_export.py compares ONNX with predictions, of a bfloat16 model too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import balpoe
from balpoe.config import Configuration, Precision, TrainingConfig
from balpoe.config.fields import searchable_fields
from balpoe.data import load_final_splits
from balpoe.data.sources.digits_lt import DigitsLT
from balpoe.data.splits import DataDescription, ImageSet
from balpoe.launch.evaluate import evaluate
from balpoe.method.losses.logit_adjustment.adjusted_losses import product_of_experts
from balpoe.training.final_training import FinalTraining, evaluate_on, train_final
from balpoe.training.model_directory import load_model
from balpoe.training.precision import autocast_dtype, float32_kernels, number_format
from balpoe.training.training import Training

CPU, GPU = torch.device("cpu"), torch.device("cuda")
TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def bfloat16_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of the digits that was trained in bfloat16, far enough for unequal predictions."""
    configuration = Configuration(
        data=DigitsLT(), training=TrainingConfig(epochs=2, batch_size=32, precision="bfloat16")
    )
    configuration = replace(configuration, model=replace(configuration.model, backbone="resnet8"))
    path = tmp_path_factory.mktemp("bfloat16") / "model"
    task = FinalTraining(configuration, 0, path, "1.2.3")
    train_final(task, load_final_splits(configuration.data), CPU, lambda result: None)
    return path


def test_prediction_evaluation_and_stored_predictions_are_float32(bfloat16_model: Path) -> None:
    import pyarrow.parquet as pq

    model, test = load_model(bfloat16_model), load_final_splits(DigitsLT()).test
    predicted_nc = balpoe.load(bfloat16_model, device="cpu").predict_proba(test.images_nhwd)
    logits_nec = model.predict(test, CPU)
    expected_nc = product_of_experts(logits_nec).double().softmax(dim=1).numpy()
    assert np.abs(predicted_nc - expected_nc).max() < TOLERANCE
    stored = model.test_predictions()
    assert stored is not None
    stored_nc = np.array(pq.read_table(stored)["probabilities"].to_pylist())
    assert np.abs(stored_nc - expected_nc).max() < TOLERANCE
    (seed,) = evaluate(bfloat16_model, device="cpu")
    final = model.metrics["final"]
    for row in (*seed.rows, *evaluate_on(logits_nec, test, model.provenance)):
        for name, value in row.scalars().items():
            assert value == pytest.approx(final[name], abs=TOLERANCE), name


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_validation_within_a_search_keeps_the_precision_of_the_trial(
    configuration: Configuration,
    train: ImageSet,
    validation: ImageSet,
    description: DataDescription,
    precision: Precision,
) -> None:
    chosen = replace(configuration.training, precision=precision, epochs=2)
    training = Training(
        replace(configuration, training=chosen),
        train=train,
        description=description,
        seed=0,
        device=CPU,
    )
    assert len(list(training.fit())) == 2
    own, exact = training.predict(validation), training.predict(validation, "float32")
    assert torch.equal(own, exact) is (precision == "float32")


def test_a_precision_means_a_format_of_the_device() -> None:
    assert [number_format(precision, CPU) for precision in ("float32", "tf32", "bfloat16")] == [
        "float32",
        "float32",
        "bfloat16",
    ]
    assert number_format("tf32", GPU) == "tf32"
    assert number_format("auto", CPU) in ("float32", "bfloat16")
    assert autocast_dtype("tf32", GPU) == autocast_dtype("float32", GPU) == torch.float32
    assert autocast_dtype("bfloat16", GPU) == torch.bfloat16
    problem = searchable_fields()["training.precision"].problem("float16")
    assert problem is not None
    assert problem.startswith("must be auto, float32, tf32 or bfloat16")


def test_the_given_gpu_decides_what_auto_means(monkeypatch: pytest.MonkeyPatch) -> None:
    current = [torch.device("cuda:0")]

    @contextmanager
    def device(chosen: torch.device) -> Iterator[None]:
        current.append(chosen)
        yield
        current.pop()

    monkeypatch.setattr(torch.cuda, "device", device)
    monkeypatch.setattr(
        torch.cuda, "is_bf16_supported", lambda including_emulation: current[-1].index == 1
    )
    formats = [number_format("auto", torch.device("cuda", index)) for index in (0, 1)]
    assert formats == ["float32", "bfloat16"]


def gpu_settings() -> tuple[object, ...]:
    """The settings of PyTorch that decide what float32 means on a GPU; also without a GPU."""
    backends = torch.backends
    return (
        backends.cuda.matmul.fp32_precision,
        backends.cudnn.conv.fp32_precision,  # type: ignore[attr-defined]
        backends.cudnn.deterministic,
    )


@pytest.mark.parametrize(
    ("precision", "within"),
    [("float32", ("ieee", "ieee", True)), ("tf32", ("tf32", "tf32", False)), ("bfloat16", None)],
)
def test_float32_on_a_gpu_means_it_and_the_settings_are_restored(
    precision: Precision, within: tuple[object, ...] | None
) -> None:
    before = gpu_settings()
    with suppress(KeyError), float32_kernels(precision, GPU):
        assert gpu_settings() == (within or before)
        raise KeyError("settings are restored after an error too")
    assert gpu_settings() == before
    with float32_kernels(precision, CPU):
        assert gpu_settings() == before
