"""Estimation of the class frequencies of unlabelled images from their predictions.

B batch, N images, C classes. Frequencies that maximise the likelihood of the predicted images
(Saerens, Latinne and Decaestecker 2002) follow the errors of a scorer that is not calibrated: they
made every natural set worse that was measured. The estimate here corrects and distrusts the scorer
by predictions of the same model for labelled images that it was not trained on.

1. Calibration. f is the scorer with the target prior P_λ̄, π the training prior, and
   g = f + log π − log P_λ̄ its logits towards π. softmax(β·g + b + log r/π) is fitted to the
   held-out images, with r their class frequencies, one scale β and an offset b for every class
   (Alexandari, Kundaje and Shrikumar 2020). The likelihood of class c is exp(β·g_c + b_c)/π_c.
2. Test. Where the predicted images have the frequencies π, the mean of their posteriors is that of
   the held-out images weighted to π, whatever the errors of the model are. A Hotelling test with
   the variances of both samples compares the means. Unless it rejects at `LEVEL`, the estimate is
   π.
3. Estimate. With θ = log q/π, the maximum of α·Σ_n log Σ_c q_c·w_nc − |θ|²/2s². The power
   α = M/(M + N), with M held-out images, counts the errors of the calibration. The variance s² of
   the log ratios, 0 and 0.01 to 10, is that of the highest evidence (Laplace's approximation).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from balpoe.errors import DataError
from balpoe.evaluation.input_checks import refuse_non_finite_logits
from balpoe.method.calibration_bins import refuse_impossible_labels

LEVEL = 0.01
"""The probability of a wrong rejection of the training prior."""

MOST_IMAGES = 20_000
"""More predicted images are thinned evenly: the held-out images limit the estimate."""

_VARIANCES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
_INTERVAL_VARIANCE = 3.0
_TOLERANCE = 1e-4  # in nats, of all images
_MAX_ITERATIONS = 100
_SHORTEST_STEP = 1e-6
_MOST_ELEMENTS = 2**23  # of the logits of a sample: 64 MiB in float64
_LEAST_VARIANCE = 1e-18  # of a mean of posteriors; constant posteriors have about 1e-33 by rounding
_NORMAL_QUANTILE = 1.959964


@dataclass(frozen=True, eq=False, slots=True)
class HeldOut:
    """Predictions of a scorer for labelled images that it was not trained on.

    `logits_nc` are its logits [N, C], `labels_n` int64 [N].
    """

    logits_nc: Tensor
    labels_n: Tensor


@dataclass(frozen=True, eq=False, slots=True)
class PriorEstimate:
    """Estimated class frequencies.

    Attributes:
        prior_c: The estimate, float64 [C], sum 1.
        low_c: The lower end of an interval of about 95 % for each class [C].
        high_c: The upper end [C].
        moved: Whether the images support other frequencies than the training prior. If not, the
            estimate is the training prior.
        p_value: The p-value of the test of the training prior.
        variance: The variance s² of log(frequency/training prior) that the images support: a
            small one shrinks the estimate strongly towards the training prior. 0 if not moved.
        images: The number of images that the estimate uses.
        held_out: The number of held-out images that the estimate uses.
        iterations: The Newton steps of the last fit.
        gap: The expected improvement of the objective by another step, in nats per image.
        converged: Whether the gaps of this fit and of that of the calibration are below the
            tolerance.
    """

    prior_c: Tensor
    low_c: Tensor
    high_c: Tensor
    moved: bool
    p_value: float
    variance: float
    images: int
    held_out: int
    iterations: int
    gap: float
    converged: bool


def thinning(images: int, classes: int) -> int:
    """Return k such that every k-th image of a large set is enough for the estimate."""
    most = min(MOST_IMAGES, max(1, _MOST_ELEMENTS // classes))
    return max(1, math.ceil(images / most))


def estimate_prior(
    logits_nc: Tensor, held_out: HeldOut, *, trained_prior_c: Tensor, class_prior_c: Tensor
) -> PriorEstimate:
    """Estimate the class frequencies of the images with these logits [N, C].

    The arguments and errors are those of `PriorEstimator`.
    """
    estimator = PriorEstimator(
        held_out, trained_prior_c=trained_prior_c, class_prior_c=class_prior_c
    )
    return estimator.estimate(logits_nc)


class PriorEstimator:
    """Estimates class frequencies from the logits of one scorer, whose calibration is fitted once.

    Many held-out images are thinned evenly in each class.

    Args:
        held_out: The predictions of the scorer for held-out images.
        trained_prior_c: The target prior P_λ̄ [C] of the scorer.
        class_prior_c: The training prior π [C], towards which estimates are shrunk.

    Raises:
        DataError: there are no held-out images, or a label is no class.
        NonFiniteError: a logit is NaN or infinite.
    """

    def __init__(
        self, held_out: HeldOut, *, trained_prior_c: Tensor, class_prior_c: Tensor
    ) -> None:
        if len(held_out.logits_nc) == 0:
            raise DataError(
                "there are no held-out images: a prior cannot be estimated without them"
            )
        refuse_non_finite_logits(held_out.logits_nc.unsqueeze(1))
        refuse_impossible_labels(held_out.labels_n, len(class_prior_c))
        known = _thinned(held_out, len(class_prior_c))
        self._prior_c = class_prior_c.to(torch.float64)
        self._scorer = _calibrated(known, trained_prior_c.to(torch.float64), self._prior_c)
        self._labels_n = known.labels_n
        self._posteriors_nc = self._posteriors(self._scorer.log_likelihoods(known.logits_nc))

    def estimate(self, logits_nc: Tensor) -> PriorEstimate:
        """Estimate the class frequencies of the images with these logits [N, C] of the scorer.

        `thinning` bounds their number.

        Raises:
            DataError: there are no images.
            NonFiniteError: a logit is NaN or infinite.
        """
        prior_c = self._prior_c
        likelihoods_nc, p_value = self._tested(logits_nc)
        posterior = self._posterior(likelihoods_nc)
        best = posterior.most_evident()
        moved = p_value <= LEVEL and best.variance > 0
        estimate_c = best.prior_c if moved else prior_c
        low_c, high_c = posterior.interval()
        images = len(logits_nc)
        return PriorEstimate(
            prior_c=estimate_c,
            low_c=torch.minimum(low_c, estimate_c),
            high_c=torch.maximum(high_c, estimate_c),
            moved=moved,
            p_value=p_value,
            variance=best.variance if moved else 0.0,
            images=images,
            held_out=len(self._labels_n),
            iterations=best.iterations,
            gap=best.gap / images,
            converged=self._scorer.converged and best.gap <= _TOLERANCE,
        )

    def prior(self, logits_nc: Tensor) -> Tensor:
        """Return `estimate(logits_nc).prior_c`, float64 [C], without what it does not depend on."""
        likelihoods_nc, p_value = self._tested(logits_nc)
        if p_value > LEVEL:
            return self._prior_c
        best = self._posterior(likelihoods_nc).most_evident()
        return best.prior_c if best.variance > 0 else self._prior_c

    def _tested(self, logits_nc: Tensor) -> tuple[Tensor, float]:
        """Return the likelihoods [N, C], at most 1, and the p-value of the training prior."""
        if len(logits_nc) == 0:
            raise DataError("there are no images to estimate a prior from: give at least one")
        refuse_non_finite_logits(logits_nc.unsqueeze(1))
        log_likelihoods_nc = self._scorer.log_likelihoods(logits_nc)
        p_value = _p_value(
            self._posteriors(log_likelihoods_nc),
            self._posteriors_nc,
            self._labels_n,
            self._prior_c,
        )
        highest_n1 = log_likelihoods_nc.amax(dim=-1, keepdim=True)
        return (log_likelihoods_nc - highest_n1).exp(), p_value

    def _posterior(self, likelihoods_nc: Tensor) -> _Posterior:
        known = len(self._labels_n)
        return _Posterior(likelihoods_nc, self._prior_c, known / (known + len(likelihoods_nc)))

    def _posteriors(self, log_likelihoods_nc: Tensor) -> Tensor:
        return (log_likelihoods_nc + self._prior_c.log()).softmax(dim=-1)


def _thinned(held_out: HeldOut, classes: int) -> HeldOut:
    """Return every k-th image of each class, with at least one of a class that has images."""
    step = thinning(len(held_out.labels_n), classes)
    if step == 1:
        return held_out
    ends_c = torch.bincount(held_out.labels_n, minlength=classes).cumsum(dim=0)
    by_class = held_out.labels_n.argsort(stable=True).tensor_split(ends_c[:-1].tolist())
    kept_n = torch.cat([indices_n[::step] for indices_n in by_class])
    return HeldOut(held_out.logits_nc[kept_n], held_out.labels_n[kept_n])


@dataclass(frozen=True, eq=False, slots=True)
class _Calibrated:
    """log P(x|c) = scale·logits + shift_c, up to a constant for each image."""

    scale: float
    shift_c: Tensor
    converged: bool

    def log_likelihoods(self, logits_nc: Tensor) -> Tensor:
        return self.scale * logits_nc.to(torch.float64) + self.shift_c


def _calibrated(held_out: HeldOut, trained_prior_c: Tensor, prior_c: Tensor) -> _Calibrated:
    """Fit β and b by Newton's method, with normal priors of variance 1 around β = 1 and b = 0."""
    labels_n, classes = held_out.labels_n, len(prior_c)
    towards_c = prior_c.log() - trained_prior_c.log()
    logits_nc = held_out.logits_nc.to(torch.float64) + towards_c
    logits_nc = logits_nc - logits_nc.mean(dim=-1, keepdim=True)
    counts_c = torch.bincount(labels_n, minlength=classes)
    shares_c = (counts_c + 0.5) / (counts_c + 0.5).sum()
    fixed_c = shares_c.log() - prior_c.log()
    centre = torch.zeros(classes + 1, dtype=torch.float64)
    centre[0] = 1

    def objective(free: Tensor) -> float:
        scores_nc = free[0] * logits_nc + fixed_c + free[1:]
        misfit = torch.nn.functional.cross_entropy(scores_nc, labels_n, reduction="sum")
        return -float(misfit) - float((free - centre).square().sum()) / 2

    free, value, converged = centre, objective(centre), False
    right_n = logits_nc.gather(1, labels_n.unsqueeze(1)).squeeze(1)
    for _ in range(_MAX_ITERATIONS):
        shares_nc = (free[0] * logits_nc + fixed_c + free[1:]).softmax(dim=-1)
        expected_n = (shares_nc * logits_nc).sum(dim=-1)
        deviations_nc = shares_nc * (logits_nc - expected_n.unsqueeze(1))
        gradient = free - centre
        gradient[0] += (expected_n - right_n).sum()
        gradient[1:] += shares_nc.sum(dim=0) - counts_c
        hessian = torch.eye(classes + 1, dtype=torch.float64)
        hessian[0, 0] += (deviations_nc * logits_nc).sum()
        hessian[0, 1:] += deviations_nc.sum(dim=0)
        hessian[1:, 0] = hessian[0, 1:]
        hessian[1:, 1:] += torch.diag(shares_nc.sum(dim=0)) - shares_nc.T @ shares_nc
        step = torch.linalg.solve(hessian, -gradient)
        gap = -float(gradient @ step) / 2
        converged = gap <= _TOLERANCE
        better = None if converged else _line_search(objective, free, step, value, 2 * gap)
        if better is None:
            break
        free, value = better
    scale, offset_c = float(free[0]), free[1:]
    return _Calibrated(scale, scale * towards_c + offset_c - prior_c.log(), converged)


