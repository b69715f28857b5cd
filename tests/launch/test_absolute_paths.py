from __future__ import annotations

from pathlib import Path

import pytest

from balpoe.config import Configuration, ModelConfig
from balpoe.data.sources.digits_lt import DigitsLT
from balpoe.data.sources.parquet import ParquetImages
from balpoe.launch.study_file import with_absolute_paths

BACKBONE = "imagenet_resnet50"


def test_images_and_weights_are_found_from_any_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    configuration = with_absolute_paths(
        Configuration(
            data=ParquetImages(train="train.parquet", test="test.parquet"),
            model=ModelConfig(backbone=BACKBONE, pretrained="weights.pth"),
        )
    )
    assert isinstance(configuration.data, ParquetImages)
    assert configuration.data.train == str(tmp_path / "train.parquet")
    assert configuration.model.pretrained == str(tmp_path / "weights.pth")


@pytest.mark.parametrize("pretrained", [None, "IMAGENET1K_V2"])
def test_names_of_weights_are_no_paths(pretrained: str | None) -> None:
    model = ModelConfig(backbone=BACKBONE, pretrained=pretrained)
    configuration = Configuration(data=DigitsLT(), model=model)
    assert with_absolute_paths(configuration) == configuration
