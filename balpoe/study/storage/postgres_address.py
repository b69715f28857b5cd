"""The address of a PostgreSQL database, which is stored, and its password, which never is.

The password comes from BALPOE_STORAGE, if that names the same database, or by libpq's own means:
PGPASSWORD, PGPASSFILE, ~/.pgpass, a service.
"""

from __future__ import annotations

import os
from typing import Any

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from balpoe.errors import UserError

VARIABLE = "BALPOE_STORAGE"

_SCHEMES = ("postgresql", "postgres", "postgresql+psycopg")
_DRIVER = "postgresql+psycopg"
SECRETS = ("password", "sslpassword")
_CONNECTION_OPTIONS: dict[str, str | int] = {
    # a dead server is detected within a minute, not within the hours of TCP
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
    "application_name": "balpoe",
}


def address_of(text: str, place: str) -> str:
    """Return the address without a password of the database that `text`, found at `place`, names.

    Raises:
        UserError: `text` does not name a PostgreSQL database; the message shows only its scheme.
    """
    return _public(_parsed(text, place))


def refuse_password(text: str, place: str) -> None:
    """Refuse a password where others could read it, such as in the list of processes.

    Raises:
        UserError: `text` has a password.
    """
    url = _parsed(text, place)
    if url.password is not None or any(name in url.query for name in SECRETS):
        raise UserError(
            f"{place}: names a password, which others could read; give it by {VARIABLE}, "
            f"PGPASSWORD or ~/.pgpass, and {place} without it"
        )


def optuna_url(address: str) -> str:
    """Return `address` for SQLAlchemy, without a password: `connect_arguments` has it."""
    return address.replace("postgresql://", f"{_DRIVER}://", 1)


def connect_arguments(address: str) -> dict[str, Any]:
    """Return psycopg's arguments for `address`, with the password from the environment."""
    url = _parsed(address, "the study's storage")
    secret = os.environ.get(VARIABLE)
    if secret:
        with_password = _parsed(secret, VARIABLE)
        if _database(with_password) == _database(url):
            url = with_password
    given = url.translate_connect_args(username="user", database="dbname")
    return {**_CONNECTION_OPTIONS, **url.query, **given}


def _parsed(text: str, place: str) -> URL:
    scheme = text.partition("://")[0] if "://" in text else "no scheme"
    if scheme not in _SCHEMES:
        raise UserError(
            f"{place}: must be postgresql://USER@HOST/DATABASE, got {scheme}; without it a study "
            f"is kept in SQLite, for one host"
        )
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):  # whose messages may quote a password
        url = None
    if url is None or not url.database:
        raise UserError(
            f"{place}: must be postgresql://USER@HOST/DATABASE with special characters of a "
            f"password percent-encoded, such as %40 for @"
        )
    return url


def _public(url: URL) -> str:
    public = url.difference_update_query(SECRETS)
    return URL.create(
        "postgresql", public.username, None, public.host, public.port, public.database, public.query
    ).render_as_string()


def _database(url: URL) -> tuple[str | None, int | None, str | None]:
    return url.host, url.port, url.database
