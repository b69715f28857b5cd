"""Why a configuration was chosen and where it comes from, for people and for programs."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from balpoe.config import Choice, StudySpec, to_plain, with_parameters
from balpoe.config.parameters import field_value
from balpoe.study.selection.candidates import OverSeeds, objectives_over_seeds
from balpoe.study.selection.comparison import VERDICTS, Comparison, as_plain, comparisons
from balpoe.study.selection.front import rivals
from balpoe.study.trials.launch_log import Launch, launch_at
from balpoe.study.trials.record import TrialRecord

FORMAT = 2


@dataclass(frozen=True, slots=True)
class Replaced:
    """The value of a field during the search, and that for the final training."""

    searched: Choice
    final: Choice


@dataclass(frozen=True, slots=True)
class Evidence:
    """Where an exported configuration comes from.

    `rank` counts from 1 in the order of the mean of `ordered_by`. `objectives` are those of the
    validation split over the trial's seeds, `complete` the number of trials among which it was
    chosen, `ended` when it ended, in UTC (ISO 8601). `final` is what the final recipe replaces,
    by dotted path, `final_seeds` with what it is to be trained. `comparisons` are with every other
    trial of the front, and with those that raced for further seeds. The configurations are the one
    that the search measured and the exported one. `versions` and `commit` are those of the code
    in whose launch the trial ended, where the launch was logged.
    """

    study: str
    trial: int
    rank: int
    ordered_by: str
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


def evidence_for(
    spec: StudySpec,
    record: TrialRecord,
    rank: int,
    order: str,
    records: Sequence[TrialRecord],
    launches: Sequence[Launch],
) -> Evidence:
    """The evidence for a COMPLETE trial of `records`, the `rank`-th best of the front."""
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
        ordered_by=order,
        complete=sum(other.state == "COMPLETE" for other in searched),
        objectives=objectives_over_seeds(records, number),
        searched=dict(record.parameters),
        final={
            path: Replaced(field_value(measured, path), value)
            for path, value in spec.final.parameters.items()
        },
        final_seeds=spec.final.seeds,
        searched_configuration=to_plain(measured),
        final_configuration=to_plain(spec.final.applied_to(measured)),
        comparisons=comparisons(number, rivals(records, spec.objectives), spec.seed),
        data_fingerprint=record.data_fingerprint,
        ended=datetime.fromtimestamp(record.ended, UTC).isoformat(timespec="seconds"),
        versions=launch.environment.versions if launch else None,
        commit=launch.environment.git_commit if launch else None,
    )


def as_json(evidence: Evidence) -> str:
    """The evidence as JSON, with the number of its format."""
    compared = [as_plain(comparison) for comparison in evidence.comparisons]
    content = {"format": FORMAT, **asdict(evidence), "comparisons": compared}
    return json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def as_comment(evidence: Evidence) -> str:
    """The evidence as the comment at the top of a YAML file."""
    versions = (evidence.versions or {"versions": "unknown"}).items()
    code = ", ".join(f"{name} {version}" for name, version in versions)
    paragraphs = [
        f"Trial {evidence.trial} of the study {evidence.study}: rank {evidence.rank} on the "
        f"Pareto front of {evidence.complete} COMPLETE trials, by {evidence.ordered_by}.",
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


def _recipe(evidence: Evidence) -> Iterator[str]:
    """What of the configuration below is not what was measured."""
    seeds = ", ".join(map(str, evidence.final_seeds))
    if not evidence.final:
        yield f"To be trained as it was searched, with the seeds {seeds}."
        return
    yield f"To be trained by the study's final recipe, with the seeds {seeds}. In the search:"
    for path, values in evidence.final.items():
        yield f"  {path}: {_plain(values.searched)}; here: {_plain(values.final)}"


def _separable(found: Sequence[Comparison]) -> Iterator[str]:
    """From which other trials it can be told apart, those with one verdict together."""
    if found:
        yield "Against trials on the front or with further seeds (95 % interval of the difference):"
    for verdict in VERDICTS:
        trials = [
            f"{comparison.other} (n = {comparison.n})"
            for comparison in found
            if comparison.verdict == verdict
        ]
        if trials:
            yield f"  {verdict}: {', '.join(trials)}"


def _figure(seeds: OverSeeds) -> str:
    """A fraction as it is stored: `0.9333 (n = 1 seed)`, `0.9321 ± 0.0040 (n = 3 seeds)`."""
    if seeds.sd is None:
        return f"{seeds.mean:.4f} (n = {seeds.n} seed)"
    return f"{seeds.mean:.4f} ± {seeds.sd:.4f} (n = {seeds.n} seeds)"


def _plain(value: Choice) -> str:
    return json.dumps(value, ensure_ascii=False)


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, 96, subsequent_indent="  ", break_on_hyphens=False)
