"""Invented summaries of predictions, consistent in themselves."""

from __future__ import annotations

import random
from collections.abc import Sequence

from balpoe.evaluation.prediction_summary import (
    BinnedConfidences,
    PredictionSummary,
    ScorerSummary,
    WithoutExpert,
)
from balpoe.method.long_tailed_counts import shot_groups


def invented_summary(
    experts: int = 3,
    classes: int = 5,
    *,
    images: Sequence[int] | None = None,
    names: Sequence[str] | None = None,
    bins: int = 15,
    seed: int = 0,
) -> PredictionSummary:
    """Return a summary with 10 images a class, unless `images` has others, and an imbalance of 100.

    The classes are not in the order of their training images.
    """
    random_numbers = random.Random(seed)
    images = images or [10] * classes
    counts = [max(1, round(500 * 100 ** (-y / max(classes - 1, 1)))) for y in range(classes)]
    random_numbers.shuffle(counts)
    lambdas = [1 - 2 * e / max(experts - 1, 1) if experts > 1 else 0.0 for e in range(experts)]
    confusion: dict[tuple[int, int], int] = {}
    for true, of_class in enumerate(images):
        for _ in range(of_class):
            is_right = random_numbers.random() < 0.4 + counts[true] / 1000
            predicted = true if is_right else random_numbers.randrange(classes)
            confusion[true, predicted] = confusion.get((true, predicted), 0) + 1
    every = [_scorer(lam, counts, images, bins, random_numbers) for lam in (*lambdas, sum(lambdas))]
    return PredictionSummary(
        split="val",
        class_names=tuple(names or (f"class {y}" for y in range(classes))),
        train_counts_c=tuple(counts),
        images_c=tuple(images),
        ensemble=every[-1],
        experts=tuple(every[:-1]),
        confusion=tuple((*pair, number) for pair, number in sorted(confusion.items())),
        disagreement_ee=tuple(
            tuple(0.0 if i == j else 0.1 * abs(i - j) for j in range(experts))
            for i in range(experts)
        ),
        without_expert_e=tuple(
            WithoutExpert(every[-1].balanced_accuracy - 0.02 * (e - 1), 0.05 + 0.01 * e)
            for e in range(experts if experts > 1 else 0)
        ),
    )


def _scorer(
    lam: float,
    counts: Sequence[int],
    images: Sequence[int],
    bins: int,
    random_numbers: random.Random,
) -> ScorerSummary:
    recall_c = [round(random_numbers.random() * n) / n if n else None for n in images]
    known = [recall for recall in recall_c if recall is not None]
    raised = [count**lam for count in counts]
    noisy = [value * random_numbers.uniform(0.7, 1.4) for value in raised]
    groups = {
        group: [recall for y in members if (recall := recall_c[y]) is not None]
        for group, members in shot_groups(counts).items()
    }
    total = sum(images)
    weighted = sum(n * (recall or 0) for n, recall in zip(images, recall_c, strict=True)) / total
    return ScorerSummary(
        lam=lam,
        accuracy=weighted,
        balanced_accuracy=sum(known) / len(known),
        by_images=_binned(total, bins, random_numbers),
        by_classes=_binned(total, bins, random_numbers),
        shot_accuracy={group: sum(rs) / len(rs) for group, rs in groups.items() if rs},
        recall_c=tuple(recall_c),
        predicted_c=tuple(images),
        target_prior_c=tuple(value / sum(raised) for value in raised),
        marginal_c=tuple(value / sum(noisy) for value in noisy),
        kl_to_target_prior=random_numbers.random() / 10,
    )


def _binned(total: int, bins: int, random_numbers: random.Random) -> BinnedConfidences:
    """Return bins of which the lowest is empty, with the ECE and MCE that follow from them."""
    drawn = [random_numbers.randrange(1, bins) for _ in range(total)]
    images = [drawn.count(k) for k in range(bins)]
    confidence = [(k + 0.6) / bins if n else None for k, n in enumerate(images)]
    accuracy = [random_numbers.random() ** 0.5 if n else None for n in images]
    gaps = [abs((a or 0) - (c or 0)) for a, c in zip(accuracy, confidence, strict=True)]
    weight = [n / total for n in images]
    return BinnedConfidences(
        images=tuple(images),
        weight=tuple(weight),
        confidence=tuple(confidence),
        accuracy=tuple(accuracy),
        ece=sum(w * gap for w, gap in zip(weight, gaps, strict=True)),
        mce=max(gaps),
        ece_floor=0.031,
        ece_floor_sd=0.004,
    )
