"""Experts that share all, some or none of their layers (Aimar et al., CVPR 2023).

B batch, D channels of the image, H height, W width, E experts, C classes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from balpoe.config import ExpertsConfig, ModelConfig
from balpoe.config.model import BackboneFamily, BackboneLayers, family_of
from balpoe.models.classifiers import (
    CLASS_SCALES,
    CosineClassifier,
    LinearClassifier,
    ScaledClassifier,
    classifier,
)
from balpoe.models.initialisation import materialise

CLASSIFIER = "classifier"

Layers = Mapping[str, Callable[[], nn.Module]]
"""Factories of a network's layers by name, in the order of computation."""


class ExpertNetwork(nn.Module):
    """Layers that all experts share, followed by layers of each expert.

    The layers from `owned_from` on are made once per expert.
    """

    def __init__(self, layers: Layers, *, owned_from: str, count: int) -> None:
        super().__init__()
        names = list(layers)
        split = names.index(owned_from)
        self.shared = _sequential(layers, names[:split])
        self.experts = nn.ModuleList(_sequential(layers, names[split:]) for _ in range(count))

    def forward(self, images_bdhw: Tensor) -> Tensor:
        """Return logits float32 [B, E, C]."""
        activations = self.shared(images_bdhw)
        return torch.stack([expert(activations) for expert in self.experts], dim=1)

    @property
    def classifiers(self) -> tuple[ScaledClassifier, ...]:
        """The classifier of each expert."""
        return tuple(expert.get_submodule(CLASSIFIER) for expert in self.experts)  # type: ignore[misc]  # made by `classifier`


class ExpertEnsemble(nn.Module):
    """All experts of one model.

    Each of the `networks` is trained on batches of its own: one network with all experts, or,
    for independent experts, one network per expert.
    """

    networks: Sequence[ExpertNetwork]

    def __init__(self, networks: Sequence[ExpertNetwork]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)  # type: ignore[assignment]  # a sequence of them

    def forward(self, images_bdhw: Tensor) -> Tensor:
        """Return logits float32 [B, E, C]."""
        return torch.cat([network(images_bdhw) for network in self.networks], dim=1)

    @property
    def classifiers(self) -> tuple[ScaledClassifier, ...]:
        """The classifier of each expert."""
        return tuple(each for network in self.networks for each in network.classifiers)

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Copy the weights of an ensemble of the same layers, with its scales of classes if any.

        Raises:
            RuntimeError: the layers are others.
        """
        if any(name.endswith(f"{CLASSIFIER}.{CLASS_SCALES}") for name in weights):
            for each in self.classifiers:
                if each.class_scales is None:
                    each.add_class_scales()
        self.load_state_dict(dict(weights))


def build_experts(
    model: ModelConfig,
    experts: ExpertsConfig,
    *,
    channels: int,
    classes: int,
    generators: Sequence[torch.Generator],
) -> ExpertEnsemble:
    """Build experts on the CPU in channels-last format, initialised from `generators` alone.

    One CPU generator per network: `experts.count` for independent experts, one otherwise.
    An independent expert equals, bit for bit, a single expert made from the same generator.

    Raises:
        UserError: the backbone leaves a parameter or buffer uninitialised.
    """
    family = family_of(model.backbone)
    assert family is not None
    backbone = family.layers(model.backbone, channels)
    independent = experts.sharing == "independent"
    build = partial(
        ExpertNetwork,
        _layers(backbone) | {CLASSIFIER: partial(classifier, model, backbone.features, classes)},
        owned_from=_first_owned(experts, len(backbone.stages)),
        count=1 if independent else experts.count,
    )
    with torch.device("meta"):
        networks = [build() for _ in range(experts.count if independent else 1)]
    for network, generator in zip(networks, generators, strict=True):
        materialise(network, partial(_initialise, network, family), generator)
    return ExpertEnsemble(networks).to(memory_format=torch.channels_last)


def _layers(backbone: BackboneLayers) -> dict[str, Callable[[], nn.Module]]:
    stages = {f"stage{number}": stage for number, stage in enumerate(backbone.stages, start=1)}
    return {"stem": backbone.stem, **stages, "pool": backbone.pool}


def _first_owned(experts: ExpertsConfig, stages: int) -> str:
    if experts.sharing == "linear":
        return CLASSIFIER
    return f"stage{stages - experts.owned_stages + 1}"


def _sequential(layers: Layers, names: Sequence[str]) -> nn.Sequential:
    return nn.Sequential(OrderedDict((name, layers[name]()) for name in names))


def _initialise(network: ExpertNetwork, family: BackboneFamily, generator: torch.Generator) -> None:
    """Set every layer, in the order of computation."""
    for part in (network.shared, *network.experts):
        for layer in part.children():
            if isinstance(layer, CosineClassifier | LinearClassifier):
                layer.initialise(generator)
            else:
                family.initialise(layer, generator)
