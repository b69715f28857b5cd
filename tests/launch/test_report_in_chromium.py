"""The page of a report in headless Chromium, at desktop and phone width, light and dark."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import pytest
from PIL import Image

from balpoe.launch.report import report
from tests.chromium import opened_page
from tests.launch.page_reader import PageReader

pytestmark = pytest.mark.slow


class TinyStudy(Protocol):
    runs: Path


@pytest.mark.parametrize(
    ("width", "is_dark"), [(1200, False), (1200, True), (500, False)], ids=["wide", "dark", "phone"]
)
def test_the_page_opens_from_disk_with_every_figure_and_no_error(
    tiny_study: TinyStudy, tmp_path: Path, width: int, is_dark: bool
) -> None:
    out = report(["tiny"], out=tmp_path / "report.html", runs=tiny_study.runs)
    picture = tmp_path / "page.png"
    page = opened_page(out, screenshot=picture, width=width, height=1400, is_dark=is_dark)
    assert page.errors == ()
    written, shown = PageReader(out.read_text()), PageReader(page.dom)
    assert shown.figures == written.figures
    assert shown.labels == written.labels
    assert all(shown.labels)
    with Image.open(picture) as image:
        assert image.size == (width, 1400)
        pixels = image.convert("L").resize((60, 70))
        mean = sum(pixels.getdata()) / (60 * 70)
    assert mean < 80 if is_dark else mean > 200
