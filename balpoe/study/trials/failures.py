"""The failures of a trial and their classes.

infrastructure  the worker, or a process that decodes its images, died without an exception
departure       the worker's node left the cluster or is out of reach
resource        the memory of the host or of the device did not suffice
storage         the trial's files cannot be written, for example on a full disk
unfit           the worker's node has other software than the driver, or lacks the study's files
                or its data
deterministic   any other exception, or a value that is not finite: it would recur

`retries` says what follows from each.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from balpoe.atomic_write import is_disk_full
from balpoe.errors import StorageError, UserError, WorkerDied

FailureClass = Literal[
    "infrastructure", "departure", "deterministic", "resource", "storage", "unfit"
]

FEWEST_ALIKE = 3

# where memory is short, torch's allocators raise plain RuntimeErrors on the host, and the CUDA
# libraries some of their own
_OUT_OF_MEMORY = ("can't allocate memory", "out of memory", "STATUS_ALLOC_FAILED")
_VARYING = re.compile(r"0x[0-9a-f]+|\b[0-9a-f]{16,}\b|\d[\d.]*(e[+-]?\d+)?")


@dataclass(frozen=True, slots=True)
class Failure:
    """The class of a failure and its reason in one sentence."""

    kind: FailureClass
    reason: str


def failure_of(error: Exception) -> Failure:
    """Return the failure of a trial that raised `error`.

    The messages of this package's errors stand alone; others are preceded by their type.
    """
    reason = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
    if is_disk_full(error):
        reason += "; free some space on that disk"
    return Failure(_class_of(error), reason)


class FirstTrials:
    """Detects that the first trials of a launch all fail alike: then the study is at fault.

    Alike are failures of one class whose reasons differ in numbers at most. The first trials are
    `FEWEST_ALIKE`, or one more than run at a time.
    """

    def __init__(self, concurrent_trials: int) -> None:
        self._left = max(FEWEST_ALIKE, concurrent_trials + 1)
        self._seen: set[tuple[FailureClass, str]] = set()
        self._any_succeeded = False

    def succeeded(self) -> None:
        """Count a trial that did not fail: the study works."""
        self._any_succeeded = True

    def all_fail_alike(self, failure: Failure) -> bool:
        """Count a failed trial; return whether it is the last of the first and all were alike."""
        self._left -= 1
        self._seen.add((failure.kind, _VARYING.sub("#", failure.reason)))
        return self._left == 0 and len(self._seen) == 1 and not self._any_succeeded


def _class_of(error: Exception) -> FailureClass:
    # a full disk counts as well where a library writes its own files: it stops other trials too
    if isinstance(error, StorageError) or is_disk_full(error):
        return "storage"
    if isinstance(error, WorkerDied):
        return "infrastructure"
    return "resource" if _is_out_of_memory(error) else "deterministic"


def _is_out_of_memory(error: Exception) -> bool:
    if isinstance(error, RuntimeError):  # torch.OutOfMemoryError is one
        return any(words in str(error) for words in _OUT_OF_MEMORY)
    return isinstance(error, MemoryError)
