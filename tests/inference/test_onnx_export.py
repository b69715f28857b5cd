"""The ONNX file in onnxruntime against the exported model."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import balpoe
from balpoe.errors import StorageError
from balpoe.inference import Classifier

pytest.importorskip("onnxscript", reason="needs the extra: pip install 'balpoe[onnx]'")
onnxruntime = pytest.importorskip(
    "onnxruntime", reason="needs the extra: pip install 'balpoe[onnx]'"
)

Pixels = NDArray[np.uint8]


@pytest.fixture(scope="module")
def file(model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return balpoe.to_onnx(model_path, tmp_path_factory.mktemp("onnx") / "model.onnx")


@pytest.fixture(scope="module")
def session(file: Path) -> Any:
    return onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("batch", [1, 2, 30])
def test_onnxruntime_gives_the_same_logits_and_probabilities_for_any_batch(
    session: Any, classifier: Classifier, images_nhwd: Pixels, batch: int
) -> None:
    images = images_nhwd[:batch]
    logits, probabilities = session.run(["logits", "probabilities"], {"images": images})
    np.testing.assert_allclose(logits, classifier.experts(images).logits_nec, atol=1e-4)
    np.testing.assert_allclose(probabilities, classifier.predict_proba(images), atol=1e-5)


def test_the_graph_takes_pixels_and_names_its_batch(session: Any) -> None:
    (images,) = session.get_inputs()
    assert (images.name, images.type) == ("images", "tensor(uint8)")
    assert isinstance(images.shape[0], str)
    assert images.shape[1:] == [8, 10, 3]
    shapes = {output.name: output.shape[1:] for output in session.get_outputs()}
    assert shapes == {"logits": [3, 4], "probabilities": [4]}


def test_its_metadata_are_enough_for_another_prior(
    session: Any, classifier: Classifier, images_nhwd: Pixels
) -> None:
    about = {
        key: json.loads(value)
        for key, value in session.get_modelmeta().custom_metadata_map.items()
        if key in ("classes", "lambdas", "trained_prior")
    }
    assert about["classes"] == classifier.classes_.tolist()
    assert about["lambdas"] == [1.0, 0.0, -1.0]
    target = np.array([0.1, 0.2, 0.3, 0.4])
    (probabilities,) = session.run(["probabilities"], {"images": images_nhwd})
    weighted = probabilities * target / np.array(about["trained_prior"])
    np.testing.assert_allclose(
        weighted / weighted.sum(axis=1, keepdims=True),
        classifier.predict_proba(images_nhwd, target),
        atol=1e-5,
    )


@pytest.mark.parametrize(
    ("lambdas", "channels", "sharing"),
    [((0.0,), 1, "shared"), ((1.0, -1.0), 1, "independent"), ((1.0, -1.0), 3, "linear")],
)
def test_every_kind_of_sharing_is_exported(
    tmp_path: Path, save_model_of: Any, lambdas: Any, channels: int, sharing: str
) -> None:
    path = save_model_of(tmp_path / "m", lambdas=lambdas, channels=channels, sharing=sharing)
    file = balpoe.to_onnx(path, tmp_path / "m.onnx")
    images = np.random.default_rng(1).integers(0, 256, (5, 8, 10, channels), dtype=np.uint8)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    (probabilities,) = session.run(["probabilities"], {"images": images})
    expected = balpoe.load(path, device="cpu").predict_proba(images)
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)


def test_the_cut_of_models_that_were_trained_on_resized_crops_is_in_the_graph(
    tmp_path: Path, save_model_of: Any, images_nhwd: Pixels
) -> None:
    path = save_model_of(tmp_path / "m", resized_crop=8)
    session = onnxruntime.InferenceSession(
        balpoe.to_onnx(path, tmp_path / "m.onnx"), providers=["CPUExecutionProvider"]
    )
    (probabilities,) = session.run(["probabilities"], {"images": images_nhwd})
    cut = balpoe.load(path, device="cpu").predict_proba(images_nhwd)
    # a sum of pixels that ends near half a level may be rounded to either side
    np.testing.assert_allclose(probabilities, cut, atol=2e-3)
    assert np.median(np.abs(probabilities - cut)) < 1e-6
    whole = balpoe.load(save_model_of(tmp_path / "whole"), device="cpu")
    assert np.abs(whole.predict_proba(images_nhwd) - cut).max() > 1e-2


def test_without_the_extra_the_message_says_what_to_install(
    model_path: Path, tmp_path: Path
) -> None:
    code = f"""
import sys
sys.modules["onnxscript"] = None  # its import raises ImportError
import balpoe
from balpoe.errors import UserError
try:
    balpoe.to_onnx({str(model_path)!r}, "model.onnx")
except UserError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "pip install 'balpoe[onnx]'" in done.stdout, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_named(model_path: Path, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"missing/model\.onnx: cannot be written"):
        balpoe.to_onnx(model_path, tmp_path / "missing" / "model.onnx")


def test_a_loss_without_lambdas_has_its_own_prior_in_the_metadata(
    tmp_path: Path, save_model_of: Any
) -> None:
    model = save_model_of(tmp_path / "m", lambdas=(1.0,), loss="cross_entropy")
    file = balpoe.to_onnx(model, tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    about = session.get_modelmeta().custom_metadata_map
    assert about["lambdas"] == "null"
    assert json.loads(about["trained_prior"]) == pytest.approx([60 / 91, 20 / 91, 8 / 91, 3 / 91])
