"""How often equal configurations are called different, and how often different ones are.

    uv run python -m tests.benchmarks.verdicts                # half an hour on one core

Nothing is trained: every seed of a configuration has invented values of two objectives. The rule is
that of `balpoe.study.selection`; races are those of a study. Beside it stand the paired t test
with Holm's procedure over the same family and looks, and the former rule (a 95 % bootstrap interval
of the paired difference, seed of the choice included, in every pair, objective and look anew).

S simulations, K configurations, R seeds, M objectives.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

from balpoe.config import BudgetConfig, Configuration, FloatParameter, StudySpec
from balpoe.data.sources.digits_lt import DigitsLT
from balpoe.study.selection.candidates import Candidate
from balpoe.study.selection.comparison import Comparisons
from balpoe.study.selection.front import mean_front
from balpoe.study.selection.moderated_test import LEVEL, look_share, paired_tests
from balpoe.study.selection.race import race

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]

OBJECTIVES = ("val/accuracy", "val/nll")


@dataclass(frozen=True, slots=True)
class Noise:
    """The noise of a seed.

    Attributes:
        name: The row of the table.
        correlation: The correlation of the two objectives.
        sds: Returns the standard deviations of K configurations.
        is_heavy: Whether it has the tails of Student's t with 3 degrees of freedom.
        step: The values are multiples of this many standard deviations; 0 for continuous values.
    """

    name: str
    correlation: float = 0.0
    sds: Callable[[int], Floats] = np.ones
    is_heavy: bool = False
    step: float = 0.0

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> Floats:
        """Return values with mean 0 and a standard deviation of `sds`, [K, R, M]."""
        drawn = generator.standard_normal(shape)
        if self.is_heavy:
            drawn = generator.standard_t(3, shape) / math.sqrt(3)
        drawn[..., 1] *= math.sqrt(1 - self.correlation**2)
        drawn[..., 1] += self.correlation * drawn[..., 0]
        drawn *= self.sds(shape[0])[:, None, None]
        return np.round(drawn / self.step) * self.step if self.step else drawn


def one_wide(configurations: int) -> Floats:
    """One configuration has five times the standard deviation of the others."""
    return np.where(np.arange(configurations) == 0, 5.0, 1.0)


def half_wide(configurations: int) -> Floats:
    """Every second configuration has five times the standard deviation of the others."""
    return np.where(np.arange(configurations) % 2 == 0, 5.0, 1.0)


NOISES = (
    Noise("normal"),
    Noise("correlation 0.5", correlation=0.5),
    Noise("correlation -0.5", correlation=-0.5),
    Noise("one sd x 5", sds=one_wide),
    Noise("half the sds x 5", sds=half_wide),
    Noise("t with 3 df", is_heavy=True),
    Noise("t with 3 df, one sd x 5", is_heavy=True, sds=one_wide),
    Noise("steps of a third of an sd", step=1 / 3),
)


def is_called_different(values_krm: Floats) -> Booleans:
    """Return what the rule shows at its last look, [P, M]."""
    return paired_tests(values_krm, values_krm.shape[1]).is_separable_pm


def by_paired_t(values_krm: Floats) -> Booleans:
    """Return what paired t tests with Holm's procedure show at the same look, [P, M]."""
    one_p, other_p = np.triu_indices(len(values_krm), 1)
    n = values_krm.shape[1]
    difference_prm = values_krm[one_p] - values_krm[other_p]
    error_pm = difference_prm.std(axis=1, ddof=1) / math.sqrt(n)
    with np.errstate(invalid="ignore", divide="ignore"):
        t_pm = np.abs(difference_prm.mean(axis=1)) / error_pm
    p_pm = 2 * stdtr(n - 1, -np.nan_to_num(t_pm, nan=0.0)) / look_share(n, n)
    order = np.argsort(p_pm, axis=None)
    passes = p_pm.ravel()[order] * (p_pm.size - np.arange(p_pm.size)) <= LEVEL
    shown = passes.size if passes.all() else int(np.argmin(passes))
    found = np.zeros(p_pm.size, np.bool_)
    found[order[:shown]] = True
    return found.reshape(p_pm.shape)


