"""The curves of trials that were really trained, for trials that only pretend to be.

    uv run balpoe run studies/digits_lt.yaml --runs runs
    uv run python -m tests.benchmarks.recorded_curves digits_lt --runs runs

writes those of a study down in digits_lt_curves.json.
"""

from __future__ import annotations

import argparse
import functools
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from balpoe.launch.runs import find_study
from balpoe.study.records.record_store import RecordStore
from tests.benchmarks.idle_trial import OBJECTIVES

_FILE = Path(__file__).with_name("digits_lt_curves.json")
_WIDTHS = {"experts.count": 6.0, "experts.spread": 2.0, "mixup.alpha": 1.0}


@dataclass(frozen=True)
class RecordedTrial:
    """A trial: its parameters, and after each epoch its objectives."""

    parameters: dict[str, float | str]
    curve: list[list[float]]

    def distance(self, parameters: Mapping[str, float | str]) -> float:
        """How far away other parameters are, each by the width of its range."""
        numbers = sum(
            abs(float(self.parameters[name]) - float(parameters.get(name, 0.0))) / width
            for name, width in _WIDTHS.items()
        )
        sharing = "experts.sharing"
        return numbers + (self.parameters[sharing] != parameters.get(sharing, "shared"))


def nearest(parameters: Mapping[str, float | str]) -> RecordedTrial:
    """The recorded trial whose parameters are nearest to these."""
    return min(_recorded(), key=lambda trial: trial.distance(parameters))


@functools.cache
def _recorded() -> tuple[RecordedTrial, ...]:
    return tuple(RecordedTrial(**trial) for trial in json.loads(_FILE.read_text()))


def main() -> None:
    """Write the curves of a study down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    arguments = parser.parse_args()
    trials = [
        RecordedTrial(
            dict(record.parameters),
            [[round(epoch.metrics[name], 4) for name in OBJECTIVES] for epoch in record.history],
        )
        for record in RecordStore(*find_study(arguments.study, arguments.runs)).records()
        if record.state == "COMPLETE"
    ]
    lines = ",\n".join(json.dumps(asdict(trial)) for trial in trials)
    _FILE.write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
