"""The verb `check`: what a study would do and cost, and what speaks against starting it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from balpoe.config import StudySpec
from balpoe.data import SearchSplits, load_search_splits
from balpoe.errors import UserError
from balpoe.files import dump_study, load_study
from balpoe.launch import RUNS
from balpoe.launch.absolute_paths import with_absolute_paths
from balpoe.launch.runs import local_runs
from balpoe.launch.storage_option import chosen_storage
from balpoe.launch.study_file import refuse_changes
from balpoe.launch.warm_start_studies import earlier_studies
from balpoe.study.execution.cost import StudyCost, most_disk_bytes, study_cost
from balpoe.study.object_store.study_files import CHECKPOINTS, PREDICTIONS, study_files
from balpoe.study.trials.directory import StudyDirectory
from balpoe.study.trials.events import WarmStarted

ENOUGH_FOR_ECE = 20
_NAMED_CLASSES = 10


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a study file amounts to.

    `resolved` is the study with every default, as YAML; `cost` is None where the data cannot
    be loaded, `free_bytes` where the study is on an object store. `warm_start` are the trials of
    earlier studies that the sampler would know. With `problems` a launch would fail; `warnings`
    are for the user to weigh.
    """

    spec: StudySpec
    resolved: str
    cost: StudyCost | None
    free_bytes: int | None
    warm_start: tuple[WarmStarted, ...]
    warnings: tuple[str, ...]
    problems: tuple[str, ...]


def check(study_file: Path | str, *, runs: Path | str = RUNS) -> CheckReport:
    """Resolve a study, load its data and probe what it would cost; nothing is kept.

    Raises:
        ConfigurationError: the file cannot stand.
    """
    spec = load_study(study_file)
    spec = replace(spec, base=with_absolute_paths(spec.base))
    directory = StudyDirectory.of(local_runs(runs), spec.name)
    files = study_files(directory)
    files.refresh(without=(CHECKPOINTS, PREDICTIONS))
    free_bytes = files.free_bytes
    problems = list(_conflicts(spec, directory, str(study_file)))
    warnings = [
        f"known point {name} is not tried: {reason}"
        for name, reason in spec.points.left_out.items()
    ]
    warnings += _storage_warnings(directory)
    warnings += _constraint_warnings(spec)
    warnings += _machine_warnings(spec)
    cost = None
    warm_start: tuple[WarmStarted, ...] = ()
    try:
        splits = load_search_splits(spec.base.data)
        warnings += _data_warnings(splits)
        cost = study_cost(spec, splits)
        if free_bytes is not None:
            problems += _space_problems(spec, cost, free_bytes, directory.path)
        fingerprint = splits.description.fingerprint
        earlier = earlier_studies(spec, directory.path.parent, fingerprint)
        warm_start = tuple(study.event for study in earlier)
    except UserError as error:
        problems.append(str(error))
    return CheckReport(
        spec, dump_study(spec), cost, free_bytes, warm_start, tuple(warnings), tuple(problems)
    )


def _conflicts(spec: StudySpec, directory: StudyDirectory, file: str) -> Iterator[str]:
    """Why the study that is there already could not be continued."""
    if not directory.specification.is_file():
        return
    try:
        refuse_changes(load_study(directory.specification), spec, file)
    except UserError as error:
        yield str(error)


def _storage_warnings(directory: StudyDirectory) -> Iterator[str]:
    try:
        chosen_storage(directory, None)
    except UserError as error:
        yield str(error)


def _constraint_warnings(spec: StudySpec) -> Iterator[str]:
    if spec.constraints and not spec.sampler.learns_constraints:
        yield (
            f"constraints: {spec.sampler.name} proposes without regard to them, they only decide "
            f"who is on the front; tpe, nsgaii and gp learn where they are kept"
        )
    if spec.early_stopping is not None:
        for metric in spec.constraints.keys() - spec.constraints_at_rungs.keys():
            yield (
                f"constraints.{metric}: only the last epoch has it, so it has no say in "
                f"which trials are stopped early"
            )


def _machine_warnings(spec: StudySpec) -> Iterator[str]:
    resources = spec.resources
    cpus = len(os.sched_getaffinity(0))
    if resources.cpus_per_trial > cpus:
        yield f"resources.cpus_per_trial: {resources.cpus_per_trial}, but this machine has {cpus}"
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if resources.gpus_per_trial > gpus:
        yield (
            f"resources.gpus_per_trial: {resources.gpus_per_trial:g}, but this machine has {gpus}; "
            f"the time is that of its CPU"
        )


def _data_warnings(splits: SearchSplits) -> Iterator[str]:
    yield from splits.remarks
    names = splits.description.class_names
    images_c = torch.bincount(splits.validation.labels_n, minlength=len(names)).tolist()
    missing = [name for name, images in zip(names, images_c, strict=True) if images == 0]
    if missing:
        rest = len(missing) - _NAMED_CLASSES
        named = ", ".join(missing[:_NAMED_CLASSES]) + (f" and {rest} more" if rest > 0 else "")
        yield f"{len(missing)} of {len(names)} classes have no validation image: {named}"
    few = sum(images < ENOUGH_FOR_ECE for images in images_c)
    if few:
        yield (
            f"{few} of {len(names)} classes have fewer than {ENOUGH_FOR_ECE} validation images "
            f"(the smallest {min(images_c)}): ECE is mostly noise; weigh it lightly in the choice, "
            f"or give more by data.validation_per_class"
        )


def _space_problems(spec: StudySpec, cost: StudyCost, free_bytes: int, path: Path) -> Iterator[str]:
    needed = most_disk_bytes(spec, cost)
    if needed > free_bytes:
        yield (
            f"{path}: the study may need {needed / 1e9:.1f} GB, and {free_bytes / 1e9:.1f} GB are "
            f"free; free some space, or lower the budget"
        )
