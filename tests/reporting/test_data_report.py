"""What people see of a source with more classes, sizes and faults than fit on a screen."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from rich.console import Console

from balpoe.data.decoding.image_decoding import ImageShape
from balpoe.data.inspection import Copy, Duplicates, Inspection, SplitInspection
from balpoe.reporting.data_report import inspection_plain, inspection_report

GREY, COLOUR = ImageShape(8, 8, 1), ImageShape(8, 8, 3)


def inspection(
    counts: Sequence[int],
    shapes: dict[ImageShape, int] | None = None,
    *,
    unreadable: tuple[str, ...] = (),
    duplicates: tuple[Duplicates, ...] = (),
) -> Inspection:
    names = tuple(f"class [{y}]" for y in range(len(counts)))
    split = SplitInspection(tuple(counts), shapes or {COLOUR: sum(counts)}, unreadable)
    return Inspection(names, {"train": split}, duplicates, {".txt": 3, "": 1})


def shown(found: Inspection) -> str:
    console = Console(width=200, color_system=None)
    with console.capture() as capture:
        console.print(inspection_report("birds", found))
    return capture.get()


def test_of_many_classes_thirty_are_shown_head_and_last_among_them() -> None:
    counts = [1000 - 5 * rank for rank in range(150)]
    lines = [line for line in shown(inspection(counts)).splitlines() if "class [" in line]
    ranks = [int(line.split()[0]) for line in lines]
    assert len(ranks) == 30
    assert (ranks[0], ranks[-1]) == (1, 150)
    assert {after - before for before, after in pairwise(ranks)} == {5, 6}


def test_classes_stand_from_head_to_tail_whatever_their_order_and_none_is_without_a_bar() -> None:
    text = shown(inspection([1, 5000, 20]))
    lines = [line for line in text.splitlines() if line.strip()[-1:] in ("█", "▏")]
    assert [line.split()[2] for line in lines] == ["[1]", "[2]", "[0]"]
    assert [line.split()[3] for line in lines] == ["5,000", "20", "1"]
    assert [line.split()[4] for line in lines] == ["█" * 30, "▏", "▏"]


@pytest.mark.parametrize(
    ("shapes", "text"),
    [
        ({COLOUR: 3}, "all 8x8 (height x width)"),
        ({COLOUR: 3, GREY: 2}, "all 8x8 (height x width)"),
        (
            {ImageShape(4, n, 3): n for n in range(2, 9)},
            "7 (height x width), the most frequent 4x8 (8), 4x7 (7), 4x6 (6), 4x5 (5), 4x4 (4); "
            "shorter side 2 to 4 pixels",
        ),
    ],
)
def test_sizes(shapes: dict[ImageShape, int], text: str) -> None:
    assert text in shown(inspection([35, 5], shapes))


def test_unreadable_images_are_counted_and_two_are_named() -> None:
    found = inspection([3, 3], unreadable=("a.png: damaged", "b.png: damaged", "c.png: damaged"))
    assert "3 train: a.png: damaged, b.png: damaged and 1 more" in shown(found)
    assert inspection_plain(found)["splits"]["train"]["unreadable"] == [
        "a.png: damaged", "b.png: damaged", "c.png: damaged"
    ]  # fmt: skip


def test_duplicates_tell_what_is_worst_about_them() -> None:
    twins = Duplicates((Copy("train", 0, "a.png"), Copy("train", 0, "b.png")))
    leak = Duplicates((Copy("train", 0, "c.png"), Copy("test", 0, "d.png")))
    wrong = Duplicates((Copy("train", 0, "e.png"), Copy("train", 1, "f.png")))
    text = shown(inspection([3, 3], duplicates=(twins, leak, wrong)))
    assert "6 images have equal pixels with others, in groups: 3" in text
    assert "1 in several splits, such as c.png and d.png" in text
    assert "1 in several classes, such as e.png and f.png" in text
    assert "none: no two images have equal pixels" in shown(inspection([3, 3]))
