"""A scripted exchange on loopback: websocket streams and REST on one port, in a thread of its own.

It behaves like the real one where clients get hurt: every subscription is acknowledged, and a wrong route, an
unknown or an upper-case name then stays silent; too many streams or requests close the connection. And it can be
told to fail in every way that was ever seen: see "faults" below, `faults.py` for trades, `rest.py` for REST.

From a test:  `with FakeExchange(rate=100) as exchange: ...` or `with fake_exchange([frame(1)], [frame(2)]) as url`.
By hand:      `python -m tests.fakes --rate 1000 --seconds 60` prints its addresses as one JSON line.

On one port the unrouted paths belong to the spot market; the routes /market and /public to USD-M futures.
"""

import asyncio
import contextlib
import json
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from typing import Any, Self

from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from data.feeds.binance import STREAMS_PER_CONNECTION
from data.quotes import Quote
from data.trades import Trade
from tests.fakes.floor import Floor
from tests.fakes.peer import Peer, is_stream_path, peer_of, route_of
from tests.fakes.rest import FakeRest, Refusal, response
from tests.fakes.script import Close, Raw, Refuse, Reset, Script, Step
from utils.clock import now_us

SYMBOLS = ("BTCUSDT", "ETHUSDT")


class FakeExchange(Floor):
    """The exchange. Trades are made at `rate` a second over all symbols, or by `emit`; see `tape` for all of them."""

    def __init__(
        self,
        *scripts: Script,
        symbols: Sequence[str] = SYMBOLS,
        rate: float = 0.0,
        seed: int = 7,
        port: int = 0,
    ) -> None:
        super().__init__(symbols, rate, seed)
        self.rest = FakeRest(self.tape)
        self.handshakes: list[tuple[float, int]] = []  # monotonic time and status of each
        self.hang_up: Close | Reset | None = None  # what new connections get at once
        self.port = port
        self._scripts = deque(scripts)
        self._refusal: Refusal | None = None
        self._refused_routes: dict[str, Refusal] = {}
        self._ready, self._loop = threading.Event(), asyncio.new_event_loop()
        self._stopping, self._warm = asyncio.Event(), asyncio.Event()
        self._warm.set()
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
    def rest_log(self) -> list[tuple[float, str, int]]:
        """Monotonic time, path with query, and status of each REST call."""
        return self.rest.log

    @property
    def rest_calls(self) -> list[str]:
        """Path and query of each REST call."""
        return [path for _, path, _ in self.rest.log]

    # --- commands, from any thread ----------------------------------------------------------------

    def emit(self, count: int = 1, symbol: str | None = None) -> list[Trade]:
        """Make trades now and send them to who asked for them."""
        return self._call(self._soon(lambda: self.make(count, symbol)))

    def print_quote(self, symbol: str, bid: float, bid_qty: float, ask: float, ask_qty: float) -> Quote:
        """Print best bid and ask now and send them to who asked for them."""
        return self._call(self._soon(lambda: self.quote(symbol, bid, bid_qty, ask, ask_qty)))

    def close_route(self, route: str, code: int = 1001) -> None:
        """Close every open connection of one route."""
        self._call(self._each(Close(code), [peer for peer in self.open_peers if peer.route == route]))

    def run(self, count: int, rate: float) -> None:
        """Begin to make so many trades at a rate; `left` falls to 0."""
        self.left, self.rate = count, rate

    def send(self, text: str) -> None:
        """Send a text to every open connection."""
        self._call(self._soon(lambda: broadcast([peer.socket for peer in self.open_peers], text)))

    def send_raw(self, data: bytes) -> None:
        """Send bytes as they are to every open connection."""
        self._call(self._each(Raw(data)))

    def relist(self, symbol: str) -> None:
        """List a symbol anew: its ids start again at 1."""
        self._call(self._soon(lambda: self.tape.relist(symbol)))

    # --- faults, from any thread; those of trades are `faults`, those of REST `rest` -----------------

    def close_all(self, code: int = 1001, reason: str = "") -> None:
        """Close every open connection."""
        self._call(self._each(Close(code, reason)))

    def reset_all(self, mid_frame: bool = False) -> None:
        """Drop every open connection without goodbye."""
        self._call(self._each(Reset(mid_frame)))

    def refuse(self, status: int, headers: Mapping[str, str] | None = None, times: int | None = 1) -> None:
        """Answer the next handshakes with a status; with None all, until `admit`."""
        if times is None:
            self._refusal = Refusal(status, headers or {})
        else:
            self._scripts.extendleft([Refuse(status, headers or {})] * times)

    def refuse_route(self, route: str, status: int) -> None:
        """Answer the handshakes of one route with a status, until `admit`."""
        self._refused_routes[route] = Refusal(status, {})

    def admit(self) -> None:
        """Answer handshakes again."""
        self._refusal = None
        self._refused_routes.clear()

    def refuse_rest(self, status: int, headers: Mapping[str, str] | None = None, times: int | None = None) -> None:
        """Answer the next REST calls with a status; with None all, until `admit_rest`."""
        self.rest.refuse(status, headers, times)

    def admit_rest(self) -> None:
        """Answer REST calls again."""
        self.rest.admit()

    def mute(self, symbol: str) -> None:
        """Say nothing more of one symbol; its trades go on."""
        self.muted_symbols.add(symbol)

    def unmute(self, symbol: str) -> None:
        """Send the trades of a symbol again."""
        self.muted_symbols.discard(symbol)

    def freeze(self) -> None:
        """Stand still, as a stopped process does: connections stay open, new ones are taken by the system only."""
        self._call(self._soon(self._freeze))

    def thaw(self) -> None:
        """Go on. What was not sent meanwhile is not sent later."""
        self._call(self._soon(self._thaw))

    def lag(self, seconds: float) -> None:
        """Make the connections open now fall behind; new ones are on time."""
        for peer in self.open_peers:
            peer.lag_s = seconds

    def drip(self, every_s: float) -> None:
        """Send single bytes to the connections open now; 0 ends that."""
        self._call(self._soon(lambda: self._drip(every_s)))

    def announce_shutdown(self, in_s: float = 10.0) -> None:
        """Tell the connections open now that they will be closed, and do it then; new ones are spared."""
        self._call(self._announce_shutdown(in_s))

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
        options |= {"open_timeout": None, "process_request": self._answer}
        async with serve(self._talk, "127.0.0.1", self.port, **options) as server:
            self.port = next(iter(server.sockets)).getsockname()[1]
            emitter = asyncio.create_task(self.make_at_rate())
            self._ready.set()
            await self._stopping.wait()
            self._thaw()
            emitter.cancel()

    async def _each(self, step: Step, peers: Sequence[Peer] | None = None) -> None:
        peers = self.open_peers if peers is None else peers
        await asyncio.gather(*(peer.perform(step) for peer in peers))

    async def _soon(self, work: Callable[[], Any]) -> Any:
        return work()

    def _freeze(self) -> None:
        self._warm.clear()
        for peer in self.open_peers:
            peer.freeze()

    def _thaw(self) -> None:
        self._warm.set()
        for peer in self.peers:
            if peer.frozen:
                peer.thaw()

    def _drip(self, every_s: float) -> None:
        for peer in self.open_peers:
            peer.drip(every_s)

    async def _announce_shutdown(self, in_s: float) -> None:
        event = {"e": "serverShutdown", "E": now_us() // 1000}
        peers = self.open_peers
        for peer in peers:
            await peer.socket.send(json.dumps({"stream": "!serverShutdown", "data": event} if peer.combined else event))
        self._loop.call_later(in_s, lambda: self._loop.create_task(self._each(Close(1001), peers)))

    # --- connections ------------------------------------------------------------------------------

    async def _answer(self, _connection: ServerConnection, request: Request) -> Response | None:
        """REST, or None to go on with the websocket handshake."""
        await self._warm.wait()
        if "Upgrade" not in request.headers:
            return self.rest.answer(request.path)
        refusal = self._refusal
        if self._scripts and isinstance(self._scripts[0], Refuse):
            refused = self._scripts.popleft()
            assert isinstance(refused, Refuse)
            refusal = Refusal(refused.status, refused.headers)
        refusal = refusal or self._refused_routes.get(route_of(request.path))
        if refusal is None and not is_stream_path(request.path):
            return response(404, {"code": -1, "msg": "no such path"})
        self.handshakes.append((time.monotonic(), refusal.status if refusal else 101))
        return refusal.response() if refusal else None

    async def _talk(self, connection: ServerConnection) -> None:
        peer = peer_of(connection)
        script = self._scripts.popleft() if self._scripts else None
        self.peers.append(peer)
        if self.hang_up:
            script = [self.hang_up]
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
                await peer.perform(step)

    async def _take(self, peer: Peer, message: str | bytes) -> None:
        """Answer one request of a client."""
        if peer.is_too_fast(time.monotonic()):
            await peer.perform(Close(1008, "Too many requests"))
            return
        reply = peer.reply(message)
        if len(peer.streams) > STREAMS_PER_CONNECTION:
            await peer.perform(json.dumps(peer.complaint(4, "Too many subscriptions")))
            await peer.perform(Close(1008, "Invalid request"))
            return
        await peer.perform(reply)


@contextlib.contextmanager
def fake_exchange(*scripts: Script, **options: Any) -> Iterator[str]:
    """The websocket base address of an exchange that plays one script a connection."""
    with FakeExchange(*scripts, **options) as exchange:
        yield exchange.ws_url
