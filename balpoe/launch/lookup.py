"""Studies that were launched before, found by their names."""

from __future__ import annotations

from pathlib import Path

from balpoe.config import StudySpec
from balpoe.errors import UserError
from balpoe.files import load_study
from balpoe.study.object_store.study_files import (
    CHECKPOINTS,
    PREDICTIONS,
    object_store_of,
    study_files,
    study_names,
)
from balpoe.study.trials.directory import StudyDirectory


def study_of(name: str, runs: Path) -> tuple[StudySpec, StudyDirectory]:
    """The study `name` as it was last launched.

    Raises:
        UserError: there is none.
        StorageError: it is on an object store that cannot be read.
    """
    directory = StudyDirectory.of(runs, name)
    study_files(directory).refresh(without=(CHECKPOINTS, PREDICTIONS))
    if not directory.specification.is_file():
        known = study_names(runs)
        there = f"; there are: {', '.join(known)}" if known else ""
        store = object_store_of(runs)
        place = runs if store is None else store.url
        raise UserError(f"{name}: no such study in {place}{there}")
    return load_study(directory.specification), directory
