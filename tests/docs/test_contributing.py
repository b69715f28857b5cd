"""The pages for contributors name files and layers that exist."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = {name: (ROOT / "docs" / name).read_text() for name in ("contributing.md", "extending.md")}
FORMER = {"method/calibration.py"}


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
def test_files_and_folders_that_a_page_names_exist(page: str) -> None:
    named = set(re.findall(r"`((?:[a-z_0-9]+/)+(?:[a-z_0-9]+\.(?:py|md|yaml))?)`", page))
    assert named
    places = (ROOT, ROOT / "balpoe")
    assert {name for name in named if not any((at / name).exists() for at in places)} <= FORMER


def test_the_pictures_show_the_layers_that_are_checked() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts = settings["tool"]["importlinter"]["contracts"]
    layers = [contract["layers"] for contract in contracts if "layers" in contract]
    pictures = re.findall(r"```text\n(.*?)```", PAGES["contributing.md"], re.DOTALL)
    shown = [
        [re.split(r" {2,}", line)[0] for line in picture.splitlines()] for picture in pictures[:2]
    ]
    assert shown == layers
