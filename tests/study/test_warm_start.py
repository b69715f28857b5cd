"""Earlier studies: what of them is worth knowing, and a sampler that knows it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
from ray import cloudpickle

from balpoe.config import (
    SAMPLERS,
    BudgetConfig,
    Choice,
    Configuration,
    Constraint,
    FloatParameter,
    IntParameter,
    StudySpec,
    TrainingConfig,
)
from balpoe.data.sources.digits_lt import DigitsLT
from balpoe.errors import InvalidFields, UserError
from balpoe.study.execution.executor import run_trials
from balpoe.study.execution.trial import Course, TrialTask
from balpoe.study.records.ledger import Ledger
from balpoe.study.search.earlier_trials import EarlierStudy, EarlierTrial, earlier_study
from balpoe.study.trials.directory import StudyDirectory
from balpoe.study.trials.events import StudyEvent, WarmStarted
from balpoe.study.trials.launch_log import logged_launches
from balpoe.study.trials.record import TrialIdentity, TrialRecord
from balpoe.training.epoch import EpochResult

# workers cannot import a test module
cloudpickle.register_pickle_by_value(  # type: ignore[no-untyped-call]  # Ray's own type
    sys.modules[__name__]
)

MakeSpec = Callable[..., StudySpec]

EARLIER = StudySpec(
    name="earlier",
    base=Configuration(data=DigitsLT(), training=TrainingConfig(epochs=3)),
    search={
        "experts.count": IntParameter(low=1, high=5),
        "experts.spread": FloatParameter(low=0.0, high=2.0),
    },
    objectives={"val/accuracy": "maximize", "val/ece": "minimize"},
    budget=BudgetConfig(trials=8),
)


def record(number: int, parameters: Mapping[str, Choice], data: str = "sha256:1") -> TrialRecord:
    return TrialRecord(
        identity=TrialIdentity("earlier", number),
        parameters=parameters,
        state="COMPLETE",
        history=(),
        objectives={"val/accuracy": 0.9, "val/ece": number / 100},
        failure=None,
        data_fingerprint=data,
        started=0.0,
        ended=1.0,
    )


TRIALS = (
    record(0, {"experts.count": 1, "experts.spread": 0.0}),
    record(1, {"experts.count": 3, "experts.spread": 1.0}),
    record(2, {"experts.count": 5, "experts.spread": 1.0}),
)


def worth(now: StudySpec, earlier: StudySpec = EARLIER) -> EarlierStudy:
    return earlier_study(now, earlier, TRIALS, "sha256:1")


def test_trials_within_the_search_space_are_taken_with_this_studys_objectives() -> None:
    search = {**EARLIER.search, "experts.count": IntParameter(low=1, high=3)}
    now = replace(EARLIER, name="now", search=search, objectives={"val/ece": "minimize"})
    assert worth(now) == EarlierStudy(
        "earlier",
        (
            EarlierTrial(0, {"experts.count": 1}, {"val/ece": 0.0}),
            EarlierTrial(1, {"experts.count": 3, "experts.spread": 1.0}, {"val/ece": 0.01}),
        ),
        outside=1,
    )
    told = "warm start from earlier: 2 trials (1 outside the search space)"
    assert str(worth(now).event) == told


def test_what_one_study_searched_and_the_other_fixes_must_be_the_same() -> None:
    base = replace(EARLIER.base, experts=replace(EARLIER.base.experts, count=3))
    count_is_fixed = replace(
        EARLIER, base=base, search={"experts.spread": EARLIER.search["experts.spread"]}
    )
    assert [trial.number for trial in worth(count_is_fixed).trials] == [1]
    alpha = {"mixup.alpha": FloatParameter(low=0.0, high=1.0)}
    alpha_is_new = replace(EARLIER, search={**EARLIER.search, **alpha})
    assert worth(alpha_is_new).trials[1].decided == {
        "experts.count": 3,
        "experts.spread": 1.0,
        "mixup.alpha": EARLIER.base.mixup.alpha,
    }


def test_earlier_trials_are_judged_by_the_constraints_of_this_study() -> None:
    now = replace(EARLIER, constraints={"parameters": Constraint(at_most=1000)})
    measured = [
        replace(trial, history=(EpochResult(1, 0.0, {"parameters": weights}),))
        for trial, weights in zip(TRIALS, (500.0, 1000.0, 1500.0), strict=True)
    ]
    usable = earlier_study(now, EARLIER, measured, "sha256:1").trials
    assert [trial.excesses["parameters <= 1000"] for trial in usable] == [-0.5, 0.0, 0.5]
    with pytest.raises(UserError, match="not all of its trials have parameters, which is"):
        earlier_study(now, EARLIER, [*measured, TRIALS[0]], "sha256:1")


@pytest.mark.parametrize("sampler", ["tpe", "gp"])
def test_samplers_take_constrained_trials_of_both_studies(
    make_spec: MakeSpec, directory: StudyDirectory, sampler: str
) -> None:
    spec = make_spec(
        search={"experts.spread": FloatParameter(low=0.0, high=2.0)},
        objectives={"val/accuracy": "maximize"},
        constraints={"parameters": Constraint(at_most=1000)},
        sampler=SAMPLERS[sampler](),
    )
    earlier = EarlierStudy(
        "earlier",
        tuple(
            EarlierTrial(
                number,
                {"experts.spread": number / 10},
                {"val/accuracy": accuracy(number / 10)},
                {"parameters <= 1000": number / 10 - 1},
            )
            for number in range(20)
        ),
        outside=0,
    )
    ledger = Ledger(spec, directory)
    ledger.begin_launch((earlier,))
    for _ in range(3):
        proposal = ledger.ask()
        ledger.constrain(proposal.identity, {"parameters <= 1000": 0.5})
        ledger.complete(proposal.identity, {"val/accuracy": 0.5})
    assert [entry.violations for entry in ledger.records()] == [{"parameters <= 1000": 0.5}] * 3


@pytest.mark.parametrize(
    ("earlier", "fingerprint", "reason"),
    [
        (EARLIER, "sha256:2", "data: its fingerprint is sha256:1, that of this study sha256:2"),
        (
            replace(EARLIER, base=replace(EARLIER.base, training=TrainingConfig(epochs=9))),
            "sha256:1",
            "training.epochs is 9 there, 3 here",
        ),
        (
            replace(EARLIER, objectives={"val/accuracy": "maximize"}),
            "sha256:1",
            "it lacks the objective val/ece",
        ),
    ],
)
def test_a_study_that_cannot_be_compared_is_refused_with_the_field(
    earlier: StudySpec, fingerprint: str, reason: str
) -> None:
    with pytest.raises(UserError, match=f"learnt from the study earlier: {reason}; take it out"):
        earlier_study(EARLIER, earlier, TRIALS, fingerprint)


def test_a_study_without_a_complete_trial_is_refused() -> None:
    with pytest.raises(UserError, match="it has no COMPLETE trial"):
        earlier_study(EARLIER, EARLIER, [], "sha256:1")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"warm_start": ("digits",)}, "cannot begin from itself"),
        ({"warm_start": ("a", "a")}, "a comes twice"),
        (
            {"warm_start": ("a",), "sampler": SAMPLERS["random"]()},
            "random learns nothing from other studies: use tpe or gp",
        ),
    ],
)
def test_a_warm_start_that_cannot_be_is_refused(
    make_spec: MakeSpec, fields: Mapping[str, object], message: str
) -> None:
    with pytest.raises(InvalidFields, match=message):
        make_spec(**fields)


BEST_SPREAD = 1.7


def accuracy(spread: float) -> float:
    return 1 - abs(spread - BEST_SPREAD)


def evidence() -> EarlierStudy:
    """Twenty trials whose accuracy falls with the distance of the spread from the best one."""
    spreads = [step / 10 for step in range(20)]
    return EarlierStudy(
        "earlier",
        tuple(
            EarlierTrial(
                number,
                {"experts.count": 3, "experts.spread": spread, "experts.sharing": "shared"},
                {"val/accuracy": accuracy(spread)},
            )
            for number, spread in enumerate(spreads)
        ),
        outside=0,
    )


def proposed_spreads(
    spec: StudySpec, directory: StudyDirectory, earlier: tuple[EarlierStudy, ...], count: int
) -> list[float]:
    ledger = Ledger(spec, directory)
    ledger.begin_launch(earlier)
    spreads = []
    for _ in range(count):
        proposal = ledger.ask()
        spread = proposal.parameters.get("experts.spread", 0.0)
        assert isinstance(spread, float)
        spreads.append(spread)
        ledger.complete(proposal.identity, {"val/accuracy": accuracy(spread)})
    return spreads


@pytest.mark.parametrize("sampler", ["tpe", "gp"])
def test_the_first_proposals_are_near_the_best_of_the_earlier_study(
    make_spec: MakeSpec, directory: StudyDirectory, sampler: str
) -> None:
    """Without evidence both samplers begin with random proposals, 30 % of them this near."""
    search = {
        "experts.count": IntParameter(low=2, high=3),
        "experts.spread": FloatParameter(low=0.0, high=2.0),
    }
    spec = make_spec(
        objectives={"val/accuracy": "maximize"},
        search=search,
        sampler=SAMPLERS[sampler](),
    )
    trials = tuple(
        replace(trial, decided={path: trial.decided[path] for path in search})
        for trial in evidence().trials
    )
    earlier = (replace(evidence(), trials=trials),)
    spreads = proposed_spreads(spec, directory, earlier, count=3)
    assert sum(abs(spread - BEST_SPREAD) < 0.3 for spread in spreads) >= 2


def test_they_are_no_trials_of_this_study_and_one_seed_fixes_what_follows(
    make_spec: MakeSpec, directory: StudyDirectory
) -> None:
    spec = make_spec(objectives={"val/accuracy": "maximize"})
    earlier = (evidence(),)
    spreads = proposed_spreads(spec, directory, earlier, count=5)
    entries = Ledger(spec, directory).records()
    assert [entry.identity.number for entry in entries] == list(range(5))
    assert Ledger(spec, directory).finished() == 5
    assert {entry.state for entry in entries} == {"COMPLETE"}
    again = StudyDirectory.of(directory.path.parent / "again", "digits")
    again.create()
    assert proposed_spreads(spec, again, earlier, count=5) == spreads


def test_trials_under_way_are_known_and_an_interrupted_launch_goes_on(
    make_spec: MakeSpec, directory: StudyDirectory
) -> None:
    """Orphans, failures and a proposal that was queued but never begun."""
    spec = make_spec(objectives={"val/accuracy": "maximize"})
    earlier = (evidence(),)
    before = Ledger(spec, directory)
    before.begin_launch(earlier)
    orphan = before.ask()
    before._study.enqueue_trial({"experts.count": 2, "experts.spread": 1.25})

    ledger = Ledger(spec, directory)
    ledger.begin_launch(earlier)
    assert ledger.resume(orphan.identity).parameters == orphan.parameters
    queued = ledger.ask()
    assert queued.parameters["experts.spread"] == 1.25
    together = [ledger.ask() for _ in range(3)]
    for proposal in (orphan, queued, *together):
        ledger.complete(proposal.identity, {"val/accuracy": 0.5})
    last = ledger.ask()
    assert last.identity.number == 5
    assert len({entry.identity.number for entry in ledger.records()}) == 6


def sound(task: TrialTask) -> Course:
    yield EpochResult(1, time.time(), {"val/accuracy": 0.5})
    return {"val/accuracy": 0.5}


@pytest.mark.usefixtures("local_ray")
def test_what_a_launch_knew_is_told_first_and_kept_in_its_log(
    make_spec: MakeSpec, directory: StudyDirectory
) -> None:
    spec = make_spec(trials=2, objectives={"val/accuracy": "maximize"})
    events: list[StudyEvent] = []
    run_trials(spec, directory, events.append, earlier=(evidence(),), run=sound)
    assert events[0] == WarmStarted("earlier", tuple(range(20)), outside=0)
    assert Ledger(spec, directory).finished() == 2
    [launch] = logged_launches(directory.launches)
    assert launch.warm_start == {"earlier": list(range(20))}
