"""The points of a finite search space."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Final

from balpoe.config.assignment import Search, implied_parameters, suggestion_order
from balpoe.config.conditions import all_hold
from balpoe.config.configuration import Configuration
from balpoe.config.fields import Choice
from balpoe.config.search_space import CategoricalParameter, IntParameter

MOST_POINTS: Final = 100_000


def grid_points(search: Search, base: Configuration) -> Iterator[dict[str, Choice]]:
    """Generate every assignment of the parameters once; the last parameter varies fastest.

    Implied parameters and parameters whose conditions do not hold are left out.
    """
    return _completed(search, base, suggestion_order(search), {})


def _completed(
    search: Search, base: Configuration, order: Sequence[str], decided: Mapping[str, Choice]
) -> Iterator[dict[str, Choice]]:
    """Generate the assignments of the parameters in `order` that extend `decided`."""
    if not order:
        yield dict(decided)
        return
    path, *rest = order
    known = {**decided, **implied_parameters(search, base, decided)}
    if path in known or not all_hold(search[path].when, known):
        yield from _completed(search, base, rest, decided)
        return
    parameter = search[path]
    assert isinstance(parameter, CategoricalParameter | IntParameter)
    for value in _values(parameter):
        yield from _completed(search, base, rest, {**decided, path: value})


def _values(parameter: CategoricalParameter | IntParameter) -> Sequence[Choice]:
    if isinstance(parameter, CategoricalParameter):
        return parameter.choices
    return range(parameter.low, parameter.high + 1)


def has_more_points_than(limit: int, search: Search, base: Configuration) -> bool:
    """Whether the grid has more than `limit` points."""
    return next(islice(grid_points(search, base), limit, None), None) is not None
