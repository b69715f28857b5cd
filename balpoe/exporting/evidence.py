"""Why a configuration was chosen and where it comes from, for people and for programs."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from balpoe.config import Choice, StudySpec
from balpoe.exporting.environment import Environment
from balpoe.study.record import TrialRecord
from balpoe.study.repeats import OverSeeds, objectives_over_seeds

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Evidence:
    """Where an exported configuration comes from.

    `objectives` are those of the validation split over the trial's seeds, `complete` the
    number of trials among which it was chosen, `ended` when it ended, in UTC (ISO 8601).
    Versions and commit are those of the code that wrote the export.
    """

    study: str
    trial: int
    rank: int
    complete: int
    objectives: Mapping[str, OverSeeds]
    searched: Mapping[str, Choice]
    data_fingerprint: str
    ended: str
    exporter_versions: Mapping[str, str]
    exporter_commit: str | None


def evidence_for(
    spec: StudySpec,
    record: TrialRecord,
    rank: int,
    records: Sequence[TrialRecord],
    environment: Environment,
) -> Evidence:
    """The evidence for a COMPLETE trial, the `rank`-th best among all `records` of its study."""
    assert record.ended is not None
    assert record.data_fingerprint is not None
    number = record.identity.number
    searched = [other for other in records if other.identity.repeat == 0]
    return Evidence(
        study=spec.name,
        trial=number,
        rank=rank,
        complete=sum(other.state == "COMPLETE" for other in searched),
        objectives=objectives_over_seeds(records, number),
        searched=dict(record.parameters),
        data_fingerprint=record.data_fingerprint,
        ended=datetime.fromtimestamp(record.ended, UTC).isoformat(timespec="seconds"),
        exporter_versions=dict(environment.versions),
        exporter_commit=environment.git_commit,
    )


def as_json(evidence: Evidence) -> str:
    """The evidence as JSON, with the number of its format."""
    content = {"format": FORMAT, **asdict(evidence)}
    return json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def as_comment(evidence: Evidence) -> str:
    """The evidence as the comment at the top of a YAML file."""
    versions = evidence.exporter_versions.items()
    exporter = ", ".join(f"{name} {version}" for name, version in versions)
    paragraphs = [
        f"Trial {evidence.trial} of the study {evidence.study}: rank {evidence.rank} on the "
        f"Pareto front of {evidence.complete} COMPLETE trials.",
        *(f"  {name}: {_figure(seeds)}" for name, seeds in evidence.objectives.items()),
        "On the validation split, at the end of the search's own training. Searched:",
        *(f"  {path}: {_plain(value)}" for path, value in evidence.searched.items()),
        f"Ended {evidence.ended}, on data {evidence.data_fingerprint}.",
        f"Exported by {exporter}; commit {evidence.exporter_commit or 'unknown'}.",
    ]
    lines = [line for text in paragraphs for line in _wrapped(text)]
    return "".join(f"# {line}\n" for line in lines) + "\n"


def _figure(seeds: OverSeeds) -> str:
    """A fraction as it is stored: `0.9333 (n = 1 seed)`, `0.9321 ± 0.0040 (n = 3 seeds)`."""
    if seeds.sd is None:
        return f"{seeds.mean:.4f} (n = {seeds.n} seed)"
    return f"{seeds.mean:.4f} ± {seeds.sd:.4f} (n = {seeds.n} seeds)"


def _plain(value: Choice) -> str:
    return json.dumps(value, ensure_ascii=False)


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, 96, subsequent_indent="  ", break_on_hyphens=False)
