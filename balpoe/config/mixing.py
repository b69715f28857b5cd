"""The table of mixers: how the images of a batch are mixed, and their labels with them."""

from __future__ import annotations

from dataclasses import dataclass

from balpoe.config.tables import Entry, Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixer(Entry):
    """The settings of a mixer beside its strength, which is `mixup.alpha`; abstract."""

    name: str


MIXERS = Table(Mixer, package="balpoe.method.mixers", group="balpoe.mixers")
