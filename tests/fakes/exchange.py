"""A scripted exchange on loopback: websocket streams and REST on one port, in a thread of its own.

It behaves like the real one where clients get hurt: every subscription is acknowledged, and a wrong route, an
unknown or an upper-case name then stays silent; too many streams or requests close the connection.

From a test:  `with FakeExchange(rate=100) as exchange: ...` or `with fake_exchange([frame(1)], [frame(2)]) as url`.
By hand:      `python -m tests.fakes.exchange --rate 1000 --seconds 60` prints its addresses as one JSON line.

On one port the unrouted paths belong to the spot market; the routes /market and /public to USD-M futures.
"""

import argparse
import asyncio
import contextlib
import json
import logging
import socket
import struct
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from data.feeds.binance import MARKETS, SPOT, STREAMS_PER_CONNECTION, USDM, Market, format_trade, stream_name
from data.trades import Trade
from tests.fakes.script import Close, Peer, Ping, Refuse, Reset, Script, Stay, Step
from tests.fakes.tape import Tape, agg_trade_row, exchange_info
from utils.clock import now_us

SYMBOLS = ("BTCUSDT", "ETHUSDT")
EMIT_EVERY_S = 0.005
SERVED = [(market, stream, route) for market in MARKETS.values() for stream, route in market.routes.items()]


