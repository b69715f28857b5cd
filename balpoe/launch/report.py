"""The command `report`: studies and models as one HTML page, from their files alone."""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from balpoe.atomic_write import write_text_atomically
from balpoe.errors import DataError, StorageError, UserError
from balpoe.launch import RUNS
from balpoe.launch.runs import find_study, local_runs
from balpoe.launch.tracking import saved_store
from balpoe.reporting.figures.drawing import Picture, png_images
from balpoe.reporting.report.model_sections import ReportedModel
from balpoe.reporting.report.page import Page
from balpoe.reporting.report.rendering import rendered
from balpoe.reporting.report.study_pages import study_page
from balpoe.reporting.report.study_sections import ReportedStudy
from balpoe.study.object_store.study_files import study_files
from balpoe.study.records.record_store import RecordStore
from balpoe.study.records.trial_summaries import trial_summary
from balpoe.study.search.planned_trials import tried_points
from balpoe.study.search.spent_budget import spent_by_launches
from balpoe.study.selection.front import ordered_front
from balpoe.study.storage.storage_record import driver_of, storage_of
from balpoe.study.trials.directory import StudyDirectory
from balpoe.study.trials.launch_log import logged_launches
from balpoe.study.trials.record import TrialIdentity, TrialRecord
from balpoe.tracking import (
    TrackingStore,
    log_study_figures,
    log_trial_figures,
    trials_with_figures,
)
from balpoe.training.model_files import model_directories
from balpoe.training.predictions_file import label_counts
from balpoe.training.stored_results import read_results

REPORT = Path("report.html")
"""The default file of a report."""


def report(
    shown: Sequence[str | Path],
    *,
    trials: Sequence[int] = (),
    out: Path | str = REPORT,
    runs: Path | str = RUNS,
) -> Path:
    """Write a page that shows studies and trained models, several side by side; return its path.

    Of `shown`, a directory of a model or of a training with several seeds is a model, everything
    else the name of a study. Trials on the front, known points and `trials` have figures of their
    own. The studies may be running. Only files are read, and only `out` is written, atomically.

    Raises:
        UserError: there is no such study or trial.
        DataError: models are of different data, or have other classes than a study.
        CorruptFile: a file of a study or model is damaged or of another format.
        StorageError: a study cannot be read, or `out` not written.
    """
    paths = {name: model_directories(Path(name)) for name in dict.fromkeys(map(str, shown))}
    models = [_reported_model(Path(name), found) for name, found in paths.items() if found]
    names = [name for name, found in paths.items() if not found]
    if trials and not names:
        raise UserError("--trial: is of a study, and no study is given")
    directory = local_runs(runs) if names else Path(runs)
    studies = [reported_study(name, directory, trials=trials) for name in names]
    _refuse_different_data(models, studies)
    return write_page(study_page(studies, models), Path(out))


def log_report(
    study: str,
    *,
    trials: Sequence[int] = (),
    out: Path | str | None = None,
    runs: Path | str = RUNS,
    details: int | None = None,
    again: bool = False,
    on_page: Callable[[Path], None] = lambda page: None,
) -> int:
    """Log the page and the figures of a study to its runs in MLflow.

    Args:
        study: The name of the study.
        trials: Further trials that are shown in detail.
        out: The file that keeps the page; by default none does.
        runs: The directory of the studies.
        details: The most trials that are shown in detail and get figures, the front first; None:
            the front and the known points.
        again: Whether to log the figures of trials whose runs have them.
        on_page: Called with the path of the page once it is written, before anything is logged.

    Returns:
        The number of further trials that could be shown in detail.

    Raises:
        UserError: there is no such study or trial.
        CorruptFile: a file of the study is damaged or of another format.
        StorageError: the study cannot be read, `out` or MLflow not be written, MLflow not be
            reached, or it has no run of the study.
    """
    runs = local_runs(runs)
    directory = StudyDirectory.of(runs, study)
    found = reported_study(study, runs, trials=trials, details=details, png=True)
    with tempfile.TemporaryDirectory(prefix="balpoe_report_") as scratch:
        page = write_page(study_page([found]), Path(out or Path(scratch) / REPORT.name))
        on_page(page)
        store = saved_store(directory, runs)
        if not log_study_figures(store, study, png_images(found.pictures.study), page):
            raise StorageError(
                f"{store.tracking_uri}: has no run of the study {study}; `balpoe sync {study}` "
                f"writes it"
            )
    logged = {} if again else trials_with_figures(store, study)
    for number, pictures in found.pictures.trials.items():
        if logged.get(number) != _shown_data(directory, number):
            _log_of_trial(store, directory, number, pictures)
    return len(found.not_detailed)