def by_bootstrap(values_krm: Floats) -> Booleans:
    """Return which 95 % percentile bootstrap intervals exclude 0: the former rule, [P, M]."""
    one_p, other_p = np.triu_indices(len(values_krm), 1)
    difference_prm = values_krm[one_p] - values_krm[other_p]
    shares_bn, probability_b = _all_resamples(values_krm.shape[1])
    means_bpm = np.tensordot(shares_bn, difference_prm, axes=(1, 1))
    below_pm = np.tensordot(probability_b, means_bpm <= 1e-12, axes=1)
    above_pm = np.tensordot(probability_b, means_bpm >= -1e-12, axes=1)
    return np.asarray(np.minimum(below_pm, above_pm) < (1 - 0.95) / 2 * (1 - 1e-12))


@functools.cache
def _all_resamples(n: int) -> tuple[Floats, Floats]:
    drawn = list(itertools.combinations_with_replacement(range(n), n))
    counts_bn = np.array([np.bincount(indices, minlength=n) for indices in drawn])
    factorials = [math.prod(map(math.factorial, counts)) for counts in counts_bn.tolist()]
    return counts_bn / n, math.factorial(n) / np.array(factorials) / n**n


RULES = (is_called_different, by_paired_t)


def any_error(
    rule: Callable[[Floats], Booleans],
    noise: Noise,
    configurations: int,
    n: int,
    simulations: int,
    seed: int = 0,
) -> float:
    """Return how often equal configurations with n seeds are called different at all."""
    generator = np.random.default_rng((seed, n))
    shape = (configurations, n, len(OBJECTIVES))
    return float(np.mean([rule(noise.draw(shape, generator)).any() for _ in range(simulations)]))


def any_error_over_looks(
    noise: Noise, configurations: int, most: int, simulations: int, seed: int = 0
) -> float:
    """Return how often equal configurations are called different at any look, from 3 seeds on."""
    generator = np.random.default_rng((seed, most, 2))
    shape = (configurations, most, len(OBJECTIVES))
    wrong = 0
    for _ in range(simulations):
        values_krm = noise.draw(shape, generator)
        looks = (paired_tests(values_krm[:, :n], most) for n in range(3, most + 1))
        wrong += any(look.is_separable_pm.any() for look in looks)
    return wrong / simulations


def power(
    rule: Callable[[Floats], Booleans],
    noise: Noise,
    sds: float,
    configurations: int,
    n: int,
    simulations: int,
    seed: int = 0,
) -> float:
    """Return how often a configuration that differs by so many sds is told from each other one.

    Only configurations with a standard deviation of 1 are regarded, of which it is one.
    """
    generator = np.random.default_rng((seed, n, 1))
    one_p, other_p = np.triu_indices(configurations, 1)
    narrow_k = noise.sds(configurations) == 1
    regarded_p = ((one_p == 1) | (other_p == 1)) & narrow_k[one_p] & narrow_k[other_p]
    shown = []
    for _ in range(simulations):
        values_krm = noise.draw((configurations, n, len(OBJECTIVES)), generator)
        values_krm[1, :, 0] += sds
        shown.append(rule(values_krm)[regarded_p, 0].mean())
    return float(np.mean(shown))


def former_race(seeds: int, simulations: int, seed: int = 0) -> float:
    """Return how often two equal configurations are told apart in any round of the former race."""
    generator = np.random.default_rng((seed, seeds))
    wrong = 0
    for _ in range(simulations):
        values_krm = Noise("normal").draw((2, seeds, len(OBJECTIVES)), generator)
        wrong += any(by_bootstrap(values_krm[:, :n]).any() for n in range(3, seeds + 1))
    return wrong / simulations


def study(fresh: int) -> StudySpec:
    """Return a study whose race goes to so many fresh seeds."""
    return StudySpec(
        name="verdicts",
        base=Configuration(data=DigitsLT()),
        search={"mixup.alpha": FloatParameter(low=0.0, high=1.0)},
        objectives={OBJECTIVES[0]: "maximize", OBJECTIVES[1]: "minimize"},
        budget=BudgetConfig(trials=1),
        repeats=fresh + 1,
    )


def trials_of(spec: StudySpec, values_krm: Floats) -> list[Candidate]:
    """Return configurations with the search's own seed; the first ones are the known points."""
    points = [point.parameters for point in spec.points.points]
    return [
        Candidate(
            number,
            points[number] if number < len(points) else {"mixup.alpha": number},
            {0: _values(values_krm[number, 0])},
        )
        for number in range(len(values_krm))
    ]


