from __future__ import annotations

import numpy as np
import pytest
from matplotlib.collections import PathCollection

from balpoe.reporting.figures.confidence_figure import confidence_over_epochs
from balpoe.reporting.figures.drawing import Drawing
from balpoe.training.epoch import EpochResult


def history(experts: int, epochs: int = 4) -> list[EpochResult]:
    prefixes = ["val/", *(f"val/expert_{e}/" for e in range(experts))]
    return [
        EpochResult(
            epoch,
            0.0,
            {
                f"{prefix}{name}": (epoch + place) / 20 + shift
                for place, prefix in enumerate(prefixes)
                for name, shift in (("confidence", 0.1), ("accuracy", 0.0))
            },
        )
        for epoch in range(1, epochs + 1)
    ]


def points(drawing: Drawing) -> list[list[tuple[float, float]]]:
    """Return the points of each panel."""
    return [
        [(x, y) for x, y in np.round(np.asarray(collection.get_offsets()), 6).tolist()]
        for axes in drawing.figure.axes
        for collection in axes.collections
        if isinstance(collection, PathCollection)
    ]


@pytest.mark.parametrize(("experts", "panels"), [(0, 1), (1, 1), (2, 3), (3, 4), (7, 8)])
def test_each_evaluated_epoch_is_a_point_for_each_scorer(experts: int, panels: int) -> None:
    epochs = [*history(experts), EpochResult(5, 0.0, {"train/loss": 1.0})]
    drawing = confidence_over_epochs(epochs, "trial 3")
    assert drawing is not None
    drawing.picture(png=True)
    found = points(drawing)
    assert len(found) == panels
    assert found[0] == [(15, 5), (20, 10), (25, 15), (30, 20)]
    assert all(len(panel) == 4 for panel in found)
    assert "4 evaluated epochs" in drawing.caption
    assert "confidence of the ensemble is 30.0 %" in drawing.alternative


def test_another_value_moves_a_point() -> None:
    epochs = history(3)
    changed = [
        *epochs[:-1],
        EpochResult(4, 0.0, {**epochs[-1].metrics, "val/expert_1/accuracy": 0.9}),
    ]
    drawing = confidence_over_epochs(changed, "trial 3")
    assert drawing is not None
    assert points(drawing)[2][-1] == (40, 90)


def test_no_figure_without_confidences() -> None:
    assert confidence_over_epochs([], "trial 3") is None
    assert confidence_over_epochs([EpochResult(1, 0.0, {"val/accuracy": 0.5})], "trial 3") is None
