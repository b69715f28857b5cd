from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from balpoe.errors import CorruptFile, StorageError
from balpoe.study.trials.directory import StudyDirectory, TrialDirectory
from balpoe.study.trials.metrics_file import read_metrics, write_metrics
from balpoe.study.trials.record import TrialIdentity
from balpoe.study.trials.result_file import TrialResult, read_result, write_result
from balpoe.training.epoch import EpochResult
from balpoe.training.predictions_file import Predictions, read_predictions, write_predictions
from tests.study.older_results import rewrite_in_format_1, rewrite_in_format_2

HISTORY = tuple(
    EpochResult(epoch, 1e9 + epoch / 3, {"train/loss": 1 / epoch, "val/accuracy": 0.1 * epoch})
    for epoch in range(1, 30)
)
IDENTITY = TrialIdentity("digits", 3, attempt=1)

finite = st.floats(allow_nan=False, allow_infinity=False)
histories = st.lists(
    st.dictionaries(st.sampled_from(["train/loss", "val/ece", "epoch_seconds"]), finite)
).map(
    lambda epochs: tuple(
        EpochResult(index + 1, 1e9 + index, metrics) for index, metrics in enumerate(epochs)
    )
)


@given(history=histories)
@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_metrics_are_read_as_they_were_written(
    tmp_path: Path, history: tuple[EpochResult, ...]
) -> None:
    write_metrics(tmp_path / "metrics.parquet", history)
    assert read_metrics(tmp_path / "metrics.parquet") == history


def test_any_parquet_reader_reads_the_metrics(tmp_path: Path) -> None:
    write_metrics(tmp_path / "metrics.parquet", HISTORY)
    table = pq.read_table(tmp_path / "metrics.parquet")
    assert table["epoch"].to_pylist() == list(range(1, 30))
    assert table["train/loss"].to_pylist() == [1 / epoch for epoch in range(1, 30)]


def _predictions(images: int = 40, experts: int = 3, classes: int = 5) -> Predictions:
    generator = np.random.default_rng(0)
    logits_nec = generator.normal(size=(images, experts, classes)).astype(np.float32)
    return Predictions(logits_nec, generator.integers(classes, size=images))


@pytest.mark.parametrize("experts", [1, 3])
def test_predictions_are_read_bit_for_bit(tmp_path: Path, experts: int) -> None:
    predictions = _predictions(experts=experts)
    write_predictions(tmp_path / "p", predictions)
    read = read_predictions(tmp_path / "p")
    assert_array_equal(read.logits_nec, predictions.logits_nec)
    assert_array_equal(read.labels_n, predictions.labels_n)


def test_large_predictions_are_kept_in_float16(tmp_path: Path) -> None:
    predictions = _predictions()
    write_predictions(tmp_path / "p", predictions, float32_bytes=100)
    expected = predictions.logits_nec.astype(np.float16).astype(np.float32)
    assert_array_equal(read_predictions(tmp_path / "p").logits_nec, expected)


def test_logits_beyond_float16_stay_float32(tmp_path: Path) -> None:
    predictions = _predictions()
    predictions.logits_nec[0, 0, 0] = 1e6
    write_predictions(tmp_path / "p", predictions, float32_bytes=100)
    assert_array_equal(read_predictions(tmp_path / "p").logits_nec, predictions.logits_nec)


@pytest.fixture
def trial(tmp_path: Path) -> TrialDirectory:
    """A complete repeat on disk."""
    from balpoe.parquet_tables import sha256_of

    trial = StudyDirectory.of(tmp_path, "digits").trial(IDENTITY)
    trial.create()
    write_metrics(trial.metrics, HISTORY)
    write_predictions(trial.predictions, _predictions())
    files = {path.name: sha256_of(path) for path in (trial.metrics, trial.predictions)}
    result = TrialResult(
        IDENTITY, {"experts.count": 3}, {"val/ece": 0.1}, 7, "fingerprint", 1.5, 2.5, files
    )
    write_result(trial, result)
    assert read_result(trial) == result
    return trial


@given(data=st.data())
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_flipped_bit_in_any_file_of_a_complete_repeat_is_noticed(
    trial: TrialDirectory, data: st.DataObject
) -> None:
    path = data.draw(st.sampled_from([trial.metrics, trial.predictions, trial.result]))
    sound = path.read_bytes()
    bit = data.draw(st.integers(0, 8 * len(sound) - 1))
    damaged = bytearray(sound)
    damaged[bit // 8] ^= 1 << bit % 8
    path.write_bytes(damaged)
    try:
        with pytest.raises(CorruptFile, match=path.name):
            read_result(trial)
    finally:
        path.write_bytes(sound)


def test_a_flipped_bit_in_the_values_of_unfinished_metrics_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "metrics.parquet"
    write_metrics(path, HISTORY)
    chunk = pq.read_metadata(path).row_group(0).column(2)
    middle = chunk.data_page_offset + chunk.total_compressed_size - 20
    damaged = bytearray(path.read_bytes())
    damaged[middle] ^= 4
    path.write_bytes(damaged)
    with pytest.raises(CorruptFile, match=r"metrics\.parquet"):
        read_metrics(path)


def test_a_truncated_or_missing_file_is_corrupt(trial: TrialDirectory) -> None:
    trial.metrics.write_bytes(trial.metrics.read_bytes()[:-100])
    with pytest.raises(CorruptFile, match="metrics"):
        read_metrics(trial.metrics)
    trial.predictions.unlink()
    with pytest.raises(CorruptFile, match="predictions"):
        read_predictions(trial.predictions)


def test_an_interrupted_rewrite_leaves_the_old_metrics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "metrics.parquet"
    write_metrics(path, HISTORY[:5])

    def power_fails(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", power_fails)
    with pytest.raises(StorageError, match=r"metrics\.parquet.*free some space"):
        write_metrics(path, HISTORY)
    assert read_metrics(path) == HISTORY[:5]
    assert os.listdir(tmp_path) == ["metrics.parquet"]


def test_files_of_another_format_are_refused_with_the_cure(
    trial: TrialDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("balpoe.study.trials.metrics_file.FORMAT", 3)
    monkeypatch.setattr("balpoe.study.trials.result_file.FORMAT", 4)
    with pytest.raises(CorruptFile, match=r"format 2.*the version that wrote it"):
        read_metrics(trial.metrics)
    with pytest.raises(CorruptFile, match=r"format 3.*the version that wrote it"):
        read_result(trial)


def test_a_result_of_an_earlier_version_is_read_without_later_fields(
    trial: TrialDirectory,
) -> None:
    as_now = read_result(trial)
    counted = replace(as_now, class_counts=(30, 20, 10))
    complete = replace(counted, precision="bfloat16")
    write_result(trial, complete)
    assert read_result(trial) == complete
    rewrite_in_format_2(trial)
    by_present_names = {"val/balanced_ece": 0.1}
    assert read_result(trial) == replace(counted, objectives=by_present_names)
    rewrite_in_format_1(trial)
    assert read_result(trial) == replace(as_now, objectives=by_present_names)
