"""The best configurations of a study, written as files that `balpoe train` takes.

    rank_1_trial_0007.yaml              the final configuration, its evidence as a comment
    rank_1_trial_0007.provenance.json   the same evidence for programs

The same records give the same bytes: the only date in them is that of the trial's end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from balpoe.atomic_write import create_directory, write_text_atomically
from balpoe.config import StudySpec, with_parameters
from balpoe.errors import UserError
from balpoe.exporting.evidence import Evidence, as_comment, as_json, evidence_for
from balpoe.exporting.preference import Preference
from balpoe.files import dump_configuration
from balpoe.study.selection.candidates import metrics_over_seeds
from balpoe.study.selection.front import ordered_front
from balpoe.study.trials.launch_log import Launch
from balpoe.study.trials.record import TrialRecord

DEFAULT_ORDER = "val/accuracy"


@dataclass(frozen=True, slots=True)
class Export:
    """One exported configuration and where it is."""

    path: Path
    provenance: Path
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What was exported, the best first.

    `asked` are the configurations asked for, `front` those that there were to choose from.
    `earlier` are files of former exports in the same directory that these did not replace.
    """

    exports: tuple[Export, ...]
    asked: int
    front: int
    earlier: tuple[Path, ...]


def export_best(
    spec: StudySpec,
    records: Sequence[TrialRecord],
    *,
    top: int,
    directory: Path,
    launches: Sequence[Launch],
    preference: Preference | None = None,
) -> ExportReport:
    """Write the `top` configurations of the Pareto front, or all of a smaller front.

    They are ordered by `preference`, by default the validation accuracy, ties by calibration
    error; of trials with further seeds the means over them count.

    Args:
        spec: The study.
        records: All its trials, repeats with further seeds included.
        top: How many configurations to write, at least one.
        directory: Where to; created if need be.
        launches: What is known of the study's launches.
        preference: What to order by.

    Raises:
        UserError: `top` is less than 1, no trial of the study is COMPLETE and feasible, or
            `preference` cannot be computed for one.
        StorageError: the files cannot be written.
    """
    if top < 1:
        raise UserError(f"--top: must be at least 1, got {top}")
    front = _ordered(spec, records, preference)
    if not front:
        raise UserError(_nothing_to_export(spec, records))
    order = DEFAULT_ORDER if preference is None else preference.expression
    exports = tuple(
        _write(spec, record, evidence_for(spec, record, rank, order, records, launches), directory)
        for rank, record in enumerate(front[:top], start=1)
    )
    written = {export.path for export in exports}
    earlier = tuple(path for path in sorted(directory.glob("rank_*.yaml")) if path not in written)
    return ExportReport(exports, top, len(front), earlier)


def _ordered(
    spec: StudySpec, records: Sequence[TrialRecord], preference: Preference | None
) -> tuple[TrialRecord, ...]:
    """The front, the best first; equally preferred trials stay in the order by accuracy."""
    ordered = ordered_front(records, spec.objectives)
    if preference is None:
        return ordered

    def liking(trial: TrialRecord) -> float:
        means = metrics_over_seeds(records, trial.identity.number)
        return preference.value({name: seeds.mean for name, seeds in means.items()})

    return tuple(sorted(ordered, key=liking, reverse=True))


def _write(spec: StudySpec, record: TrialRecord, evidence: Evidence, directory: Path) -> Export:
    name = f"rank_{evidence.rank}_trial_{record.identity.number:04d}"
    path = directory / f"{name}.yaml"
    provenance = directory / f"{name}.provenance.json"
    configuration = spec.final.applied_to(with_parameters(spec.base, record.parameters))
    create_directory(directory)
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
