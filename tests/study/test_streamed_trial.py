"""A trial on streamed images against the same trial in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from balpoe.config import Choice, Configuration, ModelConfig, StudySpec, TrainingConfig
from balpoe.data.sources.parquet import ParquetImages
from balpoe.errors import WorkerDied
from balpoe.study.execution.trial import Course, TrialTask, run_trial
from balpoe.study.trials.directory import StudyDirectory, TrialDirectory
from balpoe.study.trials.failures import Failure, failure_of
from balpoe.study.trials.record import TrialIdentity
from balpoe.study.trials.result_file import read_result
from balpoe.training.predictions_file import read_predictions

MakeSpec = Callable[..., StudySpec]
PARAMETERS: Mapping[str, Choice] = {
    "experts.spread": 1.0,
    "experts.sharing": "independent",
    "experts.count": 2,
}


@pytest.fixture
def task(
    make_spec: MakeSpec, write_grey_images: Callable[..., Path], tmp_path: Path
) -> Callable[..., TrialTask]:
    """The trial by its limit of memory, in GiB."""
    images = write_grey_images("images", (40, 20, 10))

    def make(limit: float, attempt: int = 0) -> TrialTask:
        data = ParquetImages(train=str(images), test=str(images), in_memory_limit=limit)
        spec = make_spec(
            base=Configuration(
                data=data,
                model=ModelConfig(backbone="resnet8"),
                training=TrainingConfig(epochs=2, batch_size=16),
            )
        )
        directory = StudyDirectory(tmp_path / str(limit))
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


def test_a_streamed_trial_equals_the_one_in_memory(task: Callable[..., TrialTask]) -> None:
    in_memory, streamed = (task(limit=limit) for limit in (1, 1e-9))
    assert run(run_trial(streamed)) == run(run_trial(in_memory))
    assert_same_record(streamed.directory, in_memory.directory)


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
