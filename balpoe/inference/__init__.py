"""A trained model in use: images of any kind in, probabilities for the prior of choice out."""

from balpoe.inference.classifier import Classifier, ExpertPredictions
from balpoe.inference.images import Images
from balpoe.inference.target_prior import TargetPrior

__all__ = ["Classifier", "ExpertPredictions", "Images", "TargetPrior"]
