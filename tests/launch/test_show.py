"""`balpoe show` on a study with trained trials."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from balpoe.cli.main import cli
from balpoe.config import FloatParameter
from balpoe.errors import CorruptFile, UserError
from balpoe.launch.show import viewed_study, viewed_trial
from balpoe.parquet_tables import sha256_of
from balpoe.reporting.study_view import trial_view
from balpoe.study.records.record_store import RecordStore
from balpoe.study.records.trial_summaries import trial_summary
from balpoe.study.selection.front import ordered_front
from balpoe.study.storage.lease import hold_lease
from balpoe.study.trials.directory import StudyDirectory
from balpoe.study.trials.record import TrialIdentity
from balpoe.study.trials.result_file import read_result_alone, write_result
from tests.launch.conftest import TinyStudy

Show = Callable[..., Result]


@pytest.fixture
def show() -> Show:
    """Run the command in a terminal of 80 columns."""

    def run(runs: Path, *arguments: str) -> Result:
        command = ["show", *arguments, "--runs", str(runs)]
        return CliRunner(env={"COLUMNS": "80"}).invoke(cli, command)

    return run


@pytest.fixture
def copied(tiny_study: TinyStudy, tmp_path: Path) -> StudyDirectory:
    shutil.copytree(tiny_study.runs, tmp_path / "runs")
    return StudyDirectory.of(tmp_path / "runs", "tiny")


def _rewrite_summary(study: StudyDirectory, number: int, content: Mapping[str, Any] | None) -> None:
    """Replace the summary of a trial as another version would have stored it; None for none."""
    directory = study.trial(TrialIdentity("tiny", number))
    result = read_result_alone(directory)
    files = {name: digest for name, digest in result.files.items() if name != "summary.json"}
    if content is None:
        directory.summary.unlink()
    else:
        directory.summary.write_text(json.dumps(content))
        files["summary.json"] = sha256_of(directory.summary)
    write_result(directory, replace(result, files=files))


def _scatter_names(output: str) -> list[str]:
    rows = [line.split("│", 1)[1] for line in output.splitlines() if "│" in line]
    return [name for row in rows for name in row.replace("·", " ").split()]


def test_a_study_shows_its_front_as_a_scatter_and_a_table(
    tiny_study: TinyStudy, show: Show
) -> None:
    result = show(tiny_study.runs, "tiny")
    assert result.exit_code == 0, result.output
    records = RecordStore(tiny_study.spec, tiny_study.directory).records()
    front = [str(r.identity.number) for r in ordered_front(records, tiny_study.spec.objectives)]
    assert sorted(_scatter_names(result.output)) == sorted(front)
    assert "Pareto front of tiny: 4 trials, 1 failed" in result.output
    assert "not running" in result.output
    assert max(map(len, result.output.splitlines())) <= 80


def test_a_trial_shows_the_bars_of_its_summary(tiny_study: TinyStudy, show: Show) -> None:
    result = show(tiny_study.runs, "tiny", "0")
    assert result.exit_code == 0, result.output
    record = RecordStore(tiny_study.spec, tiny_study.directory).record(0)
    summary = trial_summary(tiny_study.directory, record)
    assert summary is not None
    classes = result.output.split("Accuracy by class")[1].splitlines()
    for y, name in enumerate(summary.class_names):
        (row,) = (line for line in classes if line.split()[:1] == [name])
        recall = summary.ensemble.recall_c[y] or 0.0
        assert row.split()[-2:] == [f"{100 * recall:.1f}", str(summary.images_c[y])]
        assert row.count("█") == int(30 * recall + 1 / 16)
    bins = summary.ensemble.by_images
    for k, images in enumerate(bins.images):
        begin = f"{k / len(bins.images):.2f}-"
        assert (f" {begin}" in result.output) == (images > 0)
    assert max(map(len, result.output.splitlines())) <= 80


def test_a_changed_summary_changes_the_bars(tiny_study: TinyStudy) -> None:
    trial = viewed_trial("tiny", 0, runs=tiny_study.runs)
    assert trial.summary is not None
    recalls = (*trial.summary.ensemble.recall_c[:9], 0.5)
    changed = replace(
        trial.summary,
        ensemble=replace(trial.summary.ensemble, recall_c=recalls),
        class_names=(*trial.summary.class_names[:9], "[red]<script>"),
    )
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(trial_view(replace(trial, summary=changed), 80))
    (row,) = (line for line in console.export_text().splitlines() if "[red]<script>" in line)
    assert f" {'█' * 15} " in row
    assert " 50.0 " in row


@pytest.mark.parametrize(
    ("experts", "shown"),
    [({}, "–"), ({"lambdas": None, "class_lambdas": ((0.0,) * 10,) * 3}, "per class")],
)
def test_experts_without_a_single_lambda_have_none(
    tiny_study: TinyStudy, experts: dict[str, Any], shown: str
) -> None:
    trial = viewed_trial("tiny", 0, runs=tiny_study.runs)
    assert trial.summary is not None
    ensemble = replace(trial.summary.ensemble, lam=None)
    several = replace(trial.spec.base.experts, count=3, **experts)
    spec = replace(trial.spec, search={"mixup.alpha": FloatParameter(low=0, high=1)})
    spec = replace(spec, base=replace(spec.base, experts=several), known_points={})
    record = replace(trial.record, parameters={"mixup.alpha": 0.0})
    changed = replace(
        trial, spec=spec, record=record, summary=replace(trial.summary, ensemble=ensemble)
    )
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(trial_view(changed, 80))
    lines = (" ".join(line.split()) for line in console.export_text().splitlines())
    assert any(line.startswith(f"ensemble {shown} ") for line in lines)


def test_many_classes_are_shown_in_groups_of_neighbours(tiny_study: TinyStudy) -> None:
    trial = viewed_trial("tiny", 0, runs=tiny_study.runs)
    assert trial.summary is not None
    count = 1000
    many = replace(
        trial.summary,
        class_names=tuple(f"c{y}" for y in range(count)),
        train_counts_c=tuple(range(count, 0, -1)),
        images_c=(1,) * count,
        ensemble=replace(trial.summary.ensemble, recall_c=(1.0,) * 25 + (None,) * 975),
    )
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(trial_view(replace(trial, summary=many), 80))
    rows = console.export_text().split("Accuracy by class")[1].splitlines()
    (head,) = (row for row in rows if row.split()[:1] == ["1-25"])
    assert head.split()[1:] == [f"{sum(range(976, 1001)):,}", "█" * 30, "100.0", "25"]
    (tail,) = (row for row in rows if row.split()[:1] == ["976-1000"])
    assert tail.split()[1:] == [str(sum(range(1, 26))), "–", "25"]


def test_trials_without_a_summary_say_why(
    copied: StudyDirectory, tiny_study: TinyStudy, show: Show
) -> None:
    runs = copied.path.parent
    records = RecordStore(tiny_study.spec, copied).records()
    failed = next(record for record in records if record.state == "FAIL")
    running = next(record for record in records if record.state == "RUNNING")
    output = show(runs, "tiny", str(failed.identity.number)).output
    assert str(failed.failure) in output
    assert "only a COMPLETE trial" in output
    assert "only a COMPLETE trial" in show(runs, "tiny", str(running.identity.number)).output
    _rewrite_summary(copied, 0, None)
    assert "earlier version" in " ".join(show(runs, "tiny", "0").output.split())
    assert show(runs, "tiny").exit_code == 0


def test_a_study_without_trials_shows_that_there_are_none(
    tiny_study: TinyStudy, tmp_path: Path, show: Show
) -> None:
    directory = StudyDirectory.of(tmp_path, "tiny")
    directory.create()
    directory.specification.write_bytes(tiny_study.directory.specification.read_bytes())
    before = sorted(directory.path.rglob("*"))
    result = show(tmp_path, "tiny")
    assert result.exit_code == 0, result.output
    assert "No trial is COMPLETE and feasible yet." in result.output
    with pytest.raises(UserError, match=r"trial 0: tiny has no such trial; it has none yet"):
        viewed_trial("tiny", 0, runs=tmp_path)
    assert sorted(directory.path.rglob("*")) == before


def test_a_running_study_names_its_driver(copied: StudyDirectory, show: Show) -> None:
    with hold_lease(copied.lease):
        output = show(copied.path.parent, "tiny").output
    assert "run by" in " ".join(output.split())


def test_unknown_studies_and_trials_are_refused(tiny_study: TinyStudy) -> None:
    with pytest.raises(UserError, match=r"no such study in .*; there are: tiny"):
        viewed_study("other", runs=tiny_study.runs)
    with pytest.raises(UserError, match=r"trial 9: tiny has no such trial; it has 0 to 3"):
        viewed_trial("tiny", 9, runs=tiny_study.runs)


def test_only_the_damaged_file_that_is_shown_matters(
    copied: StudyDirectory, tiny_study: TinyStudy
) -> None:
    runs = copied.path.parent
    front = viewed_study("tiny", runs=runs).front[0].identity
    others = [n for n in (0, 1) if n != front.number]
    newer = json.loads(copied.trial(front).summary.read_text()) | {"format": 99}
    _rewrite_summary(copied, front.number, newer)
    with pytest.raises(CorruptFile, match=r"summary\.json.*format 99"):
        viewed_trial("tiny", front.number, runs=runs)
    for number in others:
        assert viewed_trial("tiny", number, runs=runs).summary is not None
    copied.trial(front).summary.write_text("{}")
    with pytest.raises(CorruptFile, match=r"summary\.json: damaged or changed"):
        viewed_trial("tiny", front.number, runs=runs)
    copied.trial(front).metrics.write_bytes(b"damaged")
    with pytest.raises(CorruptFile, match=r"metrics\.parquet"):
        viewed_study("tiny", runs=runs)


def test_neither_torch_nor_matplotlib_is_imported(tiny_study: TinyStudy) -> None:
    script = (
        "import sys; sys.argv = ['balpoe', 'show', 'tiny', *sys.argv[1:]]\n"
        "from balpoe.cli.main import cli\n"
        "cli.main(standalone_mode=False)\n"
        "print([name for name in ('torch', 'matplotlib', 'ray', 'mlflow') if name in sys.modules])"
    )
    for trial in ([], ["0"]):
        command = [sys.executable, "-c", script, *trial, "--runs", str(tiny_study.runs)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        assert done.stdout.splitlines()[-1] == "[]"
