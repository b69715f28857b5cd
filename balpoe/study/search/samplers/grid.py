"""Grid search: every point of a finite search space once, in random order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import ClassVar, Final, Literal

from balpoe.config.assignment import Search, implied_parameters, suggestion_order
from balpoe.config.conditions import all_hold
from balpoe.config.configuration import Configuration
from balpoe.config.fields import Choice
from balpoe.config.sampler import SAMPLERS, SamplerConfig
from balpoe.config.search_space import CategoricalParameter, FloatParameter

MOST_POINTS: Final = 100_000


@SAMPLERS.add
@dataclass(frozen=True, slots=True, kw_only=True)
class GridConfig(SamplerConfig):
    """Grid search takes parameters with finitely many values."""

    name: Literal["grid"] = "grid"

    # all trials are planned: this one has nothing to propose
    optuna_sampler: ClassVar[str] = "optuna.samplers:RandomSampler"
    learns_constraints: ClassVar[bool] = False
    is_exhaustive: ClassVar[bool] = True

    def further_refusals(
        self, search: Search, base: Configuration, objectives: Sequence[str]
    ) -> Iterator[str]:
        """Refuse ranges of floats and grids that no study can finish."""
        endless = [path for path, found in search.items() if isinstance(found, FloatParameter)]
        for path in endless:
            yield f"grid cannot take {path}, a range of numbers: give choices (type: categorical)"
        if not endless and any(islice(grid_points(search, base), MOST_POINTS, None)):
            yield f"grid has more than {MOST_POINTS} points: narrow search, or use random"

    def planned_points(
        self, search: Search, base: Configuration, seed: int
    ) -> list[dict[str, Choice]]:
        """Return all points of the grid in an order drawn from `seed`."""
        import numpy as np

        points = list(grid_points(search, base))
        return [points[index] for index in np.random.default_rng(seed).permutation(len(points))]


def grid_points(search: Search, base: Configuration) -> Iterator[dict[str, Choice]]:
    """Yield every assignment of the parameters to decide once; the last one varies fastest.

    Implied parameters and parameters whose conditions do not hold are left out.
    """
    return _completed(search, base, suggestion_order(search), {})


def _completed(
    search: Search, base: Configuration, order: Sequence[str], decided: Mapping[str, Choice]
) -> Iterator[dict[str, Choice]]:
    """Yield all ways to decide the parameters in `order` in addition to those `decided`."""
    if not order:
        yield dict(decided)
        return
    path, *rest = order
    known = {**decided, **implied_parameters(search, base, decided)}
    if path in known or not all_hold(search[path].when, known):
        yield from _completed(search, base, rest, decided)
        return
    parameter = search[path]
    assert not isinstance(parameter, FloatParameter)
    values: Sequence[Choice] = (
        parameter.choices
        if isinstance(parameter, CategoricalParameter)
        else range(parameter.low, parameter.high + 1)
    )
    for value in values:
        yield from _completed(search, base, rest, {**decided, path: value})
