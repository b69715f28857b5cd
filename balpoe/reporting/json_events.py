"""A launch as JSON: a line for each event, and a last line for the outcome."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from balpoe.config import StudySpec
from balpoe.reporting.study_progress import trial_states
from balpoe.study.selection.candidates import candidates, objectives_over_seeds
from balpoe.study.selection.comparison import Comparisons, as_plain
from balpoe.study.selection.front import rivals
from balpoe.study.trials.events import AttemptEnded, Listener, StudyEvent
from balpoe.study.trials.record import TrialRecord

Now = Callable[[], float]


@contextmanager
def event_lines(
    spec: StudySpec,
    earlier: Sequence[TrialRecord],
    *,
    write: Callable[[str], None],
    now: Now = time.time,
) -> Iterator[Listener]:
    """Return a listener that writes a line for each event, with its name and its Unix time.

    The first line, `study_launched`, has the trials of `earlier` launches by state.
    """

    def write_event(event: StudyEvent) -> None:
        name, content = _plain(event)
        write(_line(name, now(), content))

    launched = {"study": spec.name, "budget": asdict(spec.budget), "trials": trial_states(earlier)}
    write(_line("study_launched", now(), launched))
    yield write_event


def outcome_line(
    spec: StudySpec,
    front: Sequence[TrialRecord],
    records: Sequence[TrialRecord],
    *,
    status: int,
    reason: str | None,
    now: Now = time.time,
) -> str:
    """Return the last line, `study_ended`: the front over its seeds, with all comparisons.

    Args:
        spec: The study.
        front: Its Pareto front, the best trial first.
        records: All its trials and their repeats.
        status: The exit status of the process.
        reason: Why the launch ended early, or None.
        now: Returns the Unix time.
    """
    others = rivals(records, spec.objectives)
    compared = Comparisons(candidates(records), spec.repeats)

    def plain(record: TrialRecord) -> dict[str, Any]:
        number = record.identity.number
        over_seeds = objectives_over_seeds(records, number)
        return {
            "trial": number,
            "parameters": dict(record.parameters),
            "objectives": {name: asdict(seeds) for name, seeds in over_seeds.items()},
            "comparisons": [as_plain(each) for each in compared.of(number, others)],
        }

    content = {
        "study": spec.name,
        "status": status,
        "reason": reason,
        "trials": trial_states(records),
        "infeasible": sum(bool(record.violations) for record in records),
        "front": [plain(record) for record in front],
    }
    return _line("study_ended", now(), content)


def _plain(event: StudyEvent) -> tuple[str, dict[str, Any]]:
    """Return the name and the fields of an event as users read them."""
    if not isinstance(event, AttemptEnded):
        plain = asdict(event)
        plain.pop("result", None)  # every metric of every epoch would hide the other lines
        return _snake_case(type(event).__name__), plain
    # an interface since the first version: one name for both ends, told apart by the state
    return "trial_ended", {
        "identity": asdict(event.identity),
        "state": "RUNNING",
        "objectives": None,
        "failure": event.failure,
        "failure_class": event.failure_class,
        "violations": {},
    }


def _line(event: str, unix_time: float, content: Mapping[str, Any]) -> str:
    plain = {"event": event, "time": unix_time, **content}
    return json.dumps(_finite(plain), allow_nan=False, ensure_ascii=False)


def _finite(value: Any) -> Any:
    """`value` with null for NaN and infinity, which JSON does not have."""
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _snake_case(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
