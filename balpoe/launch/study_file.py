"""The study file of a launch: absolute paths, and the changes since the last launch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from balpoe.config import CategoricalParameter, Configuration, StudySpec, to_plain
from balpoe.config.model import is_weights_file
from balpoe.errors import UserError
from balpoe.files import load_study


def load_with_absolute_paths(study_file: Path | str) -> StudySpec:
    """Load a study file and make the paths of its images and weights absolute.

    Raises:
        ConfigurationError: the file is invalid.
    """
    spec = load_study(study_file)
    return replace(spec, base=with_absolute_paths(spec.base))


def with_absolute_paths(configuration: Configuration) -> Configuration:
    """Return the configuration with absolute paths of images and weights."""
    model = configuration.model
    if model.pretrained is not None and is_weights_file(model.pretrained):
        model = replace(model, pretrained=str(Path(model.pretrained).resolve()))
    return replace(configuration, data=configuration.data.with_absolute_paths(), model=model)


def refuse_changes(before: StudySpec, now: StudySpec, file: str) -> None:
    """Refuse changes that make new trials incomparable with the trials of earlier launches.

    Data, model, method, training, objectives, constraints, seed, search keys, categories and
    conditions must not change. Budget, resources (with data.in_memory_limit), sampler, early
    stopping, numeric ranges, known points, repeats and the final recipe (with
    data.final_uses_validation) may change.

    Raises:
        UserError: something else changed; the message lists every change.
    """
    changes = list(_differences(_fixed_settings(before), _fixed_settings(now), ""))
    if changes:
        listed = "\n".join(f"  {change}" for change in changes)
        raise UserError(
            f"{file}: the study {now.name!r} has trials with other settings:\n{listed}\n"
            f"undo the changes, or give the study another name"
        )


def _fixed_settings(spec: StudySpec) -> dict[str, Any]:
    plain = to_plain(spec)
    for name in ("in_memory_limit", "final_uses_validation"):
        plain["base"]["data"].pop(name, None)
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
            nested = f"{path}.{key}" if path else str(key)
            yield from _differences(before.get(key), now.get(key), nested)
    elif before != now:
        yield f"{path}: was {before}, is {now}"