def _line_search(
    objective: Callable[[Tensor], float], start: Tensor, step: Tensor, value: float, slope: float
) -> tuple[Tensor, float] | None:
    """Halve a Newton step until it increases the objective enough (Armijo's condition).

    `value` is the objective at `start`, `slope` its derivative along the step. Returns the new
    point and its objective, or None where no step improves.
    """
    length = 1.0
    while length >= _SHORTEST_STEP:
        point = start + length * step
        reached = objective(point)
        if reached - value >= 1e-4 * length * slope:
            return point, reached
        length /= 2
    return None


def _p_value(predicted_nc: Tensor, held_out_nc: Tensor, labels_n: Tensor, prior_c: Tensor) -> float:
    """Test that images with these posteriors [N, C] have the frequencies `prior_c`.

    Both covariances are those of held-out images weighted to `prior_c`: few predicted images may
    show none of a rare class. Classes without held-out images have no weight.
    """
    classes = len(prior_c)
    counts_c = torch.bincount(labels_n, minlength=classes).to(torch.float64)
    freedom = float((counts_c - 1).clamp(min=0).sum())
    if freedom == 0:
        return 1.0
    weights_c = torch.where(counts_c > 0, prior_c, 0.0)
    weights_c = weights_c / weights_c.sum()
    means_cc = torch.zeros(classes, classes, dtype=torch.float64)
    means_cc.index_add_(0, labels_n, held_out_nc)
    means_cc /= counts_c.clamp(min=1).unsqueeze(1)
    mean_c = weights_c @ means_cc
    residuals_nc = held_out_nc - means_cc[labels_n]
    pooled_cc = residuals_nc.T @ residuals_nc / freedom

    def within(weights_c: Tensor) -> Tensor:
        """Σ_c weight·covariance within class c; that of a class with one image is the pooled."""
        each_c = torch.where(counts_c >= 2, weights_c / (counts_c - 1).clamp(min=1), 0.0)
        single = weights_c[counts_c == 1].sum()
        return (residuals_nc * each_c[labels_n].unsqueeze(1)).T @ residuals_nc + single * pooled_cc

    deviations_cc = means_cc - mean_c
    between_cc = (deviations_cc * weights_c.unsqueeze(1)).T @ deviations_cc
    predicted_cc = (within(weights_c) + between_cc) / len(predicted_nc)
    covariance_cc = predicted_cc + within(weights_c.square() / counts_c.clamp(min=1))
    return _hotelling(predicted_nc.mean(dim=0) - mean_c, covariance_cc, freedom)


