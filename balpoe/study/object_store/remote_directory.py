"""A directory on an object store: objects are put whole, and a reader sees the old or the new one.

Endpoint, region and credentials are those of each process's environment (AWS_ENDPOINT_URL,
AWS_REGION, AWS_ACCESS_KEY_ID, …, or what the host's role grants): nothing of them is kept or sent.
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
_QUICK, _PATIENT = 2, 8  # attempts; the patient ones take about a minute
_SURROUNDINGS = re.compile(r"^.*AWS Error |; Details: .*| \(Request ID: .*")
_NO_BUCKET = "NO_SUCH_BUCKET"
_CURES = {
    "ACCESS_DENIED": "give credentials that may list, read, write and delete there "
    "(AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_PROFILE or the host's role)",
    "INVALID_ACCESS_KEY_ID": "name a user that the store knows (AWS_ACCESS_KEY_ID)",
    "SIGNATURE_DOES_NOT_MATCH": "give the AWS_SECRET_ACCESS_KEY of AWS_ACCESS_KEY_ID",
    _NO_BUCKET: "create it, or name another",
    "NETWORK_CONNECTION": "check AWS_ENDPOINT_URL and the network",
}
_CURE = "check the bucket, AWS_ENDPOINT_URL, AWS_REGION and the credentials"


@dataclass(frozen=True, slots=True)
class RemoteObject:
    """An object as it is listed: its size in bytes, and when it was put, in nanoseconds."""

    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class RemoteDirectory:
    """The objects below `url` (`s3://bucket/…`), by their names from there.

    Its methods raise `StorageError` where the store cannot be reached or refuses; but for
    `ensure_reachable` they try for about a minute. A wrong AWS_ENDPOINT_URL is a `UserError`.
    """

    url: str

    def below(self, name: str) -> RemoteDirectory:
        """The directory `name` in this one."""
        return RemoteDirectory(f"{self.url}/{name}")

    def ensure_reachable(self) -> None:
        """Find out within seconds whether the bucket is there for this process."""
        bucket, _, _ = self._key().partition("/")
        with self._told("reached"):
            [found] = _store(_QUICK).get_file_info([bucket])
        if found.type == fs.FileType.NotFound:
            raise StorageError(f"{SCHEME}{bucket}: there is no such bucket; {_CURES[_NO_BUCKET]}")

    def objects(self) -> dict[str, RemoteObject]:
        """All objects, as they are at the moment."""
        selector = fs.FileSelector(self._key(), allow_not_found=True, recursive=True)
        with self._told("listed"):
            found = _store(_PATIENT).get_file_info(selector)
        start = len(self._key()) + 1
        return {
            info.path[start:]: RemoteObject(info.size, info.mtime_ns)
            for info in found
            if info.is_file
        }

    def directories(self) -> tuple[str, ...]:
        """The names of the directories right below this one."""
        selector = fs.FileSelector(self._key(), allow_not_found=True)
        with self._told("listed"):
            found = _store(_PATIENT).get_file_info(selector)
        return tuple(sorted(info.base_name for info in found if not info.is_file))

    def read(self, name: str) -> bytes | None:
        """The content of an object; None where there is none."""
        with (
            self._told("read"),
            suppress(FileNotFoundError),
            _store(_PATIENT).open_input_stream(self._key(name)) as stream,
        ):
            return bytes(stream.read())
        return None

    def bring(self, name: str, path: Path) -> bool:
        """Write the object to the file `path`, whole or not at all; False where there is none."""
        content = self.read(name)
        if content is None:
            return False
        create_directory(path.parent)
        write_bytes_atomically(path, content)
        return True

    def write(self, name: str, content: bytes) -> None:
        """Put an object."""
        with (
            self._told("written"),
            _store(_PATIENT).open_output_stream(self._key(name)) as stream,
        ):
            stream.write(content)

    def delete(self, name: str) -> None:
        """Delete an object, if it is there."""
        with self._told("written"), suppress(FileNotFoundError):
            _store(_PATIENT).delete_file(self._key(name))

    def _key(self, name: str = "") -> str:
        """Bucket and key."""
        return f"{self.url.removeprefix(SCHEME)}/{name}".rstrip("/")

    @contextmanager
    def _told(self, done: str) -> Iterator[None]:
        try:
            yield
        except (OSError, ArrowException) as error:
            first, *_ = str(error).splitlines() or [type(error).__name__]
            reason = _SURROUNDINGS.sub("", first)
            cure = next((cure for word, cure in _CURES.items() if word in reason), _CURE)
            raise StorageError(f"{self.url}: cannot be {done}: {reason}; {cure}") from error


def endpoint() -> str:
    """Where requests go; empty for AWS itself."""
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
