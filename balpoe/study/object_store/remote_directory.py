"""A directory on an object store: a reader sees an old object or the new one, never a part.

Endpoint, region and credentials come from the environment of each process (AWS_ENDPOINT_URL,
AWS_REGION, AWS_ACCESS_KEY_ID, … or the host's role); they are neither stored nor sent.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from pyarrow import ArrowException, fs

from balpoe.atomic_write import create_directory, write_bytes_atomically
from balpoe.errors import StorageError, UserError

SCHEME = "s3://"
CONNECT_SECONDS = 5.0
_QUICK, _PATIENT = 2, 8  # attempts; 8 take about a minute
_AWS_PHRASES = re.compile(r"^.*AWS Error |; Details: .*| \(Request ID: .*")
_NO_BUCKET = "NO_SUCH_BUCKET"
_HINTS = {
    "ACCESS_DENIED": "give credentials that may list, read, write and delete there "
    "(AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_PROFILE or the host's role)",
    "INVALID_ACCESS_KEY_ID": "name a user that the store knows (AWS_ACCESS_KEY_ID)",
    "SIGNATURE_DOES_NOT_MATCH": "give the AWS_SECRET_ACCESS_KEY of AWS_ACCESS_KEY_ID",
    _NO_BUCKET: "create it, or name another",
    "NETWORK_CONNECTION": "check AWS_ENDPOINT_URL and the network",
}
_HINT = "check the bucket, AWS_ENDPOINT_URL, AWS_REGION and the credentials"


@dataclass(frozen=True, slots=True)
class RemoteObject:
    """An object as listed: its size in bytes and the time of its upload in nanoseconds."""

    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class RemoteDirectory:
    """The objects below `url` (`s3://bucket/…`), by their names relative to it.

    Its methods raise `StorageError` if the store cannot be reached or refuses; except for
    `ensure_reachable`, they retry for about a minute. A wrong AWS_ENDPOINT_URL is a `UserError`.
    """

    url: str

    def below(self, name: str) -> RemoteDirectory:
        """Return the directory `name` in this one."""
        return RemoteDirectory(f"{self.url}/{name}")

    def ensure_reachable(self) -> None:
        """Check within seconds that the bucket exists and this process can reach it."""
        bucket, _, _ = self._key().partition("/")
        with self._translated("reached"):
            [found] = _store(_QUICK).get_file_info([bucket])
        if found.type == fs.FileType.NotFound:
            raise StorageError(f"{SCHEME}{bucket}: there is no such bucket; {_HINTS[_NO_BUCKET]}")

    def objects(self) -> dict[str, RemoteObject]:
        """Return all objects by name."""
        selector = fs.FileSelector(self._key(), allow_not_found=True, recursive=True)
        with self._translated("listed"):
            found = _store(_PATIENT).get_file_info(selector)
        start = len(self._key()) + 1
        return {
            info.path[start:]: RemoteObject(info.size, info.mtime_ns)
            for info in found
            if info.is_file
        }

    def directories(self) -> tuple[str, ...]:
        """Return the names of the directories directly below this one."""
        selector = fs.FileSelector(self._key(), allow_not_found=True)
        with self._translated("listed"):
            found = _store(_PATIENT).get_file_info(selector)
        return tuple(sorted(info.base_name for info in found if not info.is_file))

    def read(self, name: str) -> bytes | None:
        """Return the content of an object; None if it does not exist."""
        with (
            self._translated("read"),
            suppress(FileNotFoundError),
            _store(_PATIENT).open_input_stream(self._key(name)) as stream,
        ):
            return bytes(stream.read())
        return None

    def download(self, name: str, path: Path) -> bool:
        """Write the object to the file `path` atomically; return False if it does not exist."""
        content = self.read(name)
        if content is None:
            return False
        create_directory(path.parent)
        write_bytes_atomically(path, content)
        return True

    def write(self, name: str, content: bytes) -> None:
        """Upload an object."""
        with (
            self._translated("written"),
            _store(_PATIENT).open_output_stream(self._key(name)) as stream,
        ):
            stream.write(content)

    def delete(self, name: str) -> None:
        """Delete an object if it exists."""
        with self._translated("written"), suppress(FileNotFoundError):
            _store(_PATIENT).delete_file(self._key(name))

    def _key(self, name: str = "") -> str:
        """Return bucket and key."""
        return f"{self.url.removeprefix(SCHEME)}/{name}".rstrip("/")

    @contextmanager
    def _translated(self, done: str) -> Iterator[None]:
        try:
            yield
        except (OSError, ArrowException) as error:
            first, *_ = str(error).splitlines() or [type(error).__name__]
            reason = _AWS_PHRASES.sub("", first)
            hint = next((hint for word, hint in _HINTS.items() if word in reason), _HINT)
            raise StorageError(f"{self.url}: cannot be {done}: {reason}; {hint}") from error


def endpoint() -> str:
    """Return the address that requests go to; empty for AWS itself."""
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL", "")


@functools.cache
def _store(attempts: int) -> fs.FileSystem:
    url = urlsplit(endpoint())
    if endpoint() and url.scheme not in ("http", "https"):
        raise UserError(
            f"AWS_ENDPOINT_URL: must begin with http:// or https://, got {endpoint()!r}"
        )
    return fs.S3FileSystem(
        endpoint_override=url.netloc or None,
        scheme=url.scheme or "https",
        region=os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION"),
        connect_timeout=CONNECT_SECONDS,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=attempts),
        background_writes=False,
        allow_delayed_open=True,  # a small file is one request
    )
