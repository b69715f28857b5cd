"""What may change in a study file between two launches, and what may not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from balpoe.config import CategoricalParameter, StudySpec, to_plain
from balpoe.errors import UserError


def refuse_changes(before: StudySpec, now: StudySpec, file: str) -> None:
    """Refuse to continue a study whose results could not be compared with those it has.

    Data, model, method, training, objectives, constraints, seed, search keys, categories and
    conditions must stay; budget, resources (data.in_memory_limit among them), sampler, early
    stopping, numeric ranges, known points, repeats and the final recipe may change.

    Raises:
        UserError: something else changed; every change is shown.
    """
    changes = list(_differences(_decisive(before), _decisive(now), ""))
    if changes:
        listed = "\n".join(f"  {change}" for change in changes)
        raise UserError(
            f"{file}: the study {now.name!r} has trials of another kind:\n{listed}\n"
            f"take the changes back, or give the study another name"
        )


def _decisive(spec: StudySpec) -> dict[str, Any]:
    plain = to_plain(spec)
    plain["base"]["data"].pop("in_memory_limit", None)
    choices = {
        path: list(parameter.choices) if isinstance(parameter, CategoricalParameter) else "numeric"
        for path, parameter in spec.search.items()
    }
    return {
        **plain["base"],
        "search": choices,
        "conditions": {path: parameter["when"] for path, parameter in plain["search"].items()},
        "objectives": plain["objectives"],
        "constraints": plain["constraints"],
        "seed": plain["seed"],
    }


def _differences(before: Any, now: Any, path: str) -> Iterator[str]:
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for key in dict.fromkeys([*before, *now]):
            place = f"{path}.{key}" if path else str(key)
            yield from _differences(before.get(key), now.get(key), place)
    elif before != now:
        yield f"{path}: was {before}, is {now}"
