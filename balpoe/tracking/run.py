"""What a run in MLflow says besides the records of its trials."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["finished", "failed", "interrupted"]


@dataclass(frozen=True, slots=True)
class Origin:
    """Who started a run, and from which commit of the code; None where it is not known."""

    user: str | None = None
    git_commit: str | None = None
