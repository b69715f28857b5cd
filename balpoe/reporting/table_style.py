"""The style of all tables, and tables that are built row by row from their cells."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from rich import box
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


def table_of(title: str, rows: Iterable[Iterable[Cell]], caption: str | None = None) -> Table:
    """A table of at least one row, all with the same columns; no text is parsed as markup."""
    cells = [list(row) for row in rows]
    table = Table(
        *(cell.column for cell in cells[0]),
        title=Text(title, style="bold"),
        title_justify="left",
        caption=None if caption is None else Text(caption, style="table.caption"),
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        header_style="dim",
    )
    for row in cells:
        table.add_row(*(Text(cell.text) for cell in row))
    return table
