from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from balpoe.errors import StorageError
from balpoe.inference.prediction_file import ScoredImages
from balpoe.inference.stored_logits import StoredLogits
from balpoe.method.losses.logit_adjustment.adjusted_losses import product_of_experts


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
    return StoredLogits(iter(scored), directory)


def test_what_was_stored_comes_back_as_it_was(scored: list[ScoredImages], tmp_path: Path) -> None:
    again = list(stored(scored, tmp_path).batches())
    assert len(again) == 3
    for before, after in zip(scored, again, strict=True):
        assert (after.paths, after.rows) == (before.paths, before.rows)
        assert torch.equal(after.logits_bec, before.logits_bec)


@pytest.mark.parametrize(("most", "step"), [(20, 1), (10, 1), (5, 2), (4, 3), (1, 10)])
def test_the_product_is_that_of_evenly_thinned_images(
    scored: list[ScoredImages],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    most: int,
    step: int,
) -> None:
    monkeypatch.setattr("balpoe.evaluation.prior_estimation.MOST_IMAGES", most)
    product_nc = product_of_experts(torch.cat([batch.logits_bec for batch in scored]))
    found_nc = stored(scored, tmp_path).thinned_product(product_of_experts)
    assert torch.equal(found_nc, product_nc[::step])


def test_a_place_that_cannot_be_written_is_named(
    scored: list[ScoredImages], tmp_path: Path
) -> None:
    with pytest.raises(StorageError, match="missing: cannot be written"):
        stored(scored, tmp_path / "missing")


def test_an_error_of_the_images_is_no_error_of_the_directory(
    scored: list[ScoredImages], tmp_path: Path
) -> None:
    def interrupted() -> Iterator[ScoredImages]:
        yield scored[0]
        raise PermissionError("images/5.png")

    with pytest.raises(PermissionError, match=r"images/5\.png"):
        StoredLogits(interrupted(), tmp_path)
