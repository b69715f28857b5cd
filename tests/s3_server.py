"""An S3 server on loopback (moto's), with one bucket, in this process."""

from __future__ import annotations

import logging
from urllib.request import Request, urlopen

from moto.server import ThreadedMotoServer
from pyarrow import fs

BUCKET = "studies"


class S3Server:
    """Its only user has the key `secret`: no other string contains it."""

    secret = "no-file-has-this-9d2e"

    def __init__(self) -> None:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
        self._server.start()
        host, port = self._server.get_host_and_port()
        self.endpoint = f"http://{host}:{port}"
        self._files = fs.S3FileSystem(
            endpoint_override=self.endpoint,
            region="us-east-1",
            access_key="balpoe",
            secret_key=self.secret,
            allow_bucket_creation=True,
            allow_bucket_deletion=True,
        )

    @property
    def environment(self) -> dict[str, str]:
        """What leads a process to the server."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "balpoe",
            "AWS_SECRET_ACCESS_KEY": self.secret,
        }

    def create_bucket(self) -> None:
        """An empty bucket."""
        self._files.create_dir(BUCKET)

    def delete_bucket(self) -> None:
        """The bucket, with all that is in it."""
        self._files.delete_dir(BUCKET)

    def objects(self, below: str = "") -> dict[str, bytes]:
        """The content of every object, by its name below a prefix."""
        start = f"{BUCKET}/{below}"
        return {
            name: self._files.open_input_file(start + name).read() for name in self.names(below)
        }

    def names(self, below: str = "") -> set[str]:
        """The names of all objects below a prefix."""
        start = f"{BUCKET}/{below}"
        found = self._files.get_file_info(fs.FileSelector(BUCKET, recursive=True))
        paths = {info.path for info in found if info.is_file}
        return {path.removeprefix(start) for path in paths if path.startswith(start)}

    def refuse_everyone(self, is_so: bool) -> None:
        """Let nobody in whom the server does not know, and it knows nobody."""
        url, allowed = f"{self.endpoint}/moto-api/reset-auth", b"0" if is_so else b"inf"
        headers = {"Content-Type": "text/plain"}
        urlopen(Request(url, data=allowed, headers=headers, method="POST")).close()

    def stop(self) -> None:
        """End it."""
        self._server.stop()
