"""τ-normalisation of the classifiers (Kang et al., ICLR 2020, section 4.2, eq. 3)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Literal

from balpoe.config.bounds import NonNegative
from balpoe.config.fields import WhenSearched
from balpoe.config.second_stage import CHOSEN, SECOND_STAGES, Classifier, SecondStage

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from balpoe.config.configuration import Configuration
    from balpoe.config.model import ModelConfig

CHOSEN_TAU: Final = f"{CHOSEN}tau"
"""The metric of a last epoch that has the chosen τ."""


@SECOND_STAGES.add
@dataclass(frozen=True, slots=True, kw_only=True)
class TauNormalisation(SecondStage):
    """Each weight vector becomes w/‖w‖^τ, and biases are dropped; nothing is trained.

    Without `tau`, the τ of 0, 0.1, … 2 with the highest balanced accuracy of the ensemble on
    labelled images outside the training is chosen. A cosine classifier does not depend on the
    lengths of its weights: there τ has no effect.
    """

    chosen_setting: ClassVar[str] = "second_stage.tau"

    name: Literal["tau_norm"] = "tau_norm"
    tau: Annotated[NonNegative | None, WhenSearched(1.0)] = None

    def balances(self, model: ModelConfig) -> bool:
        """Whether τ has an effect."""
        return model.classifier != "cosine" and self.tau != 0

    def prepare(
        self, classifiers: Sequence[Classifier], generators: Sequence[torch.Generator]
    ) -> None:
        """Normalise the weights of linear classifiers and set their biases to 0."""
        import torch

        from balpoe.method.tau_normalisation import tau_normalised

        with torch.no_grad():
            for classifier in classifiers:
                if classifier.bias is not None:
                    assert self.tau is not None
                    classifier.weight.copy_(tau_normalised(classifier.weight, self.tau))
                    classifier.bias.zero_()

    def chooses(self, configuration: Configuration) -> bool:
        """Whether τ is left out and has an effect."""
        return self.tau is None and configuration.model.classifier != "cosine"

    def chosen(
        self, classifiers: Sequence[Classifier], logits_nec: Tensor, labels_n: Tensor
    ) -> TauNormalisation:
        """Return the stage with the best τ."""
        from balpoe.method.tau_normalisation import tau_normalised_logits
        from balpoe.method.tau_search import best_tau
        from balpoe.models.classifiers import biases_and_norms

        biases_ec, norms_ec = biases_and_norms(classifiers)

        def scores_nc(tau: float) -> Tensor:
            return tau_normalised_logits(logits_nec, biases_ec, norms_ec, tau).mean(dim=1)

        return replace(self, tau=best_tau(scores_nc, labels_n))

    def choices(self) -> Mapping[str, float]:
        """Return τ."""
        return {} if self.tau is None else {CHOSEN_TAU: self.tau}

    def with_choices(self, metrics: Mapping[str, float]) -> TauNormalisation:
        """Return the stage with the τ of a finished training."""
        return replace(self, tau=metrics.get(CHOSEN_TAU, self.tau))

    def warnings(self, configuration: Configuration) -> Iterator[str]:
        """Yield that τ has no effect on a cosine classifier."""
        if configuration.model.classifier == "cosine":
            yield (
                "second_stage: tau_norm changes nothing, because a cosine classifier does not "
                "depend on the lengths of its weights: set model.classifier: linear"
            )
