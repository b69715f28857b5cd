"""The best configurations of a study and its known points, as files for `balpoe train`.

The same records give the same bytes: the only date in the files is the end of the trial.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from balpoe.atomic_write import create_directory, write_text_atomically
from balpoe.config import StudySpec
from balpoe.errors import UserError
from balpoe.exporting.evidence import (
    Evidence,
    as_comment,
    as_json,
    evidence_for,
    exported_configuration,
)
from balpoe.exporting.export_files import (
    configuration_file,
    exported_configurations,
    known_point_file,
    provenance_file,
)
from balpoe.exporting.preference import Preference
from balpoe.files import dump_configuration
from balpoe.study.search.planned_trials import tried_points
from balpoe.study.selection.candidates import candidates, is_feasible, metrics_over_seeds
from balpoe.study.selection.comparison import Comparisons
from balpoe.study.selection.front import ACCURACY, ordered_front
from balpoe.study.trials.launch_log import Launch
from balpoe.study.trials.record import TrialRecord


@dataclass(frozen=True, slots=True)
class Export:
    """The files of one exported configuration, and its evidence."""

    path: Path
    provenance: Path
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class ExportReport:
    """The result of an export, the best configuration first.

    Attributes:
        exports: The configurations of the front.
        asked: The requested number of these.
        front: The number of trials on the front.
        earlier: Configurations of earlier exports that still lie in the directory.
        known_points: The exported known points by name; one that is among `exports` has no file
            of its own.
        left_out: By name, the reasons why other known points are not exported.
    """

    exports: tuple[Export, ...]
    asked: int
    front: int
    earlier: tuple[Path, ...]
    known_points: Mapping[str, Export]
    left_out: Mapping[str, str]

    @property
    def written(self) -> tuple[Export, ...]:
        """All exports, each once: those of the front, then the other known points."""
        exports = (*self.exports, *self.known_points.values())
        return tuple({export.path: export for export in exports}.values())


def export_best(
    spec: StudySpec,
    records: Sequence[TrialRecord],
    *,
    top: int,
    directory: Path,
    launches: Sequence[Launch],
    preference: Preference | None = None,
    known_points: bool = False,
) -> ExportReport:
    """Write the `top` configurations of the Pareto front, or all if the front is smaller.

    Metrics of a trial with several seeds are means over its seeds.

    Args:
        spec: The study.
        records: All trials of the study, repeats with further seeds included.
        top: How many configurations to write, at least one.
        directory: Where to write; created if it is missing.
        launches: The logged launches of the study.
        preference: The order of the front; by default balanced validation accuracy.
        known_points: Whether to write the known points too.

    Raises:
        UserError: `top` is less than 1, no trial of the study is COMPLETE and feasible, or
            `preference` cannot be computed for a trial.
        StorageError: the files cannot be written.
    """
    if top < 1:
        raise UserError(f"--top: must be at least 1, got {top}")
    front = _ordered(spec, records, preference)
    if not front:
        raise UserError(_nothing_to_export(spec, records))
    order = ACCURACY if preference is None else preference.expression
    known = tried_points(spec, records)
    names = {record.identity.number: name for name, record in reversed(known.items())}
    compared = Comparisons(candidates(records), spec.repeats)
    exports = []
    for rank, record in enumerate(front[:top], start=1):
        number = record.identity.number
        name = names.get(number)
        path = configuration_file(directory, rank=rank, trial=number)
        evidence = evidence_for(
            spec, record, records, launches, compared, rank=rank, ordered_by=order, known_point=name
        )
        exports.append(_write(spec, record, evidence, path))
    exported_points: dict[str, Export] = {}
    by_trial = {export.evidence.trial: export for export in exports}
    for name, record in known.items() if known_points else ():
        number = record.identity.number
        if not is_feasible(record):
            continue
        if number not in by_trial:
            path = known_point_file(directory, name=name, trial=number)
            evidence = evidence_for(spec, record, records, launches, compared, known_point=name)
            by_trial[number] = _write(spec, record, evidence, path)
        exported_points[name] = by_trial[number]
    written = {export.path for export in by_trial.values()}
    return ExportReport(
        exports=tuple(exports),
        asked=top,
        front=len(front),
        earlier=tuple(path for path in exported_configurations(directory) if path not in written),
        known_points=exported_points,
        left_out=_left_out(spec, known) if known_points else {},
    )


def _ordered(
    spec: StudySpec, records: Sequence[TrialRecord], preference: Preference | None
) -> tuple[TrialRecord, ...]:
    """Return the front, the best first; the default order breaks ties of the preference."""
    ordered = ordered_front(records, spec.objectives)
    if preference is None:
        return ordered

    def preferred_value(trial: TrialRecord) -> float:
        means = metrics_over_seeds(records, trial.identity.number)
        return preference.value({name: seeds.mean for name, seeds in means.items()})

    return tuple(sorted(ordered, key=preferred_value, reverse=True))


def _left_out(spec: StudySpec, tried: Mapping[str, TrialRecord]) -> dict[str, str]:
    """Return the reason of each known point that cannot be exported, by name."""
    reasons = dict(spec.points.left_out)
    for point in spec.points.points:
        record = tried.get(point.name)
        if record is None or not is_feasible(record):
            reasons[point.name] = "it was not tried" if record is None else _state(record)
    return reasons


def _state(record: TrialRecord) -> str:
    """Return why a trial cannot be exported."""
    trial = f"trial {record.identity.number}"
    if record.state == "COMPLETE":
        return f"{trial} breaks {', '.join(record.violations)}"
    reason = f": {record.failure}" if record.failure else ""
    return f"{trial} is {record.state}{reason}"


def _write(spec: StudySpec, record: TrialRecord, evidence: Evidence, path: Path) -> Export:
    provenance = provenance_file(path)
    configuration = exported_configuration(spec, record)
    create_directory(path.parent)
    write_text_atomically(provenance, as_json(evidence))
    write_text_atomically(path, as_comment(evidence) + dump_configuration(configuration))
    return Export(path, provenance, evidence)


def _nothing_to_export(spec: StudySpec, records: Sequence[TrialRecord]) -> str:
    states = [record.state for record in records if record.identity.repeat == 0]
    if "COMPLETE" in states:
        broken = sorted({name for record in records for name in record.violations})
        return (
            f"study {spec.name}: every COMPLETE trial breaks a constraint ({', '.join(broken)}), "
            f"so there is nothing to export; continue it with a larger budget and `balpoe run`"
        )
    counts = ", ".join(f"{states.count(state)} {state}" for state in sorted(set(states)))
    return (
        f"study {spec.name}: no trial is COMPLETE ({counts or 'it has none'}), so there is "
        f"nothing to export; continue it with `balpoe run` and its study file"
    )
