"""Rendering of a report as HTML, with all figures and styles in the page."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from balpoe.reporting.figures.drawing import INK, Picture
from balpoe.reporting.report.page import Listing, Page, Prose, Section, SourceText
from balpoe.reporting.table_style import CellTable

if TYPE_CHECKING:
    from markupsafe import Markup

_TEMPLATES: Final = Path(__file__).parent
_TEMPLATE: Final = "page.html.jinja"
_KINDS: Final = {
    Prose: "prose",
    Listing: "listing",
    SourceText: "source",
    CellTable: "table",
    Picture: "figure",
}


@dataclass(frozen=True, slots=True)
class _Identified:
    """A section with the anchor that the table of contents links to."""

    anchor: str
    section: Section


def rendered(page: Page) -> str:
    """Return the page as HTML; text that comes from data is escaped."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    counter = iter(range(10_000))
    environment.filters["svg"] = lambda picture: _inline_svg(picture, next(counter))
    environment.filters["kind"] = lambda part: _KINDS[type(part)]
    sections = [_Identified(f"s{n}", section) for n, section in enumerate(page.sections)]
    return environment.get_template(_TEMPLATE).render(page=page, sections=sections)


def _inline_svg(picture: Picture, number: int) -> Markup:
    """Return the figure as an SVG element for a page that has others.

    Its ids get a prefix, as they must be unique in a page. Lines and text take the colour of the
    page's text, so that they are visible on dark pages.
    """
    from markupsafe import Markup, escape

    svg = picture.svg[picture.svg.index("<svg") :]
    svg = re.sub(r"\s*<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\1f{number}-", svg)
    svg = svg.replace(INK, "currentColor")
    # the size is that of the page's column; the shape is in viewBox
    svg = re.sub(r'(<svg\b[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    label = escape(picture.alternative)
    svg = re.sub(
        r'(<svg\b[^>]*?) width="[^"]*"',
        lambda match: f'{match[1]} role="img" aria-label="{label}"',
        svg,
        count=1,
    )
    return Markup(svg)  # matplotlib has escaped the texts
