"""The table of second stages: what happens to the classifiers after the epochs of `training`.

E experts, N images, C classes, K features.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final, Protocol, Self

from balpoe.config.bounds import Count, NonNegative, Positive
from balpoe.config.entry_tables import Entry, Table
from balpoe.config.loss import LOSSES, Loss
from balpoe.errors import FieldProblem

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from balpoe.config.configuration import Configuration
    from balpoe.config.model import ModelConfig


CHOSEN: Final = "second_stage/"
"""The prefix of the metrics of a last epoch that hold what a second stage chose."""


class Classifier(Protocol):
    """The classifier of an expert."""

    @property
    def weight(self) -> nn.Parameter:
        """The weights [C, K]."""

    @property
    def bias(self) -> nn.Parameter | None:
        """The biases [C]; None for a cosine classifier."""

    @property
    def class_scales(self) -> nn.Parameter | None:
        """What multiplies the logits of each class [C]; None before `add_class_scales`."""

    def initialise(self, generator: torch.Generator) -> None:
        """Draw the first weights from a generator on the CPU."""

    def add_class_scales(self) -> None:
        """Add a scale of 1 for each class."""


@dataclass(frozen=True, eq=False, slots=True)
class TrainedWeights:
    """Weights that a second stage trains, and the factor of their learning rate."""

    weights: Sequence[nn.Parameter]
    rate_factor: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondStage(Entry):
    """The base of the settings of a second stage.

    The first stage is the training without a second one. After its last epoch `prepare` changes
    the classifiers of the experts; all other weights are frozen. A stage with `epochs` then trains
    `trained_weights`: a subclass of `TrainedStage`. `chosen_setting` is the path of the setting
    that `chosen` sets, if there is one.
    """

    name: str
    chosen_setting: ClassVar[str] = ""

    @property
    def further_epochs(self) -> int:
        """The number of epochs; 0 for a stage that trains nothing."""
        return 0

    def balances(self, model: ModelConfig) -> bool:
        """Whether the scores of all experts aim at equal frequencies of the classes afterwards.

        If not, they aim at what those of the first stage aim at. `model` are the settings of the
        network.
        """
        return self.further_epochs > 0

    def prepare(
        self, classifiers: Sequence[Classifier], generators: Sequence[torch.Generator]
    ) -> None:
        """Change the classifiers in place; each has a generator, on the CPU, for random weights.

        The experts of one network share their generator, in their order.
        """
        return

    def chooses(self, configuration: Configuration) -> bool:
        """Whether `chosen` needs labelled images outside the training images."""
        return False

    def chosen(
        self, classifiers: Sequence[Classifier], logits_nec: Tensor, labels_n: Tensor
    ) -> Self:
        """Return the settings with the choices on labelled images.

        `logits_nec` [N, E, C] are those of the classifiers before `prepare`.
        """
        return self

    def choices(self) -> Mapping[str, float]:
        """Return the settings that `chosen` sets, as metrics `second_stage/<setting>`."""
        return {}

    def with_choices(self, metrics: Mapping[str, float]) -> Self:
        """Return the settings with the choices among the metrics of a last epoch."""
        return self

    def problems(self, configuration: Configuration) -> Iterator[FieldProblem]:
        """Yield what else in a configuration does not go with this stage; none by default."""
        return iter(())

    def warnings(self, configuration: Configuration) -> Iterator[str]:
        """Yield what may be a mistake; none by default."""
        return iter(())


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedStage(SecondStage):
    """A second stage that trains on class-balanced draws with a cosine schedule.

    Nothing is mixed and no class weighted. Batches, momentum, precision and augmentation are those
    of `training`, and an epoch has as many images. The momentum starts at 0. With
    `shift_batch_norm` the epochs are normalised by the statistics of their batches, and update the
    running ones: else these are frozen, too.
    """

    epochs: Count
    learning_rate: Positive
    weight_decay: NonNegative
    shift_batch_norm: bool = False

    @property
    def further_epochs(self) -> int:
        """The number of epochs."""
        return self.epochs

    def trained_weights(self, classifiers: Sequence[Classifier]) -> Sequence[TrainedWeights]:
        """Return the weights to train: by default all of the classifiers."""
        weights = [(each.weight, each.bias, each.class_scales) for each in classifiers]
        return [TrainedWeights([one for each in weights for one in each if one is not None])]

    def loss(self) -> Loss:
        """Return the loss of these epochs; by default the cross-entropy."""
        return LOSSES["cross_entropy"]()


SECOND_STAGES = Table(
    SecondStage,
    package="balpoe.training.second_stages",
    group="balpoe.second_stages",
)
