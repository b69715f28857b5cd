"""The content of a report as plain data: sections of texts, tables and figures."""

from __future__ import annotations

from dataclasses import dataclass

from balpoe.reporting.figures.drawing import Picture
from balpoe.reporting.table_style import CellTable


@dataclass(frozen=True, slots=True)
class Prose:
    """Paragraphs of plain text."""

    paragraphs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Listing:
    """A list of plain texts."""

    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SourceText:
    """The text of a file."""

    text: str


Part = Prose | Listing | SourceText | CellTable | Picture


@dataclass(frozen=True, slots=True)
class Section:
    """A section with a heading; `folded` ones are closed until a reader opens them."""

    heading: str
    parts: tuple[Part, ...]
    folded: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """A report; `subtitle` says what it shows and as of when."""

    title: str
    subtitle: str
    sections: tuple[Section, ...]
