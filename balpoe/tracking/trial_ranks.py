"""The place of each trial in its study, and its metrics over seeds, as tags and metrics of runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from balpoe.config import StudySpec
from balpoe.study.selection.candidates import metrics_over_seeds
from balpoe.study.selection.front import trial_places
from balpoe.study.trials.record import TrialRecord
from balpoe.tracking.run_data import metric_key, milliseconds

FRONT, RANK = "front", "rank"
SEEDS = "seeds/"


@dataclass(frozen=True, slots=True)
class Standing:
    """What the other trials and the repeats of a trial add to the run of a trial.

    Attributes:
        tags: `front`, the rank of non-domination, and `rank`, the position. MLflow sorts tags as
            text: the position has leading zeros.
        metrics: The mean and standard deviation over seeds of each metric.
        time: The time of the metrics, in milliseconds.
        seeds: The number of seeds: the step of the metrics.
    """

    tags: Mapping[str, str]
    metrics: Mapping[str, float] = field(default_factory=dict)
    time: int = 0
    seeds: int = 1


def mean_metric(name: str) -> str:
    """Return the name of the mean of a metric over seeds."""
    return metric_key(f"{SEEDS}{name}/mean")


def sd_metric(name: str) -> str:
    """Return the name of the standard deviation of a metric over seeds."""
    return metric_key(f"{SEEDS}{name}/sd")


def standings(
    spec: StudySpec, records: Sequence[TrialRecord], shown: Sequence[str]
) -> Mapping[int, Standing]:
    """Return the standing of each feasible trial, by its number.

    Args:
        spec: The study.
        records: All trials and their repeats.
        shown: The metrics whose mean and standard deviation over seeds are written.
    """
    repeats: defaultdict[int, list[TrialRecord]] = defaultdict(list)
    for record in records:
        if record.state == "COMPLETE":
            repeats[record.identity.number].append(record)
    return {
        number: _standing(
            {FRONT: str(place.front), RANK: f"{place.position:04d}"}, repeats[number], shown
        )
        for number, place in trial_places(records, spec.objectives).items()
    }


def _standing(
    tags: Mapping[str, str], repeats: Sequence[TrialRecord], shown: Sequence[str]
) -> Standing:
    found = metrics_over_seeds(repeats, repeats[0].identity.number)
    metrics: dict[str, float] = {}
    for name in shown:
        if name in found and (sd := found[name].sd) is not None:
            metrics |= {mean_metric(name): found[name].mean, sd_metric(name): sd}
    if metrics:
        metrics[f"{SEEDS}n"] = float(len(repeats))
    last = max(record.ended or record.started for record in repeats)
    return Standing(tags, metrics, milliseconds(last), len(repeats))
