"""The exact probability of Gaussian pixels that were rounded and clipped to 0..255.

N images, C classes, P pixels of an image, G = 256 grey levels.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from balpoe.errors import NonFiniteError

_VALUES_AT_ONCE = 2**20


def level_log_probabilities(means_p: Tensor, noise: float) -> Tensor:
    """Log-probability of every grey level, float64 [P, G].

    Level g is the interval (g − ½, g + ½) of N(mean, noise²); 0 and 255 also contain
    the clipped tails.

    Raises:
        NonFiniteError: Double precision cannot represent the probabilities for `noise`.
    """
    edges = torch.arange(255, dtype=torch.float64) + 0.5
    z = (edges - means_p.double()[:, None]) / noise
    below, above = torch.special.log_ndtr(z), torch.special.log_ndtr(-z)
    # Subtract on the side of the mean where both terms are small: no cancellation near 1.
    left = z[:, 1:] + z[:, :-1] <= 0
    larger = torch.where(left, below[:, 1:], above[:, :-1])
    smaller = torch.where(left, below[:, :-1], above[:, 1:])
    inner = larger + _log_one_minus_exp(smaller - larger)
    levels_pg = torch.cat([below[:, :1], inner, above[:, -1:]], dim=1)
    if not torch.isfinite(levels_pg).all():
        raise NonFiniteError(
            f"data.noise: {noise} grey levels give probabilities that double precision cannot "
            f"represent: choose a value between 0.1 and 10000"
        )
    return levels_pg


def log_likelihood(images_np: Tensor, means_cp: Tensor, noise: float) -> Tensor:
    """The log-likelihood log P(x|y) of uint8 images under every class, float64 [N, C]."""
    pixels = images_np.shape[1]
    row_starts_p = torch.arange(pixels) * 256
    blocks = torch.split(images_np, max(1, _VALUES_AT_ONCE // pixels))
    columns = []
    for means_p in means_cp:
        levels_pg = level_log_probabilities(means_p, noise)
        sums = [levels_pg.take(row_starts_p + block.long()).sum(1) for block in blocks]
        columns.append(torch.cat(sums))
    return torch.stack(columns, dim=1)


def _log_one_minus_exp(x: Tensor) -> Tensor:
    """log(1 − eˣ) for x < 0, exact to rounding at both ends."""
    near_zero = x > -math.log(2)
    return torch.where(near_zero, torch.log(-torch.expm1(x)), torch.log1p(-torch.exp(x)))
