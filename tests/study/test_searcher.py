"""What Tune is told when the study's own listener fails."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from ray.tune.search import Searcher

from balpoe.config import StudySpec
from balpoe.study.execution.trial_actor import COMPLETE
from balpoe.study.records.ledger import Ledger
from balpoe.study.trials.directory import StudyDirectory
from balpoe.study.trials.events import StudyEvent, TrialStarted
from tests.study.listeners import breaking_at
from tests.study.searchers import searcher_of

MakeSpec = Callable[..., StudySpec]
END = {COMPLETE: True, "val/accuracy": 0.5, "val/ece": 0.1}


@pytest.mark.parametrize("started", [0, 1])
def test_a_trial_whose_start_cannot_be_told_ends_the_search_once_no_other_runs(
    make_spec: MakeSpec, directory: StudyDirectory, started: int
) -> None:
    spec = make_spec()
    searcher = searcher_of(spec, directory, breaking_at(started + 1))
    for number in range(started):
        assert isinstance(searcher.suggest(f"started {number}"), dict)
    untold = searcher.suggest("untold")
    assert isinstance(searcher.fault, BrokenPipeError)
    if started:
        assert untold is None, "Tune is to wait for the trial that it has"
        searcher.on_trial_complete("started 0", END)
        untold = searcher.suggest("later")
    assert untold == Searcher.FINISHED
    assert Ledger(spec, directory).running() == tuple(range(started + 1))


def test_the_next_launch_takes_up_a_trial_whose_start_could_not_be_told(
    make_spec: MakeSpec, directory: StudyDirectory
) -> None:
    spec = make_spec()
    searcher_of(spec, directory, breaking_at(1)).suggest("untold")
    events: list[StudyEvent] = []
    searcher_of(spec, directory, events.append).suggest("again")
    [event] = events
    assert isinstance(event, TrialStarted)
    assert (event.identity.number, event.identity.attempt) == (0, 1)
