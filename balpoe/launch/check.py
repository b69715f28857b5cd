"""The command `check`: the settings and the cost of a study, and problems before its launch."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from balpoe.config import StudySpec, with_parameters
from balpoe.config.metrics import BALANCED, counterpart
from balpoe.data import SearchSplits, load_search_splits
from balpoe.errors import InvalidFields, UserError
from balpoe.files import cost_place, dump_study
from balpoe.launch import RUNS
from balpoe.launch.calibration_floors import ObjectiveFloor, objective_floors
from balpoe.launch.runs import local_runs
from balpoe.launch.storage_option import choose_storage
from balpoe.launch.study_file import load_with_absolute_paths, refuse_changes_since_last_launch
from balpoe.launch.warm_start_studies import warm_start_studies
from balpoe.method.long_tailed_counts import is_balanced
from balpoe.study.execution.cost import StudyCost, most_disk_bytes, study_cost
from balpoe.study.object_store.study_files import CHECKPOINTS, PREDICTIONS, study_files
from balpoe.study.trials.directory import StudyDirectory
from balpoe.study.trials.events import WarmStarted
from balpoe.study.trials.measurable_metrics import refuse_unmeasurable_metrics

_MAX_NAMED_CLASSES = 10


@dataclass(frozen=True, slots=True)
class CheckReport:
    """The result of `check`.

    Attributes:
        spec: The study.
        resolved: The study with all defaults, as YAML.
        cost: The measured cost, or None if the data cannot be loaded.
        weightings: What each objective and constraint weights, where it matters.
        floors: The floor of every objective that is a calibration error.
        free_bytes: The free disk space, or None for a study on an object store.
        warm_start: The trials of earlier studies that the sampler would use.
        warnings: What may be a mistake.
        problems: Why a launch would fail.
    """

    spec: StudySpec
    resolved: str
    cost: StudyCost | None
    weightings: tuple[str, ...]
    floors: tuple[ObjectiveFloor, ...]
    free_bytes: int | None
    warm_start: tuple[WarmStarted, ...]
    warnings: tuple[str, ...]
    problems: tuple[str, ...]


def check(study_file: Path | str, *, runs: Path | str = RUNS) -> CheckReport:
    """Resolve a study, load its data and measure its cost; nothing is saved.

    Raises:
        ConfigurationError: the file is invalid.
    """
    spec = load_with_absolute_paths(study_file)
    directory = StudyDirectory.of(local_runs(runs), spec.name)
    files = study_files(directory)
    files.refresh(without=(CHECKPOINTS, PREDICTIONS))
    free_bytes = files.free_bytes
    problems: list[str] = []
    warnings = [
        f"known point {name} is not tried: {reason}"
        for name, reason in spec.points.left_out.items()
    ]
    cost = None
    weightings: tuple[str, ...] = ()
    floors: tuple[ObjectiveFloor, ...] = ()
    warm_start: tuple[WarmStarted, ...] = ()
    with _errors_added_to(problems):
        if directory.specification.is_file():
            refuse_changes_since_last_launch(directory, spec, str(study_file))
    with _errors_added_to(warnings):
        choose_storage(directory, None)
    warnings += [*_constraint_warnings(spec), *_machine_warnings(spec)]
    warnings += _second_stage_warnings(spec)
    with _errors_added_to(problems):
        splits = load_search_splits(spec.base.data)
        weightings = tuple(_weightings(spec, splits))
        warnings += [*_data_warnings(splits), *_weighting_warnings(spec, splits)]
        refuse_unmeasurable_metrics(spec, splits, partial(cost_place, Path(study_file)))
        labels_n, class_counts = splits.validation.labels_n, splits.description.class_counts
        has_own_validation = splits.has_own_validation
        floors = tuple(objective_floors(spec, labels_n, class_counts, has_own_validation))
        warnings += [floor.warning for floor in floors if floor.warning is not None]
        cost = study_cost(spec, splits)
        if free_bytes is not None:
            problems += _space_problems(spec, cost, free_bytes, directory.path)
        fingerprint = splits.description.fingerprint
        earlier = warm_start_studies(spec, directory.path.parent, fingerprint)
        warm_start = tuple(study.event for study in earlier)
    return CheckReport(
        spec=spec,
        resolved=dump_study(spec),
        cost=cost,
        weightings=weightings,
        floors=floors,
        free_bytes=free_bytes,
        warm_start=warm_start,
        warnings=tuple(warnings),
        problems=tuple(problems),
    )


@contextmanager
def _errors_added_to(messages: list[str]) -> Iterator[None]:
    """End the block at the first user error and add its message to `messages`."""
    try:
        yield
    except UserError as error:
        messages.append(str(error))


def _constraint_warnings(spec: StudySpec) -> Iterator[str]:
    if spec.constraints and not spec.sampler.learns_constraints:
        yield (
            f"constraints: {spec.sampler.name} ignores them, they only decide which trials are on "
            f"the front; tpe, nsgaii and gp learn where they hold"
        )
    if spec.early_stopping is not None:
        for metric in spec.constraints.keys() - spec.constraints_at_rungs.keys():
            yield (
                f"constraints.{metric}: is measured after the last epoch only, so early stopping "
                f"ignores it"
            )


def _second_stage_warnings(spec: StudySpec) -> Iterator[str]:
    """Yield the warnings of the second stages, for all that are searched and their classifiers."""
    paths = [path for path in ("second_stage.name", "model.classifier") if path in spec.search]
    choices = [spec.search[path].extremes.values() for path in paths]
    warnings: dict[str, None] = {}
    for values in itertools.product(*choices):
        with suppress(InvalidFields):  # by their conditions, no trial has these values together
            configuration = with_parameters(spec.base, dict(zip(paths, values, strict=True)))
            warnings |= dict.fromkeys(configuration.second_stage.warnings(configuration))
    yield from warnings


def _machine_warnings(spec: StudySpec) -> Iterator[str]:
    resources = spec.resources
    cpus = len(os.sched_getaffinity(0))
    if resources.cpus_per_trial > cpus:
        yield f"resources.cpus_per_trial: {resources.cpus_per_trial}, but this machine has {cpus}"
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if resources.gpus_per_trial > gpus:
        yield (
            f"resources.gpus_per_trial: {resources.gpus_per_trial:g}, but this machine has {gpus}; "
            f"the times are for its CPU"
        )


def _data_warnings(splits: SearchSplits) -> Iterator[str]:
    yield from splits.remarks
    names = splits.description.class_names
    images_c = torch.bincount(splits.validation.labels_n, minlength=len(names)).tolist()
    missing = [name for name, images in zip(names, images_c, strict=True) if images == 0]
    if missing:
        more = len(missing) - _MAX_NAMED_CLASSES
        named = ", ".join(missing[:_MAX_NAMED_CLASSES]) + (f" and {more} more" if more > 0 else "")
        yield f"{len(missing)} of {len(names)} classes have no validation image: {named}"


def _weightings(spec: StudySpec, splits: SearchSplits) -> Iterator[str]:
    """Say what each metric weights that has a counterpart, where the two differ."""
    for metric, other in _differing_metrics(spec, splits):
        balanced = BALANCED in metric
        weighted, otherwise = ("classes", "images") if balanced else ("images", "classes")
        yield (
            f"{metric:15} weights {weighted}; {other} weights {otherwise} and has other values, as "
            f"the validation split is not balanced"
        )


def _weighting_warnings(spec: StudySpec, splits: SearchSplits) -> Iterator[str]:
    for metric, other in _differing_metrics(spec, splits):
        if BALANCED not in metric:
            section = "objectives" if metric in spec.objectives else "constraints"
            yield (
                f"{section}.{metric}: weights images, and the validation split is not balanced: "
                f"the metric of the papers, which test on balanced sets, is {other}"
            )


def _differing_metrics(spec: StudySpec, splits: SearchSplits) -> Iterator[tuple[str, str]]:
    """Yield the metrics with another weighting, and its name, if the split is not balanced."""
    if is_balanced(splits.validation.labels_n.cpu().numpy()):
        return
    for metric in dict.fromkeys((*spec.objectives, *spec.constraints)):
        other = counterpart(metric)
        if other is not None:
            yield metric, other


def _space_problems(spec: StudySpec, cost: StudyCost, free_bytes: int, path: Path) -> Iterator[str]:
    needed = most_disk_bytes(spec, cost)
    if needed > free_bytes:
        yield (
            f"{path}: the study may need {needed / 1e9:.1f} GB, and {free_bytes / 1e9:.1f} GB are "
            f"free; free some space, or lower the budget"
        )
