"""Checks of logits and labels, with errors that name the place and a fix.

B batch, E experts, C classes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from balpoe.errors import DataError, NonFiniteError


def refuse_non_finite_logits(logits_bec: Tensor) -> None:
    """Raise `NonFiniteError` with the number of NaN or infinite logits of each expert."""
    if logits_bec.numel() == 0:
        return
    extremes = torch.stack(torch.aminmax(logits_bec))  # without a mask of the size of the logits
    if torch.isfinite(extremes).all():  # NaN is both extremes
        return
    bad_e = (~torch.isfinite(logits_bec)).sum(dim=(0, 2)).tolist()
    each = logits_bec.shape[0] * logits_bec.shape[2]
    owners = ", ".join(f"{bad} of expert {i}" for i, bad in enumerate(bad_e) if bad)
    raise NonFiniteError(
        f"logits: {owners} (of {each} each) are NaN or infinite and cannot be scored: "
        "the training has diverged, lower the learning rate"
    )


def refuse_labels_ruled_out(images_c: Tensor, test_prior_c: Tensor) -> None:
    """Raise `DataError` if the test prior is 0 for a class that has images."""
    ruled_out_c = (test_prior_c == 0) & (images_c > 0)
    if ruled_out_c.any():
        first = int(ruled_out_c.nonzero()[0])
        raise DataError(
            f"class {first} has {int(images_c[first])} images in the split, but the test prior "
            "gives it probability 0: give it one above 0"
        )
