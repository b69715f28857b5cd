"""Addresses of MLflow's pages that show what a study is about."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from http.client import HTTPException

from balpoe.config import Direction

_SECONDS = 10.0


def trials_page(url: str, study: str, metric: str, direction: Direction) -> str | None:
    """The trials of `study`, the best first, on the server at `url`; None where it has none.

    None too where the server gives no answer that can be read.

    MLflow would open an experiment on its pages for language models, with the study's own run
    alone and the trials folded away below it.
    """
    name = urllib.parse.urlencode({"experiment_name": study})
    try:
        with urllib.request.urlopen(
            f"{url}/api/2.0/mlflow/experiments/get-by-name?{name}", timeout=_SECONDS
        ) as answer:
            identifier = json.load(answer)["experiment"]["experiment_id"]
    except (OSError, HTTPException):  # of the former are HTTPError, URLError and timeouts
        return None
    view = {
        "workflowType": "machine_learning",
        "searchFilter": "tags.role = 'trial'",
        "orderByKey": f"metrics.`{metric}`",
        "orderByAsc": str(direction == "minimize").lower(),
    }
    query = urllib.parse.urlencode(view, quote_via=urllib.parse.quote)
    return f"{url}/#/experiments/{identifier}/runs?{query}"
