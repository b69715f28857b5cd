"""Whether the data of a study define the metrics that its objectives and constraints name."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from balpoe.config import StudySpec
from balpoe.config.metrics import TOP_5_CLASSES, class_of
from balpoe.config.wording import did_you_mean, shown
from balpoe.data.splits import SearchSplits
from balpoe.errors import DataError

_TOP_5 = "val/top_5_accuracy"


def depends_on_data(spec: StudySpec) -> bool:
    """Return whether the answer of `refuse_unmeasurable_metrics` depends on the data."""
    return bool(spec.recalls) or spec.base.cost is not None or _names_top_5(spec)


def refuse_unmeasurable_metrics(
    spec: StudySpec,
    splits: SearchSplits,
    cost_place: Callable[[str], str] = lambda class_name: "cost",
) -> None:
    """Refuse recalls of classes that the validation images lack, and costs of other classes.

    `cost_place` returns where the costs of a class are, for messages.

    Raises:
        DataError: the message names every such objective, constraint and class.
    """
    problems = list(_problems(spec, splits))
    if spec.base.cost is not None:
        mismatches = spec.base.cost.mismatches(splits.description.class_names)
        problems += [f"{cost_place(name)}: {message}" for name, message in mismatches]
    if problems:
        raise DataError("\n".join(problems))


def _problems(spec: StudySpec, splits: SearchSplits) -> Iterator[str]:
    names = splits.description.class_names
    images_c = torch.bincount(splits.validation.labels_n, minlength=len(names)).tolist()
    for section in ("objectives", "constraints"):
        for metric in getattr(spec, section):
            class_name = class_of(metric)
            place = f"{section}.{metric}"
            if metric == _TOP_5 and len(names) < TOP_5_CLASSES:
                yield (
                    f"{place}: is computed for {TOP_5_CLASSES} classes and more, the data have "
                    f"{len(names)}: give val/accuracy"
                )
            elif class_name is not None and class_name not in names:
                hint = did_you_mean(class_name, names) or f"; the first is {shown(names[0])}"
                yield f"{place}: {shown(class_name)} is no class of the data{hint}"
            elif class_name is not None and images_c[names.index(class_name)] == 0:
                yield (
                    f"{place}: the class has no validation image: add images, or choose another "
                    f"class"
                )


def _names_top_5(spec: StudySpec) -> bool:
    return _TOP_5 in (*spec.objectives, *spec.constraints)
