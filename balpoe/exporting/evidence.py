"""The evidence for an exported configuration: as a comment in its file and as JSON."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from balpoe.config import Choice, Configuration, StudySpec, to_plain, with_parameters
from balpoe.config.parameters import field_value
from balpoe.study.selection.candidates import OverSeeds, objectives_over_seeds
from balpoe.study.selection.comparison import (
    VERDICTS,
    Comparison,
    Comparisons,
    Difference,
    as_plain,
)
from balpoe.study.selection.front import rivals
from balpoe.study.trials.launch_log import Launch, launch_at
from balpoe.study.trials.record import TrialRecord

FORMAT = 4


@dataclass(frozen=True, slots=True)
class Replaced:
    """The value of a field in the search, and the one in the final training."""

    searched: Choice
    final: Choice


@dataclass(frozen=True, slots=True)
class Evidence:
    """Where an exported configuration comes from, and how it compares with other trials.

    Attributes:
        study: The name of the study.
        trial: The number of the trial.
        rank: The rank on the front, from 1; None if the trial is exported as a known point.
        ordered_by: The metric, or the expression of metrics, that orders the front; None without
            a rank.
        known_point: The name of the known point that the trial is, or None.
        complete: How many COMPLETE trials the study has.
        objectives: The objectives on the validation split, over the seeds of the trial.
        searched: The values of the search parameters, by dotted path.
        final: The fields that the final recipe replaces, by dotted path.
        final_seeds: The seeds of the final training.
        searched_configuration: The configuration that the search trained.
        final_configuration: The exported configuration.
        comparisons: With every other trial on the front, and with all trials of several seeds; over
            the fresh seeds that both have.
        data_fingerprint: The fingerprint of the data of the search.
        ended: When the trial ended, in UTC (ISO 8601).
        versions: The versions of the libraries in the launch in which the trial ended, or None
            if the launch was not logged.
        commit: The git commit of that launch, if it is known.
    """

    study: str
    trial: int
    rank: int | None
    ordered_by: str | None
    known_point: str | None
    complete: int
    objectives: Mapping[str, OverSeeds]
    searched: Mapping[str, Choice]
    final: Mapping[str, Replaced]
    final_seeds: tuple[int, ...]
    searched_configuration: Mapping[str, Any]
    final_configuration: Mapping[str, Any]
    comparisons: tuple[Comparison, ...]
    data_fingerprint: str
    ended: str
    versions: Mapping[str, str] | None
    commit: str | None


def exported_configuration(spec: StudySpec, record: TrialRecord) -> Configuration:
    """Return the configuration of the final training, with what the trial's second stage chose."""
    measured = with_parameters(spec.base, record.parameters)
    metrics = record.history[-1].metrics if record.history else {}
    chosen = measured.second_stage.with_choices(metrics)
    return spec.final.applied_to(replace(measured, second_stage=chosen))


def evidence_for(
    spec: StudySpec,
    record: TrialRecord,
    records: Sequence[TrialRecord],
    launches: Sequence[Launch],
    compared: Comparisons,
    *,
    rank: int | None = None,
    ordered_by: str | None = None,
    known_point: str | None = None,
) -> Evidence:
    """Return the evidence for a COMPLETE trial: one on the front, a known point, or both.

    `compared` are the comparisons of all candidates among `records`.
    """
    assert record.ended is not None
    assert record.data_fingerprint is not None
    number = record.identity.number
    measured = with_parameters(spec.base, record.parameters)
    searched = [other for other in records if other.identity.repeat == 0]
    launch = launch_at(launches, record.ended)
    return Evidence(
        study=spec.name,
        trial=number,
        rank=rank,
        ordered_by=ordered_by,
        known_point=known_point,
        complete=sum(other.state == "COMPLETE" for other in searched),
        objectives=objectives_over_seeds(records, number),
        searched=dict(record.parameters),
        final={
            path: Replaced(field_value(measured, path), value)
            for path, value in spec.final.parameters.items()
        },
        final_seeds=spec.final.seeds,
        searched_configuration=to_plain(measured),
        final_configuration=to_plain(exported_configuration(spec, record)),
        comparisons=compared.of(number, rivals(records, spec.objectives)),
        data_fingerprint=record.data_fingerprint,
        ended=datetime.fromtimestamp(record.ended, UTC).isoformat(timespec="seconds"),
        versions=launch.environment.versions if launch else None,
        commit=launch.environment.git_commit if launch else None,
    )


