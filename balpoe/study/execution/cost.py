"""Estimate of the cost of a study on this machine, from a probe of its extreme trials."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass

import torch

from balpoe.config import (
    Choice,
    Configuration,
    StudySpec,
    metric_table,
    with_parameters,
)
from balpoe.config.assignment import assigned
from balpoe.data import DataDescription, SearchSplits
from balpoe.errors import InvalidFields, UserError
from balpoe.training.cost_probe import TrainingCost, probe
from balpoe.training.optimisation import initial_experts
from balpoe.training.predictions_file import FLOAT32_BYTES

_FLOAT32, _FLOAT64 = 4, 8

_Choose = Callable[..., Choice]  # min or max


@dataclass(frozen=True, slots=True)
class TrialCost:
    """The searched parameters, epochs, seconds (as the only trial) and bytes on disk of a trial."""

    parameters: Mapping[str, Choice]
    epochs: int
    seconds: float
    disk_bytes: int


@dataclass(frozen=True, slots=True)
class StudyCost:
    """The cheapest and the most expensive trial of a study; `at_a_time` of them run at once."""

    smallest: TrialCost
    largest: TrialCost
    at_a_time: int


def study_cost(spec: StudySpec, splits: SearchSplits) -> StudyCost:
    """Probe the extremes of the search space on the study's own data.

    The extremes are the smallest and the largest product of epochs and weights. Parameters that
    depend on others are decided after those.

    Raises:
        UserError: the extremes of the search space cannot be combined.
    """
    device = _trial_device(spec)
    workload = _Workload(splits.description)

    def cost(choose: _Choose) -> TrialCost:
        parameters = _extreme(spec, workload, choose)
        configuration = with_parameters(spec.base, parameters)
        trained = probe(configuration, splits, device)
        disk_bytes = _disk_bytes(configuration, splits, trained)
        return TrialCost(parameters, trained.epochs, trained.seconds, disk_bytes)

    threads = torch.get_num_threads()
    torch.set_num_threads(spec.resources.cpus_per_trial)
    try:
        return StudyCost(cost(min), cost(max), _at_a_time(spec, device))
    finally:
        torch.set_num_threads(threads)


def most_trials(spec: StudySpec, cost: StudyCost) -> int:
    """Return how many trials the budget allows; with a budget in hours, of the cheapest trial."""
    budget, hours = spec.budget, cost.smallest.seconds / 3600
    limits = (
        budget.trials or math.inf,
        (budget.wall_hours or math.inf) / hours * cost.at_a_time,
        (budget.device_hours or math.inf) / (hours * spec.resources.devices_per_trial),
    )
    return math.ceil(min(limits))


def most_disk_bytes(spec: StudySpec, cost: StudyCost) -> int:
    """Return the bytes of the files of all trials, each with all seeds that the race may train."""
    return most_trials(spec, cost) * spec.repeats * cost.largest.disk_bytes


def _trial_device(spec: StudySpec) -> torch.device:
    """Return the device of a trial; the CPU if this machine has no GPU."""
    has_gpu = spec.resources.gpus_per_trial > 0 and torch.cuda.is_available()
    return torch.device("cuda" if has_gpu else "cpu")


class _Workload:
    """Epochs times weights; each kind of ensemble is built once to count its weights."""

    def __init__(self, description: DataDescription) -> None:
        self._description = description
        self._weights: dict[Hashable, int] = {}

    def __call__(self, configuration: Configuration) -> int:
        experts = configuration.experts
        kind = (configuration.model, experts.count, experts.sharing, experts.owned_stages)
        if kind not in self._weights:
            built = initial_experts(configuration, self._description, seed=0)
            self._weights[kind] = sum(parameter.numel() for parameter in built.parameters())
        return configuration.epochs * self._weights[kind]


def _extreme(spec: StudySpec, workload: _Workload, choose: _Choose) -> dict[str, Choice]:
    """Return the parameters of the trial whose workload is extreme, one after the other."""
    decided: dict[str, Choice] = {}

    def decide(path: str) -> Choice:
        works = {
            value: workload(configuration)
            for value in spec.search[path].extremes.values()
            if (configuration := _configuration(spec, {**decided, path: value})) is not None
        }
        if not works:
            others = ", ".join(f"{name} = {value}" for name, value in decided.items())
            raise UserError(
                f"search.{path}: neither its lowest nor its highest value goes with "
                f"{others or 'the rest of the study'}: narrow the ranges"
            )
        decided[path] = choose(works, key=works.__getitem__)
        return decided[path]

    return assigned(spec.search, spec.base, decide)


def _configuration(spec: StudySpec, parameters: Mapping[str, Choice]) -> Configuration | None:
    """Return the configuration with these parameters, or None if they cannot be combined."""
    try:
        return with_parameters(spec.base, parameters)
    except InvalidFields:
        return None


def _disk_bytes(configuration: Configuration, splits: SearchSplits, trained: TrainingCost) -> int:
    """Return the bytes of checkpoints, and of predictions and metrics without compression."""
    experts, classes = configuration.experts.count, len(splits.description.class_names)
    logits = len(splits.validation) * experts * classes * _FLOAT32
    predictions = logits if logits <= FLOAT32_BYTES else logits // 2
    metrics = trained.epochs * (experts + 1) * len(metric_table()) * _FLOAT64
    return trained.checkpoint_bytes + predictions + metrics


def _at_a_time(spec: StudySpec, device: torch.device) -> int:
    """Return how many trials this machine runs at once."""
    resources = spec.resources
    limits = [
        resources.concurrent_trials,
        len(os.sched_getaffinity(0)) // resources.cpus_per_trial,
    ]
    if device.type == "cuda":
        limits.append(int(torch.cuda.device_count() / resources.gpus_per_trial))
    return max(1, min(limits))