def _log_of_trial(
    store: TrackingStore, directory: StudyDirectory, number: int, pictures: Iterable[Picture]
) -> None:
    identity = TrialIdentity(directory.path.name, number)
    log_trial_figures(store, identity, png_images(pictures), _shown_data(directory, number))


def _shown_data(directory: StudyDirectory, number: int) -> str:
    """Return the sha256 of the file whose content the figures of a trial show."""
    summary = directory.trial(TrialIdentity(directory.path.name, number)).summary
    return hashlib.sha256(summary.read_bytes()).hexdigest()


def _reported_model(path: Path, seeds: Iterable[Path]) -> ReportedModel:
    return ReportedModel(path, tuple(read_results(seed) for seed in seeds), time.time())


def _refuse_different_data(
    models: Sequence[ReportedModel], studies: Sequence[ReportedStudy]
) -> None:
    """Refuse models that differ from the first one, or from a study, in classes or images."""
    for model in models:
        first, other = models[0].seeds[0], model.seeds[0]
        differing = None
        if first.class_names != other.class_names:
            differing = "classes"
        elif None not in (prints := {first.test_fingerprint, other.test_fingerprint}) and (
            len(prints) > 1
        ):
            differing = "test images"
        if differing is not None:
            raise DataError(
                f"{model.path}: has other {differing} than {models[0].path}; only models of the "
                f"same data can be compared"
            )
        for study in studies:
            summary = next(iter(study.summaries.values()), None)
            if summary is not None and summary.class_names != other.class_names:
                raise DataError(f"{model.path}: has other classes than the study {study.spec.name}")


def write_page(page: Page, out: Path) -> Path:
    """Render a page and write it to `out`; return the absolute path.

    Raises:
        StorageError: the file cannot be written; its previous content is kept.
    """
    write_text_atomically(out, rendered(page))
    return out.absolute()


def reported_study(
    name: str,
    runs: Path,
    *,
    trials: Iterable[int] = (),
    details: int | None = None,
    png: bool = False,
) -> ReportedStudy:
    """Read what a report shows of the study `name`.

    At most `details` trials are shown in detail, the front first; None: the front, the known points
    and `trials`. Figures are drawn when they are first asked for, with `png` as images too.

    Raises:
        UserError: there is no such study, or it has no trial of a number in `trials`.
        CorruptFile: a file of the study is damaged or of another format.
        StorageError: the study cannot be read.
    """
    spec, directory = find_study(name, runs)
    driver = driver_of(directory)
    records: tuple[TrialRecord, ...] = ()
    begun: tuple[float, ...] = ()
    if storage_of(directory).exists:  # else a record store would create it
        store = RecordStore(spec, directory)
        records, begun = store.records(), store.launches()
    front = ordered_front(records, spec.objectives)
    by_number = {r.identity.number: r for r in records if r.identity.repeat == 0}
    unknown = [number for number in trials if number not in by_number]
    if unknown:
        raise UserError(
            f"--trial {unknown[0]}: {name} has no such trial; it has "
            f"{f'0 to {max(by_number)}' if by_number else 'none'}"
        )
    named = [by_number[number] for number in trials]
    detailed = {
        record.identity.number: record
        for record in (*front, *tried_points(spec, records).values(), *named)
    }
    shown = dict(list(detailed.items())[:details])
    if front:
        study_files(directory).refresh_trial(front[0].identity)  # with its predictions
    summaries = {number: trial_summary(directory, r) for number, r in shown.items()}
    known = {number: summary for number, summary in summaries.items() if summary is not None}
    return ReportedStudy(
        spec=spec,
        records=records,
        front=front,
        summaries=known,
        not_detailed=tuple(detailed.keys() - shown.keys()),
        floors={number: summary.floors for number, summary in known.items()},
        validation_counts=(
            label_counts(directory.trial(front[0].identity).predictions) if front else None
        ),
        spent=spent_by_launches(records, begun, spec.resources),
        launches=logged_launches(directory.launches),
        driver=driver,
        file=directory.specification.read_text(),
        now=time.time(),
        png=png,
    )
