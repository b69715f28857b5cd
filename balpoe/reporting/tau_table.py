"""The table of corrections by τ, with τ chosen on images outside the training.

`seeds` holds the corrections of each model; the models differ only in their seed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from rich.console import RenderableType

from balpoe.evaluation.tau_choices import PUBLISHED_TAU, CorrectionName, TauChoice, TauRow
from balpoe.reporting.formatting import FLOOR_NOTE
from balpoe.reporting.post_hoc_tables import CHOICE_METRICS, mean_cell
from balpoe.reporting.table_style import Cell, table_of, text_cell

_NAMES: Final[dict[CorrectionName, str]] = {
    "logit_adjustment": "f - τ·log π",
    "tau_norm": "(f - b)·‖w‖^-τ",
}


def tau_table(seeds: Sequence[Sequence[TauChoice]]) -> RenderableType:
    """Return the table: for each correction τ = 0, the published τ, and the chosen ones."""
    notes = [f"{_NAMES[choice.correction]}: {_origin(choice)}" for choice in seeds[0]]
    return table_of(
        "Scores corrected by τ: chosen on labelled images outside the training",
        _rows(seeds),
        "\n".join((*notes, f"{FLOOR_NOTE}, with classes of equal weight")),
    )


def _rows(seeds: Sequence[Sequence[TauChoice]]) -> Iterator[Iterator[Cell]]:
    for same in zip(*seeds, strict=True):
        name = _NAMES[same[0].correction]
        for tau in (0.0, PUBLISHED_TAU):
            rows = [row for choice in same for row in choice.rows if row.tau == tau]
            yield _cells(name, f"{tau:g}", rows)
        chosen = [choice.chosen for choice in same if choice.chosen is not None]
        if chosen:
            yield _cells(name, f"* {', '.join(f'{row.tau:g}' for row in chosen)}", chosen)


def _cells(name: str, tau: str, rows: Sequence[TauRow]) -> Iterator[Cell]:
    yield text_cell("scores", name, style="bold", no_wrap=True)
    yield text_cell("τ", tau)
    validation = [row.validation for row in rows if row.validation is not None]
    for head, found in (("val", validation), ("test", [row.test for row in rows])):
        for metric in CHOICE_METRICS:
            yield mean_cell(head, metric, found)


def _origin(choice: TauChoice) -> str:
    if choice.chosen is None:
        return f"no choice: {choice.origin}"
    return f"* has the highest balanced accuracy on {choice.origin}"
