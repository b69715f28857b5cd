"""`balpoe data`, from a folder of images to a study."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from balpoe.cli.data import data
from balpoe.data import load_search_splits
from balpoe.data.preparation import Preparation
from balpoe.data.sources.image_list import PublishedSet
from balpoe.errors import DataError, InvalidFields
from balpoe.files import load_configuration
from balpoe.launch.check import check

BALPOE = str(Path(sys.executable).parent / "balpoe")
COUNTS = {"heron": 24, "robin": 60, "ñandú": 5}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of images of many sizes and two formats, one duplicate, and another file."""
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    for name, count in COUNTS.items():
        (tmp_path / "birds" / name).mkdir(parents=True)
        for n in range(count):
            height, width = generator.integers(12, 40, size=2)
            pixels = generator.integers(256, size=(height, width, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(f"birds/{name}/{n}.{'bmp' if n % 3 else 'png'}")
    Image.open("birds/heron/0.png").save("birds/robin/twin.bmp")
    (tmp_path / "birds/notes.txt").write_text("stray")
    return tmp_path / "birds"


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(data, arguments, catch_exceptions=False)


def test_inspect_shows_the_tail_and_what_is_doubtful(folder: Path) -> None:
    shown = invoke("inspect", "birds")
    assert shown.exit_code == 0
    words = " ".join(shown.output.split())
    assert "birds: 3 classes, 73 train, 17 test images" in words
    assert "imbalance ratio 12.25; classes: 2 medium, 1 few-shot" in words
    assert "near-empty fewer than 5 training images: ñandú" in words
    assert "ignored no images: 1 .txt" in words
    assert "2 images have equal pixels with others, in groups: 1" in words
    assert "1 in several classes, such as" in words
    bars = [line.count("█") for line in shown.output.splitlines() if "█" in line]
    assert bars == [30, round(30 * 20 / 49), round(30 * 4 / 49)]


def test_inspect_as_json_holds_everything(folder: Path) -> None:
    found = json.loads(invoke("inspect", "birds", "--json").output)
    assert found["class_names"] == ["heron", "robin", "ñandú"]
    assert found["splits"]["train"]["class_counts"] == [20, 49, 4]
    assert found["splits"]["test"]["class_counts"] == [4, 12, 1]
    assert sum(shape["images"] for shape in found["splits"]["train"]["shapes"]) == 73
    ((first, second),) = found["duplicates"]
    assert {first["class"], second["class"]} == {"heron", "robin"}
    assert found["ignored_files"] == {".txt": 1}


def test_prepare_writes_files_that_the_lines_it_prints_train_on(folder: Path) -> None:
    result = invoke("prepare", "birds", "--out", "prepared", "--size", "16")
    assert result.exit_code == 0
    assert "prepared/train.parquet: 73 images" in result.output
    section = result.output.partition("In a study:\n")[2]
    Path("prepared.yaml").write_text(section)
    Path("folder.yaml").write_text("data: {name: folder, root: birds, image_size: 16}\n")
    prepared, direct = (
        load_search_splits(load_configuration(file).data).description
        for file in ("prepared.yaml", "folder.yaml")
    )
    assert prepared == direct
    again = subprocess.run(
        [BALPOE, "data", "prepare", "birds", "--out", "prepared", "--size", "16"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert again.returncode == 2
    assert again.stderr.startswith("error: prepared/train.parquet: exists already")


def test_larger_images_are_prepared_with_the_size_that_a_study_needs(folder: Path) -> None:
    result = invoke("prepare", "birds", "--out", "prepared", "--size", "80", "--channels", "1")
    Path("prepared.yaml").write_text(result.output.partition("In a study:\n")[2])
    description = load_search_splits(load_configuration("prepared.yaml").data).description
    assert (description.height, description.width, description.channels) == (80, 80, 1)


def test_a_size_that_no_network_takes_is_refused(folder: Path) -> None:
    assert invoke("prepare", "birds", "--out", "prepared", "--size", "4").exit_code == 2
    with pytest.raises(InvalidFields, match=r"Preparation\.size: must be at least 5, got 4"):
        Preparation(size=4)


def test_skipped_images_are_counted_and_named(folder: Path) -> None:
    (folder / "robin/3.png").write_bytes(b"damaged")
    result = invoke("prepare", "birds", "--out", "prepared", "--size", "16", "--skip-unreadable")
    assert "1 unreadable left out" in result.output
    assert "warning: birds/robin/3.png: the image cannot be decoded" in result.output


def test_check_tells_what_was_left_out(folder: Path) -> None:
    Path("study.yaml").write_text(
        "name: s\ndata: {name: folder, root: birds, image_size: 8}\nmodel: {backbone: resnet8}\n"
        "training: {epochs: 1}\nsearch: {mixup.alpha: {type: float, low: 0, high: 1}}\n"
        "objectives: {val/accuracy: maximize}\nbudget: {trials: 1}\n"
    )
    report = check("study.yaml")
    assert report.problems == ()
    assert report.warnings[0] == "ignored, because they are not images: 1 .txt"


@pytest.mark.parametrize("command", [["inspect"], ["prepare", "--out", "prepared", "--size", "16"]])
def test_lists_are_held_to_the_published_counts(folder: Path, command: list[str]) -> None:
    Path("list.txt").write_text("heron/1.bmp 0\nrobin/1.bmp 1\n")
    arguments = [*command, "list.txt", "--root", "birds", "--expected", "inaturalist2018"]
    with pytest.raises(DataError, match=r"list\.txt: inaturalist2018 has 437,513 images, but this"):
        invoke(*arguments)
    assert not Path("prepared").exists()
    assert invoke(*arguments[:-2]).exit_code == 0


def test_every_published_set_can_be_expected() -> None:
    choices = "|".join(get_args(PublishedSet))
    for command in ("inspect", "prepare"):
        assert f"--expected [{choices}]" in invoke(command, "--help").output


@pytest.mark.parametrize("option", [("--test-share", "1.5"), ("--subset-seed", "-1")])
def test_a_share_or_seed_out_of_range_is_refused_by_its_option(
    folder: Path, option: tuple[str, str]
) -> None:
    result = invoke("inspect", "birds", *option)
    assert result.exit_code == 2
    assert f"Invalid value for '{option[0]}'" in result.output
