"""The checks of `doctor`: pure functions of what the stores and files of a study contain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from balpoe.config import StudySpec
from balpoe.config.constraints import excesses, violated
from balpoe.study.trials.record import TrialRecord
from balpoe.study.trials.result_file import TrialResult, training_seed
from balpoe.tracking import MirroredStudy

Key = tuple[int, int]
"""The number and the repeat of a trial."""


@dataclass(frozen=True, slots=True)
class RepeatFiles:
    """The files of one repeat of a trial.

    Attributes:
        epochs: The epochs in its metrics file.
        last: The metrics of the last epoch.
        result: The result if the repeat is complete, else None.
        damage: The errors of files that cannot be read.
    """

    epochs: tuple[int, ...]
    last: Mapping[str, float]
    result: TrialResult | None
    damage: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StudyContents:
    """What Optuna's storage, the files, MLflow and the exports of a study contain.

    Attributes:
        spec: The study.
        trials: The trials in Optuna's storage.
        is_over: Whether the budget is spent.
        files: The files of every repeat.
        mirror: The runs in MLflow, or the reason why they cannot be read.
        exported: The trial number in each provenance file, None if the file is damaged.
    """

    spec: StudySpec
    trials: tuple[TrialRecord, ...]
    is_over: bool
    files: Mapping[Key, RepeatFiles]
    mirror: MirroredStudy | str
    exported: Mapping[str, int | None]

    @property
    def ended(self) -> dict[int, TrialRecord]:
        """The trials that are not RUNNING, by number."""
        return {t.identity.number: t for t in self.trials if t.state != "RUNNING"}


def budget_is_kept(study: StudyContents) -> Iterator[str]:
    """No more trials have ended than the budget allows."""
    trials = study.spec.budget.trials
    if trials is not None and len(study.ended) > trials:
        yield f"{len(study.ended)} trials have ended, the budget is {trials}"


def finished_study_has_nothing_running(study: StudyContents) -> Iterator[str]:
    """Neither Optuna nor MLflow has RUNNING trials once the budget is spent."""
    if not study.is_over:
        return
    for trial in study.trials:
        if trial.state == "RUNNING":
            yield f"trial {trial.identity.number} is RUNNING in Optuna"
    if isinstance(study.mirror, str):
        return
    for run in study.mirror.runs:
        if run.status == "RUNNING":
            yield f"the run of {_name((run.number, run.repeat))} is RUNNING in MLflow"
    if "RUNNING" in study.mirror.parents:
        yield "the study's run is RUNNING in MLflow"


def files_are_sound(study: StudyContents) -> Iterator[str]:
    """Every complete trial has its files, a pruned trial its curve; checksums match."""
    for key, files in study.files.items():
        yield from files.damage
        trial = study.ended.get(key[0])
        if trial is None or key[1] != 0 or files.damage:
            continue
        if trial.state == "COMPLETE" and files.result is None:
            yield f"{_name(key)} is COMPLETE, but has no result on disk"
        if trial.state == "PRUNED" and not files.epochs:
            yield f"{_name(key)} is PRUNED, but has no epochs on disk"


def values_agree(study: StudyContents) -> Iterator[str]:
    """Optuna and the files have the same parameters, objectives and violated constraints."""
    for trial in study.trials:
        number = trial.identity.number
        for key, files in study.files.items():
            if key[0] != number or files.result is None:
                continue
            if dict(files.result.parameters) != dict(trial.parameters):
                yield f"{_name(key)}: Optuna and result.json have other parameters"
            if key[1] == 0 and trial.objectives not in (None, dict(files.result.objectives)):
                yield f"{_name(key)}: Optuna and result.json have other objectives"
            if key[1] == 0 and trial.state == "COMPLETE":
                yield from _constraint_differences(study.spec, trial, files)


def _constraint_differences(
    spec: StudySpec, trial: TrialRecord, files: RepeatFiles
) -> Iterator[str]:
    number = trial.identity.number
    missing = [metric for metric in spec.constraints if metric not in files.last]
    if missing:
        yield f"trial {number}: metrics.parquet lacks {', '.join(missing)}, which is constrained"
    elif violated(excesses(spec.constraints, files.last)) != trial.violations:
        yield f"trial {number}: Optuna and metrics.parquet break other constraints"


def epochs_are_consecutive(study: StudyContents) -> Iterator[str]:
    """The files have every epoch once, in order, of a complete trial up to the last."""
    for key, files in study.files.items():
        if list(files.epochs) != list(range(1, len(files.epochs) + 1)):
            yield f"{_name(key)}: metrics.parquet has the epochs {_shortened(files.epochs)}"
        elif files.result is not None:
            epochs = study.spec.epochs_of(files.result.parameters)
            if len(files.epochs) != epochs:
                yield f"{_name(key)}: is complete with {len(files.epochs)} of {epochs} epochs"


def repeats_are_paired(study: StudyContents) -> Iterator[str]:
    """Only COMPLETE trials have repeats, and a repeat has the same seed in all trials."""
    for (number, repeat), files in study.files.items():
        trial = study.ended.get(number)
        if repeat and (trial is None or trial.state != "COMPLETE"):
            yield f"{_name((number, repeat))}: the trial itself is not COMPLETE"
        seed = training_seed(study.spec.seed, repeat)
        if files.result is not None and files.result.seed != seed:
            yield f"{_name((number, repeat))} has the seed {files.result.seed}, not {seed}"


def every_trial_has_one_run(study: StudyContents) -> Iterator[str]:
    """MLflow has one run for the study, one for every repeat of a trial, and no other."""
    if isinstance(study.mirror, str):
        yield study.mirror
        return
    if len(study.mirror.parents) != 1:
        yield f"MLflow has {len(study.mirror.parents)} runs for the study itself"
    runs = Counter((run.number, run.repeat) for run in study.mirror.runs)
    known = {(trial.identity.number, 0) for trial in study.trials} | set(study.files)
    for key in sorted(known | set(runs)):
        if runs[key] != (key in known):
            yield f"MLflow has {runs[key]} runs for {_name(key)}"


def mirror_agrees(study: StudyContents) -> Iterator[str]:
    """MLflow has the parameters and epochs of the trials; epochs of RUNNING trials may lack.

    It may have more epochs of a trial that is not complete than its last checkpoint.
    """
    if isinstance(study.mirror, str):
        return
    parameters = {trial.identity.number: trial.parameters for trial in study.trials}
    for run in study.mirror.runs:
        key = (run.number, run.repeat)
        expected = {name: str(value) for name, value in parameters.get(run.number, {}).items()}
        if run.parameters != expected:
            yield f"{_name(key)}: MLflow has other parameters than Optuna"
        files = study.files.get(key)
        epochs = files.epochs if files is not None else ()
        possible = set(epochs)
        if files is not None and files.result is None:
            last = study.spec.epochs_of(parameters.get(run.number, {}))
            possible |= set(range(len(epochs) + 1, last + 1))
        for name, steps in run.steps.items():
            if list(steps) != sorted(set(steps)) or not set(steps) <= possible:
                yield f"{_name(key)}: MLflow has {name} at the epochs {_shortened(steps)}"
        longest = max((len(steps) for steps in run.steps.values()), default=0)
        if run.number in study.ended and longest < len(epochs):
            yield f"{_name(key)}: MLflow has {longest} of {len(epochs)} epochs"


def exports_are_complete_trials(study: StudyContents) -> Iterator[str]:
    """Every export is of a COMPLETE trial that violates no constraint."""
    for file, number in study.exported.items():
        if number is None:
            yield f"{file}: is damaged"
            continue
        trial = study.ended.get(number)
        if trial is None or trial.state != "COMPLETE":
            yield f"{file}: trial {number} is {trial.state if trial else 'not ended'}"
        elif trial.violations:
            yield f"{file}: trial {number} breaks {', '.join(trial.violations)}"


@dataclass(frozen=True, slots=True)
class Check:
    """A property of every sound study: its name, a function that yields faults, and a hint."""

    name: str
    faults: Callable[[StudyContents], Iterator[str]]
    hint: str


_SYNC = "`balpoe sync {study}` writes what MLflow lacks and deletes duplicate runs"
_RUN = "`balpoe run` with the study file continues unfinished trials and corrects the mirror"
_BACKUP = "restore the file from a backup, or export and compare without this trial"
CHECKS = (
    Check("no more trials than the budget", budget_is_kept, "raise the budget if it was lowered"),
    Check("nothing runs in a finished study", finished_study_has_nothing_running, _RUN),
    Check("files are whole and sound", files_are_sound, _BACKUP),
    Check("Optuna and files agree", values_agree, _BACKUP),
    Check("every epoch once, in order", epochs_are_consecutive, _BACKUP),
    Check("repeats are paired by seed", repeats_are_paired, _BACKUP),
    Check("one run per trial in MLflow", every_trial_has_one_run, _SYNC),
    Check("MLflow agrees with the trials", mirror_agrees, _SYNC),
    Check("exports are COMPLETE trials", exports_are_complete_trials, "export again"),
)


def _name(key: Key) -> str:
    number, repeat = key
    return f"trial {number} repeat {repeat}" if repeat else f"trial {number}"


def _shortened(epochs: tuple[int, ...]) -> str:
    return ", ".join(map(str, epochs[:20])) + (", …" if len(epochs) > 20 else "")
