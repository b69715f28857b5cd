"""What a worker must have before it may run a trial."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path

import pytest

from balpoe.config import Configuration, ModelConfig
from balpoe.data.sources.folder import ImageFolder
from balpoe.study.execution.software import CODE, software
from balpoe.study.execution.worker_check import WorkerRequirements, check_worker


@pytest.fixture
def needs(tmp_path: Path) -> WorkerRequirements:
    """Those of a study whose files, images and weights are all there."""
    images, weights, sign = tmp_path / "images", tmp_path / "weights.pt", tmp_path / "0000.json"
    images.mkdir()
    weights.touch()
    sign.touch()
    model = ModelConfig(backbone="imagenet_resnet50", pretrained=str(weights))
    configuration = Configuration(data=ImageFolder(root=str(images)), model=model)
    return WorkerRequirements(software(), configuration, sign)


def test_a_worker_that_has_all_is_fit(needs: WorkerRequirements) -> None:
    assert check_worker(needs) is None
    assert check_worker(replace(needs, launch_file=None)) is None


@pytest.mark.parametrize(
    ("missing", "told"),
    [
        ("0000.json", "is not seen there; the study's directory must be on storage that all"),
        ("images", "No such file or directory; copy the data there"),
        ("weights.pt", "No such file or directory; copy the data there"),
    ],
)
def test_a_worker_without_a_file_is_unfit_and_says_which_and_where(
    needs: WorkerRequirements, tmp_path: Path, missing: str, told: str
) -> None:
    (tmp_path / missing).rename(tmp_path / "elsewhere")
    failure = check_worker(needs)
    assert failure is not None
    assert failure.kind == "unfit"
    assert failure.reason.startswith(f"{socket.gethostname()} (")
    assert f"{tmp_path / missing}: {told}" in failure.reason


def test_a_worker_of_other_code_is_unfit(needs: WorkerRequirements) -> None:
    failure = check_worker(replace(needs, software={**software(), CODE: "another"}))
    assert failure is not None
    assert failure.kind == "unfit"
    assert f"{CODE} is " in failure.reason
