"""The local database of MLflow after the process that created it was killed."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from balpoe.tracking.tracking_store import local_store, open_client

MAKER = """
import os, signal, sys
from pathlib import Path
from mlflow.store.db import utils
from balpoe.tracking.tracking_store import local_store, open_client
setattr(utils, sys.argv[2], lambda *_: os.kill(os.getpid(), signal.SIGKILL))
open_client(local_store(Path(sys.argv[1])))
"""


@pytest.mark.parametrize("point", ["_upgrade_db", "_verify_schema"])
def test_a_process_that_dies_while_it_makes_the_tables_leaves_a_database_for_others_to_make(
    tmp_path: Path, point: str
) -> None:
    ended = subprocess.run([sys.executable, "-c", MAKER, str(tmp_path), point], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert not local_store(tmp_path).exists
    client = open_client(local_store(tmp_path))
    assert [experiment.name for experiment in client.search_experiments()] == ["Default"]
    client.create_experiment("another")
    again = open_client(local_store(tmp_path))
    assert again.get_experiment_by_name("another") is not None
    assert {path.name for path in tmp_path.iterdir()} == {"mlflow.db", "mlflow.db.lock"}


def test_two_threads_may_import_mlflow_at_the_same_time(tmp_path: Path) -> None:
    script = f"""
import pathlib
from balpoe.config import *
from balpoe.data.sources.digits_lt import DigitsLT
from balpoe.tracking import Origin, local_store, mirrored_study, start_mirror
spec = StudySpec(
    name="first",
    base=Configuration(data=DigitsLT()),
    search={{"mixup.alpha": FloatParameter(low=0.0, high=1.0)}},
    objectives={{"val/ece": "minimize"}},
    budget=BudgetConfig(trials=1),
)
store = local_store(pathlib.Path({str(tmp_path)!r}))
writer = start_mirror(store, spec, Origin())
mirrored_study(store, "first")
assert writer.close("finished", deadline_seconds=60).error is None
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
