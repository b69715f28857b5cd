"""Successive halving against none, at an equal budget of epochs: the hypervolume reached.

    uv run python -m tests.benchmarks.halving                         # synthetic curves, a minute
    uv run python -m tests.benchmarks.halving --curves gaussian_lt    # real trainings, an hour

Ledger, sampler and early stopping are those of a study; Ray is replaced by a clock: workers train
one epoch after another, each of which takes about as long, and the study ends with the budget.
What counts are the trials that are COMPLETE by then. Both contestants have the same seeds.
"""

from __future__ import annotations

import argparse
import functools
import heapq
import math
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from optuna._hypervolume import compute_hypervolume

from balpoe.config import (
    BudgetConfig,
    Choice,
    Configuration,
    FloatParameter,
    HalvingConfig,
    StudySpec,
    TrainingConfig,
    with_parameters,
)
from balpoe.data import load_search_splits
from balpoe.data.sources.gaussian_lt import GaussianLT
from balpoe.files import load_study
from balpoe.study.records.ledger import Ledger
from balpoe.study.search.pruning import EarlyStopping
from balpoe.study.trials.directory import StudyDirectory
from balpoe.study.trials.objectives import finite_objectives, losses
from balpoe.study.trials.record import TrialToRun
from balpoe.training.training import Training

Metrics = Mapping[str, float]
Curves = Callable[[Mapping[str, Choice], int, int], Iterator[Metrics]]
"""The metrics of a trial's epochs, from its parameters, its number and the seed of its study."""

RESAMPLES = 10_000
MOMENTS = (0.25, 0.5, 1.0)


@dataclass(frozen=True, slots=True)
class Family:
    """Curves, the study that searches them, and the losses from which hypervolume is counted."""

    spec: StudySpec
    curves: Curves
    reference: tuple[float, ...]


def synthetic(halving: HalvingConfig) -> Family:
    """Curves that cross, on a front that is known: no training.

    With t = experts.spread / 2, u = mixup.alpha, v = training.momentum and
    g = (u - 0.3)^2 + (v - 0.7)^2 the losses after epoch e are

        loss_1 = t + g + 0.6 e^-c + noise,  loss_2 = 1 - sqrt(t) + g + 0.6 e^-c + noise,

    with c = 0.5 + u: the quickest learners (u = 1) do not end best (u = 0.3). The noise is normal
    with a deviation of 0.02.
    """
    spec = StudySpec(
        name="synthetic",
        base=Configuration(data=GaussianLT(), training=TrainingConfig(epochs=27)),
        search={
            "experts.spread": FloatParameter(low=0.0, high=2.0),
            "mixup.alpha": FloatParameter(low=0.0, high=1.0),
            "training.momentum": FloatParameter(low=0.1, high=1.0),
        },
        objectives={"val/nll": "minimize", "val/ece": "minimize"},
        known_points={},
        budget=BudgetConfig(trials=1),
        early_stopping=halving,
    )

    def curves(parameters: Mapping[str, Choice], number: int, seed: int) -> Iterator[Metrics]:
        noise = np.random.default_rng((seed, number))
        t = float(parameters["experts.spread"]) / 2
        u, v = float(parameters["mixup.alpha"]), float(parameters["training.momentum"])
        ends = np.array([t, 1 - math.sqrt(t)]) + (u - 0.3) ** 2 + (v - 0.7) ** 2
        for epoch in range(1, spec.base.training.epochs + 1):
            values = ends + 0.6 * epoch ** -(0.5 + u) + noise.normal(0, 0.02, 2)
            yield {"val/nll": float(values[0]), "val/ece": float(values[1])}

    return Family(spec, curves, (1.5, 1.5))


def gaussian_lt(halving: HalvingConfig) -> Family:
    """The shipped study with nine epochs, trained in this process."""
    spec = load_study(Path(__file__).parents[2] / "studies" / "gaussian_lt.yaml")
    training = replace(spec.base.training, epochs=9)
    spec = replace(
        spec,
        base=replace(spec.base, training=training),
        known_points={},
        early_stopping=halving,
    )
    splits = load_search_splits(spec.base.data)

    @functools.cache  # both contestants begin with the same trials
    def training_of(parameters: tuple[tuple[str, Choice], ...], seed: int) -> Training:
        return Training(
            with_parameters(spec.base, dict(parameters)),
            train=splits.train,
            description=splits.description,
            validation=splits.validation,
            seed=seed,
            device=torch.device("cpu"),
        )

    def curves(parameters: Mapping[str, Choice], number: int, seed: int) -> Iterator[Metrics]:
        trained = training_of(tuple(parameters.items()), seed)
        yield from (result.metrics for result in trained.history)
        yield from (result.metrics for result in trained.fit())

    return Family(spec, curves, (-0.7, 0.05))


@dataclass(frozen=True, slots=True)
class Outcome:
    """The hypervolume at each of `MOMENTS`, and the trials that were begun and completed."""

    hypervolume: tuple[float, ...]
    begun: int
    complete: int


@dataclass(slots=True)
class Worker:
    """One of the devices, and the trial that it has."""

    proposal: TrialToRun | None = None
    course: Iterator[Metrics] = field(default_factory=lambda: iter(()))
    epoch: int = 0


