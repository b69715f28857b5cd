"""The sections of a report that show one study."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from balpoe.config import StudySpec
from balpoe.evaluation.prediction_summary import PredictionSummary
from balpoe.reporting.figures.drawing import Picture
from balpoe.reporting.figures.drawing_process import DrawingProcesses, DrawingTask
from balpoe.reporting.figures.study_drawings import study_drawings
from balpoe.reporting.formatting import (
    NO_VALUE,
    bare_number,
    duration,
    label,
    label_and_number,
    label_with_unit,
    parameter_value,
    trial_name,
)
from balpoe.reporting.front_table import failure_notes, front_tables
from balpoe.reporting.report.page import Listing, Part, Prose, Section, SourceText
from balpoe.reporting.study_panel import state_counts
from balpoe.reporting.study_progress import study_progress
from balpoe.reporting.table_style import Cell, number_cell, table_of, text_cell
from balpoe.reporting.time_left import epochs_done
from balpoe.study.search.importance import Importance, importances
from balpoe.study.search.planned_trials import tried_points
from balpoe.study.search.spent_budget import SpentBudget
from balpoe.study.selection.candidates import candidates
from balpoe.study.selection.moderated_test import FEWEST_FRESH_SEEDS
from balpoe.study.storage.lease import LeaseHolder
from balpoe.study.trials.launch_log import Launch
from balpoe.study.trials.record import TrialRecord


@dataclass(frozen=True, slots=True)
class StudyPictures:
    """The figures of a study, and of each trial that is shown in detail by its number."""

    study: tuple[Picture, ...]
    trials: Mapping[int, tuple[Picture, ...]]


@dataclass(frozen=True)  # without slots, for the cached figures
class ReportedStudy:
    """A study at the Unix time `now`, as its files have it.

    Attributes:
        spec: The study.
        records: All trials and repeats, with their histories.
        front: The trials on the Pareto front, the best first.
        summaries: The summaries of the trials that are shown in detail, by trial number.
        floors: The floors of calibration errors by trial number and metric.
        validation_counts: The validation images of each class; None if they are not known.
        spent: The spent budget.
        launches: The log of the launches.
        driver: The process that runs the study, or None.
        not_detailed: The other trials on the front or at known points that could be shown.
        file: The study file of the last launch, as text.
        now: When the files were read.
        png: Whether the figures are wanted as PNG images too.
    """

    spec: StudySpec
    records: tuple[TrialRecord, ...]
    front: tuple[TrialRecord, ...]
    summaries: Mapping[int, PredictionSummary]
    not_detailed: tuple[int, ...]
    floors: Mapping[int, Mapping[str, float]]
    validation_counts: Sequence[int] | None
    spent: SpentBudget
    launches: tuple[Launch, ...]
    driver: LeaseHolder | None
    file: str
    now: float
    png: bool = False

    @property
    def trials(self) -> tuple[TrialRecord, ...]:
        """The trials without their repeats."""
        return tuple(record for record in self.records if record.identity.repeat == 0)

    @cached_property
    def importances(self) -> tuple[Importance, ...]:
        """The importance of the parameters for each objective."""
        return importances(self.spec, self.records)

    @cached_property
    def pictures(self) -> StudyPictures:
        """All figures, drawn once for the page and for MLflow."""
        tasks = [self._drawing_task(number) for number in self.summaries]
        with DrawingProcesses(tasks) as processes:
            drawings = study_drawings(self.spec, self.records, self.importances)
            of_study = tuple(drawing.picture(png=self.png) for drawing in drawings)
            of_trials = dict(zip(self.summaries, processes.pictures(), strict=True))
        return StudyPictures(of_study, of_trials)

    def _drawing_task(self, number: int) -> DrawingTask:
        """Return the figures to draw of a trial that is shown in detail."""
        history = next((r.history for r in self.trials if r.identity.number == number), ())
        return DrawingTask(self.summaries[number], f"trial {number}", history, self.png)

    @property
    def data_fingerprint(self) -> str | None:
        """The fingerprint of the data; None before the first COMPLETE trial."""
        return next((r.data_fingerprint for r in self.records if r.data_fingerprint), None)


def study_sections(study: ReportedStudy) -> Iterator[Section]:
    """Yield the sections of a study."""
    pictures = study.pictures  # first, as their processes work beside the importances
    yield Section("Overview", (Prose(tuple(_overview(study))),))
    if study.front:
        tables = front_tables(
            study.spec,
            study.front,
            study.records,
            validation_counts=study.validation_counts,
            floors=study.floors,
        )
        yield Section("Front", tuple(tables))
    yield Section("What was not tested", (Listing(tuple(_untested(study))),))
    if pictures.study:
        yield Section("The search in figures", pictures.study)
    points = {record.identity.number: name for name, record in _points(study).items()}
    for number, of_trial in pictures.trials.items():
        known = f" ({points[number]})" if number in points else ""
        yield Section(f"Trial {number}{known}", of_trial)
    if study.trials:
        yield Section("All trials", (table_of("", _trial_rows(study), _TRIALS),), folded=True)
    failed = [record for record in study.records if record.failure]
    if failed:
        yield Section("Failures", (table_of("", map(_failure_cells, failed)),), folded=True)
    yield Section("Study file", (SourceText(study.file),), folded=True)
    yield Section("Launches and environment", tuple(_environment(study)), folded=True)


_TRIALS = "objectives: of the first seed, after the last epoch; the front is ranked by its means"


def _points(study: ReportedStudy) -> Mapping[str, TrialRecord]:
    return tried_points(study.spec, study.records)


def _overview(study: ReportedStudy) -> Iterator[str]:
    spec, spent = study.spec, study.spent
    if spec.question:
        yield spec.question
    progress = study_progress(spec, study.records, launches=[study.now], now=study.now)
    running = f"It is being run by {study.driver}." if study.driver else "No process runs it now."
    yield f"{progress.so_far} trials have ended: {state_counts(progress)}. {running}"
    if progress.best:
        bests = (
            f"{label_and_number(name, best.value)} (trial {best.number})"
            for name, best in progress.best.items()
        )
        yield f"Best on the first seed: {', '.join(bests)}."
    else:
        yield "No trial is COMPLETE and feasible yet."
    epochs = sum(map(epochs_done, study.records))
    repeats = len(study.records) - len(study.trials)
    yield (
        f"Spent: {epochs} epochs in {len(study.trials)} trials and {repeats} further seeds; "
        f"launches: {len(study.launches)}; wall time {duration(spent.wall_seconds)}, device time "
        f"{duration(spent.device_seconds)} ([hours:]minutes:seconds)."
    )
    goals = ", ".join(f"{goal} {label(name)}" for name, goal in spec.objectives.items())
    yield f"Budget: {spec.budget.in_words}. Objectives: {goals}. Seed {spec.seed}."
    if study.data_fingerprint:
        yield f"Data {study.data_fingerprint[:12]} (sha256)."


def _untested(study: ReportedStudy) -> Iterator[str]:
    """Yield what the figures and tables do not show, so that nobody takes it for shown."""
    spec = study.spec
    yield (
        "All figures are of the validation split of the search, from which the front was chosen. "
        "The test set answers how good a configuration is: `balpoe train`, then `balpoe evaluate`."
    )
    known = candidates(study.records)
    fewest = FEWEST_FRESH_SEEDS + 1
    numbers = {record.identity.number for record in study.front}
    thin = [
        each.number for each in known if each.number in numbers and len(each.objectives) < fewest
    ]
    if thin:
        listed = ", ".join(map(str, thin))
        yield (
            f"Differences of the front's trials {listed} were not tested: a test needs {fewest} "
            f"seeds of each (`repeats: {fewest}` in the study file)."
        )
    if not spec.points.points:
        yield "There are no known points: a gain over an ordinary configuration is not measured."
    for each in study.importances:
        if each.reason:
            yield f"Importance for {label(each.objective)}: {each.reason}."
    wanted = {*numbers, *(record.identity.number for record in _points(study).values())}
    complete = {r.identity.number for r in study.trials if r.state == "COMPLETE"}
    if study.not_detailed:
        listed = ", ".join(map(str, sorted(study.not_detailed)))
        yield f"The figures of trials {listed} are left out: `balpoe report` draws them."
    missing = sorted((wanted & complete) - study.summaries.keys() - set(study.not_detailed))
    if missing:
        listed = ", ".join(map(str, missing))
        yield (
            f"Trials {listed} have no figures of their own: they were run by an earlier version, "
            "which stored no summaries."
        )
    yield from (f"{note[0].upper()}{note[1:]}." for note in failure_notes(spec, study.records))


def _trial_rows(study: ReportedStudy) -> Iterator[Iterator[Cell]]:
    rank = {record.identity.number: str(place) for place, record in enumerate(study.front, 1)}
    points = {record.identity.number: name for name, record in _points(study).items()}
    for record in study.trials:
        yield _trial_cells(study.spec, record, rank, points)


def _trial_cells(
    spec: StudySpec, record: TrialRecord, rank: Mapping[int, str], points: Mapping[int, str]
) -> Iterator[Cell]:
    number = record.identity.number
    yield number_cell("trial", str(number))
    yield number_cell("rank", rank.get(number, ""))
    yield text_cell("known point", points.get(number, ""))
    state = "infeasible" if record.violations else record.state.lower()
    yield text_cell("state", state)
    for path in spec.search:
        yield number_cell(path, parameter_value(record.parameters.get(path)))
    for metric in spec.objectives:
        value = (record.objectives or {}).get(metric)
        text = NO_VALUE if value is None else bare_number(metric, value)
        yield number_cell(label_with_unit(metric), text)
    yield number_cell("epochs", str(epochs_done(record)))
    end = record.ended
    yield number_cell("time", NO_VALUE if end is None else duration(end - record.started))


def _failure_cells(record: TrialRecord) -> Iterator[Cell]:
    yield text_cell("trial", trial_name(record.identity).removeprefix("trial "))
    yield text_cell("class", record.failure_class or NO_VALUE)
    yield text_cell("reason", record.failure or "")


def _environment(study: ReportedStudy) -> Iterator[Part]:
    if not study.launches:
        yield Prose(("No launch is logged.",))
        return
    yield table_of("", map(_launch_cells, study.launches), "times in UTC")


def _launch_cells(launch: Launch) -> Iterator[Cell]:
    environment = launch.environment
    yield number_cell("launch", str(launch.number))
    yield text_cell("started", utc(launch.started))
    yield text_cell("host", launch.host)
    yield text_cell("user", environment.user or NO_VALUE)
    yield text_cell("commit", (environment.git_commit or NO_VALUE)[:12])
    for name, version in environment.versions.items():
        yield text_cell(name, version)


def utc(unix_time: float) -> str:
    """`2026-11-29 05:40` in UTC."""
    return dt.datetime.fromtimestamp(unix_time, dt.UTC).strftime("%Y-%m-%d %H:%M")
