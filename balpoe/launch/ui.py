"""The command `ui`: serve MLflow's pages of the store on this host."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from balpoe.errors import UserError
from balpoe.launch import RUNS, UI_PORT
from balpoe.launch.runs import find_study, local_runs
from balpoe.study.object_store.study_files import study_names
from balpoe.tracking import local_store
from balpoe.tracking.server import Server, serving, trials_page

logger = logging.getLogger(__name__)


def ui(*, port: int = UI_PORT, runs: Path | str = RUNS) -> AbstractContextManager[Server]:
    """Run MLflow's server for `runs` within a `with` block; its `url` is local to this host.

    Raises:
        UserError: there is no store, the port is in use, or the server does not start.
    """
    store = local_store(local_runs(runs))
    if not store.exists:
        raise UserError(
            f"{runs}: has no MLflow store; `balpoe run` creates it with a study, and `balpoe sync` "
            f"creates it again"
        )
    return serving(store, port)


def trial_pages(server: Server, *, runs: Path | str = RUNS) -> Mapping[str, str]:
    """Return for each study the URL of its list of trials, the best trial first.

    A study that cannot be read is skipped with a warning.
    """
    pages, directory = {}, local_runs(runs)
    for name in study_names(directory):
        try:
            find_study(name, directory)
        except UserError as error:
            reason = "; ".join(str(error).splitlines())
            logger.warning("%s: its trials are not listed: %s", name, reason)
            continue
        page = trials_page(server.url, name)
        if page is not None:
            pages[name] = page
    return pages
