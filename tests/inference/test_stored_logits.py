from __future__ import annotations

from pathlib import Path

import pytest
import torch

from balpoe.errors import StorageError
from balpoe.evaluation.prior_estimation import estimate_prior, likelihood_ratios
from balpoe.inference.prediction_file import ScoredImages
from balpoe.inference.stored_logits import StoredLogits
from balpoe.method.losses.logit_adjustment.adjusted_losses import product_of_experts
from balpoe.method.priors import class_prior

PRIOR_C = class_prior((5, 3, 2))


@pytest.fixture
def scored() -> list[ScoredImages]:
    """Batches of 4, 4 and 2 images; two experts, three classes."""
    logits_nec = 3 * torch.randn(10, 2, 3, generator=torch.Generator().manual_seed(0))
    rows: list[int | None] = [None, *range(9)]
    return [
        ScoredImages(
            tuple(f"{n}.png" for n in range(10)[here]), tuple(rows[here]), logits_nec[here]
        )
        for here in (slice(0, 4), slice(4, 8), slice(8, 10))
    ]


def stored(scored: list[ScoredImages], directory: Path) -> StoredLogits:
    return StoredLogits(
        iter(scored), directory, product=product_of_experts, trained_prior_c=PRIOR_C
    )


def test_what_was_stored_comes_back_as_it_was(scored: list[ScoredImages], tmp_path: Path) -> None:
    again = list(stored(scored, tmp_path).batches())
    assert len(again) == 3
    for before, after in zip(scored, again, strict=True):
        assert (after.paths, after.rows) == (before.paths, before.rows)
        assert torch.equal(after.logits_bec, before.logits_bec)


def test_the_estimate_is_that_of_all_logits_in_memory(
    scored: list[ScoredImages], tmp_path: Path
) -> None:
    estimate = stored(scored, tmp_path).estimate_prior()
    product_nc = product_of_experts(torch.cat([batch.logits_bec for batch in scored]))
    expected = estimate_prior(likelihood_ratios(product_nc, trained_prior_c=PRIOR_C))
    assert torch.equal(estimate.prior_c, expected.prior_c)
    assert estimate.iterations == expected.iterations


def test_a_place_that_cannot_be_written_is_named(
    scored: list[ScoredImages], tmp_path: Path
) -> None:
    with pytest.raises(StorageError, match="missing: cannot be written"):
        stored(scored, tmp_path / "missing")
