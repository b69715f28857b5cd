"""`balpoe predict` on digits, as a folder of images and as a Parquet file."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

import balpoe
from balpoe.cli.predict import parse_prior
from balpoe.cli.predict import predict as command
from balpoe.config import Configuration, ModelConfig, TrainingConfig
from balpoe.data import load_final_splits
from balpoe.data.sources.digits_lt import DigitsLT
from balpoe.errors import DataError, StorageError, UserError
from balpoe.reporting.prediction_display import PredictionProgress
from balpoe.training.final_training import FinalTraining, train_final
from balpoe.training.model_files import HELD_OUT_PREDICTIONS, MANIFEST

BALPOE = str(Path(sys.executable).parent / "balpoe")
IMAGES = 300


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "seed_0"
    configuration = Configuration(
        data=DigitsLT(),
        model=ModelConfig(backbone="resnet8"),
        training=TrainingConfig(epochs=3, batch_size=64, precision="float32"),
    )
    train_final(
        FinalTraining(configuration, seed=0, path=path, balpoe_version="1.2.3"),
        load_final_splits(configuration.data),
        torch.device("cpu"),
        lambda result: None,
    )
    return path


@pytest.fixture(scope="module")
def digits() -> NDArray[np.uint8]:
    """Test images, more of the first classes than of the last."""
    test = load_final_splits(DigitsLT()).test
    order = torch.argsort(test.labels_n, stable=True)[:IMAGES]
    return test.images_nhwd[order].numpy()


@pytest.fixture(scope="module")
def folder(digits: NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("digits")
    for i, image in enumerate(digits):
        Image.fromarray(image[..., 0]).save(folder / f"{i:03}.png")
    (folder / "notes.txt").write_text("no image")
    return folder


@pytest.fixture(scope="module")
def parquet(digits: NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = []
    for image in digits:
        buffer = io.BytesIO()
        Image.fromarray(image[..., 0]).save(buffer, "PNG")
        rows.append({"bytes": buffer.getvalue(), "path": None})
    file = tmp_path_factory.mktemp("parquet") / "digits.parquet"
    pq.write_table(pa.table({"image": rows}), file, row_group_size=64)
    return file


def probabilities_in(file: Path) -> NDArray[np.float32]:
    column = pq.read_table(file, page_checksum_verification=True)["probabilities"]
    flat: NDArray[np.float32] = column.combine_chunks().flatten().to_numpy()
    return flat.reshape(len(column), -1)


@pytest.mark.parametrize("prior", [None, "train", "estimate", [1, 1, 1, 1, 1, 2, 2, 2, 2, 9]])
def test_the_file_holds_what_the_classifier_says(
    model: Path, parquet: Path, digits: NDArray[np.uint8], tmp_path: Path, prior: object
) -> None:
    out = tmp_path / "predictions.parquet"
    report = balpoe.predict(model, [parquet], prior=prior, out=out, device="cpu")  # type: ignore[arg-type]
    expected = balpoe.load(model, device="cpu").predict_proba(digits, prior)  # type: ignore[arg-type]
    table = pq.read_table(out, page_checksum_verification=True)
    np.testing.assert_array_equal(probabilities_in(out), expected)
    assert table["predicted"].to_pylist() == [str(y) for y in expected.argmax(axis=1)]
    np.testing.assert_array_equal(table["probability"].to_numpy(), expected.max(axis=1))
    assert table["row"].to_pylist() == list(range(IMAGES))
    assert set(table["path"].to_pylist()) == {str(parquet)}
    about = json.loads(table.schema.metadata[b"balpoe_predictions"])
    assert about["classes"] == [str(y) for y in range(10)]
    assert about["prior"] == report.prior_c.tolist()
    assert report.images == IMAGES
    assert list(report.predicted_counts) == np.bincount(expected.argmax(1), minlength=10).tolist()


def test_a_folder_gives_the_predictions_of_the_same_images_in_parquet(
    model: Path, folder: Path, parquet: Path, tmp_path: Path
) -> None:
    seen: list[PredictionProgress] = []
    report = balpoe.predict(
        model, [folder], out=tmp_path / "a.parquet", device="cpu", on_progress=seen.append
    )
    balpoe.predict(model, [parquet], out=tmp_path / "b.parquet", device="cpu")
    np.testing.assert_array_equal(
        probabilities_in(tmp_path / "a.parquet"), probabilities_in(tmp_path / "b.parquet")
    )
    paths = pq.read_table(tmp_path / "a.parquet")["path"].to_pylist()
    assert paths == [str(folder / f"{i:03}.png") for i in range(IMAGES)]
    assert report.ignored == 1
    assert [(step.done, step.images) for step in seen] == [(256, IMAGES), (IMAGES, IMAGES)]


@pytest.mark.parametrize("prior", [None, "estimate"])
def test_the_logits_of_every_expert_are_written_on_request(
    model: Path, parquet: Path, digits: NDArray[np.uint8], tmp_path: Path, prior: str | None
) -> None:
    out = tmp_path / "predictions.parquet"
    balpoe.predict(model, [parquet], prior=prior, out=out, logits=True, device="cpu")  # type: ignore[arg-type]
    expected = balpoe.load(model, device="cpu").experts(digits).logits_nec
    table = pq.read_table(out)
    for e in range(3):
        column = table[f"logits_expert_{e}"].combine_chunks().flatten().to_numpy()
        np.testing.assert_array_equal(column.reshape(IMAGES, 10), expected[:, e])


def test_the_estimated_prior_follows_the_images_and_leaves_nothing_behind(
    model: Path, parquet: Path, tmp_path: Path
) -> None:
    out = tmp_path / "predictions.parquet"
    report = balpoe.predict(model, [parquet], prior="estimate", out=out, device="cpu")
    assert report.estimate is not None
    assert report.estimate.moved
    assert report.estimate.converged
    assert report.estimate.held_out == 300
    prior: Tensor = report.prior_c
    assert float(prior[:7].sum()) > 0.8  # the last classes have next to no images
    assert [path.name for path in tmp_path.iterdir()] == ["predictions.parquet"]


def test_unreadable_images_are_refused_or_skipped_and_counted(
    model: Path, digits: NDArray[np.uint8], tmp_path: Path
) -> None:
    Image.fromarray(digits[0, ..., 0]).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"no image")
    out = tmp_path / "predictions.parquet"
    balpoe.predict(model, [tmp_path / "a.png"], out=out, device="cpu")
    before = out.read_bytes()
    with pytest.raises(DataError, match=r"b\.png: the image cannot be decoded"):
        balpoe.predict(model, [tmp_path], out=out, device="cpu")
    assert out.read_bytes() == before
    report = balpoe.predict(model, [tmp_path], out=out, skip_unreadable=True, device="cpu")
    assert report.images == 1
    assert len(report.unreadable) == 1
    (tmp_path / "a.png").unlink()
    for prior in (None, "estimate"):
        with pytest.raises(DataError, match=r"none of 1 images can be read; the first: .*b\.png"):
            balpoe.predict(
                model,
                [tmp_path],
                prior=prior,
                out=out,
                skip_unreadable=True,
                device="cpu",
            )


def test_temperatures_that_there_are_not_are_refused(
    model: Path, parquet: Path, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="temperature experts: there are none, the model was"):
        balpoe.predict(model, [parquet], temperature="experts", out=tmp_path / "p.parquet")


def test_a_place_that_cannot_be_written_is_refused_first(
    model: Path, parquet: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    seen: list[PredictionProgress] = []
    with pytest.raises(StorageError, match=str(tmp_path / "file")):
        balpoe.predict(
            model, [parquet], out=tmp_path / "file/p.parquet", device="cpu", on_progress=seen.append
        )
    assert seen == []


def called(*arguments: str, directory: Path) -> subprocess.CompletedProcess[str]:
    """Run the command `balpoe`."""
    return subprocess.run(
        [BALPOE, *arguments], cwd=directory, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("source", ["mine.parquet", "."])
def test_no_image_is_overwritten_by_its_prediction(
    model: Path, parquet: Path, tmp_path: Path, source: str
) -> None:
    mine = tmp_path / "mine.parquet"
    mine.write_bytes(parquet.read_bytes())
    result = called("predict", str(model), source, "--out", "mine.parquet", directory=tmp_path)
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "mine.parquet: is among the images" in result.stderr
    assert mine.read_bytes() == parquet.read_bytes()


@pytest.mark.parametrize("arguments", [["predict", "nowhere", "."], ["onnx", "nowhere"]])
def test_a_directory_is_refused_as_the_file_to_write_before_anything_is_read(
    tmp_path: Path, arguments: list[str]
) -> None:
    result = called(*arguments, "--out", ".", directory=tmp_path)
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert ".: is a directory: give the name of a file to write" in result.stderr


def test_the_command_says_what_came_of_it(model: Path, folder: Path, tmp_path: Path) -> None:
    result = called("predict", str(model), str(folder), "--prior", "uniform", directory=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "300/300 images" in result.stdout
    assert "1 files were no images and were left out" in result.stdout
    assert "300 predictions  predictions.parquet" in result.stdout


def test_the_summary_is_json_on_request(model: Path, folder: Path, tmp_path: Path) -> None:
    arguments = [str(model), str(folder), "--prior", "estimate", "--json"]
    done = CliRunner().invoke(command, [*arguments, "--out", str(tmp_path / "b.parquet")])
    assert done.exit_code == 0
    summary = json.loads(done.stdout)
    assert sum(summary["predicted"].values()) == summary["images"] == IMAGES
    assert summary["estimate"]["converged"]
    assert summary["estimate"]["moved"]
    assert summary["estimate"]["p_value"] <= 0.01
    assert summary["estimate"]["variance"] > 0
    for name, (low, high) in summary["estimate"]["interval"].items():
        assert low <= summary["prior"][name] <= high
    assert sum(summary["prior"].values()) == pytest.approx(1)


def test_the_table_shows_the_interval_of_an_estimate(
    model: Path, folder: Path, tmp_path: Path
) -> None:
    arguments = [
        str(model),
        str(folder),
        "--prior",
        "estimate",
        "--out",
        str(tmp_path / "b.parquet"),
    ]
    done = CliRunner().invoke(command, arguments)
    assert done.exit_code == 0
    assert "95 %" in done.stdout
    assert ".." in done.stdout
    assert "estimated prior: the images have other class frequencies than the train" in done.stdout


def test_an_estimate_without_held_out_images_is_refused_before_images_are_read(
    model: Path, folder: Path, tmp_path: Path
) -> None:
    old = tmp_path / "old"
    shutil.copytree(model, old)
    manifest = json.loads((old / MANIFEST).read_text())
    del manifest["sha256"][HELD_OUT_PREDICTIONS]
    (old / MANIFEST).write_text(json.dumps(manifest))
    seen: list[PredictionProgress] = []
    with pytest.raises(DataError, match="target_prior: cannot be estimated"):
        balpoe.predict(
            old,
            [folder],
            prior="estimate",
            out=tmp_path / "b.parquet",
            device="cpu",
            on_progress=seen.append,
        )
    assert seen == []
    assert balpoe.predict(old, [folder], out=tmp_path / "b.parquet", device="cpu").images == IMAGES


def test_a_prior_is_read_from_text_and_json(tmp_path: Path) -> None:
    assert parse_prior("estimate") == "estimate"
    assert parse_prior("0.5,0.25,0.25") == [0.5, 0.25, 0.25]
    (tmp_path / "list.json").write_text("[3, 1]")
    assert parse_prior(str(tmp_path / "list.json")) == [3.0, 1.0]
    (tmp_path / "names.json").write_text('{"鳥": 3, "cat": 1}')
    assert parse_prior(str(tmp_path / "names.json")) == {"鳥": 3.0, "cat": 1.0}


@pytest.mark.parametrize("text", ["balanced", "0.5,x", "", "nowhere.json"])
def test_a_prior_that_is_none_is_refused_with_the_forms(text: str) -> None:
    with pytest.raises(UserError, match=r"--prior.*: must be"):
        parse_prior(text)


MEASURED = """
import resource, sys
import balpoe
report = balpoe.predict({model!r}, [{file!r}], prior="estimate", out={out!r}, device="cpu")
print(report.images, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_a_file_larger_than_memory_would_allow_takes_no_more_memory(
    model: Path, tmp_path: Path
) -> None:
    """Row groups of 250 MB, compared with 5 MB."""
    noise = np.random.default_rng(0)

    def peak_mib(images: int) -> float:
        buffer = io.BytesIO()
        Image.fromarray(noise.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(buffer, "BMP")
        file = tmp_path / f"{images}.parquet"
        table = pa.table({"image": [{"bytes": buffer.getvalue(), "path": None}] * images})
        pq.write_table(table, file, use_dictionary=False, compression="none", row_group_size=images)
        code = MEASURED.format(
            model=str(model), file=str(file), out=str(tmp_path / "predictions.parquet")
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        predicted, kilobytes = map(int, done.stdout.split())
        assert predicted == images
        return kilobytes / 1024

    assert peak_mib(20_000) - peak_mib(400) < 60
