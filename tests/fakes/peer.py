"""One connection to the fake exchange: what it asked for, how requests are answered, how it can be mistreated."""

import asyncio
import contextlib
import json
import socket
import struct
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from websockets.asyncio.server import ServerConnection
from websockets.frames import Frame, Opcode

from data.feeds.binance import SPOT, USDM, Market
from tests.fakes.script import Close, Ping, Raw, Reset, Stay, Step

REQUESTS_PER_S = {SPOT.venue: 5, USDM.venue: 10}
NO_HANDSHAKE = 1006  # a close code that nobody sends: the connection just ends


@dataclass(eq=False)
class Peer:
    """One connection that was made to the exchange."""

    socket: ServerConnection
    path: str
    route: str
    combined: bool
    streams: dict[str, None] = field(default_factory=dict)  # names asked for, in order, right or wrong
    requests: list[Any] = field(default_factory=list)  # JSON received
    pongs: list[bytes] = field(default_factory=list)
    open: bool = True
    frozen: bool = False  # nothing is read and nothing sent
    lag_s: float = 0.0  # trades reach it so much later
    _times: deque[float] = field(default_factory=deque)

    @property
    def market(self) -> Market:
        """Whose rules hold here."""
        return SPOT if self.route == "" else USDM

    def is_too_fast(self, now_s: float) -> bool:
        """Whether this request is one too many within a second."""
        self._times.append(now_s)
        while now_s - self._times[0] > 1.0:
            self._times.popleft()
        return len(self._times) > REQUESTS_PER_S[self.market.venue]

    def reply(self, message: str | bytes) -> str:
        """Obey one request; the answer. Whatever the names are, it is acknowledged."""
        try:
            request = json.loads(message)
            self.requests.append(request)
            result = self._obey(request["method"], request.get("params", []))
            answer: dict[str, Any] = {"result": result, "id": request.get("id")}
        except (ValueError, KeyError, TypeError, AttributeError):
            answer = self.complaint(2, "Invalid request: unreadable")
        return json.dumps(answer, separators=(",", ":"))

    def complaint(self, code: int, message: str) -> dict[str, Any]:
        """The two shapes in which the exchange complains."""
        error: dict[str, Any] = {"code": code, "msg": message}
        return error | {"id": None} if self.market is SPOT else {"error": error, "id": None}

    def _obey(self, method: str, params: list[Any]) -> Any:
        if method == "SUBSCRIBE":
            self.streams.update(dict.fromkeys(params))
        elif method == "UNSUBSCRIBE":
            for name in params:
                self.streams.pop(name, None)
        elif method == "LIST_SUBSCRIPTIONS":
            return list(self.streams)
        elif method == "SET_PROPERTY" and params[0] == "combined":
            self.combined = bool(params[1])
        elif method == "GET_PROPERTY" and params[0] == "combined":
            return self.combined
        else:
            raise ValueError(method)
        return None

    # --- in the thread of the exchange --------------------------------------------------------------

    async def perform(self, step: Step) -> None:
        """Carry out one step of a script."""
        match step:
            case str():
                await self.socket.send(step)
            case Raw(data):
                self.socket.transport.write(data)
            case Ping(payload):
                await (await self.socket.ping(payload))
                self.pongs.append(payload)
            case Stay():
                await self.socket.wait_closed()
            case Reset(mid_frame):
                self._drop(mid_frame)
            case Close(code, reason):
                self.open = False
                if code == NO_HANDSHAKE:
                    self.socket.transport.close()
                else:
                    await self.socket.close(code, reason)

    def _drop(self, mid_frame: bool) -> None:
        """Send RST, perhaps after half a frame."""
        self.open = False
        if mid_frame:
            frame = text_frame('{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","s":"BTCUSDT"}}')
            self.socket.transport.write(frame[: len(frame) // 2])
        raw = self.socket.transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.transport.abort()

    def freeze(self) -> None:
        """Leave the connection open and do nothing more on it: not even a ping is answered."""
        self.frozen = True
        self.socket.transport.pause_reading()

    def thaw(self) -> None:
        """Go on where it was frozen."""
        self.frozen = False
        self.socket.transport.resume_reading()

    def drip(self, every_s: float) -> None:
        """Send single bytes from now on; 0 ends that and sends what waits."""
        transport = self.socket.transport
        if isinstance(transport, _Dripping):
            self.socket.transport = transport.end()
        if every_s:
            self.socket.transport = _Dripping(self.socket.transport, every_s)  # type: ignore[assignment]


class _Dripping:
    """A transport whose bytes leave one at a time."""

    def __init__(self, transport: asyncio.Transport, every_s: float) -> None:
        self._transport, self._every_s = transport, every_s
        self._waiting: deque[int] = deque()
        self._task = asyncio.ensure_future(self._run())

    def write(self, data: bytes) -> None:
        self._waiting.extend(data)

    def writelines(self, parts: Sequence[bytes]) -> None:
        self.write(b"".join(parts))

    def end(self) -> asyncio.Transport:
        """The real transport, with everything that waits written to it."""
        self._task.cancel()
        with contextlib.suppress(RuntimeError):  # the same
            self._transport.write(bytes(self._waiting))
        return self._transport

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    async def _run(self) -> None:
        with contextlib.suppress(RuntimeError):  # the connection was closed meanwhile
            while not self._transport.is_closing():
                await asyncio.sleep(self._every_s)
                if self._waiting:
                    self._transport.write(bytes((self._waiting.popleft(),)))


def peer_of(connection: ServerConnection) -> Peer:
    """A connection, with what its address asks for."""
    assert connection.request is not None
    path = unquote(connection.request.path)
    parts = urlsplit(path)
    combined = parts.path.endswith("/stream")
    route, _, raw = parts.path.partition("/stream" if combined else "/ws")
    names = parse_qs(parts.query).get("streams", [""])[0] if combined else raw.strip("/")
    return Peer(connection, path, route, combined, dict.fromkeys(name for name in names.split("/") if name))


def route_of(path: str) -> str:
    """What stands before /stream and /ws."""
    return urlsplit(path).path.partition("/stream")[0].partition("/ws")[0]


def is_stream_path(path: str) -> bool:
    """Whether a websocket can be opened at this address."""
    tail = urlsplit(path).path
    for route in ("/market", "/public", "/private"):
        tail = tail.removeprefix(route)
    return tail in ("/stream", "/ws") or tail.startswith("/ws/")


def text_frame(text: str) -> bytes:
    """The bytes of one text frame of a server."""
    return Frame(Opcode.TEXT, text.encode()).serialize(mask=False, extensions=[])
