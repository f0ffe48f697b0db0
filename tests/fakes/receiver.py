"""A receiver of webhooks on loopback that answers as it is told to, and keeps a ledger of what it was sent."""

import json
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HANG = 0  # as status: no answer until the receiver is closed


@dataclass(frozen=True)
class Reply:
    """One answer."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"ok"


@dataclass(frozen=True)
class Received:
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    at_s: float  # monotonic

    @property
    def json(self) -> dict[str, Any]:
        """The body as an object."""
        return json.loads(self.body)

    @property
    def message(self) -> str:
        """What an alert says in it."""
        return str(self.json["message"])

    @property
    def key(self) -> str:
        """The dedupe key of an alert."""
        return self.message.rpartition("key ")[2]


class Receiver:
    """Answers by its script, one reply a request; `otherwise` when that has come to its end."""

    def __init__(self, script: Iterable[Reply | int] = (), otherwise: Reply | int = 200, port: int = 0) -> None:
        self.ledger: list[Received] = []
        self.script = list(script)
        self.otherwise = otherwise
        self.heard = threading.Condition()
        self.released = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="receiver", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """Its address for `apprise`, with a secret in it."""
        return f"json://user:s3cr3t-canary@127.0.0.1:{self.port}/hook"

    @property
    def http(self) -> str:
        """Its address for everybody else."""
        return f"http://127.0.0.1:{self.port}"

    def wait(self, count: int, within_s: float = 20.0) -> list[Received]:
        """The ledger once it has so many entries.

        Raises
        ------
        AssertionError
            It had fewer in time.
        """
        with self.heard:
            assert self.heard.wait_for(lambda: len(self.ledger) >= count, within_s), f"{len(self.ledger)} of {count}"
            return list(self.ledger)

    def close(self) -> None:
        """Hear no more."""
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, received: Received) -> Reply:
        with self.heard:
            self.ledger.append(received)
            reply = self.script.pop(0) if self.script else self.otherwise
            self.heard.notify_all()
        return reply if isinstance(reply, Reply) else Reply(reply)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = dict(self.headers)
                reply = owner._answer(Received(self.command, self.path, headers, body, time.monotonic()))
                if reply.status == HANG:
                    owner.released.wait(30)
                    self.close_connection = True
                    return
                self.send_response(reply.status)
                for name, value in ({"Content-Length": str(len(reply.body))} | reply.headers).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(reply.body)

            do_GET = do_POST = do_PUT = answer  # noqa: N815 - names of the library

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        return Handler


@contextmanager
def receiver(*script: Reply | int, otherwise: Reply | int = 200, port: int = 0) -> Iterator[Receiver]:
    """A receiver with a script, closed at the end."""
    opened = Receiver(script, otherwise, port)
    try:
        yield opened
    finally:
        opened.close()
