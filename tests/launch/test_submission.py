"""What `balpoe submit` refuses before it contacts a cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from balpoe.errors import UserError
from balpoe.launch.submit import submit

NOBODY = "http://127.0.0.1:1"


def _study(path: Path, data: str, model: str = "backbone: resnet8") -> Path:
    path.write_text(
        "name: paths\n"
        f"data: {{{data}}}\n"
        f"model: {{{model}}}\n"
        "search: {experts.count: {type: int, low: 1, high: 2}}\n"
        "objectives: {val/accuracy: maximize}\n"
        "budget: {trials: 3}\n"
    )
    return path


def test_a_whole_path_of_the_cluster_may_lead_through_a_link_of_this_host(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    data = tmp_path / "data"
    data.symlink_to(tmp_path / "there")
    file = _study(
        tmp_path / "paths.yaml",
        f"name: parquet, train: {data}/train.parquet, test: {data}/../data/test.parquet",
        f"backbone: imagenet_resnet50, pretrained: {data}/weights.pth",
    )
    with pytest.raises(UserError, match=f"^--address {NOBODY}: "):
        submit(file, NOBODY, runs="/r")


@pytest.mark.parametrize(
    ("data", "model", "field"),
    [
        ("name: folder, root: images", "backbone: resnet8", "data.root"),
        (
            "name: digits_lt",
            "backbone: imagenet_resnet50, pretrained: weights.pth",
            "model.pretrained",
        ),
    ],
)
def test_a_path_that_begins_nowhere_is_refused(
    tmp_path: Path, data: str, model: str, field: str
) -> None:
    file = _study(tmp_path / "paths.yaml", data, model)
    with pytest.raises(UserError, match=rf"{field}: must be an absolute path, got '"):
        submit(file, NOBODY, runs="/r")
