"""Faults and remarks about the nodes of a cluster, from their reports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from balpoe.study.execution.software import Software, differences_text
from balpoe.study.storage.host import MUST_BE_SHARED, Host

WRONG_CLOCK_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeReport:
    """The result of inspecting one node.

    Attributes:
        name: The node's host name and address, for messages.
        host: The node's host, None if it gave no answer.
        software: The node's software, None if it gave no answer.
        faults: The faults that the node itself found.
        is_seen: Whether the driver can read what the node wrote to the study's directory.
        sizes: The size of each data file by its path.
        ahead_seconds: The least time by which its clock is ahead of the driver's; negative if
            it is behind.
    """

    name: str
    host: Host | None = None
    software: Software | None = None
    faults: tuple[str, ...] = ()
    is_seen: bool = True
    sizes: Mapping[str, int] = field(default_factory=dict)
    ahead_seconds: float = 0.0


def faults(reports: Sequence[NodeReport], ours: Software) -> Iterator[str]:
    """One line for each reason why a node cannot run trials, with a hint."""
    reference: dict[str, tuple[int, str]] = {}
    for report in reports:
        found = [*_differences(report, ours, decisive=True), *report.faults]
        if not report.is_seen and not report.faults:
            found.append(
                "what it writes to the study's directory is not seen by the driver: the directory "
                f"{MUST_BE_SHARED}"
            )
        for path, size in report.sizes.items():
            expected, where = reference.setdefault(path, (size, report.name))
            if size != expected:
                found.append(
                    f"{path}: has the size {size}, but {expected} on {where}; copy the same data "
                    f"to both"
                )
        yield from (f"{report.name}: {fault}" for fault in found)


def remarks(reports: Sequence[NodeReport], ours: Software) -> Iterator[str]:
    """One line for each difference that does not exclude a node: its software, its clock."""
    for report in reports:
        found = [*_differences(report, ours, decisive=False), *_wrong_clock(report)]
        yield from (f"{report.name}: {difference}" for difference in found)


def _wrong_clock(report: NodeReport) -> Iterator[str]:
    if abs(report.ahead_seconds) >= WRONG_CLOCK_SECONDS:
        side = "ahead of" if report.ahead_seconds > 0 else "behind"
        yield (
            f"its clock is at least {abs(report.ahead_seconds):.0f} seconds {side} the driver's, "
            f"which the study uses; set it, or use NTP"
        )


def _differences(report: NodeReport, ours: Software, *, decisive: bool) -> Iterator[str]:
    if report.software is not None:
        differing = differences_text(ours, report.software, decisive=decisive)
        if differing is not None:
            yield differing
