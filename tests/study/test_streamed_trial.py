"""A trial on streamed images against the same trial in memory."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.torch
import torch
from PIL import Image

from balpoe.config import Choice, Configuration, ModelConfig, StudySpec, TrainingConfig
from balpoe.config.image_sources import ParquetImages
from balpoe.errors import WorkerDied
from balpoe.study.directory import StudyDirectory, TrialDirectory
from balpoe.study.failures import Failure, failure_of
from balpoe.study.predictions_file import read_predictions
from balpoe.study.record import TrialIdentity
from balpoe.study.result_file import read_result
from balpoe.study.trial import Course, TrialTask, run_trial

MakeSpec = Callable[..., StudySpec]
PARAMETERS: Mapping[str, Choice] = {
    "experts.spread": 1.0,
    "experts.sharing": "independent",
    "experts.count": 2,
}
COUNTS = (40, 20, 10)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Noisy grey images of 8x8 around the level of their class."""
    labels = np.repeat(np.arange(3), COUNTS)
    noise = np.random.default_rng(0).normal(0, 40, (len(labels), 8, 8))
    encoded = []
    for label, image in zip(labels, noise, strict=True):
        buffer = io.BytesIO()
        pixels = np.clip(image + 80 * label + 48, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(buffer, "PNG")
        encoded.append({"bytes": buffer.getvalue(), "path": None})
    path = tmp_path / "images.parquet"
    pq.write_table(pa.table({"image": encoded, "label": labels.tolist()}), path)
    return path


@pytest.fixture
def task(make_spec: MakeSpec, images: Path, tmp_path: Path) -> Callable[..., TrialTask]:
    """The trial by its limit of memory, in GiB."""

    def make(limit: float, cpus: int = 1, attempt: int = 0) -> TrialTask:
        data = ParquetImages(train=str(images), test=str(images), in_memory_limit=limit)
        spec = make_spec(
            base=Configuration(
                data=data,
                model=ModelConfig(backbone="resnet8"),
                training=TrainingConfig(epochs=2, batch_size=16),
            )
        )
        spec = replace(spec, resources=replace(spec.resources, cpus_per_trial=cpus))
        directory = StudyDirectory(tmp_path / f"{limit}_{cpus}")
        identity = TrialIdentity("digits", 0, attempt=attempt)
        return TrialTask(spec, identity, PARAMETERS, directory.trial(identity))

    return make


def run(course: Course) -> Mapping[str, float]:
    while True:
        try:
            next(course)
        except StopIteration as end:
            objectives: Mapping[str, float] = end.value
            return objectives


def test_a_streamed_trial_equals_the_one_in_memory_whatever_its_cpus(
    task: Callable[..., TrialTask],
) -> None:
    expected = run(run_trial(task(limit=1)))
    in_memory = task(limit=1).directory
    for cpus in (1, 2):
        assert run(run_trial(task(limit=1e-9, cpus=cpus))) == expected
        assert_same_record(task(limit=1e-9, cpus=cpus).directory, in_memory)


def test_a_streamed_trial_that_is_left_continues_in_memory_and_ends_alike(
    task: Callable[..., TrialTask], tmp_path: Path
) -> None:
    expected = run(run_trial(task(limit=1)))
    course = run_trial(task(limit=1e-9))
    next(course)
    course.close()
    left = task(limit=1e-9).directory
    assert list(left.checkpoints.iterdir())
    again = replace(task(limit=1, attempt=1), directory=left)
    assert run(run_trial(again)) == expected
    assert_same_record(left, task(limit=1).directory)


def test_a_killed_decoding_process_counts_as_a_dead_worker() -> None:
    assert failure_of(WorkerDied("killed")) == Failure("infrastructure", "killed")


def assert_same_record(ours: TrialDirectory, theirs: TrialDirectory) -> None:
    our_predictions, their_predictions = (
        read_predictions(directory.predictions) for directory in (ours, theirs)
    )
    np.testing.assert_array_equal(our_predictions.logits_nec, their_predictions.logits_nec)
    np.testing.assert_array_equal(our_predictions.labels_n, their_predictions.labels_n)
    assert read_result(ours).data_fingerprint == read_result(theirs).data_fingerprint
    our_tensors, their_tensors = (last_checkpoint(directory) for directory in (ours, theirs))
    assert our_tensors.keys() == their_tensors.keys()
    for name, tensor in our_tensors.items():
        np.testing.assert_array_equal(tensor.numpy(), their_tensors[name].numpy(), err_msg=name)


def last_checkpoint(directory: TrialDirectory) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(max(directory.checkpoints.iterdir()))
