"""The style of all tables, and tables that are built row by row from their cells."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from rich import box
from rich.console import Group, RenderableType
from rich.table import Column, Table
from rich.text import Text


class Cell(NamedTuple):
    """The text of one cell, with the column that it is in."""

    column: Column
    text: str


def text_cell(head: str, text: str, **style: Any) -> Cell:
    """A cell below `head`; `style` holds further arguments of Rich's `Column`."""
    return Cell(Column(Text(head), **style), text)


def number_cell(head: str, text: str, *, style: str = "") -> Cell:
    """A number below `head`, whose last word is on a line of its own unless it has lines."""
    head = head if "\n" in head else "\n".join(head.rsplit(" ", 1))
    # folded where space is short: a number with its last digits cut off would be another number
    return Cell(Column(Text(head), justify="right", style=style, overflow="fold"), text)


@dataclass(frozen=True, slots=True)
class CellTable:
    """A table of cells, which Rich renders for a terminal and a report for a page.

    `columns` are the heads with their styles, `rows` the texts below them. A `dense` table has no
    padding, which gives its columns room in a terminal. `rule_after_first` draws a line below the
    first row. In a terminal, a `narrow` table has its title and caption outside of it, where they
    may be wider.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str | None = None
    dense: bool = False
    rule_after_first: bool = False
    narrow: bool = False

    def __rich__(self) -> RenderableType:
        """Return the table in the common style; no text is parsed as markup."""
        table = self._untitled()
        title = Text(self.title, style="bold")
        caption = None if self.caption is None else Text(self.caption, style="table.caption")
        if self.narrow:
            return Group(title, table, caption or Text())
        table.title, table.caption = title, caption
        return table

    def _untitled(self) -> Table:
        table = Table(
            *(replace(column) for column in self.columns),  # Rich keeps the rows in the columns
            title_justify="left",
            caption_justify="left",
            box=box.SIMPLE_HEAD,
            padding=0 if self.dense else (0, 1, 0, 0),
            pad_edge=False,
            header_style="dim",
        )
        for place, row in enumerate(self.rows):
            table.add_row(*map(Text, row), end_section=self.rule_after_first and place == 0)
        return table


def table_of(
    title: str, rows: Iterable[Iterable[Cell]], caption: str | None = None, **options: bool
) -> CellTable:
    """A table of at least one row, all with the same columns; `options` are those of the class."""
    cells = [list(row) for row in rows]
    return CellTable(
        title,
        tuple(cell.column for cell in cells[0]),
        tuple(tuple(cell.text for cell in row) for row in cells),
        caption,
        **options,
    )
