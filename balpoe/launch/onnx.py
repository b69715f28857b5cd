"""The verb `onnx`: a trained model for programs without balpoe."""

from __future__ import annotations

from pathlib import Path

from balpoe.atomic_write import refuse_directory, write_bytes_atomically
from balpoe.inference.onnx_export import onnx_bytes
from balpoe.launch.load import single_model
from balpoe.training.model_directory import load_model


def to_onnx(model: Path | str, file: Path | str) -> Path:
    """Write a model directory as an ONNX file with a batch of any size.

    It takes pixels as they are, uint8 [N, H, W, D], and gives `logits` [N, E, C] and
    `probabilities` [N, C]; images of other sizes are for the caller to convert.

    Raises:
        StorageError: there is no model, or the file cannot be written.
        CorruptFile: the model is damaged, was touched or is of another format.
        UserError: the extra `onnx` is not installed.
    """
    out = Path(file)
    refuse_directory(out)
    write_bytes_atomically(out, onnx_bytes(load_model(single_model(Path(model)))))
    return out
