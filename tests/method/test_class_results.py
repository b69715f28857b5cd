"""Recall, precision and confusion of each class against counts by hand."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from balpoe.evaluation.class_counting import class_results
from balpoe.evaluation.class_results import ClassResults, as_plain, from_plain
from balpoe.evaluation.scoring import evaluate
from balpoe.method.priors import class_prior
from tests.scalar_priors import scalar_priors

COUNTS = (60, 20, 4)
PRIOR_C = class_prior(COUNTS)


class Counted(dict[tuple[int, int], int]):
    """A confusion that counts how often all of it is read."""

    reads = 0

    def items(self) -> Any:
        Counted.reads += 1
        return super().items()


def logits(seed: int, images_c: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    labels_n = torch.repeat_interleave(torch.arange(len(images_c)), torch.tensor(images_c))
    generator = torch.Generator().manual_seed(seed)
    logits_nec = torch.randn(len(labels_n), 2, len(images_c), generator=generator)
    logits_nec[torch.arange(len(labels_n)), :, labels_n] += 1
    return logits_nec, labels_n


def test_recall_and_precision_of_a_confusion_by_hand() -> None:
    """Class 2 is never predicted, class 3 has no images."""
    results = ClassResults(4, {(0, 0): 6, (0, 1): 2, (1, 1): 3, (1, 0): 1, (2, 3): 1})
    assert results.images_c == (8, 4, 1, 0)
    assert results.predicted_c == (7, 5, 0, 1)
    assert results.recall_c == (6 / 8, 3 / 4, 0.0, None)
    assert results.precision_c == (6 / 7, 3 / 5, None, 0.0)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("images_c", [(40, 40, 40), (50, 11, 3)])
def test_they_agree_with_the_metrics_with_the_prior_unknown_and_known(
    seed: int, images_c: tuple[int, ...]
) -> None:
    logits_nec, labels_n = logits(seed, images_c)
    found = class_results(logits_nec, labels_n, priors=scalar_priors(PRIOR_C, (1.0, 0.5)))
    shares_c = torch.tensor(images_c) / sum(images_c)
    for results, test_prior_c in ((found.unknown, None), (found.known, shares_c)):
        assert results is not None
        metrics = evaluate(
            logits_nec,
            labels_n,
            priors=scalar_priors(PRIOR_C, (1.0, 0.5)),
            class_counts=COUNTS,
            test_prior_c=test_prior_c,
        ).ensemble
        assert results.images_c == images_c
        assert sum(results.predicted_c) == sum(images_c)
        assert results.recall_c == pytest.approx(metrics.class_accuracy_c.tolist())
        right = sum(images for (true, of), images in results.confusion.items() if true == of)
        assert right / sum(images_c) == pytest.approx(metrics.accuracy)


def test_no_prior_is_known_where_a_class_has_no_images() -> None:
    found = class_results(*logits(0, (5, 5, 0)), priors=scalar_priors(PRIOR_C, (1.0, -1.0)))
    assert found.known is None
    assert found.unknown.recall_c[2] is None


@pytest.mark.parametrize(
    "names", [("cat", "dog | hound", "鳥/ñ"), ("crane", "crane", "owl"), ("a", "a", "a (class 0)")]
)
def test_plain_data_has_the_rows_of_the_confusion_by_name_and_is_read_back(
    names: tuple[str, ...],
) -> None:
    found = class_results(*logits(1, (9, 6, 4)), priors=scalar_priors(PRIOR_C, (1.0, -1.0)))
    plain = json.loads(json.dumps(as_plain(found, names), allow_nan=False))
    assert from_plain(plain) == found
    assert [sum(of["predicted_as"].values()) for of in plain["prior_unknown"]] == [9, 6, 4]
    shown = [section["class"] for section in plain["prior_known"]]
    assert len(set(shown)) == 3
    assert all(found.startswith(name) for found, name in zip(shown, names, strict=True))
    assert shown[2] == names[2] or names[2] == "a (class 0)"


def test_totals_are_summed_once() -> None:
    """Tables read them for each class: 1,000 classes took 6 s."""
    results = ClassResults(2, Counted({(0, 0): 6, (0, 1): 2, (1, 1): 3}))
    for _ in range(100):
        assert results.recall_c == (6 / 8, 1.0)
        assert results.precision_c == (1.0, 3 / 5)
        assert (results.images_c, results.predicted_c) == ((8, 3), (6, 5))
    assert Counted.reads == 2
