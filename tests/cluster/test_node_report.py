"""Faults and remarks about the nodes of a cluster."""

from __future__ import annotations

from balpoe.cluster.node_report import NodeReport, faults, remarks
from balpoe.study.execution.software import CODE, software


def test_sound_nodes_are_passed_over_in_silence() -> None:
    ours = software()
    reports = [NodeReport(name=name, software=ours, sizes={"/d": 7}) for name in "ab"]
    assert list(faults(reports, ours)) == []
    assert list(remarks(reports, ours)) == []


def test_every_fault_of_every_node_has_a_line_with_its_name() -> None:
    ours = software()
    reports = [
        NodeReport(name="a (10.0.0.1)", software=ours, sizes={"/data/train": 7}),
        NodeReport(name="b (10.0.0.2)", software={**ours, CODE: "f" * 64}, is_seen=False),
        NodeReport(name="c (10.0.0.3)", software=ours, sizes={"/data/train": 8}),
        NodeReport(name="d (10.0.0.4)", faults=("does not answer",)),
    ]
    code, unseen, size, silent = faults(reports, ours)
    assert code.startswith(
        f"b (10.0.0.2): {CODE} is ffffffffffffffff, the driver's {ours[CODE][:16]}"
    )
    assert "install the driver's version there" in code
    assert unseen.startswith("b (10.0.0.2): what it writes to the study's directory is not seen")
    assert size.startswith("c (10.0.0.3): /data/train: has the size 8, but 7 on a (10.0.0.1)")
    assert silent == "d (10.0.0.4): does not answer"


def test_a_small_difference_is_a_remark() -> None:
    ours = {**software(), "torch": "2.11.0+cpu"}
    report = NodeReport(name="gpu", software={**ours, "torch": "2.11.0+cu128"})
    assert list(faults([report], ours)) == []
    [remark] = remarks([report], ours)
    assert remark.startswith("gpu: torch is 2.11.0+cu128, the driver's 2.11.0+cpu")


def test_a_clock_that_is_wrong_is_a_remark_with_its_side() -> None:
    ours = software()
    hours = {"ahead": 7200.0, "behind": -7200.0, "right": 1.0}
    reports = [
        NodeReport(name=name, software=ours, ahead_seconds=seconds)
        for name, seconds in hours.items()
    ]
    assert list(faults(reports, ours)) == []
    ahead, behind = remarks(reports, ours)
    assert ahead.startswith("ahead: its clock is at least 7200 seconds ahead of the driver's")
    assert behind.startswith("behind: its clock is at least 7200 seconds behind the driver's")
