"""The code of a logged model: MLflow runs this file where the model is loaded.

Its artefact is a model directory, read and checked by balpoe itself: nothing is unpickled.

N images, H height, W width, D channels, E experts, C classes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext
from numpy.typing import NDArray

from balpoe.data import ImageSet
from balpoe.losses import product_of_experts
from balpoe.training.model_directory import load_model

ARTIFACT = "model_directory"


class ExpertsModel(PythonModel):
    """Class probabilities of the product of experts."""

    def load_context(self, context: PythonModelContext) -> None:
        """Read the model directory, on a GPU where there is one."""
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._model = load_model(Path(context.artifacts[ARTIFACT]))

    def predict(
        self,
        context: PythonModelContext,
        model_input: np.ndarray,  # with a dtype MLflow warns that it cannot derive a signature
        params: dict[str, Any] | None = None,
    ) -> NDArray[np.float32]:
        """Probabilities float32 [N, C] for images uint8 [N, H, W, D]."""
        images_nhwd = torch.from_numpy(np.ascontiguousarray(model_input))
        unlabelled = ImageSet(images_nhwd, torch.zeros(len(images_nhwd), dtype=torch.int64))
        logits_nec = self._model.predict(unlabelled, self._device)
        probabilities: NDArray[np.float32] = product_of_experts(logits_nec).softmax(-1).numpy()
        return probabilities


set_model(ExpertsModel())