def _hotelling(difference_c: Tensor, covariance_cc: Tensor, freedom: float) -> float:
    """Return the p-value of a difference of means whose covariance has these degrees of freedom.

    T²·(ν − d + 1)/ν is compared with χ² of d degrees of freedom.
    """
    values_c, vectors_cc = torch.linalg.eigh(covariance_cc)
    kept = values_c > max(float(values_c[-1]) * 1e-6, _LEAST_VARIANCE)
    dimensions = int(kept.sum())
    if dimensions == 0:
        return 1.0  # the posteriors are constant
    statistic = float(((vectors_cc.T @ difference_c)[kept].square() / values_c[kept]).sum())
    corrected = statistic * max(0.0, freedom - dimensions + 1) / freedom
    half = torch.tensor([dimensions / 2, corrected / 2], dtype=torch.float64)
    return float(torch.special.gammaincc(half[0], half[1]))


@dataclass(frozen=True, eq=False, slots=True)
class _Fit:
    """The maximum for one variance: log ratios θ [C], frequencies [C], evidence in nats."""

    variance: float
    log_ratios_c: Tensor
    prior_c: Tensor
    precision_cc: Tensor
    evidence: float
    iterations: int
    gap: float


class _Posterior:
    """The objective of the frequencies, given the likelihoods [N, C] of the images."""

    def __init__(self, likelihoods_nc: Tensor, prior_c: Tensor, power: float) -> None:
        self._likelihoods_nc = likelihoods_nc
        self._log_prior_c = prior_c.log()
        self._power = power

    def most_evident(self) -> _Fit:
        """Return the fit whose variance has the highest evidence; 0 is the training prior."""
        start_c = torch.zeros_like(self._log_prior_c)
        value = self._power * float((self._likelihoods_nc @ self._log_prior_c.exp()).log().sum())
        best = _Fit(0.0, start_c, self._log_prior_c.exp(), torch.empty(0), value, 0, 0.0)
        for variance in _VARIANCES:
            fit = self.fit(variance, start_c)
            start_c = fit.log_ratios_c
            if fit.evidence > best.evidence:
                best = fit
        return best

    def interval(self) -> tuple[Tensor, Tensor]:
        """Return the ends of the intervals, normal in log(q/(1 − q)), for a wide prior of θ."""
        fit = self.fit(_INTERVAL_VARIANCE, torch.zeros_like(self._log_prior_c))
        share_c = fit.prior_c
        covariance_cc = torch.linalg.inv(fit.precision_cc)
        # d log q_c/(1 − q_c) = (dθ_c − Σ_j q_j·dθ_j)/(1 − q_c)
        mean_c = covariance_cc @ share_c
        variance_c = covariance_cc.diagonal() - 2 * mean_c + share_c @ mean_c
        sd_c = variance_c.clamp(min=0).sqrt() / (1 - share_c).clamp(min=1e-12)
        centre_c = torch.logit(share_c, eps=1e-12)
        return (
            (centre_c - _NORMAL_QUANTILE * sd_c).sigmoid(),
            (centre_c + _NORMAL_QUANTILE * sd_c).sigmoid(),
        )

    def fit(self, variance: float, start_c: Tensor) -> _Fit:
        """Maximise by Newton steps with the empirical information matrix, from θ = `start_c`."""
        theta_c, value = start_c, self._value(start_c, variance)
        for iteration in range(_MAX_ITERATIONS + 1):
            gradient_c, precision_cc = self._derivatives(theta_c, variance)
            step_c = torch.linalg.solve(precision_cc, gradient_c)
            gap = float(gradient_c @ step_c) / 2
            if gap <= _TOLERANCE or iteration == _MAX_ITERATIONS:
                break
            objective = partial(self._value, variance=variance)
            better = _line_search(objective, theta_c, step_c, value, 2 * gap)
            if better is None:
                break
            theta_c, value = better
        evidence = value - float(torch.logdet(precision_cc * variance)) / 2
        frequencies_c = (self._log_prior_c + theta_c).softmax(dim=0)
        return _Fit(variance, theta_c, frequencies_c, precision_cc, evidence, iteration, gap)

    def _value(self, theta_c: Tensor, variance: float) -> float:
        prior_c = (self._log_prior_c + theta_c).softmax(dim=0)
        log_likelihood = self._power * float((self._likelihoods_nc @ prior_c).log().sum())
        return log_likelihood - float(theta_c.square().sum()) / (2 * variance)

    def _derivatives(self, theta_c: Tensor, variance: float) -> tuple[Tensor, Tensor]:
        """Return the gradient [C] of the value, and the empirical information matrix [C, C]."""
        prior_c = (self._log_prior_c + theta_c).softmax(dim=0)
        shares_nc = self._likelihoods_nc * prior_c
        scores_nc = shares_nc / shares_nc.sum(dim=-1, keepdim=True) - prior_c
        information_cc = self._power * (scores_nc.T @ scores_nc)
        information_cc.diagonal().add_(1 / variance)
        return self._power * scores_nc.sum(dim=0) - theta_c / variance, information_cc
