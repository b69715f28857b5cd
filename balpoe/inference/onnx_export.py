"""A trained model as an ONNX graph that takes pixels and does not need balpoe.

    images         uint8 [B, H, W, D], of the size and colour that the model was trained with
    logits         float32 [B, E, C] of every expert
    probabilities  float32 [B, C] of their product, for the prior P that it aims at

B batch (any size), H height, W width, D channels, E experts, C classes. The file's metadata
are `classes`, `lambdas` (null if the loss uses no λ, or one for each class), `trained_prior` (P),
`model` (its identity) and, if the model has costs, `cost` (their matrix, a row for each true
class), in JSON. The graph makes no decisions. For class frequencies q, multiply the probabilities
by q / P and divide by their sum. The graph computes in float32, as balpoe does.
"""

from __future__ import annotations

import json
import warnings
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from balpoe.errors import UserError
from balpoe.method.losses.logit_adjustment.adjusted_losses import product_of_experts
from balpoe.training.model_directory import Provenance, TrainedModel

if TYPE_CHECKING:
    import onnx

INPUT, OUTPUTS = "images", ("logits", "probabilities")


class PixelsToProbabilities(nn.Module):
    """The experts with normalisation and softmax, on the CPU in float32."""

    def __init__(self, model: TrainedModel) -> None:
        super().__init__()
        self._experts = model.experts.to("cpu")
        self._evaluation_input = model.evaluation_input(torch.device("cpu"))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits [B, E, C] and probabilities [B, C] of uint8 images [B, H, W, D]."""
        logits_bec = self._experts(self._evaluation_input(images))
        return logits_bec, product_of_experts(logits_bec).softmax(dim=-1)


def onnx_bytes(model: TrainedModel) -> bytes:
    """The content of the ONNX file, weights included.

    Raises:
        UserError: the extra `onnx` is not installed.
    """
    try:
        import onnx.checker
        import onnxscript  # noqa: F401  # torch's exporter needs it
    except ImportError as error:
        raise UserError(
            f"ONNX needs packages that are not installed ({error.name}): pip install 'balpoe[onnx]'"
        ) from error
    graph = PixelsToProbabilities(model).eval()
    data = model.provenance.description
    # Two images, since the exporter takes the size of a batch of one for a constant.
    example = torch.zeros(2, data.height, data.width, data.channels, dtype=torch.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns about its own deprecations
        program = torch.onnx.export(
            graph,
            (example,),
            input_names=[INPUT],
            output_names=list(OUTPUTS),
            dynamic_shapes={INPUT: {0: torch.export.Dim("batch")}},
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    exported = program.model_proto
    _describe(exported, model.provenance)
    onnx.checker.check_model(exported)
    content: bytes = exported.SerializeToString()
    return content


def _describe(exported: onnx.ModelProto, provenance: Provenance) -> None:
    about = {
        "classes": provenance.description.class_names,
        "lambdas": provenance.lambdas,
        "trained_prior": provenance.priors.of_product().tolist(),
        "model": provenance.identity,
    }
    if provenance.cost_cc is not None:
        about["cost"] = provenance.cost_cc.tolist()
    for key, value in about.items():
        exported.metadata_props.add(key=key, value=json.dumps(value, ensure_ascii=False))
