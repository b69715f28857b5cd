"""Where an MLflow store is named: without a secret, for the address is kept and shown."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from balpoe.errors import UserError
from balpoe.study.storage.postgres_address import SECRETS

OPTION, VARIABLE = "--tracking-uri", "MLFLOW_TRACKING_URI"

_SERVERS = ("http", "https")


def refuse_credentials(uri: str, place: str) -> None:
    """Refuse a password, and of a server also a user, which may be a token.

    Raises:
        UserError: `uri`, found at `place`, names one; it is not shown.
    """
    parts = urlsplit(uri)
    is_servers = parts.scheme in _SERVERS and parts.username is not None
    query = parse_qs(parts.query, keep_blank_values=True)
    if is_servers or parts.password is not None or any(name in query for name in SECRETS):
        raise UserError(
            f"{place}: names a password, which others could read; leave it out, and give it by "
            f"MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD or MLFLOW_TRACKING_TOKEN (a "
            f"server) or PGPASSWORD (a database)"
        )
