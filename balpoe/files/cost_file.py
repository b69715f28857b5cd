"""CSV files of costs: a row for each true class, a column for each predicted class.

The first line holds the names of the predicted classes after an empty or arbitrary cell; every
further line the name of a true class and its costs. Rows may have any order.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from balpoe.config.cost import MOST_CLASSES, CostMatrix
from balpoe.config.wording import did_you_mean, shown
from balpoe.errors import ConfigurationError
from balpoe.files.reading import read_document, read_small_file

_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)

_Rows = Mapping[int, Sequence[str]]  # by line, from 1


def read_costs(path: Path) -> CostMatrix:
    """Read the costs in a CSV file.

    Raises:
        ConfigurationError: the file is unreadable or invalid; every problem with its line.
    """
    rows = _cells(path)
    problems = list(_problems(rows))
    if problems:
        raise ConfigurationError([f"{path}:{line}: {message}" for line, message in problems])
    (_, *names), *lines = ([cell.strip() for cell in row] for row in rows.values())
    costs = {name: tuple(map(float, cells)) for name, *cells in lines}
    return CostMatrix(classes=tuple(names), rows=tuple(costs[name] for name in names))


def cost_place(file: Path, name: str) -> str:
    """Return where a study or configuration file has the costs of a class, for messages.

    That is the line of its row in a CSV file (the first line for a class without a row), or the key
    `cost` if the numbers are in the file itself.
    """
    named = read_document(file).content.get("cost")
    if not isinstance(named, str):
        return f"{file} cost"
    rows = _cells(Path(named)).items()
    return f"{named}:{next((line for line, row in rows if row[0].strip() == name), 1)}"


def _cells(path: Path) -> _Rows:
    """Return the cells of every line that is not empty."""
    content = read_small_file(path)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigurationError([f"{path}:{line}: must be UTF-8 text: save it as such"]) from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        numbered = ((reader.line_num, row) for row in reader)
        rows = {line: row for line, row in numbered if any(cell.strip() for cell in row)}
    except csv.Error as error:
        raise ConfigurationError([f"{path}:{reader.line_num}: is not CSV: {error}"]) from error
    if not rows:
        raise ConfigurationError([f"{path}:1: is empty: it must name the predicted classes first"])
    return rows


def _problems(rows: _Rows) -> Iterator[tuple[int, str]]:
    (first, header), *lines = rows.items()
    names = [cell.strip() for cell in header[1:]]
    faults = list(_header_problems(names))
    if faults:
        yield from ((first, message) for message in faults)
        return
    seen: dict[str, int] = {}
    for line, row in lines:
        true = row[0].strip()
        if true not in names:
            hint = did_you_mean(true, names) or ": add its column, or remove the row"
            yield line, f"{shown(true)} is no predicted class of line {first}{hint}"
        elif true in seen:
            yield line, f"{shown(true)} has a row in line {seen[true]} already: keep one"
        else:
            seen[true] = line
        if len(row) - 1 != len(names):
            yield (
                line,
                f"must have {len(names)} costs, one for each class of line {first}, "
                f"got {len(row) - 1}",
            )
        else:
            yield from ((line, message) for message in _number_problems(names, row[1:]))
    for name in names:
        if name not in seen:
            yield first, f"{shown(name)} has a column, but no row: add it"


def _header_problems(names: Sequence[str]) -> Iterator[str]:
    if not names:
        yield (
            "must name the predicted classes after the first cell, separated by commas, got one "
            "cell"
        )
    if len(names) > MOST_CLASSES:
        yield f"must be at most {MOST_CLASSES} classes, got {len(names)}"
        return
    for index, name in enumerate(names):
        if not name:
            yield f"the name in column {index + 2} is empty: write that of a class"
        elif name in names[:index]:
            yield f"{shown(name)} comes twice: keep one column"


def _number_problems(names: Sequence[str], cells: Sequence[str]) -> Iterator[str]:
    for name, cell in zip(names, cells, strict=True):
        cost = float(cell) if _NUMBER.fullmatch(cell.strip()) else math.nan
        if not math.isfinite(cost):
            yield f"the cost of predicting {shown(name)} must be a number, got {shown(cell)}"
        elif cost < 0:
            yield (
                f"the cost of predicting {shown(name)} must be at least 0, got {cell.strip()}: add "
                f"the same number to the whole row, which changes no decision"
            )
