from __future__ import annotations

import json
import math
from pathlib import Path

from balpoe.reporting.figures.distribution_figure import distribution_results
from balpoe.reporting.figures.drawing import Drawing

FIXTURE = Path(__file__).parents[2] / "fixtures/0.1.0-ffff8c1/natural/model/metrics.json"
FINAL: dict[str, float] = json.loads(FIXTURE.read_text())["final"]
RATIOS = (50, 25, 10, 5, 2)
SETS = (
    *(f"test_forward_{ratio}" for ratio in RATIOS),
    "test",
    *(f"test_backward_{ratio}" for ratio in reversed(RATIOS)),
)


def drawn(final: dict[str, float]) -> Drawing:
    drawing = distribution_results(final, "natural")
    assert drawing is not None
    drawing.picture(png=True)
    return drawing


def series(drawing: Drawing) -> dict[str, list[list[float]]]:
    """Return the values of each panel and each line by its label."""
    found: dict[str, list[list[float]]] = {}
    for axes in drawing.figure.axes:
        for line in axes.get_lines():
            found.setdefault(str(line.get_label()), []).append(list(line.get_ydata()))  # type: ignore[arg-type]
    return found


def test_accuracy_and_ece_of_the_eleven_distributions_are_drawn() -> None:
    lines = series(drawn(FINAL))
    for prior, suffix in (("prior unknown", ""), ("prior known", "_known_prior")):
        for values, metric in zip(lines[prior], ("accuracy", "ece"), strict=True):
            expected = [100 * FINAL[f"{name}{suffix}/{metric}"] for name in SETS]
            assert values == expected
    assert lines["floor, prior unknown"][-1] == [100 * FINAL[f"{n}/ece_floor"] for n in SETS]
    assert "prior estimated" not in lines


def test_another_value_moves_one_point() -> None:
    changed = {**FINAL, "test_backward_25/ece": 0.5}
    before, after = (series(drawn(final))["prior unknown"] for final in (FINAL, changed))
    assert before[0] == after[0]
    moved = [i for i, pair in enumerate(zip(before[1], after[1], strict=True)) if len({*pair}) > 1]
    assert moved == [SETS.index("test_backward_25")]


def test_an_estimated_prior_is_drawn_where_it_was_measured() -> None:
    estimated = {"test_forward_50_estimated_prior/accuracy": 0.75, "test/accuracy": 0.5}
    lines = series(drawn({**FINAL, **estimated}))
    values = lines["prior estimated"][0]
    assert values[0] == 75
    assert all(math.isnan(value) for value in values[1:])


def test_the_text_alternative_has_the_extremes() -> None:
    text = drawn(FINAL).alternative
    for name in ("test_forward_50", "test", "test_backward_50"):
        assert f"{100 * FINAL[f'{name}/accuracy']:.1f}" in text


def test_a_model_without_shifts_has_no_figure() -> None:
    assert distribution_results({}, "natural") is None
    assert distribution_results({"test/accuracy": 0.5, "test/ece": 0.1}, "natural") is None
