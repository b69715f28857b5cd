"""A TCP proxy to a server that can be cut off, or answer with errors only."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FaultyProxy:
    """Forwards every connection to the port `target`, unless it is interrupted."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = _listener(0)
        self.port: int = self._listener.getsockname()[1]
        self._connections: set[socket.socket] = set()
        self._connect()

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        """Refuse new connections, and break the open ones."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join()
        for connection in list(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    @contextmanager
    def cut(self) -> Iterator[None]:
        """Connections are refused within the block."""
        self.close()
        yield
        self._listener = _listener(self.port)
        self._connect()

    @contextmanager
    def broken(self) -> Iterator[None]:
        """Every answer has the status 500 within the block."""
        with self.cut(), ThreadingHTTPServer(("127.0.0.1", self.port), _Broken) as stand_in:
            answering = threading.Thread(target=stand_in.serve_forever)
            answering.start()
            yield
            stand_in.shutdown()
            answering.join()

    def _connect(self) -> None:
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                self._join(near)

    def _join(self, near: socket.socket) -> None:
        try:
            far = socket.create_connection(("127.0.0.1", self._target))
        except OSError:  # the server itself is down
            near.close()
            return
        self._connections |= {near, far}
        for source, sink in ((near, far), (far, near)):
            threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while piece := source.recv(65536):
                sink.sendall(piece)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self._connections.discard(source)
        source.close()


class _Broken(BaseHTTPRequestHandler):
    """Answers every request with 500."""

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(500)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST = do_PATCH = _answer  # noqa: N815  # http.server looks for these names

    def log_message(self, *arguments: object) -> None:
        """Print nothing."""


def _listener(port: int) -> socket.socket:
    return socket.create_server(("127.0.0.1", port))
