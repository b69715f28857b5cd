"""The recipe by which exported configurations are trained."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Annotated

from balpoe.config.bounds import Bounded, NotEmpty, Seed
from balpoe.config.configuration import Configuration
from balpoe.config.data import FittedImages
from balpoe.config.fields import Choice
from balpoe.config.parameters import with_parameters
from balpoe.config.plain_data import ADDED_SECTION
from balpoe.config.wording import shown
from balpoe.errors import FieldProblem


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalConfig(Bounded):
    """The recipe of the final training.

    `training` maps paths within the section `training` to new values:
    ``{epochs: 200, augmentation.flip: true}``. With `use_validation: false`, images of a validation
    split of the set's own are not used for training, as published protocols demand that train on
    the training split alone.
    """

    training: dict[str, Choice] = field(default_factory=dict)
    seeds: Annotated[tuple[Seed, ...], NotEmpty("seed")] = (1, 2, 3)
    use_validation: bool = field(default=True, metadata=ADDED_SECTION)

    def further_problems(self) -> Iterator[FieldProblem]:
        """Require distinct seeds: equal seeds give equal models."""
        if len(set(self.seeds)) != len(self.seeds):
            yield FieldProblem("seeds", f"must differ, got {shown(self.seeds)}")

    @property
    def parameters(self) -> dict[str, Choice]:
        """The replaced fields by dotted path."""
        return {f"training.{name}": value for name, value in self.training.items()}

    def applied_to(self, configuration: Configuration) -> Configuration:
        """Return the configuration of the final training.

        Raises:
            InvalidFields: a replaced field does not exist or cannot hold the value.
        """
        final = with_parameters(configuration, self.parameters)
        if self.use_validation or not isinstance(final.data, FittedImages):
            return final
        return replace(final, data=replace(final.data, final_uses_validation=False))
