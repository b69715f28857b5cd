"""The inspection of a source of images, as text for the screen and as plain data for JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from balpoe.data.decoding.image_decoding import ImageShape
from balpoe.data.inspection import NEAR_EMPTY, Duplicates, Inspection, SplitInspection
from balpoe.reporting.table_style import Cell, CellTable, table_of, text_cell

_BAR_WIDTH = 30
_MOST_ROWS = 30
_NAMED = 5


def inspection_report(name: str, found: Inspection) -> RenderableType:
    """Return the counts, the doubtful images and the long tail as bars."""
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim")
    for label, text in _facts(found):
        facts.add_row(label, Text(text))
    return Group(Text(f"{name}: {_sizes(found)}", style="bold"), facts, Text(), _tail(found))


def inspection_plain(found: Inspection) -> dict[str, Any]:
    """Return the inspection as plain data, with all duplicates and unreadable images."""
    return {
        "class_names": list(found.class_names),
        "imbalance_ratio": found.imbalance_ratio,
        "shots": {shot: len(classes) for shot, classes in found.shots.items()},
        "near_empty": [found.class_names[y] for y in found.near_empty],
        "ignored_files": dict(found.ignored),
        "splits": {split: _plain_split(of) for split, of in found.splits.items()},
        "duplicates": [_plain_duplicates(found, group) for group in found.duplicates],
    }


def _plain_split(of: SplitInspection) -> dict[str, Any]:
    shapes = sorted(of.shapes.items(), key=lambda item: -item[1])
    return {
        "images": of.images,
        "class_counts": list(of.class_counts),
        "shapes": [{**asdict(shape), "images": images} for shape, images in shapes],
        "unreadable": list(of.unreadable),
    }


def _plain_duplicates(found: Inspection, group: Duplicates) -> list[dict[str, str]]:
    return [
        {"split": copy.split, "class": found.class_names[copy.label], "image": copy.place}
        for copy in group.copies
    ]


def _sizes(found: Inspection) -> str:
    splits = ", ".join(f"{of.images:,} {split}" for split, of in found.splits.items())
    return f"{len(found.class_names)} classes, {splits} images"


def _facts(found: Inspection) -> Iterator[tuple[str, str]]:
    shots = ", ".join(f"{len(classes)} {shot}" for shot, classes in found.shots.items())
    yield "imbalance", f"ratio {found.imbalance_ratio:.4g}; classes: {shots}-shot"
    yield "sizes", _image_sizes(found)
    yield "colours", _channels(found)
    if found.near_empty:
        names = _named(found.class_names[y] for y in found.near_empty)
        yield "near-empty", f"fewer than {NEAR_EMPTY} training images: {names}"
    for split, of in found.splits.items():
        if of.unreadable:
            yield "unreadable", f"{len(of.unreadable)} {split}: {_named(of.unreadable, 2)}"
    if found.ignored:
        yield "ignored", f"no images: {_ignored_files(found)}"
    yield "duplicates", _duplicates(found)


def _shapes(found: Inspection) -> Counter[ImageShape]:
    """The number of images of each shape, over all splits."""
    return sum((Counter(of.shapes) for of in found.splits.values()), Counter())


def _image_sizes(found: Inspection) -> str:
    counts: Counter[str] = Counter()
    for shape, images in _shapes(found).items():
        counts[f"{shape.height}x{shape.width}"] += images
    if not counts:
        return "no image can be decoded"
    if len(counts) == 1:
        return f"all {next(iter(counts))} (height x width)"
    common = ", ".join(f"{size} ({images:,})" for size, images in counts.most_common(_NAMED))
    shorter = [min(shape.height, shape.width) for shape in _shapes(found)]
    return (
        f"{len(counts)} (height x width), the most frequent {common}; shorter side "
        f"{min(shorter)} to {max(shorter)} pixels"
    )


def _channels(found: Inspection) -> str:
    counts: Counter[str] = Counter()
    for shape, images in _shapes(found).items():
        counts["grey" if shape.channels == 1 else "colour"] += images
    return ", ".join(f"{images:,} {kind}" for kind, images in counts.most_common())


def _ignored_files(found: Inspection) -> str:
    kinds = sorted(found.ignored.items(), key=lambda item: -item[1])
    return _named(f"{files} {kind or 'without extension'}" for kind, files in kinds)


def _duplicates(found: Inspection) -> str:
    if not found.duplicates:
        return "none: no two images have equal pixels"
    files = sum(len(group.copies) for group in found.duplicates)
    lines = [f"{files} images have equal pixels with others, in groups: {len(found.duplicates)}"]
    across = [group for group in found.duplicates if group.cross_splits]
    disagreeing = [group for group in found.duplicates if group.disagree]
    for groups, what in ((across, "in several splits"), (disagreeing, "in several classes")):
        if groups:
            places = " and ".join(copy.place for copy in groups[0].copies[:2])
            lines.append(f"{len(groups)} {what}, such as {places}")
    return "\n".join(lines)


def _named(names: Iterable[str], most: int = _NAMED) -> str:
    listed = list(names)
    more = len(listed) - most
    return ", ".join(listed[:most]) + (f" and {more} more" if more > 0 else "")


def _tail(found: Inspection) -> CellTable:
    """The classes from head to tail; of many classes, some at even distances."""
    counts = found.splits["train"].class_counts
    ranked = sorted(range(len(counts)), key=lambda y: -counts[y])
    ranks = _shown_ranks(len(ranked))
    rows = (_class_cells(found, rank, ranked[rank], counts[ranked[0]]) for rank in ranks)
    return table_of("Classes from head to tail", rows)


def _class_cells(found: Inspection, rank: int, y: int, largest: int) -> Iterator[Cell]:
    yield text_cell("rank", str(rank + 1), justify="right")
    yield text_cell("class", found.class_names[y])
    for name, split in found.splits.items():
        yield text_cell(name, f"{split.class_counts[y]:,}", justify="right")
    bar = "█" * round(_BAR_WIDTH * found.splits["train"].class_counts[y] / largest) or "▏"
    yield text_cell("", bar, style="cyan")


def _shown_ranks(classes: int) -> list[int]:
    if classes <= _MOST_ROWS:
        return list(range(classes))
    step = (classes - 1) / (_MOST_ROWS - 1)
    return [round(row * step) for row in range(_MOST_ROWS)]
