"""What the loss of a training depends on, and the priors that its experts aim at.

E experts, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import torch
from torch import Tensor

from balpoe.config import (
    Configuration,
    ExpertsConfig,
    ModelConfig,
    ReweightingConfig,
    TrainingConfig,
)
from balpoe.config.entry_tables import Table
from balpoe.config.loss import LOSSES, ClassWeights, Loss, LossContext
from balpoe.config.second_stage import SECOND_STAGES, SecondStage
from balpoe.errors import DataError, UserError
from balpoe.json_record import parsed
from balpoe.method.class_weights import class_probabilities, effective_number_weights
from balpoe.method.priors import ExpertPriors, class_prior, expert_lambdas
from balpoe.training.schedule import epoch_at, progress


@dataclass(frozen=True, slots=True, kw_only=True)
class LossSettings:
    """The sections of a configuration that the loss and the priors of its experts depend on."""

    model: ModelConfig
    experts: ExpertsConfig
    training: TrainingConfig
    loss: Loss = field(default_factory=lambda: LOSSES["logit_adjustment"]())
    reweighting: ReweightingConfig = field(default_factory=ReweightingConfig)
    second_stage: SecondStage = field(default_factory=lambda: SECOND_STAGES["none"]())


def stored_settings(configuration: Mapping[str, Any]) -> LossSettings:
    """Return the sections of a configuration that is stored as plain data.

    The augmentation is left out. The data need not be there, nor the packages that define their
    source and the policies of augmentation.

    Raises:
        ValueError: a field is missing, unknown or of the wrong type.
        UserError: no installed package defines the loss or the second stage.
    """
    tables: Mapping[str, Table[Any]] = {"loss": LOSSES, "second_stage": SECOND_STAGES}
    present = {item.name for item in fields(LossSettings)} & configuration.keys()
    sections = {name: configuration[name] for name in present - tables.keys()}
    training = sections["training"].items()
    sections["training"] = {name: value for name, value in training if name != "augmentation"}
    settings = parsed(sections, LossSettings)
    chosen = {
        name: _stored_entry(name, configuration[name], tables[name])
        for name in present & tables.keys()
    }
    return replace(settings, **chosen)


def _stored_entry(section: str, plain: Mapping[str, Any], table: Table[Any]) -> Any:
    settings = table.entries.get(plain["name"])
    if settings is None:
        raise UserError(
            f"{section}.name: nothing is called {plain['name']}: install the package that defined "
            f"it when the model was trained"
        )
    return parsed(plain, settings)


def loss_context(
    configuration: Configuration | LossSettings, class_counts: Sequence[int], device: torch.device
) -> LossContext:
    """Return the properties of a training for its loss.

    Raises:
        DataError: a class has no training images, or `experts.class_lambdas` has other classes.
    """
    training, reweighting = configuration.training, configuration.reweighting
    in_last_epoch = progress(training.epochs - 1, training)
    sampled_c = class_probabilities(training.class_sampling, class_counts, in_last_epoch)
    reweighted_from = epoch_at(reweighting.start, training) if reweighting.beta else None
    is_reweighted = reweighted_from is not None and reweighted_from < training.epochs
    weights_c = effective_number_weights(class_counts, reweighting.beta if is_reweighted else 0.0)
    model, experts = configuration.model, configuration.experts
    return LossContext(
        class_counts=tuple(class_counts),
        prior_c=class_prior(class_counts),
        sampled_prior_c=sampled_c,
        final_weights_c=weights_c,
        lambdas_ex=_lambdas(configuration, len(class_counts)),
        network_experts=1 if experts.sharing == "independent" else experts.count,
        logit_scale=model.cosine_scale if model.classifier == "cosine" else 1.0,
        epochs=training.epochs,
        reweighted_from=reweighted_from,
        device=device,
    )


def class_weights(configuration: Configuration, context: LossContext) -> ClassWeights | None:
    """Return the deferred weights of the section `reweighting` on the device; None without."""
    if context.reweighted_from is None:
        return None
    return ClassWeights(
        context.final_weights_c.to(context.device).float(),
        context.reweighted_from,
        configuration.reweighting.normalisation,
    )


def expert_priors(
    configuration: Configuration | LossSettings, class_counts: Sequence[int]
) -> ExpertPriors:
    """Return the priors that the experts of the finished model aim at, after a second stage.

    Raises:
        DataError: as `loss_context`.
    """
    if _is_balanced_afterwards(configuration):
        uniform_ec = torch.zeros(
            configuration.experts.count, len(class_counts), dtype=torch.float64
        )
        return ExpertPriors(log_priors_ec=uniform_ec, log_drawn_c=uniform_ec[0])
    context = loss_context(configuration, class_counts, torch.device("cpu"))
    return ExpertPriors(
        log_priors_ec=configuration.loss.log_target_priors(context),
        log_drawn_c=context.log_drawn_c,
    )


def scalar_lambdas(configuration: Configuration | LossSettings) -> tuple[float, ...] | None:
    """Return the bias λ of each expert of the finished model.

    None if the loss uses none, or one for each class, or if a second stage balances the experts.
    """
    uses_lambdas = configuration.loss.uses_lambdas and not _is_balanced_afterwards(configuration)
    if not uses_lambdas or configuration.experts.class_lambdas is not None:
        return None
    return configured_lambdas(configuration)


def configured_lambdas(configuration: Configuration | LossSettings) -> tuple[float, ...]:
    """Return the bias λ that `experts` gives each expert, whether or not the loss uses it."""
    experts = configuration.experts
    if experts.lambdas is not None:
        return experts.lambdas
    return expert_lambdas(experts.count, experts.spread, experts.centre)


def _is_balanced_afterwards(configuration: Configuration | LossSettings) -> bool:
    return configuration.second_stage.balances(configuration.model)


def _lambdas(configuration: Configuration | LossSettings, classes: int) -> Tensor:
    """Return the biases of the experts: float64 [E, 1], or one for each class [E, C]."""
    by_class = configuration.experts.class_lambdas
    if by_class is None:
        lambdas = configured_lambdas(configuration)
        return torch.tensor(lambdas, dtype=torch.float64).unsqueeze(1)
    if len(by_class[0]) != classes:
        raise DataError(
            f"experts.class_lambdas: has {len(by_class[0])} classes, the data have {classes}: list "
            f"one number for each class, in the order of the classes"
        )
    return torch.tensor(by_class, dtype=torch.float64)
