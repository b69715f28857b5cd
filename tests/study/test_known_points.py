"""Planned trials in a real storage: known points and grids, also after kills."""

from __future__ import annotations

from collections.abc import Callable

import optuna
import pytest

from balpoe.config import (
    SAMPLERS,
    CategoricalParameter,
    Condition,
    FloatParameter,
    IntParameter,
    StudySpec,
)
from balpoe.config.known_points import default_points
from balpoe.study.records.ledger import Ledger
from balpoe.study.search.planned_trials import tried_points
from balpoe.study.trials.directory import StudyDirectory
from balpoe.study.trials.record import TrialIdentity, TrialRecord

MakeSpec = Callable[..., StudySpec]
# CE and BalPoE lie outside: the study searches neither centre nor mixup
DEFAULTS = default_points()
GRID = {
    "experts.count": IntParameter(low=1, high=2),
    "experts.spread": CategoricalParameter(choices=(0.5, 1.0)),
}


def launched(spec: StudySpec, directory: StudyDirectory) -> Ledger:
    ledger = Ledger(spec, directory)
    ledger.begin_launch()
    return ledger


def stored(directory: StudyDirectory) -> list[optuna.trial.FrozenTrial]:
    storage = f"sqlite:///{directory.database}"
    return optuna.load_study(study_name="digits", storage=storage).get_trials()


def records(ledger: Ledger) -> list[TrialRecord]:
    return [
        TrialRecord(
            identity=TrialIdentity("digits", entry.identity.number),
            parameters=entry.parameters,
            state=entry.state,
            history=(),
            objectives=None,
            failure=None,
            data_fingerprint=None,
            started=0,
            ended=None,
        )
        for entry in ledger.records()
    ]


def test_known_points_are_the_first_trials_and_the_sampler_never_hears_of_one_outside(
    make_spec: MakeSpec, directory: StudyDirectory
) -> None:
    spec = make_spec(known_points=DEFAULTS)
    ledger = launched(spec, directory)
    proposals = [ledger.ask() for _ in range(4)]
    assert [p.parameters for p in proposals[:3]] == [p.parameters for p in spec.points.points]
    assert proposals[0].parameters["experts.centre"] == 1.0
    assert [set(trial.params) for trial in stored(directory)[:3]] == [
        set(),
        {"experts.count"},
        set(),
    ]
    assert set(proposals[3].parameters) == set(spec.search)
    tried = tried_points(spec, records(ledger))
    assert {name: record.identity.number for name, record in tried.items()} == {
        "ce": 0, "balanced_softmax": 1, "balpoe": 2,
    }  # fmt: skip


def test_a_killed_driver_repeats_and_loses_no_known_point(
    make_spec: MakeSpec, directory: StudyDirectory
) -> None:
    spec = make_spec(known_points=DEFAULTS)
    begun = launched(spec, directory).ask()
    after = launched(spec, directory)
    assert after.resume(begun.identity).parameters == begun.parameters
    points = [after.ask().parameters for _ in range(2)]
    assert [begun.parameters, *points] == [p.parameters for p in spec.points.points]
    later = launched(spec, directory)
    assert later.ask().parameters not in points


def test_a_driver_killed_between_queueing_and_asking_leaves_its_point_to_the_next(
    make_spec: MakeSpec, directory: StudyDirectory
) -> None:
    spec = make_spec(known_points=DEFAULTS)
    _, balanced, balpoe = spec.points.points
    launched(spec, directory).ask()
    storage = f"sqlite:///{directory.database}"
    optuna.load_study(study_name="digits", storage=storage).enqueue_trial(dict(balanced.decided))
    after = launched(spec, directory)
    assert len(after.records()) == 1
    asked = [after.ask().parameters for _ in range(2)]
    assert asked == [balanced.parameters, balpoe.parameters]


def test_a_known_point_that_is_added_later_is_tried_then(
    make_spec: MakeSpec, directory: StudyDirectory
) -> None:
    one = {"one": {"experts.count": 2, "experts.spread": 0.25}}
    launched(make_spec(known_points=one), directory).ask()
    both = {**one, "other": {"experts.count": 3, "experts.spread": 0.75}}
    asked = launched(make_spec(known_points=both), directory).ask()
    assert (asked.identity.number, asked.parameters["experts.spread"]) == (1, 0.75)


