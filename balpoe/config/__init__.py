"""Frozen, typed configuration of trainings and studies; no files, no third-party libraries."""

from balpoe.config.augmentation import AugmentationConfig, RandAugmentConfig
from balpoe.config.budget import BudgetConfig, RaceConfig, ResourcesConfig
from balpoe.config.conditions import Condition
from balpoe.config.configuration import (
    Configuration,
    ExpertsConfig,
    MixupConfig,
    Precision,
    Sharing,
    TrainingConfig,
)
from balpoe.config.constraints import Constraint
from balpoe.config.data import DataConfig, DigitsLT, GaussianLT
from balpoe.config.early_stopping import HalvingConfig
from balpoe.config.fields import Choice
from balpoe.config.final import FinalConfig
from balpoe.config.image_sources import (
    Cifar10LT,
    Cifar100LT,
    ImageFolder,
    ImageList,
    ParquetImages,
)
from balpoe.config.metric_names import METRICS, OBJECTIVES, SHIFT_METRICS
from balpoe.config.model import ModelConfig
from balpoe.config.parameters import canonical_parameters, with_parameters
from balpoe.config.plain import identifying, to_plain
from balpoe.config.sampler import SamplerConfig
from balpoe.config.search_space import (
    CategoricalParameter,
    FloatParameter,
    IntParameter,
    Parameter,
)
from balpoe.config.study import Direction, StudySpec

__all__ = [
    "METRICS",
    "OBJECTIVES",
    "SHIFT_METRICS",
    "AugmentationConfig",
    "BudgetConfig",
    "CategoricalParameter",
    "Choice",
    "Cifar10LT",
    "Cifar100LT",
    "Condition",
    "Configuration",
    "Constraint",
    "DataConfig",
    "DigitsLT",
    "Direction",
    "ExpertsConfig",
    "FinalConfig",
    "FloatParameter",
    "GaussianLT",
    "HalvingConfig",
    "ImageFolder",
    "ImageList",
    "IntParameter",
    "MixupConfig",
    "ModelConfig",
    "Parameter",
    "ParquetImages",
    "Precision",
    "RaceConfig",
    "RandAugmentConfig",
    "ResourcesConfig",
    "SamplerConfig",
    "Sharing",
    "StudySpec",
    "TrainingConfig",
    "canonical_parameters",
    "identifying",
    "to_plain",
    "with_parameters",
]
