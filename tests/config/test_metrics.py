"""The table of metrics: readable without torch, and extended by one function."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from balpoe.config import metrics as table
from balpoe.config.metrics import metric, metric_table, objective_names
from balpoe.evaluation.predictions import Predictions
from balpoe.evaluation.scoring import evaluate
from balpoe.method.priors import class_prior
from balpoe.reporting.formatting import label_with_unit
from tests.scalar_priors import scalar_priors


@pytest.fixture
def brier() -> Iterator[None]:
    """The Brier score, registered as a module of the package of metrics would."""

    @metric("brier", label="Brier")
    def brier(predictions: Predictions) -> Tensor:
        probabilities_mbc = predictions.log_probabilities_mbc.exp()
        true_bc = torch.nn.functional.one_hot(predictions.labels_b, probabilities_mbc.shape[-1])
        return predictions.image_mean((probabilities_mbc - true_bc).square().sum(dim=-1))

    yield
    del table._METRICS["brier"]


def test_the_names_are_read_without_torch_and_in_the_order_of_files_and_tables() -> None:
    code = "import sys; sys.modules['torch'] = None; "
    code += "from balpoe.config import metric_table; print(*metric_table())"
    read = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert read.stdout.split() == [
        *("accuracy", "top_5_accuracy", "balanced_accuracy", "macro_f1"),
        *("accuracy_many", "accuracy_medium", "accuracy_few", "nll", "balanced_nll"),
        "confidence",
        *("ece", "ece_floor", "ece_floor_sd"),
        *("balanced_ece", "balanced_ece_floor", "balanced_ece_floor_sd", "mce", "balanced_mce"),
        *("kl_to_target_prior", "kl_to_target_prior_matched"),
        *("expected_cost", "balanced_expected_cost"),
    ]


@pytest.mark.usefixtures("brier")
def test_a_new_metric_is_computed_can_be_an_objective_and_has_a_label() -> None:
    scored = evaluate(
        torch.zeros(4, 2, 2),
        torch.tensor([0, 0, 1, 1]),
        priors=scalar_priors(class_prior((3, 1)), (1.0, -1.0)),
        class_counts=(3, 1),
    )
    scalars = scored.scalars("val")
    for name in ("val/brier", "val/expert_0/brier", "val/expert_1/brier"):
        assert scalars[name] == pytest.approx(0.5)
    assert "val/brier" in objective_names()
    assert list(metric_table())[-1] == "brier"
    assert label_with_unit("val/brier") == "Brier"


@pytest.mark.usefixtures("brier")
def test_two_metrics_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two entries are called brier"):
        metric("brier", label="Brier")(len)
