"""What the loss of a training depends on, and the priors that its experts aim at.

E experts, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from balpoe.config import Configuration
from balpoe.config.loss import LossContext
from balpoe.errors import DataError
from balpoe.method.class_weights import class_probabilities, effective_number_weights
from balpoe.method.priors import class_prior, expert_lambdas
from balpoe.training.schedule import epoch_at, progress


def loss_context(
    configuration: Configuration, class_counts: Sequence[int], device: torch.device
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
    model = configuration.model
    return LossContext(
        class_counts=tuple(class_counts),
        prior_c=class_prior(class_counts),
        sampled_prior_c=sampled_c,
        final_weights_c=weights_c,
        lambdas_ex=_lambdas(configuration, len(class_counts)),
        logit_scale=model.cosine_scale if model.classifier == "cosine" else 1.0,
        epochs=training.epochs,
        reweighted_from=reweighted_from,
        device=device,
    )


def expert_target_priors(configuration: Configuration, class_counts: Sequence[int]) -> Tensor:
    """Return the log of the prior that each expert aims at, up to a constant: float64 [E, C].

    It is that of the finished model, after a second stage.
    """
    if configuration.second_stage.balances(configuration):
        return torch.zeros(configuration.experts.count, len(class_counts), dtype=torch.float64)
    context = loss_context(configuration, class_counts, torch.device("cpu"))
    return configuration.loss.log_target_priors(context)


def configured_lambdas(configuration: Configuration) -> tuple[float, ...]:
    """Return the bias λ of each expert of the finished model."""
    experts = configuration.experts
    if configuration.second_stage.balances(configuration):
        return (0.0,) * experts.count
    if experts.lambdas is not None:
        return experts.lambdas
    return expert_lambdas(experts.count, experts.spread, experts.centre)


def _lambdas(configuration: Configuration, classes: int) -> Tensor:
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
