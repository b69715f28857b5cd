"""A launch for machines: one JSON object a line for each event, and a last one for the outcome."""

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
from balpoe.study.selection.candidates import objectives_over_seeds
from balpoe.study.selection.comparison import as_plain, comparisons
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
    """A listener that writes a line for each event, named after it, under its Unix time.

    The first line, `study_launched`, has the trials of `earlier` launches by state.
    """

    def tell(event: StudyEvent) -> None:
        name, content = _plain(event)
        write(_line(name, now(), content))

    launched = {"study": spec.name, "budget": asdict(spec.budget), "trials": _states(earlier)}
    write(_line("study_launched", now(), launched))
    yield tell


def outcome_line(
    spec: StudySpec,
    front: Sequence[TrialRecord],
    records: Sequence[TrialRecord],
    *,
    status: int,
    reason: str | None,
    now: Now = time.time,
) -> str:
    """The last line, `study_ended`: the front with its seeds, and what each is separable from.

    Args:
        spec: The study.
        front: Its Pareto front, the best first.
        records: All its trials, repeats with further seeds included.
        status: That with which the process is about to end.
        reason: Why the launch ended early, None where it did not.
        now: Tells the Unix time.
    """
    others = rivals(records, spec.objectives)
    return _line(
        "study_ended",
        now(),
        {
            "study": spec.name,
            "status": status,
            "reason": reason,
            "trials": _states(records),
            "infeasible": sum(bool(record.violations) for record in records),
            "front": [
                {
                    "trial": record.identity.number,
                    "parameters": dict(record.parameters),
                    "objectives": {
                        name: asdict(seeds)
                        for name, seeds in objectives_over_seeds(
                            records, record.identity.number
                        ).items()
                    },
                    "comparisons": [
                        as_plain(comparison)
                        for comparison in comparisons(record.identity.number, others, spec.seed)
                    ],
                }
                for record in front
            ],
        },
    )


def _plain(event: StudyEvent) -> tuple[str, dict[str, Any]]:
    """Return the name and the fields of an event as users read them."""
    if not isinstance(event, AttemptEnded):
        return _snake_case(type(event).__name__), asdict(event)
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


def _states(records: Sequence[TrialRecord]) -> dict[str, int]:
    states = [record.state for record in records if record.identity.repeat == 0]
    return {state: states.count(state) for state in ("RUNNING", "COMPLETE", "PRUNED", "FAIL")}


def _snake_case(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
