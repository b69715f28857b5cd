"""The configuration of one training: data, network, experts, mixup and optimisation.

Defaults are the standard CIFAR recipe of the paper (Section 4.2) without augmentation, because
the right augmentation depends on the images.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal

from balpoe.config.augmentation import AugmentationConfig
from balpoe.config.bounds import (
    Bounded,
    Bounds,
    Count,
    Fraction,
    NonNegative,
    Positive,
    Real,
)
from balpoe.config.cost import CostMatrix
from balpoe.config.data import DataSource
from balpoe.config.loss import LOSSES, EffectiveNumberBeta, Loss, WeightNormalisation
from balpoe.config.mixing import DEFAULT_MIXER, MIXERS, Mixer
from balpoe.config.model import ModelConfig
from balpoe.config.plain_data import ADDED, ADDED_SECTION
from balpoe.config.second_stage import SECOND_STAGES, SecondStage
from balpoe.config.wording import shown
from balpoe.errors import FieldProblem

Sharing = Literal["shared", "independent", "linear"]
ClassSampling = Literal["image", "class_balanced", "square_root", "progressive"]
Precision = Literal["auto", "float32", "tf32", "bfloat16"]
_LISTS_OF_BIASES: Final = ("lambdas", "class_lambdas")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpertsConfig(Bounded):
    """The number of experts, their biases λ, and the layers that they share.

    The biases are `count` equidistant values from `centre + spread` down to `centre - spread`
    (a single expert has `centre`), unless `lambdas` lists them. With `sharing: shared` each
    expert owns the last `owned_stages` stages and its classifier: two stages in the released
    code; the supplement states one for the large data sets.

    `class_lambdas` has a bias for each class (in their order), for each expert (Theorem 1).
    """

    count: Count = 3
    spread: NonNegative = 1.0
    centre: Real = 0.0
    lambdas: tuple[Real, ...] | None = None
    sharing: Sharing = "shared"
    owned_stages: Annotated[int, Bounds(at_least=1, at_most=3)] = field(default=2, metadata=ADDED)
    class_lambdas: tuple[tuple[Real, ...], ...] | None = field(default=None, metadata=ADDED_SECTION)

    @property
    def listed_biases(self) -> str | None:
        """The field that lists the biases, instead of `spread` and `centre`; None without one."""
        given = (name for name in _LISTS_OF_BIASES if getattr(self, name) is not None)
        return next(given, None)

    def further_problems(self) -> Iterator[FieldProblem]:
        """Require one λ, or one list of them, per expert, and lists of the same length."""
        for name in _LISTS_OF_BIASES:
            values = getattr(self, name)
            if values is not None and len(values) != self.count:
                message = f"must be as many as count ({self.count}), got {len(values)}"
                yield FieldProblem(name, message)
        if self.class_lambdas is not None:
            if self.lambdas is not None:
                yield FieldProblem("class_lambdas", "replaces lambdas: leave one of them out")
            lengths = sorted({len(lambdas) for lambdas in self.class_lambdas})
            if len(lengths) > 1:
                message = f"must list as many classes for every expert, got {shown(lengths)}"
                yield FieldProblem("class_lambdas", message)


@dataclass(frozen=True, slots=True, kw_only=True)
class MixupConfig(Bounded):
    """The strength of mixing: ξ ~ Beta(α, α); α = 0 switches mixing off (ERM).

    Mixing stops after the share `until` of the epochs.
    """

    alpha: NonNegative = 0.0
    until: Fraction = field(default=1.0, metadata=ADDED_SECTION)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReweightingConfig(Bounded):
    """Class weights from the share `start` of the epochs on (deferred re-weighting, DRW).

    The weights are (1 − β)/(1 − β^n), scaled to a mean of 1 over the classes, for n training images
    of a class (Cui et al., CVPR 2019, eq. 2, and Cao et al., NeurIPS 2019, section 3.3); β = 0
    switches them off. `normalisation` divides the weighted sum of losses by the weights of the
    `batch`, as the released code, or by its number of `images`, as Cui et al.
    """

    beta: EffectiveNumberBeta = 0.0
    start: Fraction = 0.8
    normalisation: WeightNormalisation = "batch"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig(Bounded):
    """SGD with momentum and its schedule.

    `warmup` and `milestones` are fractions of `epochs`, so that the schedule keeps its shape
    when the number of epochs changes. `evaluate_every` is in epochs; the last epoch is always
    evaluated.

    `accumulate` is the number of parts in which the gradients of a batch are computed; memory
    holds the activations of one part. The step equals that of the whole batch, except for batch
    normalisation: each part is normalised by its own statistics, and each part updates the
    running statistics.

    `precision` is the format of convolutions and matrix products; `auto` is bfloat16 where the
    device has hardware for it, else float32.

    `class_sampling` says how the images of an epoch are drawn. Each `image` is visited once; or
    classes are drawn (`class_balanced`: equally often; `square_root`: in proportion to √n;
    `progressive`: from in proportion to n in the first to equally often in the last epoch), and
    images within a class in turn. Every epoch has as many images (Kang et al., ICLR 2020,
    section 4.1).
    """

    epochs: Count = 200
    batch_size: Count = 128
    learning_rate: Positive = 0.1
    momentum: Fraction = 0.9
    nesterov: bool = True
    weight_decay: NonNegative = 5e-4
    schedule: Literal["multistep", "cosine"] = "multistep"
    warmup: Fraction = 0.025
    milestones: tuple[Fraction, ...] = (0.8, 0.9)
    decay: Positive = 0.1
    precision: Precision = "auto"
    evaluate_every: Count = 1
    accumulate: Count = field(default=1, metadata=ADDED)
    class_sampling: ClassSampling = field(default="image", metadata=ADDED_SECTION)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)

    def further_problems(self) -> Iterator[FieldProblem]:
        """Require ascending milestones, momentum for Nesterov and no empty part of a batch."""
        if tuple(sorted(self.milestones)) != self.milestones:
            yield FieldProblem("milestones", f"must ascend, got {shown(self.milestones)}")
        if self.nesterov and self.momentum == 0:
            yield FieldProblem("nesterov", "needs a momentum above 0: set nesterov: false")
        if self.accumulate > self.batch_size:
            message = f"must be at most batch_size ({self.batch_size}), got {self.accumulate}"
            yield FieldProblem("accumulate", message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration(Bounded):
    """Everything that determines a training and its metrics, except its seed.

    `cost` gives the metric `expected_cost` and the decisions of the model; it changes no training.
    """

    data: DataSource
    model: ModelConfig = field(default_factory=ModelConfig)
    experts: ExpertsConfig = field(default_factory=ExpertsConfig)
    mixup: MixupConfig = field(default_factory=MixupConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    loss: Loss = field(default_factory=lambda: LOSSES["logit_adjustment"](), metadata=ADDED_SECTION)
    mixing: Mixer = field(default_factory=lambda: MIXERS[DEFAULT_MIXER](), metadata=ADDED_SECTION)
    reweighting: ReweightingConfig = field(
        default_factory=ReweightingConfig, metadata=ADDED_SECTION
    )
    second_stage: SecondStage = field(
        default_factory=lambda: SECOND_STAGES["none"](), metadata=ADDED_SECTION
    )
    cost: CostMatrix | None = field(default=None, metadata=ADDED_SECTION)

    @property
    def mixes(self) -> bool:
        """Whether images are mixed, in the epochs before `mixup.until`."""
        return self.mixing.mixes and self.mixup.alpha > 0

    @property
    def epochs(self) -> int:
        """The number of epochs of both stages."""
        return self.training.epochs + self.second_stage.further_epochs

    def further_problems(self) -> Iterator[FieldProblem]:
        """Yield what does not go with the loss, the mixer or the second stage."""
        yield from self.loss.problems(self)
        yield from self.mixing.problems(self)
        yield from self.second_stage.problems(self)
        pairs = self.mixes and not self.mixing.pairs_with_whole_set
        if pairs and self.training.batch_size == 1:
            message = f"must be at least 2: {self.mixing.name} pairs the images of a batch, got 1"
            yield FieldProblem("training", message, ("batch_size",))
        by_batch = self.reweighting.beta and self.reweighting.normalisation == "batch"
        if by_batch and self.training.accumulate > 1:
            message = "batch needs the weights of whole batches: set accumulate: 1, or images here"
            yield FieldProblem("reweighting", message, ("normalisation",))
