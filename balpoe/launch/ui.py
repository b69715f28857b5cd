"""The verb `ui`: MLflow's pages on the store of this machine."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from balpoe.errors import UserError
from balpoe.launch import RUNS
from balpoe.launch.lookup import study_of
from balpoe.launch.runs import local_runs
from balpoe.study.object_store.study_files import study_names
from balpoe.tracking import local_store
from balpoe.tracking.server import Server, serving, trials_page

PORT = 5000

logger = logging.getLogger(__name__)


def ui(*, port: int = PORT, runs: Path | str = RUNS) -> AbstractContextManager[Server]:
    """MLflow's server for `runs`, for the length of a `with` block; it tells its `url`.

    It listens to this machine alone.

    Raises:
        UserError: there is no store yet, the port is taken, or the server does not start.
    """
    store = local_store(local_runs(runs))
    if not store.exists:
        raise UserError(
            f"{runs}: has no MLflow store; `balpoe run` makes it with a study, and `balpoe sync` "
            f"makes it anew"
        )
    return serving(store, port)


def trial_pages(server: Server, *, runs: Path | str = RUNS) -> Mapping[str, str]:
    """For every study that `server` shows, where its trials are listed, the best first.

    A study that cannot be read is left out with a warning: the others are there to be looked at.
    """
    pages, directory = {}, local_runs(runs)
    for name in study_names(directory):
        try:
            spec, _ = study_of(name, directory)
        except UserError as error:
            told = "; ".join(str(error).splitlines())
            logger.warning("%s: its trials are not listed: %s", name, told)
            continue
        metric, direction = next(iter(spec.objectives.items()))
        pages[name] = trials_page(server.url, name, metric, direction)
    return {name: page for name, page in pages.items() if page is not None}
