"""The training engine: it turns a configuration and images into trained, measured experts."""

from balpoe.training.checkpoint import CheckpointDirectory
from balpoe.training.epoch import EpochResult
from balpoe.training.training import Training, configured_lambdas

__all__ = ["CheckpointDirectory", "EpochResult", "Training", "configured_lambdas"]
