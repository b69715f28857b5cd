"""CMO: boxes of rare classes on images of any class (Park et al., CVPR 2022).

Where the paper leaves a choice, the released code (github.com/naver-ai/cmo, `cifar_train.py`) is
followed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from balpoe.config.bounds import Bounds
from balpoe.config.mixing import MIXERS, PartnerSampling
from balpoe.method.mixers.cutmix import BoxMixer


@MIXERS.add
@dataclass(frozen=True, slots=True, kw_only=True)
class ContextRichOversampling(BoxMixer):
    """CutMix with partners of rare classes, from the whole training set.

    A partner is drawn in proportion to n^−r for its class with n images: r = 1 draws all classes
    equally often. The authors use r = 1, α = 1 and probability 0.5, and mix neither in the first
    four nor in the last three epochs; `mixup.until` leaves out the last ones (0.985 of 200).
    """

    name: Literal["cmo"] = "cmo"
    r: Annotated[float, Bounds(at_least=0, at_most=10)] = 1.0

    def partner_sampling(self, class_counts: Sequence[int]) -> PartnerSampling:
        """Return n^−r for an image of each class (`get_weighted_sampler` in the released code)."""
        return PartnerSampling(tuple(n**-self.r for n in class_counts), whole_set=True)
