"""The estimated cost of a study as lines for the screen."""

from __future__ import annotations

from collections.abc import Iterator

from balpoe.config import StudySpec
from balpoe.reporting.formatting import byte_size, duration, parameter_value
from balpoe.study.execution.cost import StudyCost, TrialCost, most_disk_bytes, most_trials


def cost_lines(spec: StudySpec, cost: StudyCost, *, free_bytes: int | None) -> Iterator[str]:
    """Trials × epochs, the cheapest and the dearest trial, time and disk space."""
    trials = most_trials(spec, cost)
    low, high = sorted((cost.smallest.epochs, cost.largest.epochs))
    yield f"{spec.name}: {trials} trials × {low if low == high else f'{low} to {high}'} epochs"
    yield f"cheapest trial  {_trial(cost.smallest)}"
    yield f"dearest trial   {_trial(cost.largest)}"
    yield f"time            {_time(spec, cost, trials)}, {cost.at_a_time} at a time on this machine"
    if spec.repeats > 1:
        yield (
            f"                and at most {spec.repeats - 1} further seeds of every trial on the "
            f"front and close to it"
        )
    needed = byte_size(most_disk_bytes(spec, cost))
    free = "" if free_bytes is None else f"; {byte_size(free_bytes)} are free"
    yield f"disk            at most {needed} and MLflow's database{free}"


def _time(spec: StudySpec, cost: StudyCost, trials: int) -> str:
    low, high = (trials * trial.seconds / cost.at_a_time for trial in (cost.smallest, cost.largest))
    if spec.budget.wall_hours is not None:
        high = min(high, spec.budget.wall_hours * 3600 + cost.largest.seconds)
    return f"{duration(min(low, high))} to {duration(high)}"


def _trial(trial: TrialCost) -> str:
    parameters = trial.parameters.items()
    values = ", ".join(f"{path} {parameter_value(value)}" for path, value in parameters)
    return f"{duration(trial.seconds)} by itself, {byte_size(trial.disk_bytes)}: {values}"
