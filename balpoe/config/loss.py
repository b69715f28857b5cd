"""The table of losses: by what an expert is trained."""

from __future__ import annotations

from dataclasses import dataclass

from balpoe.config.tables import Entry, Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss(Entry):
    """The settings of a loss; abstract."""

    name: str


LOSSES = Table(Loss, package="balpoe.method.losses", group="balpoe.losses")
