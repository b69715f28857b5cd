"""Experts that share all, some or none of their layers (Aimar et al., CVPR 2023).

B batch, D channels of the image, H height, W width, E experts, C classes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from balpoe.config import ExpertsConfig, ModelConfig
from balpoe.models.backbones import Backbone, Layers, backbone
from balpoe.models.classifiers import CosineClassifier, LinearClassifier, classifier

CLASSIFIER = "classifier"


class ExpertNetwork(nn.Module):
    """Layers that all experts share, then for every expert layers of its own.

    `layers` are factories in the order of computation; those from `owned_from` on are made
    once per expert.
    """

    def __init__(self, layers: Layers, *, owned_from: str, count: int) -> None:
        super().__init__()
        names = list(layers)
        split = names.index(owned_from)
        self.shared = _sequential(layers, names[:split])
        self.experts = nn.ModuleList(_sequential(layers, names[split:]) for _ in range(count))

    def forward(self, images_bdhw: Tensor) -> Tensor:
        """Logits float32 [B, E, C]."""
        activations = self.shared(images_bdhw)
        return torch.stack([expert(activations) for expert in self.experts], dim=1)


class ExpertEnsemble(nn.Module):
    """All experts of one model.

    `networks` are the members that are trained on batches of their own: one network with
    all experts, or, for independent experts, one network with one expert each.
    """

    def __init__(self, networks: Sequence[ExpertNetwork]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, images_bdhw: Tensor) -> Tensor:
        """Logits float32 [B, E, C]."""
        return torch.cat([network(images_bdhw) for network in self.networks], dim=1)


def build_experts(
    model: ModelConfig,
    experts: ExpertsConfig,
    *,
    channels: int,
    classes: int,
    generators: Sequence[torch.Generator],
) -> ExpertEnsemble:
    """Experts on the CPU in channels-last format, initialised from `generators` alone.

    One CPU generator per network: `experts.count` for independent experts, one otherwise.
    An independent expert equals, bit for bit, a single expert made from the same generator.
    """
    independent = experts.sharing == "independent"
    below = backbone(model.backbone, channels)
    build = partial(
        ExpertNetwork,
        {**below.layers, CLASSIFIER: partial(classifier, model, below.features, classes)},
        owned_from=_first_owned(experts, below),
        count=1 if independent else experts.count,
    )
    with torch.device("meta"):
        networks = [build() for _ in range(experts.count if independent else 1)]
    for network, generator in zip(networks, generators, strict=True):
        network.to_empty(device="cpu")
        _initialise(network, below, generator)
    return ExpertEnsemble(networks).to(memory_format=torch.channels_last)


def _first_owned(experts: ExpertsConfig, below: Backbone) -> str:
    if experts.sharing == "linear":
        return CLASSIFIER
    return f"stage{below.stages - experts.owned_stages + 1}"


def _sequential(layers: Layers, names: Sequence[str]) -> nn.Sequential:
    return nn.Sequential(OrderedDict((name, layers[name]()) for name in names))


def _initialise(network: ExpertNetwork, below: Backbone, generator: torch.Generator) -> None:
    """Draw every weight, in the order of computation."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode=below.fan, generator=generator)
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()
        elif isinstance(module, CosineClassifier | LinearClassifier):
            module.initialise(generator)