def as_json(evidence: Evidence) -> str:
    """Return the evidence as JSON, with the number of the format."""
    compared = [as_plain(comparison) for comparison in evidence.comparisons]
    content = {"format": FORMAT, **asdict(evidence), "comparisons": compared}
    return json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def as_comment(evidence: Evidence) -> str:
    """Return the evidence as the comment at the top of a YAML file."""
    versions = (evidence.versions or {"versions": "unknown"}).items()
    code = ", ".join(f"{name} {version}" for name, version in versions)
    paragraphs = [
        _standing(evidence),
        *(f"  {name}: {_figure(seeds)}" for name, seeds in evidence.objectives.items()),
        "On the validation split, at the end of the search's own training. Searched:",
        *(f"  {path}: {_plain(value)}" for path, value in evidence.searched.items()),
        *_separable(evidence.comparisons),
        *_recipe(evidence),
        f"Ended {evidence.ended}, on data {evidence.data_fingerprint}.",
        f"Measured with {code}; commit {evidence.commit or 'unknown'}.",
    ]
    lines = [line for text in paragraphs for line in _wrapped(text)]
    return "".join(f"# {line}\n" for line in lines) + "\n"


def _standing(evidence: Evidence) -> str:
    """Return the sentence on the rank of the trial, or on the known point that it is."""
    trial = f"Trial {evidence.trial} of the study {evidence.study}"
    known = evidence.known_point
    if evidence.rank is None:
        return f"{trial}: the known point {known}, one of {evidence.complete} COMPLETE trials."
    also = f" It is the known point {known}." if known else ""
    return (
        f"{trial}: rank {evidence.rank} on the Pareto front of {evidence.complete} COMPLETE "
        f"trials, by {evidence.ordered_by}.{also}"
    )


def _recipe(evidence: Evidence) -> Iterator[str]:
    """Yield the seeds, and the fields that differ between search and final training."""
    seeds = ", ".join(map(str, evidence.final_seeds))
    if not evidence.final:
        yield f"To be trained as it was searched, with the seeds {seeds}."
        return
    yield f"To be trained by the study's final recipe, with the seeds {seeds}. In the search:"
    for path, values in evidence.final.items():
        yield f"  {path}: {_plain(values.searched)}; here: {_plain(values.final)}"


def _separable(found: Sequence[Comparison]) -> Iterator[str]:
    """Yield the other trials by verdict, with the difference and interval of each objective."""
    if found:
        yield (
            "This trial minus others on the front or with further seeds, paired over the n seeds "
            "that took no part in the choice; an interval excludes 0 where the trials are "
            "separable (at most about 5 % wrong in all):"
        )
    for verdict in VERDICTS:
        for comparison in found:
            if comparison.verdict == verdict:
                listed = (f"{name} {_interval(d)}" for name, d in comparison.differences.items())
                figures = f": {', '.join(listed)}" if comparison.n else ""
                yield f"  {verdict} from {comparison.other} (n = {comparison.n}){figures}"


def _interval(difference: Difference) -> str:
    """Format a difference: `+0.0120 (-0.0011 to +0.0251)`, without the interval if untested."""
    if difference.interval is None:
        return f"{difference.mean:+.4f}"
    low, high = difference.interval
    return f"{difference.mean:+.4f} ({low:+.4f} to {high:+.4f})"


def _figure(seeds: OverSeeds) -> str:
    """Format a mean over seeds: `0.9333 (n = 1 seed)`, `0.9321 ± 0.0040 (n = 3 seeds)`."""
    if seeds.sd is None:
        return f"{seeds.mean:.4f} (n = {seeds.n} seed)"
    return f"{seeds.mean:.4f} ± {seeds.sd:.4f} (n = {seeds.n} seeds)"


def _plain(value: Choice) -> str:
    return json.dumps(value, ensure_ascii=False)


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, 96, subsequent_indent="  ", break_on_hyphens=False)
