"""The printed page of a study's trials, on a real MLflow server in headless Chromium."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from balpoe.config import StudySpec
from balpoe.study.trials.record import TrialRecord
from balpoe.tracking.mirror import Mirror
from balpoe.tracking.run_data import Origin
from balpoe.tracking.server import serving, trials_page
from balpoe.tracking.tracking_store import local_store
from tests.chromium import Page, opened_page

MakeRecord = Callable[..., TrialRecord]
OBJECTIVES = ((0.8, 0.05), (0.9, 0.10), (0.7, 0.06))
ATTEMPTS = 4


def _record(make_record: MakeRecord, number: int, repeat: int = 0) -> TrialRecord:
    accuracy, ece = OBJECTIVES[number]
    accuracy += repeat / 100
    values = {"val/accuracy": accuracy, "val/ece": ece}
    values |= {"val/balanced_accuracy": accuracy, "val/balanced_ece": ece}
    record = make_record(number, 2, "COMPLETE", repeat=repeat)
    history = tuple(replace(each, metrics={**each.metrics, **values}) for each in record.history)
    objectives = {name: values[name] for name in ("val/accuracy", "val/ece")}
    return replace(record, history=history, objectives=objectives)


@pytest.mark.slow
def test_the_printed_link_opens_the_table_of_trials_and_their_charts(
    tmp_path: Path, spec: StudySpec, make_record: MakeRecord
) -> None:
    store = local_store(tmp_path / "runs")
    mirror = Mirror(store, spec, Origin())
    for number in range(3):
        mirror.mirror(_record(make_record, number))
    mirror.mirror(_record(make_record, 1, repeat=1))
    mirror.finish("finished")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with serving(store, port) as server:
        link = trials_page(server.url, spec.name)
        assert link is not None
        table = _opened(link, ("trial 0000", "trial 0001", "trial 0002"), tmp_path / "table.png")
        charts = _opened(
            f"{link}&compareRunsMode=CHART",
            ("val/balanced_ece", "Parallel Coordinates", "scatterlayer"),
            tmp_path / "charts.png",
        )
    shown = (
        *("tags.`front`", "params.`mixup.alpha`", "metrics.`val/accuracy`"),
        *("metrics.`seeds/val/accuracy/sd`", "metrics.`val/ece`"),
    )
    assert [column for column in shown if f'col-id="{column}"' not in table.dom] == []
    # by rank: trials 1 and 0 are on the front, 0 and then 2 are worse in accuracy
    rows = [f"trial {number:04d}" for number in (1, 0, 2)]
    assert sorted(rows, key=table.dom.index) == rows
    assert "Evaluation runs" not in table.dom
    assert charts.dom.count("scatterlayer") >= 1


def _opened(url: str, expected: tuple[str, ...], screenshot: Path) -> Page:
    """Open a page until it shows `expected`: the server may be slow on a loaded machine."""
    for attempt in range(1, ATTEMPTS + 1):
        page = opened_page(
            url, screenshot=screenshot, width=2600, height=1200, seconds=30.0 * attempt
        )
        missing = [text for text in expected if text not in page.dom]
        if not missing:
            return page
    raise AssertionError(f"{url}: lacks {missing}")
