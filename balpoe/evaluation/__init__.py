"""What the logits of experts are worth on labelled images."""

from balpoe.evaluation.distributions import (
    WHOLE_TEST,
    DistributionEvaluation,
    evaluate_distributions,
)
from balpoe.evaluation.expert_subsets import balanced_subsets
from balpoe.evaluation.metrics import Evaluation, Metrics
from balpoe.evaluation.post_hoc import PostHocEvaluation, Scorer, evaluate_post_hoc
from balpoe.evaluation.posterior import BayesDistance, distance_to_bayes
from balpoe.evaluation.prior_estimation import (
    PriorEstimate,
    estimate_prior,
    likelihood_ratios,
)
from balpoe.evaluation.scoring import evaluate
from balpoe.evaluation.simulated_shifts import simulated_shifts
from balpoe.evaluation.temperature import Temperatures, fit_temperatures
from balpoe.evaluation.weights import Weighting

__all__ = [
    "WHOLE_TEST",
    "BayesDistance",
    "DistributionEvaluation",
    "Evaluation",
    "Metrics",
    "PostHocEvaluation",
    "PriorEstimate",
    "Scorer",
    "Temperatures",
    "Weighting",
    "balanced_subsets",
    "distance_to_bayes",
    "estimate_prior",
    "evaluate",
    "evaluate_distributions",
    "evaluate_post_hoc",
    "fit_temperatures",
    "likelihood_ratios",
    "simulated_shifts",
]
