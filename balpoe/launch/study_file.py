"""The study file of a launch: absolute paths, and the changes since the last launch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from balpoe.config import CategoricalParameter, Configuration, StudySpec, to_plain
from balpoe.config.earlier_names import (
    balanced_name,
    converted_study,
    metrics_of_unknown_weight,
)
from balpoe.config.model import is_weights_file
from balpoe.data import load_search_splits
from balpoe.errors import UserError
from balpoe.files import load_study
from balpoe.method.long_tailed_counts import is_balanced
from balpoe.study.trials.directory import StudyDirectory
from balpoe.study.trials.earlier_records import has_earlier_names, is_validation_balanced


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


def refuse_changes_since_last_launch(
    directory: StudyDirectory, now: StudySpec, file: str
) -> bool | None:
    """Refuse what `refuse_changes` does, compared with the study that `directory` holds.

    Where an earlier version began it and its validation split is not balanced, the names of its
    class-weighted metrics must be the present ones.

    Returns:
        Whether the validation split of an earlier version's study is balanced; None for a study
        that this version began.

    Raises:
        UserError: something changed, or the data of an earlier version's study cannot be loaded.
    """
    before = load_study(directory.specification)
    balanced = None
    if has_earlier_names(directory):
        balanced = _has_balanced_validation(directory, before)
    if balanced is False:
        before = converted_study(before)
        _refuse_unknown_weights(before, file)
        _refuse_earlier_names(before, now, file)
    refuse_changes(before, now, file)
    return balanced


def _has_balanced_validation(directory: StudyDirectory, spec: StudySpec) -> bool:
    """Return whether the validation split of a study is balanced, from its files or its data.

    Raises:
        UserError: the data cannot be loaded.
    """
    known = is_validation_balanced(directory)
    if known is not None:
        return known
    return is_balanced(load_search_splits(spec.base.data).validation.labels_n.cpu().numpy())


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


def _refuse_unknown_weights(before: StudySpec, file: str) -> None:
    names = metrics_of_unknown_weight(before)
    if names:
        raise UserError(
            f"{file}: the study {before.name!r} has trials of an earlier version, in which "
            f"{', '.join(names)} weighted all classes the same; on its validation split, which is "
            f"not balanced, new trials would weight images. Give the study another name, or "
            f"continue it with the version that began it"
        )


def _refuse_earlier_names(before: StudySpec, now: StudySpec, file: str) -> None:
    """Refuse names that weigh images today where the values of the study `before` weigh classes."""
    meant = converted_study(now)
    names = [name for name in (*now.objectives, *now.constraints) if balanced_name(name) != name]
    asked = (meant.objectives, meant.constraints)
    if not names or asked != (before.objectives, before.constraints):
        return
    lines = [f"objectives: {_flow(meant.objectives)}"]
    if meant.constraints:
        lines.append(f"constraints: {_flow(to_plain(meant)['constraints'])}")
    written = "\n".join(f"  {line}" for line in lines)
    raise UserError(
        f"{file}: the study {now.name!r} has trials of an earlier version, whose "
        f"{', '.join(names)} weighted all classes the same; on its validation split, which is not "
        f"balanced, these names weight images now. To continue it, write\n{written}"
    )


def _flow(values: Mapping[str, Any]) -> str:
    """Return a mapping as YAML on one line, without values that are not given."""
    items = (
        f"{name}: {_flow(value) if isinstance(value, Mapping) else value}"
        for name, value in values.items()
        if value is not None
    )
    return f"{{{', '.join(items)}}}"


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
    if path == "cost":  # a matrix is too long for a message
        if before != now:
            yield "cost: other costs than at the first launch"
    elif isinstance(before, Mapping) and isinstance(now, Mapping):
        for key in dict.fromkeys([*before, *now]):
            nested = f"{path}.{key}" if path else str(key)
            yield from _differences(before.get(key), now.get(key), nested)
    elif before != now:
        yield f"{path}: was {before}, is {now}"
