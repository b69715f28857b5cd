"""F1, top-5 accuracy and expected cost against values by hand and by other libraries."""

from __future__ import annotations

import pytest
import torch
from sklearn.metrics import f1_score, top_k_accuracy_score
from torch import Tensor

from balpoe.evaluation.scoring import Metrics, evaluate
from balpoe.method.decisions import decisions
from balpoe.method.priors import adjust_to_prior, class_prior
from tests.scalar_priors import scalar_priors


def drawn(images_c: tuple[int, ...], seed: int = 0) -> tuple[Tensor, Tensor]:
    labels_n = torch.repeat_interleave(torch.arange(len(images_c)), torch.tensor(images_c))
    generator = torch.Generator().manual_seed(seed)
    logits_n1c = torch.randn(len(labels_n), 1, len(images_c), generator=generator)
    logits_n1c[torch.arange(len(labels_n)), :, labels_n] += 1
    return logits_n1c, labels_n


def scored(
    logits_n1c: Tensor,
    labels_n: Tensor,
    cost_cc: Tensor | None = None,
    test_prior_c: Tensor | None = None,
) -> Metrics:
    counts = tuple(range(logits_n1c.shape[2], 0, -1))
    return evaluate(
        logits_n1c,
        labels_n,
        priors=scalar_priors(class_prior(counts), (0.0,)),
        class_counts=counts,
        cost_cc=cost_cc,
        test_prior_c=test_prior_c,
    ).ensemble


@pytest.mark.parametrize("images_c", [(30, 30, 30), (60, 11, 2, 1)])
def test_macro_f1_is_that_of_scikit_learn(images_c: tuple[int, ...]) -> None:
    logits_n1c, labels_n = drawn(images_c)
    predicted_n = logits_n1c[:, 0].argmax(dim=1)
    expected = f1_score(labels_n, predicted_n, average="macro")
    assert scored(logits_n1c, labels_n).macro_f1 == pytest.approx(expected)


def test_macro_f1_is_a_mean_over_the_classes_that_have_images() -> None:
    """Class 2 has none, but image 3 is predicted to be of it."""
    predicted_n = torch.tensor([0, 0, 0, 2, 1, 0])
    logits_n1c = 9 * torch.nn.functional.one_hot(predicted_n, 3).float().unsqueeze(1)
    f1_0, f1_1 = 2 * 3 / (4 + 4), 2 * 1 / (1 + 2)
    found = scored(logits_n1c, torch.tensor([0, 0, 0, 0, 1, 1]))
    assert found.macro_f1 == pytest.approx((f1_0 + f1_1) / 2)


def test_confidence_is_the_mean_of_the_highest_probability_over_images() -> None:
    logits_n1c, labels_n = drawn((60, 11, 2))
    prior_c = torch.tensor([3, 2, 1], dtype=torch.float64) / 6
    for test_prior_c, offset_c in ((None, 0), (prior_c, (3 * prior_c).log())):
        probabilities_nc = (logits_n1c[:, 0].double() + offset_c).softmax(dim=1)
        found = scored(logits_n1c, labels_n, test_prior_c=test_prior_c)
        assert found.confidence == pytest.approx(float(probabilities_nc.amax(dim=1).mean()))


def test_the_five_most_probable_count_from_100_classes_on() -> None:
    logits_n1c, labels_n = drawn((2,) * 100)
    expected = top_k_accuracy_score(labels_n, logits_n1c[:, 0], k=5)
    assert scored(logits_n1c, labels_n).top_5_accuracy == pytest.approx(expected)
    assert "top_5_accuracy" not in scored(*drawn((2,) * 99)).values


COST_CC = torch.tensor([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [20.0, 20.0, 0.0]], dtype=torch.float64)


def test_the_decision_is_the_class_of_least_expected_cost() -> None:
    probabilities_bc = torch.tensor([[0.9, 0.06, 0.04], [0.5, 0.44, 0.06], [0.1, 0.8, 0.1]])
    assert decisions(probabilities_bc, None).tolist() == [0, 0, 1]
    # 0.96 for class 2 against 0.86 for class 0; 0.94 against 1.64; 0.9 against 2.1
    assert decisions(probabilities_bc, COST_CC).tolist() == [0, 2, 2]
    assert decisions(probabilities_bc, 1 - torch.eye(3).double()).tolist() == [0, 0, 1]


@pytest.mark.parametrize("known", [False, True])
def test_expected_cost_is_the_mean_cost_of_the_decisions(known: bool) -> None:
    logits_n1c, labels_n = drawn((40, 9, 3))
    logits_nc, test_prior_c = logits_n1c[:, 0].double(), None
    if known:
        test_prior_c = torch.tensor([40, 9, 3]).double() / 52
        uniform_c = torch.full((3,), 1 / 3).double()
        logits_nc = adjust_to_prior(logits_nc, trained_prior_c=uniform_c, test_prior_c=test_prior_c)
    decided = decisions(logits_nc.softmax(dim=1), COST_CC).tolist()
    costs = [float(COST_CC[y, d]) for y, d in zip(labels_n.tolist(), decided, strict=True)]
    found = scored(logits_n1c, labels_n, COST_CC, test_prior_c)
    assert found.expected_cost == pytest.approx(sum(costs) / 52)
    by_class = (sum(costs[:40]) / 40, sum(costs[40:49]) / 9, sum(costs[49:]) / 3)
    assert found.balanced_expected_cost == pytest.approx(sum(by_class) / 3)


def test_decisions_by_cost_cost_less_than_the_most_probable_class() -> None:
    logits_n1c, labels_n = drawn((400, 90, 30))
    adjusted_nc = logits_n1c[:, 0] + torch.tensor([400, 90, 30]).log()
    found = scored(logits_n1c, labels_n, COST_CC, torch.tensor([400, 90, 30]).double() / 520)
    most_probable = COST_CC[labels_n, adjusted_nc.argmax(dim=1)].mean()
    assert found.expected_cost < 0.8 * float(most_probable)


def test_without_costs_there_is_no_expected_cost_and_errors_of_cost_1_are_the_error_rate() -> None:
    logits_n1c, labels_n = drawn((40, 9, 3))
    plain = scored(logits_n1c, labels_n)
    assert not {"expected_cost", "balanced_expected_cost"} & set(plain.values)
    errors = scored(logits_n1c, labels_n, 1 - torch.eye(3).double())
    assert errors.expected_cost == pytest.approx(1 - plain.accuracy)
    assert errors.balanced_expected_cost == pytest.approx(1 - plain.balanced_accuracy)
