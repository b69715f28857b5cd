"""Colours of figures: visible on light and dark pages, and different for the colour-blind."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from numpy.typing import NDArray

from balpoe.reporting.figures.drawing import MARKERS, PALETTE, line_colours

Colour = str | tuple[float, float, float]
GROUNDS = ("#ffffff", "#f6f6f8", "#202026")
"""Print and the cards of a page in light and dark."""

# linear RGB as people with a kind of colour blindness see it (Machado et al. 2009, severity 1)
SEEN = {
    "all": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "tritanopia": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def _linear(colour: Colour) -> NDArray[np.float64]:
    value = np.array(to_rgb(colour))
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def _lab(linear: NDArray[np.float64]) -> NDArray[np.float64]:
    x, y, z = np.cbrt(XYZ @ np.clip(linear, 0.0, 1.0) / XYZ.sum(axis=1))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def _contrast(colour: Colour, ground: str) -> float:
    """Return the contrast ratio of the Web Content Accessibility Guidelines."""
    low, high = sorted(0.05 + float(XYZ[1] @ _linear(each)) for each in (colour, ground))
    return high / low


@pytest.mark.parametrize("ground", GROUNDS)
def test_series_and_lines_stand_out_from_every_ground(ground: str) -> None:
    lines = [to_rgb(colour) for colour in line_colours()(np.linspace(0, 1, 20))]
    assert min(_contrast(colour, ground) for colour in PALETTE) > 2
    assert min(_contrast(colour, ground) for colour in lines) > 1.6


@pytest.mark.parametrize("seen", SEEN.values(), ids=SEEN)
def test_series_differ_with_every_kind_of_colour_blindness(seen: NDArray[np.float64]) -> None:
    labs = [_lab(seen @ _linear(colour)) for colour in PALETTE]
    assert min(float(np.linalg.norm(a - b)) for a, b in itertools.combinations(labs, 2)) > 15


def test_each_series_has_a_marker_of_its_own() -> None:
    assert len(set(MARKERS)) == len(set(PALETTE)) == len(PALETTE)