def test_a_grid_is_gone_through_once_over_all_launches_and_with_its_known_points(
    make_spec: MakeSpec, directory: StudyDirectory
) -> None:
    spec = make_spec(
        search=GRID,
        sampler=SAMPLERS["grid"](),
        known_points={"two": {"experts.count": 2, "experts.spread": 1.0}},
    )
    first = launched(spec, directory)
    asked = [first.ask().parameters for _ in range(2)]
    after = launched(spec, directory)
    assert not after.is_exhausted()
    asked.append(after.ask().parameters)
    assert after.is_exhausted()
    assert asked[0] == {"experts.count": 2, "experts.spread": 1.0}
    assert sorted(tuple(point.values()) for point in asked) == [(1, 0.0), (2, 0.5), (2, 1.0)]


@pytest.mark.parametrize("name", ["tpe", "random", "nsgaii", "gp"])
def test_no_sampler_repeats_what_it_drew_in_the_launch_before(
    make_spec: MakeSpec, directory: StudyDirectory, name: str
) -> None:
    spec = make_spec(
        search={"mixup.alpha": FloatParameter(low=0, high=1)},
        sampler=SAMPLERS[name](seed=5),
    )
    drawn = [launched(spec, directory).ask().parameters["mixup.alpha"] for _ in range(3)]
    assert len(set(drawn)) == 3


@pytest.mark.filterwarnings("error")
def test_the_joint_model_of_one_objective_learns_though_trials_lack_parameters(
    make_spec: MakeSpec, directory: StudyDirectory, caplog: pytest.LogCaptureFixture
) -> None:
    count = IntParameter(low=1, high=2)
    alpha = FloatParameter(low=0, high=1, when={"experts.count": Condition(at_least=2)})
    spec = make_spec(
        known_points=DEFAULTS,
        search={"experts.count": count, "mixup.alpha": alpha},
        objectives={"val/ece": "minimize"},
    )
    ledger = launched(spec, directory)
    for _ in range(30):
        proposal = ledger.ask()
        error = (float(proposal.parameters.get("mixup.alpha", 1)) - 0.3) ** 2
        ledger.complete(proposal.identity, {"val/ece": error})
    assert stored(directory)[0].params == {}
    learned = [trial.params.get("mixup.alpha", 1) for trial in stored(directory)[20:]]
    assert sum(abs(value - 0.3) < 0.2 for value in learned) >= 7
    assert not caplog.records


def test_a_gaussian_process_learns_beside_the_known_points(
    make_spec: MakeSpec, directory: StudyDirectory
) -> None:
    spec = make_spec(
        known_points={"strong": {"mixup.alpha": 0.9}},
        search={"mixup.alpha": FloatParameter(low=0, high=1)},
        objectives={"val/ece": "minimize"},
        sampler=SAMPLERS["gp"](),
    )
    ledger = launched(spec, directory)
    for _ in range(13):
        proposal = ledger.ask()
        error = (float(proposal.parameters["mixup.alpha"]) - 0.3) ** 2
        ledger.complete(proposal.identity, {"val/ece": error})
    learned = [float(trial.params["mixup.alpha"]) for trial in stored(directory)[11:]]
    assert all(abs(alpha - 0.3) < 0.05 for alpha in learned)


def test_a_conditional_parameter_is_proposed_only_where_its_condition_holds(
    make_spec: MakeSpec, directory: StudyDirectory
) -> None:
    spec = make_spec(
        search={
            "mixup.alpha": FloatParameter(
                low=0.01, high=1, log=True, when={"experts.count": Condition(one_of=(3,))}
            ),
            "experts.count": IntParameter(low=2, high=3),
        },
        sampler=SAMPLERS["random"](),
    )
    ledger = launched(spec, directory)
    proposals = [ledger.ask().parameters for _ in range(12)]
    assert {len(parameters) for parameters in proposals} == {1, 2}
    assert all(("mixup.alpha" in p) == (p["experts.count"] == 3) for p in proposals)
    assert [entry.parameters for entry in ledger.records()] == proposals
