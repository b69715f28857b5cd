"""The predictions of a final model for its test images, as a Parquet file beside the model.

    path             the image file, as the data source names it; null where it knows none
    row              the row of the image in the test file, list or folder, from 0
    label            the name of the class
    predicted        the name of the most probable class, with the class frequencies unknown
    probability      its probability
    probabilities    those of all classes, in the order of the metadata's `classes`

The schema's metadata hold under `balpoe_test_predictions`, in JSON: `format`, `classes` and `model`
(its identity). Probabilities are float32 or, above 256 MiB, float16.

N images, B batch, E experts, C classes.
"""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import torch
from torch import Tensor

from balpoe.data.image_locations import ImageLocations
from balpoe.data.splits import DataDescription
from balpoe.method.losses.logit_adjustment.adjusted_losses import product_of_experts
from balpoe.parquet_tables import row_group_writer
from balpoe.training.predictions_file import FLOAT32_BYTES

FORMAT = 1
METADATA = b"balpoe_test_predictions"
_ROW_GROUP_BYTES = 32 * 2**20
_FLOAT64_BYTES = 8


def write_test_predictions(
    path: Path,
    logits_nec: Tensor,
    labels_n: Tensor,
    locations: ImageLocations,
    description: DataDescription,
    *,
    identity: str,
    float32_bytes: int = FLOAT32_BYTES,
) -> None:
    """Write the predictions from logits, float32 [N, E, C], one row group at a time.

    Raises:
        StorageError: the file cannot be written; its previous content is kept.
    """
    names = pa.array(description.class_names, pa.string())
    images, _, classes = logits_nec.shape
    is_small = images * classes * torch.float32.itemsize <= float32_bytes
    dtype = torch.float32 if is_small else torch.float16
    schema = _schema(description, identity, pa.float32() if is_small else pa.float16())
    step = max(1, _ROW_GROUP_BYTES // (classes * _FLOAT64_BYTES))
    with row_group_writer(path, schema, dictionaries=["label", "predicted"]) as writer:
        for start in range(0, images, step):
            part = slice(start, start + step)
            # as `Classifier.predict_proba` computes them
            probabilities_bc = product_of_experts(logits_nec[part]).double().softmax(dim=-1).float()
            winning_b, winners_b = probabilities_bc.max(dim=1)
            flat = pa.array(probabilities_bc.to(dtype).reshape(-1).numpy())
            columns = [
                pa.array(locations.paths(start, start + step), pa.string()),
                pa.array(locations.rows_n[part], pa.int64()),
                names.take(pa.array(labels_n[part].numpy())),
                names.take(pa.array(winners_b.numpy())),
                pa.array(winning_b.numpy()),
                pa.FixedSizeListArray.from_arrays(flat, classes),
            ]
            writer.write_batch(pa.record_batch(columns, schema=schema))


def _schema(description: DataDescription, identity: str, value: pa.DataType) -> pa.Schema:
    about = {"format": FORMAT, "classes": list(description.class_names), "model": identity}
    fields = {
        "path": pa.string(),
        "row": pa.int64(),
        "label": pa.string(),
        "predicted": pa.string(),
        "probability": pa.float32(),
        "probabilities": pa.list_(value, len(description.class_names)),
    }
    return pa.schema(list(fields.items()), metadata={METADATA: json.dumps(about)})
