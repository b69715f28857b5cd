"""Configurations whose files are found from any working directory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from balpoe.config import Configuration
from balpoe.config.model import ModelConfig, is_weights_file


def with_absolute_paths(configuration: Configuration) -> Configuration:
    """The same configuration, with the paths of images and weights made absolute."""
    return replace(
        configuration,
        data=configuration.data.with_absolute_paths(),
        model=_with_absolute_weights(configuration.model),
    )


def _with_absolute_weights(model: ModelConfig) -> ModelConfig:
    if model.pretrained is None or not is_weights_file(model.pretrained):
        return model
    return replace(model, pretrained=str(Path(model.pretrained).resolve()))
