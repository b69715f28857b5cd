"""What trained models are worth: on the test set, and on its long-tailed cuts.

Metrics come by their bare names (`accuracy`, `expert_0/ece`), one mapping per seed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import RenderableType
from rich.table import Table

from balpoe.config import METRICS
from balpoe.reporting.figures import label_with_unit, mean_and_sd, seed_count
from balpoe.study.repeats import over_seeds

_SHIFT_METRICS = ("accuracy", "ece")
_LEFT_OUT = ("balanced_accuracy",)  # the same as accuracy where classes are equally many

Metrics = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class TestSetMetrics:
    """The metrics on one test set, one mapping per seed.

    `name` is `uniform`, `forward 50` and so on; `prior_known` are the metrics with the logits
    adjusted to the test set's own class frequencies.
    """

    name: str
    images: int
    prior_unknown: Sequence[Metrics]
    prior_known: Sequence[Metrics]


def evaluation_table(model: str, test_sets: Sequence[TestSetMetrics]) -> RenderableType:
    """Accuracy and ECE on every test set, without and with its prior; the first set apart."""
    table = _table(f"{model}: {_over_seeds(test_sets[0])}")
    table.caption = "Known prior: logits adjusted to the class frequencies of the test set"
    table.add_column("test set", style="bold", no_wrap=True)
    table.add_column("images", justify="right")
    for prior in ("unknown", "known"):
        for metric in _SHIFT_METRICS:
            table.add_column(f"{label_with_unit(metric)}\nprior {prior}", justify="right")
    for test_set in test_sets:
        cells = (
            _cell(metrics, metric)
            for metrics in (test_set.prior_unknown, test_set.prior_known)
            for metric in _SHIFT_METRICS
        )
        first = test_set is test_sets[0]
        table.add_row(test_set.name, f"{test_set.images:,}", *cells, end_section=first)
    return table


def detail_table(test_set: TestSetMetrics, lambdas: Sequence[float] = ()) -> RenderableType:
    """Every metric on one test set, and with the experts' λs a row for each expert too."""
    seeds = test_set.prior_unknown
    metrics = [name for name in METRICS if name in seeds[0] and name not in _LEFT_OUT]
    table = _table(f"In detail on the {test_set.name} test set: {_over_seeds(test_set)}")
    table.add_column("", style="bold", no_wrap=True)
    for metric in metrics:
        table.add_column(label_with_unit(metric).replace(" ", "\n"), justify="right")
    table.add_row("product", *(_cell(seeds, metric, "\n") for metric in metrics))
    for i, lam in enumerate(lambdas):
        cells = (_cell(seeds, f"expert_{i}/{metric}", "\n") for metric in metrics)
        table.add_row(f"expert {i}\nλ {lam:g}", *cells)
    return table


def _table(title: str) -> Table:
    return Table(
        title=title,
        box=box.SIMPLE_HEAD,
        title_justify="left",
        caption_justify="left",
    )


def _over_seeds(test_set: TestSetMetrics) -> str:
    n = len(test_set.prior_unknown)
    return seed_count(n) if n == 1 else f"mean ± sd over {seed_count(n)}"


def _cell(seeds: Sequence[Metrics], metric: str, separator: str = " ") -> str:
    return mean_and_sd(metric, over_seeds([metrics[metric] for metrics in seeds]), separator)
