"""Frozen, typed configuration of trainings and studies; no files, no third-party libraries."""

from balpoe.config.augmentation import AugmentationConfig, RandAugmentConfig
from balpoe.config.budget import BudgetConfig, RaceConfig, ResourcesConfig
from balpoe.config.conditions import Condition
from balpoe.config.configuration import (
    Configuration,
    ExpertsConfig,
    MixupConfig,
    Precision,
    ReweightingConfig,
    Sharing,
    TrainingConfig,
)
from balpoe.config.constraints import Constraint
from balpoe.config.cost import CostMatrix
from balpoe.config.data import DataSource
from balpoe.config.early_stopping import HalvingConfig
from balpoe.config.entry_tables import load_object
from balpoe.config.fields import Choice
from balpoe.config.final_recipe import FinalConfig
from balpoe.config.metrics import metric_table, objective_names, shift_metrics
from balpoe.config.model import ModelConfig
from balpoe.config.parameters import canonical_parameters, with_parameters
from balpoe.config.plain_data import identifying, to_plain
from balpoe.config.sampler import SAMPLERS, SamplerConfig
from balpoe.config.search_space import (
    CategoricalParameter,
    FloatParameter,
    IntParameter,
    Parameter,
)
from balpoe.config.study import Direction, StudySpec

__all__ = [
    "SAMPLERS",
    "AugmentationConfig",
    "BudgetConfig",
    "CategoricalParameter",
    "Choice",
    "Condition",
    "Configuration",
    "Constraint",
    "CostMatrix",
    "DataSource",
    "Direction",
    "ExpertsConfig",
    "FinalConfig",
    "FloatParameter",
    "HalvingConfig",
    "IntParameter",
    "MixupConfig",
    "ModelConfig",
    "Parameter",
    "Precision",
    "RaceConfig",
    "RandAugmentConfig",
    "ResourcesConfig",
    "ReweightingConfig",
    "SamplerConfig",
    "Sharing",
    "StudySpec",
    "TrainingConfig",
    "canonical_parameters",
    "identifying",
    "load_object",
    "metric_table",
    "objective_names",
    "shift_metrics",
    "to_plain",
    "with_parameters",
]
