"""Prediction with a trained model: images in, probabilities for chosen class frequencies out."""

from balpoe.inference.classifier import Classifier, ExpertPredictions
from balpoe.inference.pixel_batches import Images
from balpoe.inference.target_prior import TargetPrior

__all__ = ["Classifier", "ExpertPredictions", "Images", "TargetPrior"]
