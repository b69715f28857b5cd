"""What must hold in every study, whatever interrupted it: pure checks on what was found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from balpoe.config import StudySpec
from balpoe.config.constraints import excesses, violated
from balpoe.study.trials.record import TrialRecord
from balpoe.study.trials.result_file import TrialResult
from balpoe.study.trials.training_seed import training_seed
from balpoe.tracking import MirroredStudy

Key = tuple[int, int]
"""The number and the repeat of a trial."""


@dataclass(frozen=True, slots=True)
class RepeatFiles:
    """What lies on disk of one repeat: its epochs, its result if complete, and what is damaged.

    `last` are the metrics of the last epoch.
    """

    epochs: tuple[int, ...]
    last: Mapping[str, float]
    result: TrialResult | None
    damage: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Findings:
    """A study as its three stores have it.

    `trials` are Optuna's, `is_over` says whether the budget is spent, `mirror` is MLflow's
    picture or the reason why there is none, `exported` the trial number that each export names,
    None where its provenance is damaged.
    """

    spec: StudySpec
    trials: tuple[TrialRecord, ...]
    is_over: bool
    files: Mapping[Key, RepeatFiles]
    mirror: MirroredStudy | str
    exported: Mapping[str, int | None]

    @property
    def ended(self) -> dict[int, TrialRecord]:
        """The trials that are over, by number."""
        return {t.identity.number: t for t in self.trials if t.state != "RUNNING"}


def budget_is_kept(found: Findings) -> Iterator[str]:
    """No more trials have ended than the budget allows."""
    trials = found.spec.budget.trials
    if trials is not None and len(found.ended) > trials:
        yield f"{len(found.ended)} trials have ended, the budget is {trials}"


def nothing_runs_in_a_finished_study(found: Findings) -> Iterator[str]:
    """Neither in Optuna nor in MLflow."""
    if not found.is_over:
        return
    for trial in found.trials:
        if trial.state == "RUNNING":
            yield f"trial {trial.identity.number} is RUNNING in Optuna"
    if isinstance(found.mirror, str):
        return
    for run in found.mirror.runs:
        if run.status == "RUNNING":
            yield f"the run of {_called((run.number, run.repeat))} is RUNNING in MLflow"
    if "RUNNING" in found.mirror.parents:
        yield "the study's run is RUNNING in MLflow"


def files_are_sound(found: Findings) -> Iterator[str]:
    """Every complete trial has its files, a pruned one its curve; checksums fit."""
    for key, files in found.files.items():
        yield from files.damage
        trial = found.ended.get(key[0])
        if trial is None or key[1] != 0 or files.damage:
            continue
        if trial.state == "COMPLETE" and files.result is None:
            yield f"{_called(key)} is COMPLETE, but has no result on disk"
        if trial.state == "PRUNED" and not files.epochs:
            yield f"{_called(key)} is PRUNED, but has no epochs on disk"


def values_agree(found: Findings) -> Iterator[str]:
    """Parameters and objectives are the same in Optuna and on disk."""
    for trial in found.trials:
        number = trial.identity.number
        for key, files in found.files.items():
            if key[0] != number or files.result is None:
                continue
            if dict(files.result.parameters) != dict(trial.parameters):
                yield f"{_called(key)}: Optuna and result.json have other parameters"
            if key[1] == 0 and trial.objectives not in (None, dict(files.result.objectives)):
                yield f"{_called(key)}: Optuna and result.json have other objectives"
            if key[1] == 0 and trial.state == "COMPLETE":
                yield from _disagreement_on_constraints(found.spec, trial, files)


def _disagreement_on_constraints(
    spec: StudySpec, trial: TrialRecord, files: RepeatFiles
) -> Iterator[str]:
    number = trial.identity.number
    missing = [metric for metric in spec.constraints if metric not in files.last]
    if missing:
        yield f"trial {number}: metrics.parquet lacks {', '.join(missing)}, which is constrained"
    elif violated(excesses(spec.constraints, files.last)) != trial.violations:
        yield f"trial {number}: Optuna and metrics.parquet break other constraints"


def epochs_are_whole(found: Findings) -> Iterator[str]:
    """On disk every epoch comes once, in order, and up to the last where the trial is complete."""
    for key, files in found.files.items():
        if list(files.epochs) != list(range(1, len(files.epochs) + 1)):
            yield f"{_called(key)}: metrics.parquet has the epochs {_shown(files.epochs)}"
        elif files.result is not None:
            parameters = files.result.parameters
            epochs = parameters.get("training.epochs", found.spec.base.training.epochs)
            if len(files.epochs) != epochs:
                yield f"{_called(key)}: is complete with {len(files.epochs)} of {epochs} epochs"


def repeats_are_paired(found: Findings) -> Iterator[str]:
    """Further seeds are of COMPLETE trials, and a repeat has the same seed in all of them."""
    for (number, repeat), files in found.files.items():
        trial = found.ended.get(number)
        if repeat and (trial is None or trial.state != "COMPLETE"):
            yield f"{_called((number, repeat))}: the trial itself is not COMPLETE"
        seed = training_seed(found.spec.seed, repeat)
        if files.result is not None and files.result.seed != seed:
            yield f"{_called((number, repeat))} has the seed {files.result.seed}, not {seed}"


def every_trial_has_one_run(found: Findings) -> Iterator[str]:
    """In MLflow: one run for the study, one for every repeat of a trial, no other."""
    if isinstance(found.mirror, str):
        yield found.mirror
        return
    if len(found.mirror.parents) != 1:
        yield f"MLflow has {len(found.mirror.parents)} runs for the study itself"
    runs = Counter((run.number, run.repeat) for run in found.mirror.runs)
    known = {(trial.identity.number, 0) for trial in found.trials} | set(found.files)
    for key in sorted(known | set(runs)):
        if runs[key] != (key in known):
            yield f"MLflow has {runs[key]} runs for {_called(key)}"


def the_mirror_agrees(found: Findings) -> Iterator[str]:
    """Parameters and epochs in MLflow are those of the trials; one that goes on may lag behind."""
    if isinstance(found.mirror, str):
        return
    parameters = {trial.identity.number: trial.parameters for trial in found.trials}
    for run in found.mirror.runs:
        key = (run.number, run.repeat)
        expected = {name: str(value) for name, value in parameters.get(run.number, {}).items()}
        if run.parameters != expected:
            yield f"{_called(key)}: MLflow has other parameters than Optuna"
        epochs = found.files[key].epochs if key in found.files else ()
        for name, steps in run.steps.items():
            if list(steps) != sorted(set(steps)) or not set(steps) <= set(epochs):
                yield f"{_called(key)}: MLflow has {name} at the epochs {_shown(steps)}"
        longest = max((len(steps) for steps in run.steps.values()), default=0)
        if run.number in found.ended and longest < len(epochs):
            yield f"{_called(key)}: MLflow has {longest} of {len(epochs)} epochs"


def exports_are_complete_trials(found: Findings) -> Iterator[str]:
    """Whatever was exported comes from a COMPLETE trial that breaks no constraint."""
    for file, number in found.exported.items():
        if number is None:
            yield f"{file}: is damaged"
            continue
        trial = found.ended.get(number)
        if trial is None or trial.state != "COMPLETE":
            yield f"{file}: trial {number} is {trial.state if trial else 'not ended'}"
        elif trial.violations:
            yield f"{file}: trial {number} breaks {', '.join(trial.violations)}"


@dataclass(frozen=True, slots=True)
class Invariant:
    """Something that must hold: what, how it is checked, and what to do where it does not."""

    name: str
    faults: Callable[[Findings], Iterator[str]]
    cure: str


_SYNC = "`balpoe sync {study}` writes what MLflow lacks and deletes what it has twice"
_RERUN = "`balpoe run` with the study's file takes unfinished trials up and mends the mirror"
_BACKUP = "restore the file from a backup, or export and compare without this trial"
INVARIANTS = (
    Invariant(
        "no more trials than the budget", budget_is_kept, "was the budget lowered? then raise it"
    ),
    Invariant("nothing runs in a finished study", nothing_runs_in_a_finished_study, _RERUN),
    Invariant("files are whole and sound", files_are_sound, _BACKUP),
    Invariant("Optuna and files agree", values_agree, _BACKUP),
    Invariant("every epoch once, in order", epochs_are_whole, _BACKUP),
    Invariant("repeats are paired by seed", repeats_are_paired, _BACKUP),
    Invariant("one run per trial in MLflow", every_trial_has_one_run, _SYNC),
    Invariant("MLflow agrees with the trials", the_mirror_agrees, _SYNC),
    Invariant("exports are COMPLETE trials", exports_are_complete_trials, "export again"),
)


def _called(key: Key) -> str:
    number, repeat = key
    return f"trial {number} repeat {repeat}" if repeat else f"trial {number}"


def _shown(epochs: tuple[int, ...]) -> str:
    return ", ".join(map(str, epochs[:20])) + (", …" if len(epochs) > 20 else "")
