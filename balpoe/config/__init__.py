"""Frozen, typed configuration of trainings and studies; no files, no third-party libraries."""

from balpoe.config.configuration import (
    AugmentationConfig,
    Configuration,
    ExpertsConfig,
    MixupConfig,
    ModelConfig,
    Precision,
    Sharing,
    TrainingConfig,
)
from balpoe.config.data import DataConfig, DigitsLT, GaussianLT, ParquetImages
from balpoe.config.study import (
    BudgetConfig,
    CategoricalParameter,
    Choice,
    Direction,
    FloatParameter,
    IntParameter,
    Parameter,
    ResourcesConfig,
    StudySpec,
)

__all__ = [
    "AugmentationConfig",
    "BudgetConfig",
    "CategoricalParameter",
    "Choice",
    "Configuration",
    "DataConfig",
    "DigitsLT",
    "Direction",
    "ExpertsConfig",
    "FloatParameter",
    "GaussianLT",
    "IntParameter",
    "MixupConfig",
    "ModelConfig",
    "Parameter",
    "ParquetImages",
    "Precision",
    "ResourcesConfig",
    "Sharing",
    "StudySpec",
    "TrainingConfig",
]
