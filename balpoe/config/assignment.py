"""The parameters of a trial: their order of suggestion, conditions and implied values.

Parameters that others depend on come first. With one expert, spread and sharing are not
suggested but implied. A parameter whose conditions do not hold is absent from the trial.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from balpoe.config.conditions import Condition, all_hold
from balpoe.config.configuration import Configuration
from balpoe.config.fields import Choice
from balpoe.config.parameters import canonical_parameters
from balpoe.config.search_space import CategoricalParameter, IntParameter, Parameter
from balpoe.config.wording import listed, shown, unknown
from balpoe.errors import FieldProblem

Search = Mapping[str, Parameter]

COUNT: Final = "experts.count"
_OF_SEVERAL_EXPERTS: Final = ("experts.spread", "experts.sharing")


def suggestion_order(search: Search) -> list[str]:
    """Sort the searched parameters so that each follows those that it depends on.

    Their dependencies must have no cycle.
    """
    order: list[str] = []

    def place(path: str) -> None:
        for other, _ in conditions_of(search, path):
            place(other)
        if path not in order:
            order.append(path)

    for path in sorted(search, key=lambda path: path != COUNT):
        place(path)
    return order


def conditions_of(search: Search, path: str) -> list[tuple[str, Condition]]:
    """List the parameters that the one at `path` depends on, with their conditions.

    Spread and sharing depend on a count of at least two experts.
    """
    of_several = path in _OF_SEVERAL_EXPERTS and COUNT in search
    several = [(COUNT, Condition(at_least=2))] if of_several else []
    return [*several, *search[path].when.items()]


def implied_parameters(
    search: Search, base: Configuration, decided: Mapping[str, Choice]
) -> dict[str, Choice]:
    """Return the values of searched parameters that follow from those already `decided`."""
    known = canonical_parameters({COUNT: base.experts.count, **decided})
    return {path: known[path] for path in search if path in known.keys() - decided.keys() - {COUNT}}


def assigned(
    search: Search, base: Configuration, choose: Callable[[str], Choice]
) -> dict[str, Choice]:
    """Assemble the parameters of a trial, in the order of `search`.

    Args:
        search: The searched parameters by path.
        base: The configuration that the parameters change.
        choose: Returns the value of a parameter that exists and is not implied.
    """
    values: dict[str, Choice] = {}
    for path in suggestion_order(search):
        implied = implied_parameters(search, base, values)
        if path in implied:
            values[path] = implied[path]
        elif all_hold(search[path].when, values):
            values[path] = choose(path)
    return {path: values[path] for path in search if path in values}


def conditional_parameters(search: Search) -> tuple[str, ...]:
    """Return the parameters that some trials may lack."""
    optional: list[str] = []
    for path in suggestion_order(search):
        if any(
            other in optional or not _always_holds(condition, search[other])
            for other, condition in conditions_of(search, path)
        ):
            optional.append(path)
    return tuple(path for path in search if path in optional)


def witness(condition: Condition, parameter: Parameter) -> Choice | None:
    """Return a value that `parameter` can take and that satisfies `condition`, or None."""
    candidates: list[Choice] = [*parameter.extremes.values(), *(condition.one_of or ())]
    if isinstance(parameter, IntParameter):
        candidates += map(math.ceil, condition.limits)
    else:
        candidates += condition.limits
    return next((v for v in candidates if parameter.admits(v) and condition.holds(v)), None)


def with_conditions(search: Search, values: Mapping[str, Choice]) -> dict[str, Choice] | None:
    """Return `values` with values of further parameters with which those given exist.

    None if there are none, as for the settings of two entries of a table.
    """
    found: dict[str, Choice] | None = None
    for order in ([*values], [*values][::-1]):
        found = dict(values)
        waiting = order
        while waiting and found is not None:
            path = waiting.pop(0)
            for other, condition in conditions_of(search, path) if path in search else ():
                value = found[other] if other in found else witness(condition, search[other])
                if value is None or not condition.holds(value):
                    found = None
                    break
                if other not in found:
                    found[other] = value
                    waiting.append(other)
        if found is not None:
            return found
    return None


def condition_problems(search: Search) -> Iterator[FieldProblem]:
    """Find conditions on unknown parameters, impossible conditions and circular ones."""
    for path, parameter in search.items():
        for other, condition in parameter.when.items():
            place = (path, "when", other)
            if other not in search:
                others = [key for key in search if key != path]
                unsearched = "unknown searched field; this is the only parameter"
                message = unknown("searched field", other, others) if others else unsearched
                yield FieldProblem("search", message, place)
            elif depends_on(search, other, path):
                yield FieldProblem("search", f"makes {path} depend on itself", place)
            else:
                yield from _impossible(condition, search[other], place)


def depends_on(search: Search, path: str, target: str) -> bool:
    """Whether `path` equals `target` or depends on it, directly or indirectly."""
    waiting, seen = [path], set[str]()
    while waiting:
        visited = waiting.pop()
        if visited == target:
            return True
        if visited in search and visited not in seen:
            seen.add(visited)
            waiting += [other for other, _ in conditions_of(search, visited)]
    return False


def _impossible(
    condition: Condition, parameter: Parameter, place: tuple[str, ...]
) -> Iterator[FieldProblem]:
    """Find values that `parameter` never takes, and bounds that it never satisfies."""
    for index, value in enumerate(condition.one_of or ()):
        if not parameter.admits(value):
            message = f"is never proposed, got {shown(value)}"
            yield FieldProblem("search", message, (*place, "one_of", index))
    if witness(condition, parameter) is None:
        yield FieldProblem("search", f"never holds for {_proposals(parameter)}", place)


def _proposals(parameter: Parameter) -> str:
    if isinstance(parameter, CategoricalParameter):
        return listed(map(shown, parameter.choices))
    return f"{parameter.low} to {parameter.high}"


def _always_holds(condition: Condition, parameter: Parameter) -> bool:
    values = parameter.extremes.values()
    if isinstance(parameter, CategoricalParameter) or condition.one_of is None:
        return all(map(condition.holds, values))
    if isinstance(parameter, IntParameter):
        return all(map(condition.holds, range(parameter.low, parameter.high + 1)))
    return parameter.low == parameter.high and condition.holds(parameter.low)
