"""Trends over a parameter, read back from the axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer

from balpoe.config import FloatParameter, IntParameter
from balpoe.reporting.figures.drawing import Drawing
from balpoe.reporting.figures.trend_figures import trends
from balpoe.study.trials.record import TrialRecord
from tests.reporting.figures.invented_study import ACCURACY, ECE, invented_record, invented_spec

SPEC = invented_spec(
    search={
        "mixup.alpha": FloatParameter(low=0.0, high=1.0),
        "experts.centre": FloatParameter(low=-1.0, high=1.0),
        "experts.count": IntParameter(low=1, high=7),
    }
)
KL = "val/kl_to_target_prior"
Drawn = dict[str, list[tuple[float, float, float]]]


def _metrics(n: int) -> dict[str, float]:
    experts = {f"val/expert_{e}/kl_to_target_prior": 0.1 * e + n / 100 for e in range(3)}
    shots = {f"val/accuracy_{g}": 0.9 - 0.1 * p for p, g in enumerate(("many", "medium", "few"))}
    return {ACCURACY: 0.5 + n / 20, ECE: 0.1 - n / 200, KL: n / 50, **experts, **shots}


def _record(n: int, changed: Mapping[str, float] | None = None, repeat: int = 0) -> TrialRecord:
    parameters = {"mixup.alpha": n / 4, "experts.centre": n / 4 - 0.5, "experts.count": n + 1}
    metrics = _metrics(n) | dict(changed or {})
    return invented_record(n, metrics, repeat=repeat, parameters=parameters)


RECORDS = [*(_record(n) for n in range(4)), _record(2, {ACCURACY: 0.7, KL: 0.06}, repeat=1)]


def _drawn(records: Sequence[TrialRecord] = RECORDS) -> dict[str, Drawing]:
    return {drawing.name: drawing for drawing in trends(SPEC, records)}


def _series(axes: Axes) -> Drawn:
    """Return x, mean and sd of each point by the label of its series."""
    found: Drawn = {}
    for group in axes.containers:
        assert isinstance(group, ErrorbarContainer)
        line, _, (bars,) = group.lines
        assert line is not None
        heights = [float(np.ptp(segment[:, 1])) / 2 for segment in bars.get_segments()]
        label = str(group.get_label())
        places = np.asarray(line.get_xydata()).tolist()
        found[label.removeprefix("_nolegend_")] = [
            (x, y, sd) for (x, y), sd in zip(places, heights, strict=True)
        ]
    return found


def _panels(drawing: Drawing) -> Mapping[str, Drawn]:
    return {axes.get_ylabel(): _series(axes) for axes in drawing.figure.axes}


def test_kl_over_alpha_is_drawn_for_the_ensemble_and_each_expert() -> None:
    ensemble, experts = _panels(_drawn()["kl_over_alpha"]).values()
    [points] = ensemble.values()
    sd = 0.02 / np.sqrt(2)  # of 0.04 and 0.06
    expected = [(0.0, 0.0, 0.0), (0.25, 0.02, 0.0), (0.5, 0.05, sd), (0.75, 0.06, 0.0)]
    assert np.array(points) == pytest.approx(np.array(expected))
    assert list(experts) == ["expert 0", "expert 1", "expert 2"]
    assert [y for _, y, _ in experts["expert 2"]] == pytest.approx([0.2, 0.21, 0.22, 0.23])


@pytest.mark.parametrize(
    ("name", "places"),
    [("over_experts", [1, 2, 3, 4]), ("over_mean_lambda", [-0.5, -0.25, 0, 0.25])],
)
def test_accuracy_shots_and_ece_are_drawn_with_their_sd_over_seeds(
    name: str, places: Sequence[float]
) -> None:
    drawing = _drawn()[name]
    accuracy, shots, ece = _panels(drawing).values()
    [points] = accuracy.values()
    expected = [(50.0, 0.0), (55.0, 0.0), (65.0, 10 / np.sqrt(2)), (65.0, 0.0)]  # 60 and 70 % in 2
    assert [x for x, _, _ in points] == places
    assert np.array([each[1:] for each in points]) == pytest.approx(np.array(expected))
    assert {label: {round(y, 6) for _, y, _ in each} for label, each in shots.items()} == {
        "many": {90},
        "medium": {80},
        "few": {70},
    }
    [points] = ece.values()
    assert [y for _, y, _ in points] == pytest.approx([10, 9.5, 9, 8.5])
    assert "over n = 1 or 2 seeds" in drawing.caption


def test_a_changed_record_changes_its_point_alone() -> None:
    changed = [*RECORDS[:3], _record(3, {"val/accuracy_few": 0.1}), *RECORDS[4:]]
    before, after = (_panels(_drawn(r)["over_experts"]) for r in (RECORDS, changed))
    _, before_shots, _ = before.values()
    _, after_shots, _ = after.values()
    assert after_shots["few"][:3] == before_shots["few"][:3]
    assert after_shots["few"][3] == pytest.approx((4, 10, 0))
    assert after_shots["many"] == before_shots["many"]


def test_what_no_trial_has_stored_is_left_out() -> None:
    names = {ACCURACY, ECE, KL}
    bare = [
        replace(
            record,
            history=tuple(
                replace(e, metrics={k: v for k, v in e.metrics.items() if k in names})
                for e in record.history
            ),
        )
        for record in RECORDS
    ]
    drawn = _drawn(bare)
    assert len(_panels(drawn["over_experts"])) == 2
    assert len(_panels(drawn["kl_over_alpha"])) == 1
    assert not drawn["kl_over_alpha"].figure.legends


def test_a_line_joins_the_means_of_trials_with_the_same_value() -> None:
    records = [_record(n % 3) for n in range(6)]
    same = [
        replace(record, identity=replace(record.identity, number=n))
        for n, record in enumerate(records)
    ]
    same[3] = replace(_record(0, {ACCURACY: 0.7}), identity=same[3].identity)
    accuracy, *_ = _drawn(same)["over_experts"].figure.axes
    *_, line = accuracy.lines
    assert np.array(line.get_xydata()) == pytest.approx(np.array([(1, 60), (2, 55), (3, 60)]))


def test_fewer_than_three_values_give_no_figure() -> None:
    assert _drawn(RECORDS[:2]) == {}