def _values(values_m: Floats) -> dict[str, float]:
    return dict(zip(OBJECTIVES, values_m.tolist(), strict=True))


def raced(spec: StudySpec, values_krm: Floats) -> Iterator[list[Candidate]]:
    """Yield the configurations after every round of the race."""
    known = trials_of(spec, values_krm)
    while to_do := race(spec, known).to_do:
        for seed in to_do:
            values = _values(values_krm[seed.number, seed.repeat])
            one = known[seed.number]
            known[seed.number] = replace(one, objectives={**one.objectives, seed.repeat: values})
        yield known


def errors_of_races(
    noise: Noise, trials: int, fresh: int, simulations: int, seed: int = 0
) -> tuple[float, float]:
    """Return how often equal trials are called different at the end of a race, and in any round.

    The front is chosen on repeat 0, then on the means. Every verdict counts that a table shows:
    pairs of the front, and pairs of a trial on the front and any other one.
    """
    spec, generator = study(fresh), np.random.default_rng((seed, fresh))
    at_end, ever = 0, 0
    for _ in range(simulations):
        values_krm = noise.draw((trials, fresh + 1, len(OBJECTIVES)), generator)
        found = [_is_wrong(spec, known) for known in raced(spec, values_krm)]
        at_end, ever = at_end + found[-1], ever + any(found)
    return at_end / simulations, ever / simulations


def _is_wrong(spec: StudySpec, known: Sequence[Candidate]) -> bool:
    compared = Comparisons(known, spec.repeats)
    front = [candidate.number for candidate in mean_front(known, spec.objectives)]
    return any(
        comparison.verdict == "separable"
        for number in front
        for comparison in compared.of(number, known)
    )


def main(simulations: int, races: int, seed: int) -> None:
    """Print all tables."""
    print("Two and five equal configurations, former rule, one look or a race\n")
    for n in (3, 5, 8):
        two, five = (any_error(by_bootstrap, NOISES[0], k, n, simulations, seed) for k in (2, 5))
        print(f"| n = {n} | {two:.1%} | {five:.1%} |", flush=True)
    for seeds in (5, 8):
        print(f"| race to {seeds} | {former_race(seeds, simulations, seed):.1%} | |", flush=True)
    print("\nEqual configurations, last look at n fresh seeds: any called different\n")
    for k, noise, n in itertools.product((2, 3, 5, 12), NOISES, (3, 4, 5, 8)):
        found = [any_error(rule, noise, k, n, simulations, seed) for rule in RULES]
        print(f"| {k} | {noise.name} | {n} |", *(f"{x:.1%} |" for x in found), flush=True)
    print("\nEqual configurations, all looks from 3 to n fresh seeds: any called different\n")
    for k, noise, most in itertools.product((5, 12), NOISES, (5, 8)):
        found_once = any_error_over_looks(noise, k, most, simulations, seed)
        print(f"| {k} | {noise.name} | {most} | {found_once:.1%} |", flush=True)
    print("\nPower: a configuration is told from another one, last look at n fresh seeds\n")
    noises = (NOISES[0], NOISES[3], NOISES[4], NOISES[5])
    for noise, k, n, sds in itertools.product(noises, (5, 12), (3, 5, 8), (1, 2, 3, 5)):
        found = [power(rule, noise, sds, k, n, simulations // 4, seed) for rule in RULES]
        print(f"| {noise.name} | {k} | {n} | {sds} |", *(f"{x:.1%} |" for x in found), flush=True)
    print("\nRaces between equal trials: any called different, at the end and in any round\n")
    for noise, fresh in itertools.product(NOISES, (3, 5, 8)):
        shown = errors_of_races(noise, 12, fresh, races, seed)
        print(f"| 12 | {noise.name} | {fresh} |", *(f"{x:.1%} |" for x in shown), flush=True)
    for noise, fresh in itertools.product((NOISES[0], NOISES[3], NOISES[5]), (3, 5, 8)):
        shown = errors_of_races(noise, 100, fresh, races // 5, seed)
        print(f"| 100 | {noise.name} | {fresh} |", *(f"{x:.1%} |" for x in shown), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulations", type=int, default=4000)
    parser.add_argument("--races", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    main(arguments.simulations, arguments.races, arguments.seed)
