"""How long `/healthz` takes on a kept connection, engine running: our own start against `streamlit run app.py`.

Streamlit binds its socket in a way that leaves Nagle's algorithm on, and every answer waits for an acknowledgement.
"""

import socket
from collections.abc import Sequence
from contextlib import AbstractContextManager, closing
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from bench.frame import Row, at_least, medians_s, named, scaled
from tests.running import Running, running

CALLS = 300
RATE = 1_000  # trades a second meanwhile


def run(scale: float = 1.0) -> list[Row]:
    """One row: median of a call."""
    calls = scaled(CALLS, scale, least=5)
    with TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
        free.close()
        streamlit = ("-m", "streamlit", "run", "app.py", "--server.port", str(port))
        with (
            _market(Path(folder) / "ours.db") as ours,
            _market(Path(folder) / "peer.db", streamlit) as peer,
            _kept(ours.url) as to_ours,
            _kept(peer.url) as to_peer,
        ):
            ours_s, peer_s = medians_s(lambda: _ask(to_ours, calls), lambda: _ask(to_peer, calls))
    sides = ("app.py", ours_s / calls * 1e3), (f"{named('streamlit')} run app.py", peer_s / calls * 1e3)
    return [at_least("api", *sides, "ms a call", f"{calls} calls", 15)]


def _market(database: Path, program: Sequence[str] = ("app.py",)) -> AbstractContextManager[Running]:
    return running(program=program, source="demo", demo_rate=RATE, database=database, log_level="ERROR")


def _kept(url: str) -> AbstractContextManager[HTTPConnection]:
    return closing(HTTPConnection(urlsplit(url).netloc, timeout=60))


def _ask(connection: HTTPConnection, calls: int) -> None:
    """So many GET /healthz, one after the other, on a new connection: the server may have ended one that waited."""
    connection.close()
    for _ in range(calls):
        connection.request("GET", "/healthz")
        connection.getresponse().read()
