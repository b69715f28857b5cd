"""A study, an export and a model of the version that stored no summaries of predictions.

`tests/fixtures/0.1.0-ffff8c1/README.txt` says how they were made.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import balpoe
from balpoe.config import BudgetConfig
from balpoe.files import dump_study
from balpoe.launch.doctor import doctor
from balpoe.launch.export import export
from balpoe.launch.runs import find_study
from balpoe.launch.status import status
from balpoe.launch.sync import sync
from balpoe.study.records.record_store import RecordStore
from balpoe.study.records.trial_summaries import trial_summary
from tests.launch.earlier_study import EarlierStudy

VERSION, MADE_IN = "0.1.0-ffff8c1", "/work/tmp/summaries"


@pytest.fixture
def natural(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EarlierStudy:
    study = EarlierStudy(VERSION, MADE_IN, "natural", tmp_path)
    monkeypatch.chdir(study.home)
    return study


def test_it_is_continued_and_only_new_trials_have_summaries_and_floors(
    natural: EarlierStudy,
) -> None:
    spec, directory = find_study("natural", natural.runs)
    assert status("natural", runs=natural.runs).floors == {}
    spec = replace(spec, budget=BudgetConfig(trials=3))
    directory.specification.write_text(dump_study(spec))
    natural.resume(spec)
    records = RecordStore(spec, directory).records()
    assert [record.state for record in records] == ["COMPLETE"] * 3
    summaries = [trial_summary(directory, record) for record in records]
    assert summaries[:2] == [None, None]
    assert summaries[2] is not None
    assert list(summaries[2].floors) == ["val/balanced_ece"]
    sync("natural", runs=natural.runs)
    assert [f for found in doctor("natural", runs=natural.runs) for f in found.faults] == []
    export("natural", runs=natural.runs)
    assert list(natural.directory.exports.glob("rank_1_*.yaml"))


def test_the_export_is_trained_and_the_model_evaluated_and_used(natural: EarlierStudy) -> None:
    exported = natural.directory.exports / "rank_1_trial_0000.yaml"
    trained = balpoe.train(exported, (1,), runs=natural.runs)
    for path in (natural.model, *trained.models):
        (evaluated,) = balpoe.evaluate(path)
        before = json.loads((evaluated.path / "metrics.json").read_text())["final"]
        scalars = evaluated.rows[0].scalars()
        same = before.keys() & scalars.keys()
        assert {"test/accuracy", "test/ece", "test/nll"} <= same
        assert {n: scalars[n] for n in same} == pytest.approx({n: before[n] for n in same})
        out = natural.home / "predictions.parquet"
        report = balpoe.predict(path, [natural.home / "data/test.parquet"], out=out)
        assert report.images == 44
        out.unlink()
