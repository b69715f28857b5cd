"""Studies that were launched before, found by their names."""

from __future__ import annotations

from pathlib import Path

from balpoe.config import StudySpec
from balpoe.errors import UserError
from balpoe.files import load_study
from balpoe.study.object_store.working_copy import (
    CHECKPOINTS,
    PREDICTIONS,
    bring_study,
    remote_runs,
    studies_in,
)
from balpoe.study.trials.directory import StudyDirectory


def known_studies(runs: Path) -> tuple[str, ...]:
    """The names of all studies in `runs`."""
    remote = remote_runs(runs)
    if remote is not None:
        return studies_in(remote)
    specification = StudyDirectory.of(runs, "*").specification
    found = runs.resolve().glob(str(specification.relative_to(runs.resolve())))
    return tuple(sorted(path.parent.name for path in found))


def study_of(name: str, runs: Path) -> tuple[StudySpec, StudyDirectory]:
    """The study `name` as it was last launched.

    Raises:
        UserError: there is none.
        StorageError: it is on an object store that cannot be read.
    """
    directory = StudyDirectory.of(runs, name)
    bring_study(directory, without=(CHECKPOINTS, PREDICTIONS))
    if not directory.specification.is_file():
        known = known_studies(runs)
        there = f"; there are: {', '.join(known)}" if known else ""
        remote = remote_runs(runs)
        place = runs if remote is None else remote.url
        raise UserError(f"{name}: no such study in {place}{there}")
    return load_study(directory.specification), directory
