"""What the logits of experts are worth on labelled images."""

from balpoe.evaluation.metrics import Evaluation, Metrics
from balpoe.evaluation.posterior import BayesDistance, distance_to_bayes
from balpoe.evaluation.scoring import evaluate
from balpoe.evaluation.weights import Weighting

__all__ = [
    "BayesDistance",
    "Evaluation",
    "Metrics",
    "Weighting",
    "distance_to_bayes",
    "evaluate",
]
