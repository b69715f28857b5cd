"""The scanned digits: counts, disjoint splits and errors."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from sklearn.datasets import load_digits

from balpoe.data import Images, load_final_splits, load_search_splits
from balpoe.data.sources.digits_lt import DigitsLT
from balpoe.errors import DataError
from balpoe.method.long_tailed_counts import class_counts


def labelled(images: Images) -> Counter[tuple[bytes, int]]:
    pairs = zip(images.images_nhwd.numpy(), images.labels_n.tolist(), strict=True)
    return Counter((image.tobytes(), label) for image, label in pairs)


def test_the_default_tail_runs_from_100_to_5_images() -> None:
    search, final = load_search_splits(DigitsLT()), load_final_splits(DigitsLT())
    assert search.description.class_counts == class_counts(100, 20, 10)
    assert (search.description.class_counts[0], search.description.class_counts[-1]) == (100, 5)
    assert torch.bincount(search.validation.labels_n).tolist() == [30] * 10
    assert torch.bincount(final.test.labels_n).tolist() == [40] * 10
    assert torch.equal(search.train.images_nhwd, final.train.images_nhwd)


@pytest.mark.parametrize("seed", [0, 1])
def test_every_scan_is_used_at_most_once(seed: int) -> None:
    config = DigitsLT(subset_seed=seed)
    search, final = load_search_splits(config), load_final_splits(config)
    used = labelled(search.train) + labelled(search.validation) + labelled(final.test)
    scans = load_digits()
    pixels_nhw = torch.from_numpy(scans.images).mul(255 / 16).round().to(torch.uint8)
    present = Counter(
        (image.tobytes(), int(label))
        for image, label in zip(pixels_nhw.numpy(), scans.target, strict=True)
    )
    assert used <= present
    assert pixels_nhw.min() == 0
    assert pixels_nhw.max() == 255


def test_the_ratio_cuts_training_only() -> None:
    mild = load_search_splits(DigitsLT(imbalance_ratio=2))
    steep = load_search_splits(DigitsLT(imbalance_ratio=50))
    assert labelled(mild.validation) == labelled(steep.validation)
    assert labelled(steep.train) <= labelled(mild.train)
    assert mild.description.fingerprint != steep.description.fingerprint


def test_another_subset_seed_gives_other_images() -> None:
    first, second = (load_search_splits(DigitsLT(subset_seed=seed)) for seed in (0, 1))
    assert labelled(first.train) != labelled(second.train)


def test_a_head_of_more_digits_than_there_are_is_refused_with_the_cure() -> None:
    with pytest.raises(DataError, match="needs 109 images of digit 0, but 108 of its 178"):
        load_search_splits(DigitsLT(head_count=109))


def test_a_ratio_that_empties_a_class_is_refused() -> None:
    with pytest.raises(DataError, match=r"the cut leaves class 9 \(9\) without a training image"):
        load_search_splits(DigitsLT(imbalance_ratio=101))
