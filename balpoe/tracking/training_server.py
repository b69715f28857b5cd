"""A process that runs MLflow's server, whose pages open in the view of trainings.

MLflow 3.17 has a view of language models and one of trainings. The browser stores which of them is
shown, by default the first; `workflowType` in an address counts for that page alone, and the links
from a table of runs to the pages of its runs lack it. The start page, which loads all pages, here
stores the view of trainings in a browser that has no choice stored.

    python -m balpoe.tracking.training_server --host 127.0.0.1 --port 5000 --store sqlite:///m.db
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

_CHOICE = "mlflow.workflowType_v1"
_SCRIPT = (
    f"<script>if (localStorage.getItem('{_CHOICE}') === null) "
    f"localStorage.setItem('{_CHOICE}', '\"machine_learning\"')</script>"
)


def main() -> None:
    """Run the server until it is ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", required=True, type=int)
    parser.add_argument("--store", required=True, help="the database of the runs")
    parser.add_argument("--artifacts", help="the folder of artifacts")
    options = parser.parse_args()
    _set_environment(options.store, options.artifacts)
    # these read the environment
    import uvicorn
    from mlflow.server import app as pages
    from mlflow.server.fastapi_app import app
    from starlette.responses import HTMLResponse
    from starlette.routing import Route

    index = (Path(str(pages.static_folder)) / "index.html").read_text(encoding="utf-8")
    start_page = index.replace("<head>", f"<head>{_SCRIPT}", 1)
    # first, since the last route takes all paths
    app.router.routes.insert(0, Route("/", lambda request: HTMLResponse(start_page)))
    uvicorn.run(app, host=options.host, port=options.port, log_level="warning")


def _set_environment(store: str, artifacts: str | None) -> None:
    """Pass the store to MLflow's server and create its tables, as `mlflow server` does."""
    from mlflow.server import constants
    from mlflow.server.handlers import initialize_backend_stores

    root = "mlflow-artifacts:/"
    os.environ[constants.BACKEND_STORE_URI_ENV_VAR] = store
    os.environ[constants.REGISTRY_STORE_URI_ENV_VAR] = store
    os.environ[constants.ARTIFACT_ROOT_ENV_VAR] = root
    os.environ[constants.SERVE_ARTIFACTS_ENV_VAR] = "true"
    if artifacts is not None:
        os.environ[constants.ARTIFACTS_DESTINATION_ENV_VAR] = artifacts
    initialize_backend_stores(store, store, root)


if __name__ == "__main__":
    main()
