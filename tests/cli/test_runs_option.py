from __future__ import annotations

import pytest
from click.testing import CliRunner

from balpoe.cli.main import cli
from balpoe.errors import UserError


@pytest.mark.parametrize("verb", ["status", "export", "doctor"])
@pytest.mark.parametrize("runs", ["gs://bucket/runs", "s3://", "s3://key:secret@bucket/runs"])
def test_another_store_than_s3_is_not_taken_for_a_directory(verb: str, runs: str) -> None:
    refusal = "--runs: must be a directory or s3://BUCKET/PREFIX"
    with pytest.raises(UserError, match=refusal) as caught:
        CliRunner().invoke(cli, [verb, "digits", "--runs", runs], catch_exceptions=False)
    assert "secret" not in str(caught.value)
