"""Tables of the results of each class on the test set, from head to tail, and of confusions.

`seeds` holds the results of each model; the models differ only in their seed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from balpoe.evaluation.class_results import ClassResults, ResultsByPrior
from balpoe.reporting.formatting import NO_VALUE, figures_of_seeds, mean_and_sd
from balpoe.reporting.table_style import Cell, CellTable, number_cell, table_of, text_cell
from balpoe.study.selection.candidates import over_seeds

_MOST_MATRIX_CLASSES = 10
_MOST_CONFUSIONS = 10
_WORST = "◀ worst"

Seeds = Sequence[ResultsByPrior]
Shares = Callable[[ClassResults], Sequence[float | None]]


def class_tables(
    seeds: Seeds, class_names: Sequence[str], class_counts: Sequence[int]
) -> Iterator[CellTable]:
    """Yield the table of classes, then the confusions with the prior unknown and known.

    `class_counts` are the training images of each class; they give the order from head to tail.
    """
    order = sorted(range(len(class_names)), key=lambda y: -class_counts[y])
    worst = _worst(seeds)
    yield table_of(
        f"Classes from head to tail: {figures_of_seeds(len(seeds))}",
        (_class_cells(seeds, y, class_names[y], class_counts[y], y in worst) for y in order),
        "recall: share of the images of a class that are right, its accuracy\n"
        "prec.: precision, share of the predictions of a class that are right; –: no predictions\n"
        "prior known: logits adjusted to the class frequencies of the test set",
        dense=True,  # eight columns fit 80 characters
    )
    known = [seed.known for seed in seeds if seed.known is not None]
    for prior, results in (("unknown", [seed.unknown for seed in seeds]), ("known", known)):
        if results:
            yield _confusion_table(prior, results, [class_names[y] for y in order], order)


def _class_cells(seeds: Seeds, y: int, name: str, trained: int, is_worst: bool) -> Iterator[Cell]:
    yield text_cell("class", name, style="bold")
    yield number_cell("training\nimages", f"{trained:,}")
    yield number_cell("test\nimages", f"{seeds[0].unknown.images_c[y]:,}")
    priors: tuple[tuple[str, list[ClassResults | None]], ...] = (
        ("unknown", [seed.unknown for seed in seeds]),
        ("known", [seed.known for seed in seeds]),
    )
    for prior, by_seed in priors:
        for measure, shares in _MEASURES.items():
            values = [None if results is None else shares(results)[y] for results in by_seed]
            yield number_cell(f"prior\n{prior}\n{measure} %", _mean(values))
    yield text_cell("", _WORST if is_worst else "", style="red", no_wrap=True)


_MEASURES: dict[str, Shares] = {
    "recall": lambda results: results.recall_c,
    "prec.": lambda results: results.precision_c,
}


def _mean(values: Sequence[float | None]) -> str:
    """The mean and standard deviation over the seeds that have a value, a dash without any."""
    measured = [value for value in values if value is not None]
    return mean_and_sd("test/accuracy", over_seeds(measured), "") if measured else NO_VALUE


def _worst(seeds: Seeds) -> set[int]:
    """The classes of the lowest mean recall with the prior unknown; none if all are equal."""
    recalls = {
        y: round(sum(seed.unknown.recall_c[y] or 0.0 for seed in seeds), 9)
        for y, images in enumerate(seeds[0].unknown.images_c)
        if images
    }
    lowest, highest = min(recalls.values()), max(recalls.values())
    return {y for y, recall in recalls.items() if recall == lowest != highest}


def _confusion_table(
    prior: str, seeds: Sequence[ClassResults], names: Sequence[str], order: Sequence[int]
) -> CellTable:
    """The confusion matrix, or the most frequent confusions if there are many classes."""
    images: Counter[tuple[int, int]] = Counter()
    for results in seeds:
        images.update(results.confusion)
    summed = "" if len(seeds) == 1 else f", sum over {len(seeds)} seeds"
    name_of = dict(zip(order, names, strict=True))
    if len(order) <= _MOST_MATRIX_CLASSES:
        return table_of(
            f"Confusion matrix, prior {prior}",
            (_matrix_cells(images, y, name_of) for y in order),
            f"images{summed}; rows: class, columns: predicted class",
            narrow=True,
        )
    confused = Counter({pair: n for pair, n in images.items() if pair[0] != pair[1]})
    most = confused.most_common(_MOST_CONFUSIONS)
    return table_of(
        f"Most frequent confusions, prior {prior}",
        (_pair_cells(name_of[true], name_of[predicted], n) for (true, predicted), n in most)
        if most
        else [_pair_cells("none", "none", 0)],
        f"of {len(confused):,} pairs of classes{summed}",
    )


def _matrix_cells(
    images: Counter[tuple[int, int]], y: int, name_of: dict[int, str]
) -> Iterator[Cell]:
    yield text_cell("", name_of[y], style="bold", overflow="fold")
    for predicted, name in name_of.items():
        yield number_cell(name, f"{images[y, predicted]:,}" if images[y, predicted] else "·")


def _pair_cells(true: str, predicted: str, images: int) -> Iterator[Cell]:
    yield text_cell("class", true, style="bold")
    yield text_cell("predicted as", predicted)
    yield number_cell("images", f"{images:,}")
