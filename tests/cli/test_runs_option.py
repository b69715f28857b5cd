from __future__ import annotations

import pytest
from click.testing import CliRunner

from balpoe.cli.main import cli
from balpoe.errors import UserError


@pytest.mark.parametrize("verb", ["status", "export", "clean"])
def test_an_object_store_is_not_taken_for_a_directory(verb: str) -> None:
    with pytest.raises(UserError, match=r"--runs: must be a directory, got 's3://bucket/runs'"):
        CliRunner().invoke(
            cli, [verb, "digits", "--runs", "s3://bucket/runs"], catch_exceptions=False
        )
