"""Which searched parameters a trial has, in which order they are decided, and what follows.

Parameters that others depend on come first. With one expert, spread and sharing are not
decided but implied; a parameter whose conditions do not hold does not exist in the trial.
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
    """The searched parameters, each after those that it depends on; they depend on no cycle."""
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
    """On which parameters one depends, and how; that of a second expert included."""
    of_several = path in _OF_SEVERAL_EXPERTS and COUNT in search
    several = [(COUNT, Condition(at_least=2))] if of_several else []
    return [*several, *search[path].when.items()]


def implied_parameters(
    search: Search, base: Configuration, decided: Mapping[str, Choice]
) -> dict[str, Choice]:
    """The searched parameters that follow from those already `decided`."""
    known = canonical_parameters({COUNT: base.experts.count, **decided})
    return {path: known[path] for path in search if path in known.keys() - decided.keys() - {COUNT}}


def assigned(
    search: Search, base: Configuration, choose: Callable[[str], Choice]
) -> dict[str, Choice]:
    """The parameters of a trial in the order of `search`; `choose` decides what is not implied."""
    values: dict[str, Choice] = {}
    for path in suggestion_order(search):
        implied = implied_parameters(search, base, values)
        if path in implied:
            values[path] = implied[path]
        elif all_hold(search[path].when, values):
            values[path] = choose(path)
    return {path: values[path] for path in search if path in values}


def conditional_parameters(search: Search) -> tuple[str, ...]:
    """The parameters that some trials may lack."""
    optional: list[str] = []
    for path in suggestion_order(search):
        if any(
            other in optional or not _always_holds(condition, search[other])
            for other, condition in conditions_of(search, path)
        ):
            optional.append(path)
    return tuple(path for path in search if path in optional)


def witness(condition: Condition, parameter: Parameter) -> Choice | None:
    """A value that is proposed for `parameter` and obeys `condition`, or None."""
    candidates: list[Choice] = [*parameter.extremes.values(), *(condition.one_of or ())]
    if isinstance(parameter, IntParameter):
        candidates += map(math.ceil, condition.limits)
    else:
        candidates += condition.limits
    return next((v for v in candidates if parameter.admits(v) and condition.holds(v)), None)


def condition_problems(search: Search) -> Iterator[FieldProblem]:
    """Conditions on what is not searched, that can never hold, or that go round in a circle."""
    for path, parameter in search.items():
        for other, condition in parameter.when.items():
            place = (path, "when", other)
            if other not in search:
                others = [key for key in search if key != path]
                unsearched = "unknown searched field; this is the only parameter"
                message = unknown("searched field", other, others) if others else unsearched
                yield FieldProblem("search", message, place)
            elif _depends_on(search, other, path):
                yield FieldProblem("search", f"makes {path} depend on itself", place)
            else:
                yield from _impossible(condition, search[other], place)


def _depends_on(search: Search, path: str, target: str) -> bool:
    """Whether `path` is `target` or depends on it, directly or through others."""
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
    """Values that are never proposed for `parameter`, and bounds that it never meets."""
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
