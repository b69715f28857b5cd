"""What the logits of experts are worth on labelled images."""

from balpoe.evaluation.distributions import (
    WHOLE_TEST,
    DistributionEvaluation,
    evaluate_distributions,
)
from balpoe.evaluation.metrics import Evaluation, Metrics
from balpoe.evaluation.posterior import BayesDistance, distance_to_bayes
from balpoe.evaluation.scoring import evaluate
from balpoe.evaluation.simulated_shifts import simulated_shifts
from balpoe.evaluation.weights import Weighting

__all__ = [
    "WHOLE_TEST",
    "BayesDistance",
    "DistributionEvaluation",
    "Evaluation",
    "Metrics",
    "Weighting",
    "distance_to_bayes",
    "evaluate",
    "evaluate_distributions",
    "simulated_shifts",
]
