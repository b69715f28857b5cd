"""Tables of the results of each class from confusions by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.console import RenderableType

from balpoe.evaluation.class_results import ClassResults, ResultsByPrior
from balpoe.reporting.class_tables import class_tables

Lines = Callable[[RenderableType], list[str]]
NAMES, TRAINED = ("robin", "sparrow", "ñandú", "кеа"), (48, 120, 7, 2)
FIRST = ClassResults(4, {(0, 0): 9, (0, 1): 3, (1, 1): 30, (2, 2): 1, (3, 1): 1})
SECOND = ClassResults(4, {(0, 0): 6, (0, 1): 6, (1, 1): 30, (2, 0): 1, (3, 1): 1})


def shown(lines: Lines, seeds: Sequence[ResultsByPrior]) -> list[str]:
    tables = class_tables(seeds, NAMES, TRAINED)
    return [line.strip() for table in tables for line in lines(table)]


def test_classes_are_from_head_to_tail_and_the_worst_is_marked(lines: Lines) -> None:
    text = shown(lines, [ResultsByPrior(FIRST, SECOND)])
    rows = [line.split() for line in text if line.startswith(NAMES)][:4]
    assert rows == [
        ["sparrow", "120", "30", "100.0", "88.2", "100.0", "81.1"],
        ["robin", "48", "12", "75.0", "100.0", "50.0", "85.7"],
        ["ñandú", "7", "1", "100.0", "100.0", "0.0", "–"],
        ["кеа", "2", "1", "0.0", "–", "0.0", "–", "◀", "worst"],
    ]
    assert max(map(len, text)) <= 80


def test_the_confusion_matrix_has_both_priors(lines: Lines) -> None:
    text = shown(lines, [ResultsByPrior(FIRST, SECOND)])
    for prior, images in (("unknown", ["9", "3"]), ("known", ["6", "6"])):
        start = text.index(f"Confusion matrix, prior {prior}")
        matrix = text[start : start + 8]
        assert matrix[2].split() == ["sparrow", "robin", "ñandú", "кеа"]
        robin = next(line for line in matrix if line.startswith("robin"))
        assert robin.split() == ["robin", images[1], images[0], "·", "·"]


def test_title_and_caption_of_a_small_matrix_are_on_one_line(lines: Lines) -> None:
    results = ResultsByPrior(ClassResults(2, {(0, 0): 9, (1, 0): 3}), None)
    tables = class_tables([results, results], ["a", "b"], [2, 1])
    text = [line.strip() for table in tables for line in lines(table)]
    assert "Confusion matrix, prior unknown" in text
    assert "images, sum over 2 seeds; rows: class, columns: predicted class" in text


def test_several_seeds_are_mean_and_sd_and_their_confusions_a_sum(lines: Lines) -> None:
    text = shown(lines, [ResultsByPrior(FIRST, None), ResultsByPrior(SECOND, None)])
    assert text[0] == "Classes from head to tail: mean ± sd, n = 2 seeds"
    robin, summed = (line.split() for line in text if line.startswith("robin"))
    assert robin == ["robin", "48", "12", "62.5±17.7", "92.9±10.1", "–", "–"]
    assert summed == ["robin", "9", "15", "·", "·"]
    assert not any("prior known," in line for line in text)


def test_many_classes_have_their_most_frequent_confusions(lines: Lines) -> None:
    confusion = {(y, y): 5 for y in range(40)} | {(y, 0): y for y in range(1, 40)}
    results = ResultsByPrior(ClassResults(40, confusion), None)
    names = [f"class {y}" for y in range(40)]
    tables = [lines(table) for table in class_tables([results], names, range(40, 0, -1))]
    assert len(tables[0]) >= 40
    pairs = [line.split() for line in tables[1] if line.strip().startswith("class ")][1:]
    assert len(pairs) == 10
    assert pairs[0] == ["class", "39", "class", "0", "39"]


def test_names_of_classes_are_no_markup(lines: Lines) -> None:
    names = ("[/x]", "[bold]b[/bold]", ":smile:", "r")
    tables = class_tables([ResultsByPrior(FIRST, None)], names, TRAINED)
    text = [line for table in tables for line in lines(table)]
    head = next(line for line in text if "[/x]" in line and ":smile:" in line)
    assert head.split() == ["[bold]b[/bold]", "[/x]", ":smile:", "r"]
