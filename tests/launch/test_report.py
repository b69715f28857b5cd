"""The report of a tiny study, read back from the page."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import pytest
from click.testing import CliRunner
from mlflow import MlflowClient

from balpoe.cli.report import report as report_command
from balpoe.cli.run import log_figures
from balpoe.config import StudySpec
from balpoe.errors import CorruptFile, StorageError, UserError
from balpoe.files import dump_study
from balpoe.launch.report import log_report, report, reported_study
from balpoe.launch.run import StudyOutcome
from balpoe.launch.sync import sync
from balpoe.reporting.report.rendering import rendered
from balpoe.reporting.report.study_pages import study_page
from balpoe.study.execution.executor import LaunchEnd
from balpoe.study.records.record_store import RecordStore
from balpoe.study.selection.front import ordered_front
from balpoe.study.storage.lease import hold_lease
from balpoe.study.trials.directory import StudyDirectory
from balpoe.study.trials.record import TrialIdentity
from balpoe.tracking import (
    MirrorReport,
    TrackingStore,
    local_store,
    log_trial_figures,
    trials_with_figures,
)
from tests.launch.page_reader import PageReader

FIGURES = {"front", "parameters", "parallel_coordinates", "learning_curves", "progress", "timeline"}
TRIAL_FIGURES = {"reliability", "class_accuracy", "confusion", "marginals", "shots"}


class TinyStudy(Protocol):
    runs: Path
    spec: StudySpec
    directory: StudyDirectory


@pytest.fixture(scope="module")
def page(tiny_study: TinyStudy, tmp_path_factory: pytest.TempPathFactory) -> str:
    out = tmp_path_factory.mktemp("report") / "report.html"
    assert report(["tiny"], out=out, runs=tiny_study.runs) == out
    return out.read_text()


def test_every_figure_has_a_text_and_a_heading_and_the_page_stands_alone(page: str) -> None:
    read = PageReader(page)
    assert set(read.figures) >= FIGURES | TRIAL_FIGURES
    assert len(read.labels) == len(read.figures)
    assert all(len(label) > 20 for label in read.labels)
    assert read.scripts == 0
    assert all(reference.startswith(("#", "data:image/")) for reference in read.references)
    assert "@import" not in page


def test_ids_are_unique_and_every_reference_has_its_target(page: str) -> None:
    read = PageReader(page)
    assert len(set(read.ids)) == len(read.ids)
    assert {name[1:] for name in read.references if name.startswith("#")} <= set(read.ids)


def test_the_tables_have_the_values_of_the_records(page: str, tiny_study: TinyStudy) -> None:
    records = RecordStore(tiny_study.spec, tiny_study.directory).records()
    text = PageReader(page).text
    for record in records:
        if record.objectives is not None:
            assert f"{100 * record.objectives['val/accuracy']:.1f}" in text
    assert "Do three experts help?" in text
    assert "out of luck" in text
    assert "3/4 trials have ended: 1 running · 2 complete · 0 pruned · 1 failed" in text
    assert "The test set answers how good a configuration is" in text
    assert "experts.count:" in text, "the study file"


def test_a_changed_record_changes_the_page(tiny_study: TinyStudy) -> None:
    study = reported_study("tiny", tiny_study.runs)
    first = replace(study.records[0], objectives={"val/accuracy": 0.123, "val/ece": 0.3})
    changed = replace(study, records=(first, *study.records[1:]))
    before, after = (PageReader(rendered(study_page([each]))) for each in (study, changed))
    assert "12.3" not in before.text
    assert "12.3" in after.text
    front = before.figures.index("front")
    assert before.labels[front] != after.labels[front]


def test_names_from_data_are_text(tiny_study: TinyStudy) -> None:
    study = reported_study("tiny", tiny_study.runs)
    hostile = "<script>alert(1)</script>$x$&\"'"
    [number] = list(study.summaries)[:1]
    summary = study.summaries[number]
    names = (hostile, *summary.class_names[1:])
    study = replace(
        study,
        spec=replace(study.spec, question=hostile),
        summaries={number: replace(summary, class_names=names)},
        file=hostile,
    )
    html = rendered(study_page([study]))
    read = PageReader(html)
    assert read.scripts == 0
    assert "<script>" not in html
    assert read.text.count(hostile) >= 2


def test_two_studies_stand_side_by_side(tiny_study: TinyStudy, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(tiny_study.runs, runs)
    other = replace(tiny_study.spec, name="empty")
    directory = StudyDirectory.of(runs, "empty")
    directory.create()
    directory.specification.write_text(dump_study(other))
    out = report(["tiny", "empty"], out=tmp_path / "two.html", runs=runs)
    text = PageReader(out.read_text()).text
    assert "Studies tiny, empty" in text
    assert "The studies are on the same data and splits." in text
    assert "empty: Overview" in text
    assert "No trial is COMPLETE and feasible yet." in text
    study = reported_study("tiny", runs)
    elsewhere = replace(
        study, records=tuple(replace(r, data_fingerprint="f" * 64) for r in study.records)
    )
    text = PageReader(rendered(study_page([study, elsewhere]))).text
    assert "their values cannot be compared" in text


def test_a_study_without_a_complete_trial_has_a_page(tiny_study: TinyStudy) -> None:
    study = reported_study("tiny", tiny_study.runs)
    failed = tuple(record for record in study.records if record.state == "FAIL")
    for kept in ((), failed, study.records[:1], study.records[-1:]):
        front = ordered_front(kept, study.spec.objectives)
        part = replace(study, records=kept, front=front, summaries={})
        text = PageReader(rendered(study_page([part]))).text
        assert "Overview" in text


def test_it_shows_a_running_study_and_named_trials(tiny_study: TinyStudy, tmp_path: Path) -> None:
    with hold_lease(tiny_study.directory.lease):
        arguments = ["tiny", "--runs", str(tiny_study.runs), "--out", str(tmp_path / "r.html")]
        done = CliRunner().invoke(report_command, [*arguments, "--trial", "1", "--trial", "0"])
    assert done.exit_code == 0, done.output
    text = PageReader((tmp_path / "r.html").read_text()).text
    assert "still running: tiny" in text
    assert "Trial 0" in text
    assert "Trial 1" in text


def test_bad_input_is_one_line_and_loses_nothing(tiny_study: TinyStudy, tmp_path: Path) -> None:
    out, runs = tmp_path / "report.html", tiny_study.runs
    out.write_text("before")
    with pytest.raises(UserError, match="no such study"):
        report(["tinny"], out=out, runs=runs)
    with pytest.raises(UserError, match=r"--trial 9: tiny has no such trial; it has 0 to 3"):
        report(["tiny"], out=out, runs=runs, trials=[9])
    with pytest.raises(StorageError, match="cannot be written"):
        report(["tiny"], out=tmp_path / "absent" / "report.html", runs=runs)
    copy = tmp_path / "runs"
    shutil.copytree(runs, copy)
    summary = next(copy.glob("tiny/trials/*/repeat_0/summary.json"))
    summary.write_text(summary.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(CorruptFile, match=r"summary\.json"):
        report(["tiny"], out=out, runs=copy)
    assert out.read_text() == "before"


def test_it_reads_files_without_torch_ray_or_mlflow(tiny_study: TinyStudy, tmp_path: Path) -> None:
    script = (
        "import sys; from balpoe.launch.report import report; "
        f"report(['tiny'], runs={str(tiny_study.runs)!r}, out={str(tmp_path / 'r.html')!r}); "
        "print([name for name in ('torch', 'ray', 'mlflow') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_it_is_logged_to_the_runs_of_the_study_and_of_its_trials(
    tiny_study: TinyStudy, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(tiny_study.runs, runs)
    with pytest.raises(StorageError, match="has no run of the study tiny; `balpoe sync tiny`"):
        log_report("tiny", runs=runs)
    sync("tiny", runs=runs)
    log_report("tiny", runs=runs, details=0)
    out = tmp_path / "r.html"
    arguments = ["tiny", "--log", "--runs", str(runs), "--out", str(out)]
    done = CliRunner().invoke(report_command, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    client = MlflowClient(f"sqlite:///{runs / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("tiny")
    assert experiment is not None
    [study] = client.search_runs([experiment.experiment_id], "tags.role = 'study'")
    names = {file.path for file in client.list_artifacts(study.info.run_id)}
    assert {"report.html", "figures", "images"} <= names
    logged = client.download_artifacts(study.info.run_id, "report.html", str(tmp_path))
    assert Path(logged).read_text() == out.read_text()
    trials = client.search_runs([experiment.experiment_id], "tags.role = 'trial'")
    with_figures = {
        trial.data.tags["number"]
        for trial in trials
        if client.list_artifacts(trial.info.run_id, "figures")
    }
    assert with_figures == {str(n) for n in reported_study("tiny", runs).summaries}


def test_figures_of_trials_are_logged_once_and_again_when_their_data_change(
    tiny_study: TinyStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(tiny_study.directory.path, runs / "tiny")
    store = local_store(runs)
    sync("tiny", runs=runs)
    numbers = list(reported_study("tiny", runs).summaries)
    written: list[int] = []

    def write(store: TrackingStore, identity: TrialIdentity, *rest: Any) -> None:
        written.append(identity.number)
        log_trial_figures(store, identity, *rest)

    monkeypatch.setattr("balpoe.launch.report.log_trial_figures", write)
    assert log_report("tiny", runs=runs, details=1) > 0
    assert written == numbers[:1]
    for _ in range(2):
        assert log_report("tiny", runs=runs) == 0
        assert written == numbers
    assert sorted(trials_with_figures(store, "tiny")) == sorted(numbers)
    log_trial_figures(store, TrialIdentity("tiny", numbers[0]), {}, shown="other data")
    log_report("tiny", runs=runs)
    assert written == [*numbers, numbers[0]]
    log_report("tiny", runs=runs, again=True)
    assert written == [*numbers, numbers[0], *numbers]


def test_run_says_in_one_line_why_figures_are_lacking(
    tiny_study: TinyStudy, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = tiny_study.directory
    outcome = StudyOutcome(
        tiny_study.spec, directory, (), (), LaunchEnd(), MirrorReport(0, None), was_finished=False
    )

    def fail(*arguments: object, **options: object) -> None:
        raise StorageError("the server\nis away")

    monkeypatch.setattr("balpoe.launch.report.log_report", fail)
    log_figures(outcome)
    assert capsys.readouterr().err == (
        "warning: MLflow lacks figures of the study: the server is away; `balpoe report tiny "
        "--log` logs them\n"
    )

    def interrupt(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("balpoe.launch.report.log_report", interrupt)
    log_figures(outcome)  # the study is complete: its exit status stays
    assert "lacks figures of the study: KeyboardInterrupt; " in capsys.readouterr().err
    monkeypatch.setattr("balpoe.launch.report.log_report", lambda *a, **options: 7)
    log_figures(outcome)
    assert capsys.readouterr().err == (
        "warning: the figures of 7 trials are left out, which take longer; `balpoe report tiny "
        "--log` draws and logs them\n"
    )


def test_a_page_without_details_says_where_they_are(tiny_study: TinyStudy) -> None:
    study = reported_study("tiny", tiny_study.runs, details=0)
    read = PageReader(rendered(study_page([study])))
    assert "reliability" not in read.figures
    assert "are left out: `balpoe report` draws them." in read.text
    assert "earlier version" not in read.text