class FakeExchange:
    """The exchange. Trades are made at `rate` a second over all symbols, or by `emit`; see `tape` for all of them."""

    def __init__(
        self,
        *scripts: Script,
        symbols: Sequence[str] = SYMBOLS,
        rate: float = 0.0,
        seed: int = 7,
        port: int = 0,
    ) -> None:
        self.tape = Tape(symbols, seed)
        self.peers: list[Peer] = []  # every connection, oldest first
        self.rest_calls: list[str] = []  # path and query
        self.rate = rate
        self.muted = False  # trades go on, nobody is told
        self.port = port
        self._scripts = deque(scripts)
        self._ready, self._loop = threading.Event(), asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="fake-exchange", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._ready.wait(5):
            raise RuntimeError("the fake exchange did not start")
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(5)
        self._loop.close()

    @property
    def ws_url(self) -> str:
        """Base address of the websocket routes."""
        return f"ws://127.0.0.1:{self.port}"

    @property
    def rest_url(self) -> str:
        """Base address of REST."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def open_peers(self) -> list[Peer]:
        """Connections that are open now."""
        return [peer for peer in self.peers if peer.open]

    # --- commands, from any thread ----------------------------------------------------------------

    def emit(self, count: int = 1, symbol: str | None = None) -> list[Trade]:
        """Make trades now and send them to who asked for them."""
        return self._call(self._emit(count, symbol))

    def send(self, text: str) -> None:
        """Send a text to every open connection."""
        self._call(self._send(text))

    def close_all(self, code: int = 1001, reason: str = "") -> None:
        """Close every open connection."""
        self._call(self._each(lambda peer: self._perform(peer, Close(code, reason))))

    def reset_all(self) -> None:
        """Drop every open connection without goodbye."""
        self._call(self._each(lambda peer: self._perform(peer, Reset())))

    def refuse(self, status: int, headers: Mapping[str, str] | None = None, times: int = 1) -> None:
        """Answer the next handshakes with a status."""
        self._scripts.extendleft([Refuse(status, headers or {})] * times)

    def _call(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(5)

    # --- the thread -------------------------------------------------------------------------------

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        log = logging.getLogger("tests.fakes.exchange")
        log.setLevel(logging.CRITICAL)  # connections that end badly are its trade
        options: dict[str, Any] = {"compression": None, "ping_interval": None, "close_timeout": 0.2, "logger": log}
        async with serve(self._talk, "127.0.0.1", self.port, process_request=self._answer, **options) as server:
            self.port = next(iter(server.sockets)).getsockname()[1]
            emitter = asyncio.create_task(self._emit_at_rate())
            self._ready.set()
            await self._stopping.wait()
            emitter.cancel()

    async def _emit_at_rate(self) -> None:
        due, last_s = 0.0, time.monotonic()
        while True:
            await asyncio.sleep(EMIT_EVERY_S)
            now_s = time.monotonic()
            due += self.rate * (now_s - last_s)
            last_s = now_s
            await self._emit(int(due), None)
            due -= int(due)

    async def _emit(self, count: int, symbol: str | None) -> list[Trade]:
        made = [self.tape.make(symbol or self.tape.any_symbol(), now_us()) for _ in range(count)]
        if not self.muted:
            for trade in made:
                self._publish(trade)
        return made

    def _publish(self, trade: Trade) -> None:
        for market, stream, route in SERVED:
            name = stream_name(trade.symbol, stream)
            takers = [p for p in self.peers if p.open and p.route == route and name in p.streams]
            for combined in (True, False):
                sockets = [peer.socket for peer in takers if peer.combined is combined]
                if sockets:
                    broadcast(sockets, format_trade(trade, market, stream, combined))

    async def _send(self, text: str) -> None:
        broadcast([peer.socket for peer in self.open_peers], text)

    async def _each(self, work: Callable[[Peer], Coroutine[Any, Any, None]]) -> None:
        await asyncio.gather(*(work(peer) for peer in self.open_peers))

    # --- websocket --------------------------------------------------------------------------------

    async def _talk(self, connection: ServerConnection) -> None:
        peer = _peer(connection)
        script = self._scripts.popleft() if self._scripts else None
        self.peers.append(peer)
        player = asyncio.create_task(self._play(peer, script)) if script is not None else None
        try:
            async for message in connection:
                await self._take(peer, message)
        except ConnectionClosed:
            pass  # however it ended: the script or the client wanted it
        finally:
            peer.open = False
            if player:
                player.cancel()

    async def _play(self, peer: Peer, script: Script) -> None:
        assert not isinstance(script, Refuse)
        with contextlib.suppress(ConnectionClosed):
            for step in (*script, Close()):
                await self._perform(peer, step)

    async def _perform(self, peer: Peer, step: Step) -> None:
        match step:
            case str():
                await peer.socket.send(step)
            case Ping(payload):
                await (await peer.socket.ping(payload))
                peer.pongs.append(payload)
            case Stay():
                await peer.socket.wait_closed()
            case Reset():
                peer.open = False
                _reset(peer.socket)
            case Close(code, reason):
                peer.open = False
                await peer.socket.close(code, reason)

    async def _take(self, peer: Peer, message: str | bytes) -> None:
        """Answer one request of a client."""
        if peer.is_too_fast(time.monotonic()):
            await self._perform(peer, Close(1008, "Too many requests"))
            return
        try:
            request = json.loads(message)
            peer.requests.append(request)
            result = self._obey(peer, request["method"], request.get("params", []))
            reply: dict[str, Any] = {"result": result, "id": request.get("id")}
        except (ValueError, KeyError, TypeError, AttributeError):
            reply = _error(peer.market, 2, "Invalid request: unreadable")
        if len(peer.streams) > STREAMS_PER_CONNECTION:
            await peer.socket.send(json.dumps(_error(peer.market, 4, "Too many subscriptions")))
            await self._perform(peer, Close(1008, "Invalid request"))
            return
        await peer.socket.send(json.dumps(reply, separators=(",", ":")))

    def _obey(self, peer: Peer, method: str, params: list[Any]) -> Any:
        if method == "SUBSCRIBE":
            peer.streams.update(dict.fromkeys(params))
        elif method == "UNSUBSCRIBE":
            for name in params:
                peer.streams.pop(name, None)
        elif method == "LIST_SUBSCRIPTIONS":
            return list(peer.streams)
        elif method == "SET_PROPERTY" and params[0] == "combined":
            peer.combined = bool(params[1])
        elif method == "GET_PROPERTY" and params[0] == "combined":
            return peer.combined
        else:
            raise ValueError(method)
        return None

    # --- HTTP -------------------------------------------------------------------------------------

    def _answer(self, _connection: ServerConnection, request: Request) -> Response | None:
        """REST, or None to go on with the websocket handshake."""
        if "Upgrade" not in request.headers:
            self.rest_calls.append(request.path)
            return _response(*self._rest(request.path))
        if self._scripts and isinstance(self._scripts[0], Refuse):
            refusal = self._scripts.popleft()
            assert isinstance(refusal, Refuse)
            return _response(refusal.status, {"code": 0, "msg": "refused"}, refusal.headers)
        if _is_stream_path(request.path):
            return None
        return _response(404, {"code": -1, "msg": "no such path"})

    def _rest(self, path: str) -> tuple[int, object]:
        parts = urlsplit(path)
        market = next((m for m in MARKETS.values() if parts.path.startswith(m.rest_path + "/")), None)
        query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        match parts.path.removeprefix(market.rest_path) if market else "":
            case "/ping":
                return 200, {}
            case "/time":
                return 200, {"serverTime": now_us() // 1000}
            case "/exchangeInfo":
                return 200, exchange_info(self.tape.symbols, market or USDM)
            case "/aggTrades":
                return self._agg_trades(query, market or USDM)
            case _:
                return 404, {"code": -1, "msg": "no such path"}

    def _agg_trades(self, query: dict[str, str], market: Market) -> tuple[int, object]:
        symbol = query.pop("symbol", "")
        if not symbol:
            return 400, {"code": -1102, "msg": "Mandatory parameter 'symbol' was not sent."}
        if symbol not in self.tape.symbols:
            return 400, {"code": -1121, "msg": "Invalid symbol."}
        if not all(value.isdecimal() for value in query.values()):
            return 400, {"code": -1100, "msg": "Illegal characters found in a parameter."}
        page = self.tape.page(symbol, {key: int(value) for key, value in query.items()})
        return 200, [agg_trade_row(trade, market) for trade in page]


@contextlib.contextmanager
def fake_exchange(*scripts: Script, **options: Any) -> Iterator[str]:
    """The websocket base address of an exchange that plays one script a connection."""
    with FakeExchange(*scripts, **options) as exchange:
        yield exchange.ws_url


def _is_stream_path(path: str) -> bool:
    tail = urlsplit(path).path
    for route in ("/market", "/public", "/private"):
        tail = tail.removeprefix(route)
    return tail in ("/stream", "/ws") or tail.startswith("/ws/")


def _peer(connection: ServerConnection) -> Peer:
    assert connection.request is not None
    path = unquote(connection.request.path)
    parts = urlsplit(path)
    combined = parts.path.endswith("/stream")
    route, _, raw = parts.path.partition("/stream" if combined else "/ws")
    names = parse_qs(parts.query).get("streams", [""])[0] if combined else raw.strip("/")
    return Peer(connection, path, route, combined, dict.fromkeys(name for name in names.split("/") if name))


def _error(market: Market, code: int, message: str) -> dict[str, Any]:
    """The two shapes in which the exchange complains."""
    error: dict[str, Any] = {"code": code, "msg": message}
    return error | {"id": None} if market is SPOT else {"error": error, "id": None}


def _reset(connection: ServerConnection) -> None:
    raw = connection.transport.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.transport.abort()


def _response(status: int, body: object, headers: Mapping[str, str] | None = None) -> Response:
    data = json.dumps(body, separators=(",", ":")).encode()
    fields = Headers({"Content-Type": "application/json", "Content-Length": str(len(data)), "Connection": "close"})
    fields.update(headers or {})
    phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Refused"
    return Response(status, phrase, fields, data)


def main() -> None:
    """Serve until the time is up or the process is interrupted; addresses first, the ledger's sizes last."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--rate", type=float, default=50.0, help="trades a second over all symbols")
    parser.add_argument("--symbols", default=",".join(SYMBOLS))
    parser.add_argument("--seconds", type=float, default=0.0, help="0: until interrupted")
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args()
    symbols = args.symbols.upper().split(",")
    with FakeExchange(symbols=symbols, rate=args.rate, seed=args.seed, port=args.port) as exchange:
        _say({"ws_url": exchange.ws_url, "rest_url": exchange.rest_url})
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait(args.seconds or None)
        exchange.rate = 0.0
        _say({"trades": {symbol: len(made) for symbol, made in exchange.tape.trades.items()}})


def _say(value: object) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
