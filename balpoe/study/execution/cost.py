"""What a study would cost on this machine, from a probe of its smallest and largest trial."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from balpoe.config import (
    Choice,
    Configuration,
    ModelConfig,
    Sharing,
    StudySpec,
    metric_table,
    with_parameters,
)
from balpoe.config.assignment import assigned
from balpoe.data import DataDescription, SearchSplits
from balpoe.errors import InvalidFields, UserError
from balpoe.study.trials.predictions_file import FLOAT32_BYTES
from balpoe.training.optimisation import initial_experts
from balpoe.training.probe import TrainingCost, probe

_FLOAT32, _FLOAT64 = 4, 8

_Choose = Callable[..., Choice]  # min or max


@dataclass(frozen=True, slots=True)
class TrialCost:
    """One trial: its searched parameters, epochs, seconds by itself and bytes on disk."""

    parameters: Mapping[str, Choice]
    epochs: int
    seconds: float
    disk_bytes: int


@dataclass(frozen=True, slots=True)
class StudyCost:
    """The cheapest and the dearest trial of a study, `at_a_time` of which run beside each other."""

    smallest: TrialCost
    largest: TrialCost
    at_a_time: int


def study_cost(spec: StudySpec, splits: SearchSplits) -> StudyCost:
    """Probe the extremes of the search space on the study's own data.

    Smallest and largest are meant by epochs times weights; where parameters depend on each
    other, each is decided after those that it depends on.

    Raises:
        UserError: the extremes of the search space do not go with each other.
    """
    device = trial_device(spec)
    workload = _Workload(splits.description)

    def cost(choose: _Choose) -> TrialCost:
        parameters = _extreme(spec, workload, choose)
        configuration = with_parameters(spec.base, parameters)
        with _threads(spec.resources.cpus_per_trial):
            trained = probe(configuration, splits, device)
        disk_bytes = _disk_bytes(configuration, splits, trained)
        return TrialCost(parameters, trained.epochs, trained.seconds, disk_bytes)

    return StudyCost(cost(min), cost(max), _at_a_time(spec))


def most_trials(spec: StudySpec, cost: StudyCost) -> int:
    """How many trials the budget allows: of the cheapest, where it is in hours."""
    budget, hours = spec.budget, cost.smallest.seconds / 3600
    limits = (
        budget.trials,
        None if budget.wall_hours is None else budget.wall_hours / hours * cost.at_a_time,
        None
        if budget.device_hours is None
        else budget.device_hours / (hours * spec.resources.devices_per_trial),
    )
    return math.ceil(min(limit for limit in limits if limit is not None))


def most_disk_bytes(spec: StudySpec, cost: StudyCost) -> int:
    """Room for the files of all trials, each with all the seeds that the race may give it."""
    return most_trials(spec, cost) * spec.repeats * cost.largest.disk_bytes


def trial_device(spec: StudySpec) -> torch.device:
    """The device of a trial; the CPU where this machine has no GPU."""
    wanted = spec.resources.gpus_per_trial > 0 and torch.cuda.is_available()
    return torch.device("cuda" if wanted else "cpu")


class _Workload:
    """Epochs times weights; each kind of ensemble is built once to be counted."""

    def __init__(self, description: DataDescription) -> None:
        self._description = description
        self._weights: dict[tuple[ModelConfig, int, Sharing, int], int] = {}

    def __call__(self, configuration: Configuration) -> int:
        experts = configuration.experts
        kind = (configuration.model, experts.count, experts.sharing, experts.owned_stages)
        if kind not in self._weights:
            built = initial_experts(configuration, self._description, seed=0)
            self._weights[kind] = sum(parameter.numel() for parameter in built.parameters())
        return configuration.training.epochs * self._weights[kind]


def _extreme(spec: StudySpec, workload: _Workload, choose: _Choose) -> dict[str, Choice]:
    decided: dict[str, Choice] = {}

    def decide(path: str) -> Choice:
        def work(value: Choice) -> float:
            return workload(with_parameters(spec.base, {**decided, path: value}))

        possible = [
            value
            for value in spec.search[path].extremes.values()
            if _is_possible(spec, {**decided, path: value})
        ]
        if not possible:
            others = ", ".join(f"{name} = {value}" for name, value in decided.items())
            raise UserError(
                f"search.{path}: neither its lowest nor its highest value goes with "
                f"{others or 'the rest of the study'}: narrow the ranges"
            )
        decided[path] = choose(possible, key=work)
        return decided[path]

    return assigned(spec.search, spec.base, decide)


def _is_possible(spec: StudySpec, parameters: Mapping[str, Choice]) -> bool:
    try:
        with_parameters(spec.base, parameters)
    except InvalidFields:
        return False
    return True


def _disk_bytes(configuration: Configuration, splits: SearchSplits, trained: TrainingCost) -> int:
    """Checkpoints, predictions and metrics, the latter two as if nothing could be compressed."""
    experts, classes = configuration.experts.count, len(splits.description.class_names)
    logits = len(splits.validation) * experts * classes * _FLOAT32
    predictions = logits if logits <= FLOAT32_BYTES else logits // 2
    metrics = trained.epochs * (experts + 1) * len(metric_table()) * _FLOAT64
    return trained.checkpoint_bytes + predictions + metrics


def _at_a_time(spec: StudySpec) -> int:
    resources = spec.resources
    possible = [
        resources.concurrent_trials,
        len(os.sched_getaffinity(0)) // resources.cpus_per_trial,
    ]
    if trial_device(spec).type == "cuda":
        possible.append(int(torch.cuda.device_count() / resources.gpus_per_trial))
    return max(1, min(possible))


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """As many threads as a trial has, for the length of the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
