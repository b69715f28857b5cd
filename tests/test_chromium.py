from __future__ import annotations

from pathlib import Path

from tests.chromium import opened_page


def test_a_page_has_its_dom_its_console_and_a_picture_of_the_given_size(tmp_path: Path) -> None:
    file = tmp_path / "a page.html"
    file.write_text(
        "<p>before</p><script>console.log('fine');"
        "document.querySelector('p').textContent = 'after';"
        "throw new Error('broken')</script>"
    )
    page = opened_page(file, screenshot=tmp_path / "page.png", width=600, height=400)
    assert "<p>after</p>" in page.dom
    assert page.console == ("fine", "Uncaught Error: broken")
    assert page.errors == ("Uncaught Error: broken",)
    assert page.screenshot is not None
    png = page.screenshot.read_bytes()
    assert (int.from_bytes(png[16:20]), int.from_bytes(png[20:24])) == (600, 400)
