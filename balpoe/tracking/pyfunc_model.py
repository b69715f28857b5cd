"""The code of a logged model, which MLflow copies into the model and runs when it is loaded.

The artefact is a model directory, read and checked by balpoe itself: nothing is unpickled.

N images, H height, W width, D channels, C classes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext
from numpy.typing import NDArray

# Copies of this file in models that are already logged import the same two names.
from balpoe.inference import Classifier
from balpoe.training.model_directory import load_model

ARTIFACT = "model_directory"


class ExpertsModel(PythonModel):
    """Class probabilities of the product of experts, equal to those of `balpoe.load`."""

    def load_context(self, context: PythonModelContext) -> None:
        """Read the model directory, onto a GPU if there is one."""
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._classifier = Classifier(load_model(Path(context.artifacts[ARTIFACT])), device)

    def predict(
        self,
        context: PythonModelContext,
        model_input: np.ndarray,  # with a dtype MLflow warns that it cannot derive a signature
        params: dict[str, Any] | None = None,
    ) -> NDArray[np.float32]:
        """Probabilities float32 [N, C] of images uint8 [N, H, W, D]."""
        return self._classifier.predict_proba(model_input)


set_model(ExpertsModel())