def search(family: Family, *, stops: bool, seed: int, epochs: int, workers: int) -> Outcome:
    """Search for so many epochs in all."""
    spec = replace(family.spec, seed=seed)
    assert spec.early_stopping is not None
    stopping = EarlyStopping(spec, spec.early_stopping) if stops else None
    clock = np.random.default_rng(seed)
    reached: list[tuple[float, ...]] = []
    volumes: list[float] = []
    begun = 0
    with tempfile.TemporaryDirectory() as path:
        directory = StudyDirectory.of(Path(path), spec.name)
        directory.create()
        ledger = Ledger(spec, directory)
        ledger.begin_launch()
        devices = [Worker() for _ in range(workers)]
        queue = [(clock.uniform(0, 1), index) for index in range(workers)]
        heapq.heapify(queue)
        for trained in range(1, epochs + 1):
            now, index = heapq.heappop(queue)
            worker = devices[index]
            if worker.proposal is None:
                worker.proposal, worker.epoch = ledger.ask(), 0
                begun += 1
                number, parameters = worker.proposal.identity.number, worker.proposal.parameters
                worker.course = family.curves(parameters, number, seed)
            worker.epoch += 1
            metrics = next(worker.course)
            if (found := end_of(spec, ledger, stopping, worker, metrics)) is not None:
                reached.append(found)
            heapq.heappush(queue, (now + clock.uniform(0.9, 1.1), index))
            if trained in (round(moment * epochs) for moment in MOMENTS):
                volumes.append(hypervolume(reached, family.reference))
    return Outcome(tuple(volumes), begun, len(reached))


def end_of(
    spec: StudySpec,
    ledger: Ledger,
    stopping: EarlyStopping | None,
    worker: Worker,
    metrics: Metrics,
) -> tuple[float, ...] | None:
    """Enter the trial's end, if this is it; its losses if it is COMPLETE."""
    proposal = worker.proposal
    assert proposal is not None
    if worker.epoch == spec.base.training.epochs:
        objectives = finite_objectives(metrics, spec.objectives)
        ledger.complete(proposal.identity, objectives)
        worker.proposal = None
        return losses(objectives, spec.objectives)
    if stopping is not None:
        number = proposal.identity.number
        behind = stopping.judge(number, proposal.parameters, worker.epoch, metrics)
        if behind is not None:
            ledger.prune(proposal.identity, behind.epoch, behind.objectives)
            worker.proposal = None
    return None


def hypervolume(reached: Sequence[tuple[float, ...]], reference: tuple[float, ...]) -> float:
    """What the losses dominate of the space below the reference."""
    bound = np.array(reference)
    below = np.array([loss for loss in reached if (np.array(loss) < bound).all()])
    return float(compute_hypervolume(below, bound)) if len(below) else 0.0


def interval(differences: NDArray[np.float64]) -> tuple[float, float]:
    """The 95 % bootstrap interval of the mean."""
    draws = np.random.default_rng(0).choice(differences, (RESAMPLES, len(differences)))
    low, high = np.quantile(draws.mean(axis=1), [0.025, 0.975])
    return float(low), float(high)


def compare(arguments: argparse.Namespace) -> None:
    """Search with and without early stopping for every seed, and print the table."""
    torch.set_num_threads(1)
    halving = HalvingConfig(grace_epochs=arguments.grace, reduction=arguments.reduction)
    family = {"synthetic": synthetic, "gaussian_lt": gaussian_lt}[arguments.curves](halving)
    budget = arguments.trials * family.spec.base.training.epochs
    outcomes: dict[bool, list[Outcome]] = {False: [], True: []}
    for seed in range(arguments.seeds):
        for stops, found in outcomes.items():
            found.append(
                search(family, stops=stops, seed=seed, epochs=budget, workers=arguments.workers)
            )
        print(f"seed {seed}", *(found[-1] for found in outcomes.values()), sep="  ", flush=True)
    print(f"\n{arguments.curves}: {budget} epochs, rungs {family.spec.rungs}, ", end="")
    print(f"{arguments.workers} workers, n = {arguments.seeds} seeds\n")
    print("| of the budget | none | halving | difference, 95 % interval |\n|---:|---:|---:|---:|")
    volumes = {stops: np.array([o.hypervolume for o in outcomes[stops]]) for stops in outcomes}
    for column, moment in enumerate(MOMENTS):
        none, halved = volumes[False][:, column], volumes[True][:, column]
        low, high = interval(halved - none)
        print(f"| {moment:.0%} | {none.mean():.4f} | {halved.mean():.4f} |", end=" ")
        print(f"{(halved - none).mean():+.4f} ({low:+.4f}..{high:+.4f}) |")
    for stops, found in outcomes.items():
        begun, complete = (
            np.mean([getattr(o, name) for o in found]) for name in ("begun", "complete")
        )
        print(
            f"{'halving' if stops else 'none'}: {begun:.1f} trials begun, {complete:.1f} COMPLETE"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--curves", choices=("synthetic", "gaussian_lt"), default="synthetic")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--trials", type=int, default=24, help="whole trials that the budget holds")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--grace", type=int, default=1)
    parser.add_argument("--reduction", type=int, default=3)
    compare(parser.parse_args())
