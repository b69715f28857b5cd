"""The one look of all tables: a line under the head, two spaces between columns."""

from __future__ import annotations

from rich import box
from rich.table import Table


def plain_table(title: str, caption: str | None = None) -> Table:
    """A table without frame, its title and caption at the left."""
    return Table(
        title=title,
        title_style="bold",
        title_justify="left",
        caption=caption,
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        header_style="dim",
    )


def add_number_column(table: Table, head: str, *, style: str = "") -> None:
    """A column of figures; the last word of its head stands on a line of its own.

    Where space is short a figure goes on below: one with digits cut off would be another.
    """
    table.add_column("\n".join(head.rsplit(" ", 1)), justify="right", style=style, overflow="fold")
