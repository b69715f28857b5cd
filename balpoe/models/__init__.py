"""Networks: Residual networks, their classifiers, and experts that share layers."""

from balpoe.models.experts import ExpertEnsemble, ExpertNetwork, build_experts
from balpoe.models.pretrained import load_pretrained, weights_identity

__all__ = [
    "ExpertEnsemble",
    "ExpertNetwork",
    "build_experts",
    "load_pretrained",
    "weights_identity",
]
