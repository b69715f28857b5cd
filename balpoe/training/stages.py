"""The stages of a training: epochs with a configuration of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from balpoe.config import Configuration, MixupConfig, ReweightingConfig
from balpoe.config.mixing import MIXERS
from balpoe.config.second_stage import SECOND_STAGES, SecondStage, TrainedStage, TrainedWeights
from balpoe.models.experts import ExpertEnsemble
from balpoe.training.schedule import learning_rates
from balpoe.training.streams import classifier_generator, network_seed


@dataclass(frozen=True, slots=True)
class Stage:
    """Epochs from `first_epoch` (from 0) on, trained by `configuration`, which has no second stage.

    `second` are the settings of a second stage, None in the first one.
    """

    configuration: Configuration
    first_epoch: int = 0
    second: TrainedStage | None = None

    @property
    def end(self) -> int:
        """The epoch (from 0) that follows the last one."""
        return self.first_epoch + self.configuration.training.epochs

    def learning_rate(self, epoch: int) -> float:
        """Return the learning rate of an epoch (from 0, of the whole training)."""
        return learning_rates(self.configuration.training)[epoch - self.first_epoch]


def stages_of(configuration: Configuration) -> tuple[Stage, ...]:
    """Return the stages that have epochs, one or two, in their order."""
    first, second = first_stage(configuration), configuration.second_stage
    if not isinstance(second, TrainedStage):
        return (Stage(first),)
    training = replace(
        first.training,
        epochs=second.epochs,
        learning_rate=second.learning_rate,
        weight_decay=second.weight_decay,
        schedule="cosine",
        warmup=0.0,
        class_sampling="class_balanced",
    )
    retrained = replace(
        first,
        training=training,
        loss=second.loss(),
        mixup=MixupConfig(),
        mixing=MIXERS["none"](),
        reweighting=ReweightingConfig(),
    )
    return Stage(first), Stage(retrained, first.training.epochs, second)


def first_stage(configuration: Configuration) -> Configuration:
    """Return the configuration without its second stage."""
    return replace(configuration, second_stage=SECOND_STAGES["none"]())


def prepare(stage: SecondStage, experts: ExpertEnsemble, seed: int) -> None:
    """Change the classifiers of a training with `seed` as the second stage does, in place."""
    generators = []
    for number, network in enumerate(experts.networks):
        generator = classifier_generator(network_seed(seed, number))
        generators += [generator] * len(network.classifiers)
    stage.prepare(experts.classifiers, generators)


def trained_weights(
    second: TrainedStage | None, experts: ExpertEnsemble
) -> Sequence[TrainedWeights]:
    """Return the weights that a stage trains, and freeze all others; all in the first stage."""
    if second is None:
        return [TrainedWeights(list(experts.parameters()))]
    groups = second.trained_weights(experts.classifiers)
    trained = {id(weight) for group in groups for weight in group.weights}
    for parameter in experts.parameters():
        parameter.requires_grad_(id(parameter) in trained)
    return groups
