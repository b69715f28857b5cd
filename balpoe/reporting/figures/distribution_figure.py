"""Results on the eleven test distributions with the prior unknown, known and estimated."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Final

from balpoe.config.metrics import metric_table, shift_metrics
from balpoe.config.shifts import PRIOR_SUFFIXES, SHIFTS
from balpoe.reporting.figures.drawing import (
    INK,
    MARKERS,
    MUTED,
    PALETTE,
    Drawing,
    new_figure,
    styled,
)
from balpoe.reporting.formatting import bare_number, label_with_unit, scaled

_WHOLE: Final = ""


@styled
def distribution_results(
    final: Mapping[str, float], subject: str, split: str = "test"
) -> Drawing | None:
    """Return the metrics of the ensemble on every distribution; None if `final` has no shift.

    `subject` names the model. `final` holds metrics such as `test/accuracy` and
    `test_forward_10_known_prior/ece`, as `metrics.json` of a model does.
    """
    places = _places()
    metrics = [
        metric
        for metric in shift_metrics()
        if any(_key(split, shift, "", metric) in final for shift in places if shift != _WHOLE)
    ]
    if not metrics:
        return None
    figure, axes = new_figure(len(metrics), height_inches=0.9 + 1.9 * len(metrics), sharex=True)
    for panel, metric in zip(axes, metrics, strict=True):
        for place, (prior, suffix) in enumerate(PRIOR_SUFFIXES.items()):
            values = [_value(final, _key(split, shift, suffix, metric)) for shift in places]
            if any(value == value for value in values):  # not all are NaN
                panel.plot(
                    range(len(places)),
                    values,
                    marker=MARKERS[place],
                    color=PALETTE[place],
                    label=f"prior {prior}",
                )
        floor = metric_table()[metric].floor
        if floor is not None:
            values = [_value(final, _key(split, shift, "", floor)) for shift in places]
            panel.plot(
                range(len(places)),
                values,
                ":",
                color=INK,
                linewidth=1,
                label="floor, prior unknown",
            )
            panel.set_ylim(bottom=0)
        panel.axvline(places.index(_WHOLE), color=MUTED, linewidth=0.6)
        panel.set_ylabel(label_with_unit(f"{split}/{metric}"))
    axes[-1].set_xticks(
        range(len(places)),
        [f"whole\n{split} set" if place == _WHOLE else place.split("_")[1] for place in places],
    )
    axes[-1].set_xlabel(
        "← forward: head classes frequent   ratio   backward: tail classes frequent →"
    )
    handles, labels = axes[-1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=4)
    return Drawing(
        name=f"{split}_distributions",
        title=f"Test distributions of {subject}",
        caption=(
            "The ensemble on the whole test set and on its long-tailed cuts, whose most frequent "
            "class is as many times as frequent as the rarest one as the ratio says; images of "
            "each distribution weighted as it says. Prior known or estimated: logits adjusted to "
            "the class frequencies. A missing point: a class has no images, or it is not measured. "
            "Floor: mean ECE of perfectly calibrated predictions."
        ),
        alternative=_alternative(final, split, metrics[0]),
        figure=figure,
    )


def _places() -> list[str]:
    forward = sorted((s for s in SHIFTS if s.direction == "forward"), key=lambda s: -s.ratio)
    backward = sorted((s for s in SHIFTS if s.direction == "backward"), key=lambda s: s.ratio)
    return [*(s.name for s in forward), _WHOLE, *(s.name for s in backward)]


def _key(split: str, shift: str, suffix: str, metric: str) -> str:
    name = f"{split}_{shift}" if shift else split
    return f"{name}{suffix}/{metric}"


def _value(final: Mapping[str, float], key: str) -> float:
    """Return a metric as it is drawn: a fraction in percent, NaN if it is missing."""
    return scaled(key, final.get(key, math.nan))


def _alternative(final: Mapping[str, float], split: str, metric: str) -> str:
    return f"{label_with_unit(f'{split}/{metric}')}: " + "; ".join(
        f"prior {prior} {', '.join(told)}"
        for prior, suffix in PRIOR_SUFFIXES.items()
        if (told := list(_extremes(final, split, suffix, metric)))
    )


def _extremes(final: Mapping[str, float], split: str, suffix: str, metric: str) -> Iterable[str]:
    for shift in ("forward_50", _WHOLE, "backward_50"):
        key = _key(split, shift, suffix, metric)
        if key in final:
            name = shift.replace("_", " ") or f"whole {split} set"
            yield f"{name} {bare_number(key, final[key])}"
