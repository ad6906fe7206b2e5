"""A replica as the router sees it: a small HTTP server on a port of this machine."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Asked:
    """One request; the names of headers are in lower case."""

    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Said:
    """What is answered; nothing at all, and the connection closed, with status 0."""

    status: int = 200
    body: bytes = b"[0.25,0.75]"
    headers: Mapping[str, str] = field(default_factory=lambda: {"content-type": "application/json"})


Answer = Callable[[Asked], Said]


def echo(asked: Asked) -> Said:
    """Answer with what was sent."""
    return Said(200, asked.body, {"content-type": asked.headers["content-type"]})


class TinyReplica:
    """Answers what `answer` says, a thread for each connection; remembers what it was asked."""

    def __init__(self, answer: Answer = echo) -> None:
        self.answer = answer
        self.asked: list[Asked] = []
        self.connections = 0
        replica = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Head and body in one packet, or the client's acknowledgement is waited for.
            wbufsize = -1

            def setup(self) -> None:
                replica.connections += 1
                super().setup()

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                asked = Asked(self.path, {n.lower(): v for n, v in self.headers.items()}, body)
                replica.asked.append(asked)
                said = replica.answer(asked)
                if said.status == 0:
                    self.close_connection = True
                    return
                self.send_response(said.status)
                for name, value in said.headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(said.body)))
                self.end_headers()
                self.wfile.write(said.body)

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def unused_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
