"""The race for further seeds against n seeds for all: runs spent, and how true the front is.

    uv run python -m tests.benchmarks.racing                # a minute or two

Nothing is trained: configurations have invented true values in two objectives, of which every seed
shows them with normal noise. Race, comparisons and the front of the means are those of a study.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from balpoe.config import BudgetConfig, Configuration, FloatParameter, RaceConfig, StudySpec
from balpoe.data.sources.digits_lt import DigitsLT
from balpoe.study.selection.candidates import Candidate
from balpoe.study.selection.front import mean_front
from balpoe.study.selection.race import race
from tests.benchmarks.halving import interval

ACCURACY, ERROR = "val/accuracy", "val/ece"


@dataclass(frozen=True, slots=True)
class World:
    """Configurations by their true accuracies and calibration errors; `noise` is that of a seed."""

    accuracy_n: NDArray[np.float64]
    error_n: NDArray[np.float64]
    noise: float
    seed: int

    def candidate(self, number: int) -> Candidate:
        """A configuration with the search's own seed."""
        return self.trained(Candidate(number, {"mixup.alpha": number}, {}), 0)

    def trained(self, candidate: Candidate, repeat: int) -> Candidate:
        """The configuration with one seed more."""
        draws = np.random.default_rng((self.seed, candidate.number, repeat))
        accuracy, error = draws.normal(0, self.noise, 2).tolist()
        values = {
            ACCURACY: float(self.accuracy_n[candidate.number]) + accuracy,
            ERROR: float(self.error_n[candidate.number]) + error,
        }
        return replace(candidate, objectives={**candidate.objectives, repeat: values})

    def front(self) -> set[int]:
        """Those that are on the true front."""
        loss_nm = np.stack([-self.accuracy_n, self.error_n], axis=1)
        no_worse_nn = (loss_nm[:, None] <= loss_nm).all(axis=2)
        better_nn = (loss_nm[:, None] < loss_nm).any(axis=2)
        return set(np.flatnonzero(~(no_worse_nn & better_nn).any(axis=0)).tolist())


def world(configurations: int, noise: float, seed: int) -> World:
    """Configurations at or behind a front that trades accuracy for calibration.

    With t even over 0..1 and r the absolute value of a normal draw with a deviation of 0.03,
    accuracy is 0.8 + 0.1 t - r and the error 0.02 + 0.1 t^2 + r.
    """
    draws = np.random.default_rng(seed)
    t_n = draws.uniform(0, 1, configurations)
    behind_n = np.abs(draws.normal(0, 0.03, configurations))
    return World(0.8 + 0.1 * t_n - behind_n, 0.02 + 0.1 * t_n**2 + behind_n, noise=noise, seed=seed)


SPEC = StudySpec(
    name="racing",
    base=Configuration(data=DigitsLT()),
    search={"mixup.alpha": FloatParameter(low=0.0, high=1.0)},
    objectives={ACCURACY: "maximize", ERROR: "minimize"},
    budget=BudgetConfig(trials=1),
)


def for_all(seeds: int) -> Callable[[World], list[Candidate]]:
    """Every configuration with so many seeds."""

    def train(world: World) -> list[Candidate]:
        known = [world.candidate(number) for number in range(len(world.accuracy_n))]
        for repeat in range(1, seeds):
            known = [world.trained(candidate, repeat) for candidate in known]
        return known

    return train


def raced(seeds: int, margin: float) -> Callable[[World], list[Candidate]]:
    """The race, for up to so many seeds."""
    spec = replace(SPEC, repeats=seeds, race=RaceConfig(margin=margin))

    def train(world: World) -> list[Candidate]:
        known = for_all(1)(world)
        while to_do := race(spec, known).to_do:
            for seed in to_do:
                known[seed.number] = world.trained(known[seed.number], seed.repeat)
        return known

    return train


CONTESTANTS = {
    "one seed": for_all(1),
    "3 seeds for all": for_all(3),
    "5 seeds for all": for_all(5),
    "10 seeds for all": for_all(10),
    "race to 3": raced(3, margin=2),
    "race to 5": raced(5, margin=2),
    "race to 5, front only": raced(5, margin=0),
    "race to 10": raced(10, margin=2),
}


PAIRS = (
    ("race to 3", "3 seeds for all"),
    ("race to 5", "3 seeds for all"),
    ("race to 10", "5 seeds for all"),
    ("race to 10", "10 seeds for all"),
)
"""Those whose differences are told, world by world."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Runs in all; of the true front the part exported, and of the exported the part on it."""

    runs: int
    found: float
    right: float


def outcome(world: World, known: Sequence[Candidate]) -> Outcome:
    """What an export would hold."""
    exported = {candidate.number for candidate in mean_front(known, SPEC.objectives)}
    true = world.front()
    runs = sum(len(candidate.objectives) for candidate in known)
    both = len(exported & true)
    return Outcome(runs, both / len(true), both / len(exported))


def compare(arguments: argparse.Namespace) -> None:
    """Let every contestant train in every world, and print the tables."""
    worlds = [
        world(arguments.configurations, arguments.noise, seed)
        for seed in range(arguments.repetitions)
    ]
    print("| | runs | of the true front exported | of the exported on the true front |")
    print("|---|---:|---:|---:|")
    figures_w3: dict[str, NDArray[np.float64]] = {}
    for name, train in CONTESTANTS.items():
        figures_w3[name] = np.array([astuple(outcome(each, train(each))) for each in worlds])
        print_row(name, figures_w3[name])
    print()
    for one, other in PAIRS:
        print_row(f"{one} minus {other}", figures_w3[one] - figures_w3[other])


def print_row(name: str, figures_w3: NDArray[np.float64]) -> None:
    """Runs and the two parts, W worlds."""
    runs_w, *parts = figures_w3.T
    cells = (in_percent(part_w) for part_w in parts)
    print(f"| {name} | {runs_w.mean():.0f} |", *(f"{cell} |" for cell in cells), flush=True)


def in_percent(shares: NDArray[np.float64]) -> str:
    """The mean and its 95 % bootstrap interval."""
    low, high = interval(shares)
    return f"{shares.mean():.0%} ({low:.0%}..{high:.0%})"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=100)
    parser.add_argument("--configurations", type=int, default=40)
    parser.add_argument("--noise", type=float, default=0.01)
    compare(parser.parse_args())
