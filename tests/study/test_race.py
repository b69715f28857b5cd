"""The race for further seeds between invented configurations whose values are known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from balpoe.config import RaceConfig, StudySpec
from balpoe.study.selection.candidates import Candidate, pooled_sd
from balpoe.study.selection.comparison import Comparisons, pair_verdicts
from balpoe.study.selection.race import Race, affordable, race

MakeSpec = Callable[..., StudySpec]
World = Callable[[int, int], Mapping[str, float]]


def candidate(number: int, *values: tuple[float, float], **fields: object) -> Candidate:
    """A configuration of its own, with accuracy and ECE for each of its seeds."""
    objectives = {
        repeat: {"val/accuracy": accuracy, "val/ece": ece}
        for repeat, (accuracy, ece) in enumerate(values)
    }
    return Candidate(number, {"mixup.alpha": number}, objectives, **fields)  # type: ignore[arg-type]


def asked(found: Race) -> list[tuple[int, int]]:
    return [(seed.number, seed.repeat) for seed in found.to_do]


def trained(spec: StudySpec, world: World, numbers: Iterable[int]) -> dict[int, Candidate]:
    """All candidates once the race is over."""
    known = {n: with_seed(Candidate(n, {"mixup.alpha": n}, {}), 0, world) for n in numbers}
    while stand := race(spec, list(known.values())).to_do:
        for seed in stand:
            known[seed.number] = with_seed(known[seed.number], seed.repeat, world)
    return known


def with_seed(candidate: Candidate, repeat: int, world: World) -> Candidate:
    values = world(candidate.number, repeat)
    return replace(candidate, objectives={**candidate.objectives, repeat: values})


def test_the_front_gets_three_seeds_at_once_and_what_it_dominates_by_far_none(
    make_spec: MakeSpec,
) -> None:
    known = [candidate(0, (0.9, 0.1)), candidate(1, (0.8, 0.05)), candidate(2, (0.5, 0.4))]
    assert asked(race(make_spec(repeats=8), known)) == [(0, 1), (1, 1), (0, 2), (1, 2)]
    assert asked(race(make_spec(repeats=2), known)) == [(0, 1), (1, 1)]
    assert asked(race(make_spec(repeats=1), known)) == []


def test_who_is_close_joins_once_the_noise_is_known(make_spec: MakeSpec) -> None:
    """Accuracies scatter by 0.02, so that 0.04 of sqrt(1 + 1/3) lie within the margin."""
    best = candidate(0, (0.90, 0.10), (0.92, 0.10), (0.88, 0.10))
    close, far = candidate(1, (0.86, 0.10)), candidate(2, (0.85, 0.10))
    spec = make_spec(repeats=8)
    assert asked(race(spec, [best, close, far])) == [(1, 1), (1, 2)]
    assert asked(race(replace(spec, race=RaceConfig(margin=2.5)), [best, close, far])) == [
        (1, 1),
        (2, 1),
        (1, 2),
        (2, 2),
    ]
    assert asked(race(replace(spec, race=RaceConfig(margin=0)), [best, close, far])) == []


def test_who_is_far_in_one_objective_is_not_close(make_spec: MakeSpec) -> None:
    best = candidate(0, (0.90, 0.10), (0.92, 0.11), (0.88, 0.09))
    worse_calibrated = candidate(1, (0.90, 0.20))
    assert asked(race(make_spec(repeats=8), [best, worse_calibrated])) == []


def test_a_separable_front_is_the_end(make_spec: MakeSpec) -> None:
    """Seven fresh seeds separate two configurations that differ by ten standard deviations."""
    noise = np.random.default_rng(0).normal(0, 0.005, (2, 8, 2)).tolist()
    accurate = candidate(0, *((0.95 + a, 0.2 + e) for a, e in noise[0]))
    calibrated = candidate(1, *((0.90 + a, 0.1 + e) for a, e in noise[1]))
    spec = make_spec(repeats=9)
    stand = race(spec, [accurate, calibrated])
    assert (stand.finalists, stand.racing, stand.to_do) == ((0, 1), (), ())
    compared = Comparisons([accurate, calibrated], spec.repeats)
    assert pair_verdicts([0, 1], compared) == {"separable": 1, "not separable": 0, "not tested": 0}


def test_three_equal_signs_separate_nothing(make_spec: MakeSpec) -> None:
    """A bootstrap interval of three differences excludes 0 in a quarter of such cases."""
    one = candidate(0, (0.90, 0.1), (0.91, 0.1), (0.92, 0.2), (0.93, 0.1))
    other = candidate(1, (0.89, 0.1), (0.90, 0.1), (0.90, 0.1), (0.90, 0.1))
    assert Comparisons([one, other], 9).between(0, 1).verdict != "separable"
    assert asked(race(make_spec(repeats=9), [one, other]))


def test_what_nothing_separates_goes_on_seed_by_seed_to_the_last(make_spec: MakeSpec) -> None:
    one = [(0.90, 0.10), (0.91, 0.10), (0.90, 0.12)]
    other = [(0.91, 0.10), (0.90, 0.10), (0.90, 0.11)]
    spec = make_spec(repeats=5)
    assert asked(race(spec, [candidate(0, *one), candidate(1, *other)])) == [(0, 3), (1, 3)]
    ahead = candidate(0, *one, (0.9, 0.1))
    assert asked(race(spec, [ahead, candidate(1, *other)])) == [(1, 3)]
    last = [(0.9, 0.1), (0.9, 0.1)]
    assert asked(race(spec, [candidate(0, *one, *last), candidate(1, *other, *last)])) == []


def test_a_configuration_that_is_clearly_dominated_gets_no_further_seed(
    make_spec: MakeSpec,
) -> None:
    """The means of trial 1 lie more than two standard errors behind; trial 2 is as good as 0."""
    best = [(0.90, 0.10), (0.94, 0.11), (0.92, 0.09)]
    worse = [(accuracy - 0.05, ece) for accuracy, ece in best]
    twin = [(0.91, 0.10), (0.93, 0.10), (0.92, 0.10)]
    known = [candidate(0, *best), candidate(1, *worse), candidate(2, *twin)]
    stand = race(make_spec(repeats=8), known)
    assert 1 not in stand.finalists
    assert asked(stand) == [(0, 3), (2, 3)]
    assert asked(race(make_spec(repeats=8), known[:2])) == []


def known_point(spec: StudySpec, number: int, *values: tuple[float, float]) -> Candidate:
    """The first known point of the study as trial `number`."""
    return replace(candidate(number, *values), parameters=spec.points.points[0].parameters)


def test_known_points_get_the_same_further_seeds_as_the_front(make_spec: MakeSpec) -> None:
    """Trial 0 is a known point that every other trial dominates."""
    spec = make_spec(repeats=5, known_points={"ce": {"experts.count": 1}})
    far = known_point(spec, 0, (0.3, 0.9))
    front = [candidate(1, (0.9, 0.1)), candidate(2, (0.8, 0.05))]
    stand = race(spec, [far, *front])
    assert asked(stand) == [(0, 1), (1, 1), (2, 1), (0, 2), (1, 2), (2, 2)]
    assert affordable(stand.to_do, hours_spent=True) == list(stand.to_do)
    known = {each.number: each for each in (far, *front)}
    while to_do := race(spec, list(known.values())).to_do:
        for seed in to_do:
            known[seed.number] = with_seed(known[seed.number], seed.repeat, noisy(0))
    assert len({len(each.objectives) for each in known.values()}) == 1


def test_a_finished_study_without_seeds_of_its_known_points_trains_these(
    make_spec: MakeSpec,
) -> None:
    """The race of an earlier version gave all seeds to the front."""
    spec = make_spec(repeats=4, known_points={"ce": {"experts.count": 1}})
    best = candidate(1, *[(0.9, 0.10), (0.92, 0.1), (0.91, 0.1), (0.92, 0.1)])
    assert asked(race(spec, [known_point(spec, 0, (0.3, 0.9)), best])) == [(0, 1), (0, 2)]
    failed = replace(known_point(spec, 0, (0.3, 0.9)), failed=frozenset({1}))
    stand = race(spec, [failed, best])
    assert (asked(stand), stand.withdrawn) == ([], (0,))


def test_copies_of_one_configuration_are_not_told_apart(make_spec: MakeSpec) -> None:
    values = [(0.90, 0.10), (0.94, 0.11), (0.92, 0.09)]
    one = candidate(0, *values)
    copy = replace(candidate(1, *values), parameters=one.parameters)
    assert asked(race(make_spec(repeats=8), [one, copy])) == []


def test_a_failed_repeat_takes_its_configuration_out_and_leaves_the_others_racing(
    make_spec: MakeSpec,
) -> None:
    spec = make_spec(repeats=4)
    failed = candidate(0, (0.9, 0.1), failed=frozenset({1}))
    other = candidate(1, (0.8, 0.05))
    assert asked(race(spec, [failed, other])) == [(1, 1), (1, 2)]
    other = candidate(1, (0.8, 0.05), (0.8, 0.05), (0.8, 0.05))
    stand = race(spec, [failed, other])
    assert (stand.finalists, stand.to_do, stand.withdrawn) == ((1,), (), (0,))


def test_without_hours_only_the_fronts_first_seeds_and_what_has_begun_are_trained(
    make_spec: MakeSpec,
) -> None:
    spec = make_spec(repeats=8)
    front = [candidate(0, (0.9, 0.1)), candidate(1, (0.8, 0.05))]
    first_round = race(spec, front).to_do
    assert affordable(first_round, hours_spent=True) == list(first_round)
    best = candidate(0, (0.90, 0.10), (0.92, 0.10), (0.88, 0.10))
    close = candidate(1, (0.89, 0.10), begun=frozenset({2}))
    second_round = race(spec, [best, close]).to_do
    assert [seed.repeat for seed in affordable(second_round, hours_spent=True)] == [2]
    assert [seed.repeat for seed in affordable(second_round, hours_spent=False)] == [1, 2]


def noisy(seed: int) -> World:
    """Twelve configurations along a front, every third one dominated; equal noise for all."""

    def values(number: int, repeat: int) -> Mapping[str, float]:
        noise = np.random.default_rng((seed, number, repeat)).normal(0, 0.01, 2)
        worse = 0.02 * (number % 3 == 0)
        accuracy, ece = 0.8 + 0.01 * number - worse + noise[0], 0.01 * number + worse + noise[1]
        return {"val/accuracy": float(accuracy), "val/ece": float(ece)}

    return values


@given(seed=st.integers(0, 1000), data=st.data())
@settings(max_examples=8, deadline=None)
def test_an_interruption_at_any_moment_changes_no_decision(
    make_spec: MakeSpec, seed: int, data: st.DataObject
) -> None:
    spec, world = make_spec(repeats=6), noisy(seed)
    whole = trained(spec, world, range(12))
    known = {n: replace(c, objectives={0: c.objectives[0]}) for n, c in whole.items()}
    while to_do := race(spec, list(known.values())).to_do:
        # seeds end in any order, and a launch may see only some of a round
        seed_trained = data.draw(st.sampled_from(to_do))
        number, repeat = seed_trained.number, seed_trained.repeat
        known[number] = with_seed(known[number], repeat, world)
    assert {n: sorted(c.objectives) for n, c in known.items()} == {
        n: sorted(c.objectives) for n, c in whole.items()
    }


def test_seeds_go_where_the_front_is(make_spec: MakeSpec) -> None:
    """Of forty configurations ten are good; the race finds the best with half of all seeds."""

    def world(number: int, repeat: int) -> Mapping[str, float]:
        noise = np.random.default_rng((7, number, repeat)).normal(0, 0.01)
        return {"val/accuracy": 0.9 - 0.02 * number + float(noise)}

    spec = make_spec(repeats=10, objectives={"val/accuracy": "maximize"})
    known = trained(spec, world, range(40))
    seeds = {number: len(candidate.objectives) for number, candidate in known.items()}
    assert race(spec, list(known.values())).finalists == (0,)
    assert seeds[0] >= 3
    assert all(seeds[number] == 1 for number in range(5, 40))
    assert sum(seeds.values()) <= 40 + 3 * 9


def test_the_pooled_deviation_is_that_within_groups() -> None:
    assert pooled_sd([[1.0], [2.0]]) is None
    assert pooled_sd([[1.0, 3.0], [10.0, 12.0], [7.0]]) == pytest.approx(np.sqrt(2))


def test_without_a_candidate_there_is_nothing_to_race_for(make_spec: MakeSpec) -> None:
    assert race(make_spec(repeats=3), []) == Race((), (), (), ())
