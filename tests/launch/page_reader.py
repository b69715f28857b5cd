"""Reads a page of a report as tests look at it."""

from __future__ import annotations

import re
from html.parser import HTMLParser


class PageReader(HTMLParser):
    """Collects figures, their texts, ids, references and the text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.figures: list[str] = []
        self.labels: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.scripts = 0
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = dict(attributes)
        if tag == "figure":
            self.figures.append(found["data-name"] or "")
        if tag == "svg":
            self.labels.append(found.get("aria-label") or "")
        if "id" in found:
            self.ids.append(found["id"] or "")
        self.scripts += tag == "script"
        values = [
            value or "" for name, value in attributes if name in ("href", "src", "xlink:href")
        ]
        self.references += values
        for _, value in attributes:
            self.references += re.findall(r"url\((#[^)]*)\)", value or "")

    def handle_data(self, data: str) -> None:
        self.text += data
