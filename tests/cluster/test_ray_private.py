"""What Ray does not document and this package needs is there in the installed release."""

from __future__ import annotations

import importlib.util
import inspect
from pathlib import Path

import pytest
from ray import _raylet
from ray._private import utils
from ray.job_submission import JobSubmissionClient

from balpoe.cluster.ray_private import CONNECT, JOB_LOG_HEADER, UPLOAD_LOGGERS


def _source(module: str) -> str:
    spec = importlib.util.find_spec(module)
    assert spec is not None, f"Ray has no module {module}"
    assert spec.origin is not None
    return Path(spec.origin).read_text()


@pytest.mark.parametrize(
    ("owner", "name"),
    [(_raylet, "GcsClient"), (utils, "read_ray_address"), (JobSubmissionClient, "_do_request")],
)
def test_a_private_name_is_there(owner: object, name: str) -> None:
    assert hasattr(owner, name), f"{owner} has no {name}"


def test_the_program_that_connects_is_python() -> None:
    compile(CONNECT, "CONNECT", "exec")


def test_a_request_takes_a_timeout() -> None:
    parameters = inspect.signature(JobSubmissionClient._do_request).parameters.values()
    assert inspect.Parameter.VAR_KEYWORD in {parameter.kind for parameter in parameters}


@pytest.mark.parametrize("logger", UPLOAD_LOGGERS)
def test_a_logger_is_that_of_a_module(logger: str) -> None:
    assert importlib.util.find_spec(logger) is not None


def test_the_header_of_a_job_log_is_what_ray_writes() -> None:
    assert "Running entrypoint for job " in _source("ray.dashboard.modules.job.job_supervisor")
    assert "Runtime env is setting up." in _source("ray.dashboard.modules.job.job_manager")
    line = "2026-11-21 14:45:40,505\tINFO job_manager.py:581 -- Runtime env is setting up.\n"
    assert JOB_LOG_HEADER.sub("", f"{line}output\n") == "output\n"
