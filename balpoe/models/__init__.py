"""Networks: CIFAR-style residual networks, their classifiers, and experts that share layers."""

from balpoe.models.experts import ExpertEnsemble, ExpertNetwork, build_experts

__all__ = ["ExpertEnsemble", "ExpertNetwork", "build_experts"]
