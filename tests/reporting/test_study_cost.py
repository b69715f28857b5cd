from __future__ import annotations

from dataclasses import replace

from balpoe.config import StudySpec
from balpoe.reporting.study_cost import cost_lines
from balpoe.study.execution.cost import StudyCost, TrialCost

MEGABYTE = 10**6


def test_the_disk_has_room_for_all_seeds_of_every_trial(spec: StudySpec) -> None:
    trial = TrialCost({"mixup.alpha": 0.2}, epochs=20, seconds=60.0, disk_bytes=MEGABYTE)
    cost = StudyCost(trial, trial, at_a_time=1)
    for repeats, needed in ((1, "12 MB"), (3, "36 MB")):
        *_, disk = cost_lines(replace(spec, repeats=repeats), cost, free_bytes=None)
        assert disk == f"disk            at most {needed} and MLflow's database"
