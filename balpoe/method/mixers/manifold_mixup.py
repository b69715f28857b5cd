"""Manifold mixup: combinations of activations (Verma et al., ICML 2019, section 2).

S steps, B batch, D channels, H height, W width, K layers that can be mixed (from the input on).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final, Literal

from balpoe.config.mixing import MIXERS, Mixed, Mixer, Pairs
from balpoe.config.wording import listed, shown
from balpoe.errors import FieldProblem, UserError
from balpoe.method.mixers.mixup import combined, draw_xi

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from balpoe.config.configuration import Configuration

Layer = Literal["input", "stem", "stage1", "stage2", "stage3"]
_NUMBERS: Final[dict[Layer, int]] = {"input": 0, "stem": 1, "stage1": 2, "stage2": 3, "stage3": 4}


@MIXERS.add
@dataclass(frozen=True, slots=True, kw_only=True)
class ManifoldMixup(Mixer):
    """Mixup of the input or of the output of a layer, drawn for each batch from `layers`.

    The layers are among those that all experts share. The authors use the input and the first two
    stages, α = 2 on CIFAR, and in the released code the binary cross-entropy of the softmax.
    """

    mixes_activations: ClassVar[bool] = True

    name: Literal["manifold_mixup"] = "manifold_mixup"
    layers: tuple[Layer, ...] = ("input", "stage1")

    def further_problems(self) -> Iterator[FieldProblem]:
        """Require at least one layer, and none twice."""
        if not self.layers:
            yield FieldProblem("layers", f"must name at least one of {listed(_NUMBERS)}")
        if len(set(self.layers)) < len(self.layers):
            yield FieldProblem("layers", f"must differ, got {shown(self.layers)}")

    def draw(
        self, alpha: float, steps: int, batch_size: int, generator: np.random.Generator
    ) -> Tensor:
        """Draw ξ of one of the layers; it is 1 for all others: float32 [S, K]."""
        import torch

        numbers = [_NUMBERS[layer] for layer in self.layers]
        xi_sk = torch.ones(steps, 1 + max(numbers))
        mixed_s = torch.from_numpy(generator.choice(numbers, size=steps))
        xi_sk[torch.arange(steps), mixed_s] = draw_xi(alpha, (steps,), generator)
        return xi_sk

    def mix(
        self, images_bdhw: Tensor, partner_images_bdhw: Tensor, drawn: Tensor, pairs: Pairs
    ) -> Mixed:
        """Mix the images by their ξ, which is 1 if another layer is mixed."""
        return Mixed(combined(images_bdhw, partner_images_bdhw, drawn[0]), drawn.amin())

    def mix_activations(
        self, layer: int, activations: Tensor, partner_b: Tensor, drawn: Tensor
    ) -> Tensor:
        """Mix the output of a layer by its ξ, in float32; ξ = 1 changes no bit."""
        if layer not in (_NUMBERS[name] for name in self.layers):
            return activations
        import torch

        own = activations.float()
        channels_last = own.is_contiguous(memory_format=torch.channels_last)
        layout = torch.channels_last if channels_last else torch.contiguous_format
        partners = own.index_select(0, partner_b).contiguous(memory_format=layout)
        return combined(own, partners, drawn[layer]).to(activations.dtype)

    def require_layers(self, shared: Sequence[str]) -> None:
        """Require that the experts share all `layers`."""
        existing = ("input", *shared)
        for layer in self.layers:
            if layer not in existing:
                known = listed(name for name in existing if name in _NUMBERS)
                raise UserError(
                    f"mixing.layers: the experts do not share {layer}: choose among {known}, or "
                    f"another experts.owned_stages or experts.sharing"
                )

    def problems(self, configuration: Configuration) -> Iterator[FieldProblem]:
        """Refuse parts of a batch, in which partners would be missing."""
        if configuration.training.accumulate > 1 and configuration.mixes:
            got = configuration.training.accumulate
            message = f"must be 1: {self.name} mixes the activations of whole batches, got {got}"
            yield FieldProblem("training", message, ("accumulate",))
