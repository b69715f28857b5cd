"""The parameters of a study's run in MLflow, and its metrics after every finished training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

from balpoe.config import StudySpec, to_plain
from balpoe.study.selection.candidates import is_feasible
from balpoe.study.selection.hypervolume import hypervolume, reference_point
from balpoe.study.trials.objectives import losses
from balpoe.study.trials.record import TrialRecord
from balpoe.tracking.run_data import metric_key, milliseconds
from balpoe.tracking.trial_contents import flat_parameters

if TYPE_CHECKING:
    from mlflow.entities import Metric

DONE, FAILED = "trials/done", "trials/failed"
HYPERVOLUME, DEVICE_HOURS = "hypervolume", "device_hours"
_HOUR = 3600.0
_SECTIONS = ("budget", "sampler", "early_stopping", "race", "final")


def study_parameters(spec: StudySpec) -> dict[str, str]:
    """Return what is the same for all trials, the searched fields, objectives, budget, sampler."""
    plain = to_plain(spec)
    base = flat_parameters(plain.pop("base"))
    fixed = {path: value for path, value in base.items() if path not in spec.search}
    sections = {name: plain[name] for name in _SECTIONS if plain.get(name) is not None}
    searched = {f"search/{path}": str(plain["search"][path]) for path in spec.search}
    goals = ", ".join(f"{goal} {name}" for name, goal in spec.objectives.items())
    others = {"objectives": goals, "study.seed": str(spec.seed), "repeats": str(spec.repeats)}
    return fixed | flat_parameters(sections) | searched | others


def study_metrics(spec: StudySpec, records: Sequence[TrialRecord], after: int = 0) -> list[Metric]:
    """Return the metrics of a study after each finished training, with their number as the step.

    The best value of each objective and the hypervolume are over feasible trials with their first
    seed. The reference point of the hypervolume is the worst value of each objective among the
    trials of the same step, so that the hypervolume never falls. Device hours are those of epochs.

    Args:
        spec: The study.
        records: All trials and their repeats.
        after: The last step that is written already.
    """
    ended = [record for record in records if record.ended is not None]
    ended.sort(key=lambda record: (record.ended, record.identity.number, record.identity.repeat))
    devices = spec.resources.devices_per_trial
    hours = list(accumulate(devices * _seconds(record) / _HOUR for record in ended))
    return [
        metric
        for step in range(after + 1, len(ended) + 1)
        for metric in _metrics(spec, ended[:step], hours[step - 1])
    ]


def _metrics(spec: StudySpec, ended: Sequence[TrialRecord], hours: float) -> Iterator[Metric]:
    from mlflow.entities import Metric

    trials = [record for record in ended if record.identity.repeat == 0]
    failed = sum(record.state == "FAIL" for record in trials)
    values = {DONE: float(len(trials) - failed), FAILED: float(failed), DEVICE_HOURS: hours}
    values |= _quality(spec, trials)
    time = milliseconds(ended[-1].ended or 0.0)
    for name, value in values.items():
        yield Metric(metric_key(name), value, time, len(ended))


def _quality(spec: StudySpec, trials: Sequence[TrialRecord]) -> dict[str, float]:
    found = [each.objectives for each in trials if is_feasible(each) and each.objectives]
    if not found:
        return {}
    loss_nm = np.array([losses(each, spec.objectives) for each in found])
    best = {
        f"best/{name}": (max if goal == "maximize" else min)(each[name] for each in found)
        for name, goal in spec.objectives.items()
    }
    return best | {HYPERVOLUME: hypervolume(loss_nm, reference_point(loss_nm))}


def _seconds(record: TrialRecord) -> float:
    return sum(result.metrics.get("epoch_seconds", 0.0) for result in record.history)
