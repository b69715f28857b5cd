"""What is wrong with the nodes of a cluster, from what they said of themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from balpoe.study.execution.software import Software, differences_text
from balpoe.study.storage.host import MUST_BE_SHARED, Host

WRONG_CLOCK_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeReport:
    """One node that was inspected; `name` as users know it.

    `host` is where it runs. `faults` it found itself. `is_seen`: whether the driver reads in the
    study's directory what the node wrote there. `sizes` are those of the data's files by path.
    `ahead_seconds` is how far its clock is ahead of the driver's at least; negative: behind. A
    node that gave no answer has no host and no software.
    """

    name: str
    host: Host | None = None
    software: Software | None = None
    faults: tuple[str, ...] = ()
    is_seen: bool = True
    sizes: Mapping[str, int] = field(default_factory=dict)
    ahead_seconds: float = 0.0


def faults(reports: Sequence[NodeReport], ours: Software) -> Iterator[str]:
    """A line for each reason why a node could not run trials, with its cure."""
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
    """A line for what differs on a node and decides nothing: its software, its clock."""
    for report in reports:
        found = [*_differences(report, ours, decisive=False), *_wrong_clock(report)]
        yield from (f"{report.name}: {difference}" for difference in found)


def _wrong_clock(report: NodeReport) -> Iterator[str]:
    if abs(report.ahead_seconds) >= WRONG_CLOCK_SECONDS:
        side = "ahead of" if report.ahead_seconds > 0 else "behind"
        yield (
            f"its clock is at least {abs(report.ahead_seconds):.0f} seconds {side} the driver's, "
            f"by which the study goes; set it, or have NTP do so"
        )


def _differences(report: NodeReport, ours: Software, *, decisive: bool) -> Iterator[str]:
    if report.software is not None:
        differing = differences_text(ours, report.software, decisive=decisive)
        if differing is not None:
            yield differing
