"""Models that are already in MLflow: their copied code imports names that must stay."""

from __future__ import annotations

import importlib

import pytest


@pytest.mark.parametrize(
    ("module", "name"),
    [("balpoe.inference", "Classifier"), ("balpoe.training.model_directory", "load_model")],
)
def test_what_the_code_of_a_logged_model_imports_stays(module: str, name: str) -> None:
    assert hasattr(importlib.import_module(module), name)
