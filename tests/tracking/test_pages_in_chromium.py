"""The printed page of a study's trials, on a real MLflow server in headless Chromium."""

from __future__ import annotations

import asyncio
import socket
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from balpoe.config import StudySpec
from balpoe.study.trials.record import TrialRecord
from balpoe.tracking.mirror import Mirror
from balpoe.tracking.run_data import Origin
from balpoe.tracking.server import Server, serving, trials_page
from balpoe.tracking.tracking_store import TrackingStore, local_store, open_client
from tests.chromium import Page, opened_page
from tests.chromium_session import opened_tab

MakeRecord = Callable[..., TrialRecord]
OBJECTIVES = ((0.8, 0.05), (0.9, 0.10), (0.7, 0.06))
ATTEMPTS = 4
SHOWN_TEXT = "document.body.innerText"
GENAI_PAGE = "Evaluation runs"
"""An entry of the navigation of the view of language models."""

pytestmark = pytest.mark.slow


def _record(make_record: MakeRecord, number: int, repeat: int = 0) -> TrialRecord:
    accuracy, ece = OBJECTIVES[number]
    accuracy += repeat / 100
    values = {"val/accuracy": accuracy, "val/ece": ece}
    values |= {"val/balanced_accuracy": accuracy, "val/balanced_ece": ece}
    record = make_record(number, 2, "COMPLETE", repeat=repeat)
    history = tuple(replace(each, metrics={**each.metrics, **values}) for each in record.history)
    objectives = {name: values[name] for name in ("val/accuracy", "val/ece")}
    return replace(record, history=history, objectives=objectives)


@dataclass(frozen=True)
class Served:
    """A server with three trials of a study, and the link to their table."""

    server: Server
    store: TrackingStore
    link: str


@pytest.fixture
def served(tmp_path: Path, spec: StudySpec, make_record: MakeRecord) -> Iterator[Served]:
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
        yield Served(server, store, link)


def test_the_printed_link_opens_the_table_of_trials_and_their_charts(
    tmp_path: Path, served: Served
) -> None:
    trials = ("trial 0000", "trial 0001", "trial 0002")
    table = _opened(served.link, trials, tmp_path / "table.png")
    charts = _opened(
        f"{served.link}&compareRunsMode=CHART",
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
    assert GENAI_PAGE not in table.dom
    assert charts.dom.count("scatterlayer") >= 1


def test_pages_of_single_runs_open_in_the_view_of_trainings(
    tmp_path: Path, served: Served, spec: StudySpec
) -> None:
    async def open_runs() -> tuple[str, str]:
        async with opened_tab() as tab:
            await tab.open(served.link)
            await tab.wait_for(f"{_link_of('trial 0001')} !== undefined")
            await tab.evaluate(f"{_link_of('trial 0001')}.click()")
            await tab.wait_for(f"{SHOWN_TEXT}.includes('Parameters (')")
            clicked = str(await tab.evaluate(SHOWN_TEXT))
            page = str(await tab.evaluate("location.href"))
            await tab.screenshot(tmp_path / "clicked.png")
        async with opened_tab() as tab:  # a browser that has not seen the table
            await tab.open(page)
            await tab.wait_for(f"{SHOWN_TEXT}.includes('Parameters (')")
            return clicked, str(await tab.evaluate(SHOWN_TEXT))

    for shown in asyncio.run(open_runs()):
        assert "trial 0001" in shown
        assert "Model registry" in shown, "the navigation of the view of trainings"
        assert GENAI_PAGE not in shown


def test_a_view_that_the_user_has_chosen_is_kept(served: Served) -> None:
    async def shown_after_choosing() -> str:
        async with opened_tab() as tab:
            await tab.open(served.server.url)
            await tab.wait_for(f"{SHOWN_TEXT}.includes('Model registry')")
            await tab.evaluate("localStorage.setItem('mlflow.workflowType_v1', '\"genai\"')")
            await tab.open(f"{served.server.url}/?again")
            await tab.wait_for(f"{SHOWN_TEXT}.includes('Prompts')")
            return str(await tab.evaluate(SHOWN_TEXT))

    assert "Model registry" not in asyncio.run(shown_after_choosing())


def test_the_server_gives_artifacts_and_refuses_names_of_other_hosts(
    served: Served, spec: StudySpec
) -> None:
    client = open_client(served.store)
    experiment = client.get_experiment_by_name(spec.name)
    assert experiment is not None
    [run, *_] = client.search_runs([experiment.experiment_id], "tags.role = 'trial'")
    path = f"/get-artifact?path=configuration.yaml&run_uuid={run.info.run_id}"
    with urllib.request.urlopen(f"{served.server.url}{path}") as answer:
        assert "digits_lt" in answer.read().decode()
    foreign = urllib.request.Request(served.server.url, headers={"Host": "attacker.example"})
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(foreign)


def _link_of(trial: str) -> str:
    links = "[...document.querySelectorAll('a')]"
    return f"{links}.find(link => link.innerText.includes('{trial}'))"


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
