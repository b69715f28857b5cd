"""The report of trained models, read back from the page."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

import balpoe
from balpoe.cli.report import report as report_command
from balpoe.config import Configuration, ExpertsConfig, ModelConfig, TrainingConfig
from balpoe.data import load_final_splits
from balpoe.data.sources.digits_lt import DigitsLT
from balpoe.errors import CorruptFile, DataError, UserError
from balpoe.launch.report import report
from balpoe.reporting.class_tables import class_tables
from balpoe.reporting.evaluation_tables import detail_table, evaluation_table
from balpoe.training.final_training import FinalTraining, train_final
from balpoe.training.model_files import METRICS, MODEL, TEST_SUMMARY
from balpoe.training.stored_results import StoredResults, read_results
from tests.launch.conftest import TinyStudy
from tests.launch.earlier_study import EarlierStudy
from tests.launch.page_reader import PageReader

FIGURES = {"reliability", "class_accuracy", "confusion", "marginals", "shots", "contributions"}
CONFIGURATION = Configuration(
    data=DigitsLT(),
    model=ModelConfig(backbone="resnet8"),
    experts=ExpertsConfig(count=2, spread=1.0),
    training=TrainingConfig(epochs=1, batch_size=64),
)


def _train(path: Path, *seeds: int, configuration: Configuration = CONFIGURATION) -> Path:
    splits = load_final_splits(configuration.data)
    for seed in seeds:
        task = FinalTraining(configuration, seed, path / f"seed_{seed}", balpoe_version="1.0")
        train_final(task, splits, torch.device("cpu"), lambda result: None)
    return path


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two seeds of two experts, and one seed of a single expert."""
    home = tmp_path_factory.mktemp("models")
    single = replace(CONFIGURATION, experts=ExpertsConfig(count=1))
    return _train(home / "two_experts", 1, 2), _train(home / "single", 1, configuration=single)


@pytest.fixture(scope="module")
def page(models: tuple[Path, Path]) -> str:
    return report(models, out=models[0].parent / "report.html").read_text()


def _results(model: Path) -> list[StoredResults]:
    return [read_results(path) for path in sorted(model.glob("seed_*"))]


def test_the_tables_are_those_of_evaluate(models: tuple[Path, Path]) -> None:
    seeds, stored = balpoe.evaluate(models[0]), _results(models[0])
    rows = [seed.rows for seed in seeds]
    kept = [seed.distributions for seed in stored]
    for table in (lambda found: evaluation_table("two_experts", found), detail_table):
        assert table(kept).rows == table(rows).rows
        assert table(kept).caption == table(rows).caption
    classes = [seed.classes for seed in stored if seed.classes is not None]
    tables = [
        [table.rows for table in class_tables(found, seeds[0].class_names, seeds[0].class_counts)]
        for found in ([seed.classes for seed in seeds], classes)
    ]
    assert tables[0] == tables[1]


def test_the_page_shows_every_model_with_its_figures(models: tuple[Path, Path], page: str) -> None:
    read = PageReader(page)
    assert "Models two_experts, single" in read.text
    assert "Differences from two_experts" in read.text
    assert "single is not tested" in read.text
    assert set(read.figures) >= FIGURES
    assert read.figures.count("reliability") == 2
    assert all(read.labels)
    assert not [
        reference for reference in read.references if not reference.startswith(("#", "data:"))
    ]
    accuracy = [seed.metrics["test/accuracy"] for seed in _results(models[0])]
    assert f"{100 * sum(accuracy) / 2:.1f} ±" in read.text
    assert "two_experts, seed 1" in read.text
    assert "mean over 2 seeds" in read.text


def test_the_stored_summary_is_that_of_the_test_predictions(models: tuple[Path, Path]) -> None:
    for stored in _results(models[0]):
        assert stored.summary is not None
        assert stored.summary.split == "test"
        assert stored.summary.ensemble.accuracy == pytest.approx(
            stored.metrics["test/accuracy"], abs=1e-6
        )
        assert stored.summary.ensemble.by_images.ece == pytest.approx(
            stored.metrics["test/ece"], abs=1e-6
        )
        assert stored.classes is not None
        assert stored.summary.ensemble.recall_c == pytest.approx(
            stored.classes.unknown.recall_c, abs=1e-6
        )


def test_a_study_and_a_model_share_a_page(
    tiny_study: TinyStudy, models: tuple[Path, Path], tmp_path: Path
) -> None:
    command = ["tiny", str(models[1]), "--out", str(tmp_path / "r.html")]
    done = CliRunner().invoke(report_command, [*command, "--runs", str(tiny_study.runs)])
    assert done.exit_code == 0, done.output
    text = PageReader((tmp_path / "r.html").read_text()).text
    assert "Study tiny, Model single" in text
    assert "Model single on the test set" in text


def test_a_model_of_an_earlier_version_says_that_it_has_no_figures(tmp_path: Path) -> None:
    natural = EarlierStudy("0.1.0-ffff8c1", "/work/tmp/summaries", "natural", tmp_path)
    read = PageReader(report([natural.model], out=tmp_path / "r.html").read_text())
    assert "stored no summary" in read.text
    assert "reliability" not in read.figures
    (seed,) = balpoe.evaluate(natural.model)
    for row in evaluation_table("model", [seed.rows]).rows:
        assert row[0] in read.text


def test_bad_models_are_one_line_and_the_page_stays(
    models: tuple[Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "r.html"
    out.write_text("before")
    copy = tmp_path / "copy"
    shutil.copytree(models[1], copy)
    document = json.loads((copy / "seed_1" / METRICS).read_text())
    document["final"]["test/accuracy"] = 1.0
    (copy / "seed_1" / METRICS).write_text(json.dumps(document))
    with pytest.raises(CorruptFile, match=r"metrics\.json: was changed after it was saved"):
        report([copy], out=out)
    (copy / "seed_1" / TEST_SUMMARY).write_text("{}")
    with pytest.raises(CorruptFile):
        report([copy], out=out)
    (copy / "seed_1" / MODEL).unlink()
    with pytest.raises(CorruptFile, match=r"model\.json: cannot be read"):
        report([copy], out=out)
    with pytest.raises(UserError, match="no such study"):
        report([tmp_path / "nothing"], out=out, runs=tmp_path)
    with pytest.raises(UserError, match="--trial: is of a study"):
        report([models[0]], trials=[1], out=out)
    assert out.read_text() == "before"


def test_models_of_different_data_are_refused(models: tuple[Path, Path], tmp_path: Path) -> None:
    natural = EarlierStudy("0.1.0-ffff8c1", "/work/tmp/summaries", "natural", tmp_path)
    with pytest.raises(DataError, match=r"has other classes than .*single; only models of the"):
        report([models[1], natural.model], out=tmp_path / "r.html")
    assert not (tmp_path / "r.html").exists()


def test_neither_torch_nor_mlflow_is_imported(models: tuple[Path, Path], tmp_path: Path) -> None:
    script = (
        "import sys; from balpoe.launch.report import report\n"
        "report(sys.argv[1:-1], out=sys.argv[-1])\n"
        "print([name for name in ('torch', 'mlflow', 'ray') if name in sys.modules])"
    )
    command = [sys.executable, "-c", script, *map(str, models), str(tmp_path / "r.html")]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]"
