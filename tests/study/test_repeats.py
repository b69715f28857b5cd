from __future__ import annotations

import numpy as np
import pytest

from balpoe.study.selection.candidates import objectives_over_seeds, over_seeds
from balpoe.study.trials.record import TrialIdentity, TrialRecord, TrialState


def _record(
    number: int, accuracy: float, repeat: int = 0, state: TrialState = "COMPLETE"
) -> TrialRecord:
    return TrialRecord(
        identity=TrialIdentity("digits_lt", number, repeat),
        parameters={},
        state=state,
        history=(),
        objectives={"val/accuracy": accuracy} if state == "COMPLETE" else None,
        failure=None,
        data_fingerprint="",
        started=0.0,
        ended=None,
    )


def test_the_spread_is_the_sample_standard_deviation() -> None:
    values = [0.91, 0.94, 0.90, 0.97]
    seeds = over_seeds(values)
    assert seeds.n == 4
    assert seeds.mean == pytest.approx(np.mean(values))
    assert seeds.sd == pytest.approx(np.std(values, ddof=1))


def test_one_seed_has_no_spread() -> None:
    seeds = over_seeds([0.9])
    assert (seeds.mean, seeds.sd, seeds.n) == (0.9, None, 1)


def test_only_complete_repeats_of_the_same_trial_count() -> None:
    records = [
        _record(3, 0.90),
        _record(3, 0.94, repeat=1),
        _record(3, 0.10, repeat=2, state="FAIL"),
        _record(4, 0.50),
    ]
    accuracy = objectives_over_seeds(records, 3)["val/accuracy"]
    assert accuracy.n == 2
    assert accuracy.mean == pytest.approx(0.92)


def test_a_trial_without_complete_repeats_has_no_objectives() -> None:
    assert objectives_over_seeds([_record(0, 0.9, state="RUNNING")], 0) == {}
