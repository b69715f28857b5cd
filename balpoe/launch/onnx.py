"""The command `onnx`: write a trained model as an ONNX file."""

from __future__ import annotations

from pathlib import Path

from balpoe.atomic_write import refuse_directory, write_bytes_atomically
from balpoe.inference.onnx_export import onnx_bytes
from balpoe.launch.load_model import single_model
from balpoe.training.model_directory import load_model


def to_onnx(model: Path | str, file: Path | str) -> Path:
    """Write a model directory as an ONNX file with a batch of any size.

    The input are pixels, uint8 [N, H, W, D], in the size of the training images; the outputs are
    `logits` [N, E, C] and `probabilities` [N, C].

    Raises:
        StorageError: there is no model, or the file cannot be written.
        CorruptFile: the model is damaged, modified or of an unsupported format.
        UserError: the extra `onnx` is not installed.
    """
    out = Path(file)
    refuse_directory(out)
    write_bytes_atomically(out, onnx_bytes(load_model(single_model(Path(model)))))
    return out
