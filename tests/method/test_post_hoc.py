"""Choices after the training against the plain evaluation of logits changed by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from balpoe.config.shifts import SHIFTS
from balpoe.evaluation.distributions import evaluate_distributions
from balpoe.evaluation.post_hoc import PostHocEvaluation, Scaling, Scorer, evaluate_post_hoc
from balpoe.evaluation.prior_estimation import HeldOut, PriorEstimator, estimate_prior
from balpoe.evaluation.scoring import evaluate, evaluate_product
from balpoe.evaluation.temperature import Temperatures
from balpoe.method.calibration_floor import CalibrationFloor, calibration_floor
from balpoe.method.losses.logit_adjustment.adjusted_losses import product_of_experts
from balpoe.method.priors import class_prior, target_prior
from tests.scalar_priors import scalar_priors

COUNTS = (200, 60, 10)
LAMBDAS = (1.0, 0.0, -1.0)
PRIOR_C = class_prior(COUNTS)
TEMPERATURES = Temperatures(ensemble=2.0, experts=(0.5, 1.0, 4.0))
ALL = (0, 1, 2)


@pytest.fixture(scope="module")
def labels_n() -> Tensor:
    return torch.arange(3).repeat(200)


@pytest.fixture(scope="module")
def logits_nec(labels_n: Tensor) -> Tensor:
    return drawn(labels_n, 0)


def drawn(labels_n: Tensor, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    truth_n1c = torch.nn.functional.one_hot(labels_n, 3).float().unsqueeze(1)
    noise_nec = torch.randn(len(labels_n), 3, 3, generator=generator)
    return 3 * (truth_n1c + noise_nec) + torch.tensor(LAMBDAS)[:, None] * PRIOR_C.log().float()


@pytest.fixture(scope="module")
def held_out() -> tuple[Tensor, Tensor]:
    labels_n = torch.arange(3).repeat(50)
    return drawn(labels_n, 1), labels_n


@pytest.fixture(scope="module")
def rows(
    logits_nec: Tensor, labels_n: Tensor, held_out: tuple[Tensor, Tensor]
) -> tuple[PostHocEvaluation, ...]:
    return post_hoc(logits_nec, labels_n, TEMPERATURES, held_out)


def post_hoc(
    logits_nec: Tensor,
    labels_n: Tensor,
    temperatures: Temperatures | None,
    held_out: tuple[Tensor, Tensor] | None = None,
) -> tuple[PostHocEvaluation, ...]:
    return evaluate_post_hoc(
        logits_nec,
        labels_n,
        priors=scalar_priors(PRIOR_C, LAMBDAS),
        class_counts=COUNTS,
        temperatures=temperatures,
        held_out=held_out,
    )


def scalars(
    rows: tuple[PostHocEvaluation, ...], scorer: Scorer, prior: str, distribution: str
) -> dict[str, float]:
    (row,) = (
        row
        for row in rows
        if (row.scorer, row.prior, row.distribution) == (scorer, prior, distribution)
    )
    assert row.metrics is not None
    return dict(row.metrics.values)


def test_every_choice_is_scored_on_every_distribution(
    rows: tuple[PostHocEvaluation, ...], logits_nec: Tensor, labels_n: Tensor
) -> None:
    scorers = [Scorer(ALL), Scorer(ALL, "ensemble"), Scorer(ALL, "experts")]
    subsets = [Scorer((1,)), Scorer((0, 2))]
    assert list(dict.fromkeys(row.scorer for row in rows)) == scorers + subsets
    names = ["test", *(shift.name for shift in SHIFTS)]
    assert list(dict.fromkeys(row.distribution for row in rows)) == names
    assert len(rows) == 11 * (5 * 2 + 1)
    without = post_hoc(logits_nec, labels_n, None)
    assert list(dict.fromkeys(row.scorer for row in without)) == [Scorer(ALL), *subsets]


def test_without_a_choice_it_is_the_final_evaluation(
    rows: tuple[PostHocEvaluation, ...], logits_nec: Tensor, labels_n: Tensor
) -> None:
    plain = evaluate_distributions(
        logits_nec, labels_n, priors=scalar_priors(PRIOR_C, LAMBDAS), class_counts=COUNTS
    )
    for row in plain:
        prior = "known" if row.known_prior else "unknown"
        found = scalars(rows, Scorer(ALL), prior, row.distribution)
        assert row.evaluation is not None
        assert found == pytest.approx(row.evaluation.ensemble.values, rel=1e-6, abs=1e-7)


@pytest.mark.parametrize(
    ("scorer", "factors_e"),
    [
        (Scorer(ALL, "ensemble"), (0.5, 0.5, 0.5)),
        (Scorer(ALL, "experts"), (2.0, 1.0, 0.25)),
        (Scorer((1,)), (0.0, 3.0, 0.0)),
        (Scorer((0, 2)), (1.5, 0.0, 1.5)),
    ],
)
@pytest.mark.parametrize("known", [False, True])
def test_a_choice_is_a_factor_for_each_experts_logits(
    rows: tuple[PostHocEvaluation, ...],
    logits_nec: Tensor,
    labels_n: Tensor,
    scorer: Scorer,
    factors_e: tuple[float, ...],
    known: bool,
) -> None:
    expected = evaluate(
        logits_nec * torch.tensor(factors_e).unsqueeze(1),
        labels_n,
        priors=scalar_priors(PRIOR_C, LAMBDAS),
        class_counts=COUNTS,
        test_prior_c=torch.full((3,), 1 / 3) if known else None,
        is_final=True,
    )
    found = scalars(rows, scorer, "known" if known else "unknown", "test")
    assert found == pytest.approx(expected.ensemble.values, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("scaling", ["ensemble", "experts"])
def test_the_scorer_of_the_training_is_divided_and_keeps_its_target_prior(
    logits_nec: Tensor, scaling: Scaling
) -> None:
    """f = log P(x|y) + λ·log π, overconfident in training: g = T·log P(x|y)π."""
    priors = scalar_priors(PRIOR_C, LAMBDAS)
    scales_e = {"ensemble": (2.0, 2.0), "experts": (0.5, 4.0)}[scaling]
    log_likelihood_nc = logits_nec[:, 0].double()
    scorers_nec = torch.stack(
        [scale * (log_likelihood_nc + PRIOR_C.log()) for scale in scales_e], dim=1
    )
    temperatures = Temperatures(2.0, (0.5, 1.0, 4.0), "training_scorer")
    chosen = priors.training_offsets_ec[[0, 2]]
    all_nec = torch.zeros_like(logits_nec, dtype=torch.float64)
    all_nec[:, [0, 2]] = scorers_nec - chosen
    found = Scorer((0, 2), scaling).logits(all_nec, temperatures, priors)
    expected = log_likelihood_nc + PRIOR_C.log() - chosen.mean(dim=0)
    torch.testing.assert_close(found.log_softmax(dim=1), expected.log_softmax(dim=1))


def test_the_estimated_prior_is_that_of_the_distributions_own_images(
    rows: tuple[PostHocEvaluation, ...],
    logits_nec: Tensor,
    labels_n: Tensor,
    held_out: tuple[Tensor, Tensor],
) -> None:
    estimate = estimate_prior(
        product_of_experts(logits_nec),
        HeldOut(product_of_experts(held_out[0]), held_out[1]),
        trained_prior_c=torch.full((3,), 1 / 3, dtype=torch.float64),
        class_prior_c=PRIOR_C,
    )
    assert estimate.moved
    expected = evaluate(
        logits_nec,
        labels_n,
        priors=scalar_priors(PRIOR_C, LAMBDAS),
        class_counts=COUNTS,
        test_prior_c=estimate.prior_c,
        is_final=True,
    )
    found = scalars(rows, Scorer(ALL), "estimated", "test")
    assert found == pytest.approx(expected.ensemble.values, rel=1e-5, abs=1e-6)


def test_nothing_is_estimated_without_held_out_images(logits_nec: Tensor, labels_n: Tensor) -> None:
    rows = post_hoc(logits_nec, labels_n, TEMPERATURES)
    estimated = [row for row in rows if row.prior == "estimated"]
    assert len(estimated) == 11
    assert all(row.metrics is None for row in estimated)


def test_estimating_the_prior_of_a_long_tail_helps(
    rows: tuple[PostHocEvaluation, ...],
) -> None:
    """The product is exactly calibrated: log P(x|y) of noise with variance 1/3 is 3·x_y."""
    for distribution in ("forward_50", "backward_50"):
        unknown, estimated = (
            scalars(rows, Scorer(ALL), prior, distribution) for prior in ("unknown", "estimated")
        )
        assert estimated["nll"] < unknown["nll"]


def test_a_product_is_scored_once_with_the_numbers_of_the_evaluation_of_its_experts(
    logits_nec: Tensor, labels_n: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    product_nc = product_of_experts(logits_nec[:, :2])
    floors = []

    def counted(*arguments: Tensor) -> CalibrationFloor:
        floors.append(arguments)
        return calibration_floor(*arguments)

    monkeypatch.setattr("balpoe.evaluation.predictions.calibration_floor", counted)
    for test_prior_c in (None, torch.tensor([0.2, 0.3, 0.5])):
        floors.clear()
        found = evaluate_product(
            product_nc,
            labels_n,
            trained_prior_c=target_prior(PRIOR_C, 0.5),
            class_counts=COUNTS,
            test_prior_c=test_prior_c,
            is_final=True,
        )
        assert len(floors) == 1
        expected = evaluate(
            product_nc.unsqueeze(1),
            labels_n,
            priors=scalar_priors(PRIOR_C, (0.5,)),
            class_counts=COUNTS,
            test_prior_c=test_prior_c,
            is_final=True,
        ).ensemble
        assert found.values == expected.values
        assert torch.equal(found.class_accuracy_c, expected.class_accuracy_c)


def test_the_held_out_images_are_calibrated_once(
    logits_nec: Tensor,
    labels_n: Tensor,
    held_out: tuple[Tensor, Tensor],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fitted = []

    class Counted(PriorEstimator):
        def __init__(self, known: HeldOut, *, trained_prior_c: Tensor, class_prior_c: Tensor):
            fitted.append(known)
            super().__init__(known, trained_prior_c=trained_prior_c, class_prior_c=class_prior_c)

    monkeypatch.setattr("balpoe.evaluation.post_hoc.PriorEstimator", Counted)
    post_hoc(logits_nec, labels_n, TEMPERATURES, held_out)
    assert len(fitted) == 1
