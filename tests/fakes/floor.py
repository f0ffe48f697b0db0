"""The trading floor of the fake exchange: trades are made, meet their faults, and are told to who asked for them."""

import asyncio
import time
from collections.abc import Iterable, Sequence

from websockets.asyncio.server import broadcast

from data.feeds.binance import MARKETS, format_trade, stream_name
from data.trades import Trade
from tests.fakes.faults import Faults
from tests.fakes.peer import Peer
from tests.fakes.tape import Tape
from utils.clock import now_us

EMIT_EVERY_S = 0.005
SERVED = [(market, stream, route) for market in MARKETS.values() for stream, route in market.routes.items()]


class Floor:
    """Trades made at `rate` a second over all symbols; `tape` has all of them. Fields may be set from any thread."""

    def __init__(self, symbols: Sequence[str], rate: float, seed: int) -> None:
        self.tape = Tape(symbols, seed)
        self.peers: list[Peer] = []  # every connection, oldest first
        self.rate = rate
        self.left: int | None = None  # trades still to be made at the rate; None: without end
        self.faults = Faults(seed)  # set another one at any time
        self.muted = False  # trades go on, nobody is told; pings are answered
        self.muted_symbols: set[str] = set()  # the same for some of them
        self.stuck = False  # trades go on, and the newest one sent before is sent again for each
        self._newest: Trade | None = None  # sent

    @property
    def open_peers(self) -> list[Peer]:
        """Connections that are open now."""
        return [peer for peer in self.peers if peer.open]

    # --- in the thread of the exchange --------------------------------------------------------------

    async def make_at_rate(self) -> None:
        """Make trades for ever; a loop that was late catches up."""
        due, last_s = 0.0, time.monotonic()
        while True:
            await asyncio.sleep(EMIT_EVERY_S)
            now_s = time.monotonic()
            due += self.rate * (now_s - last_s)
            last_s = now_s
            count = int(due) if self.left is None else min(int(due), self.left)
            due -= int(due)
            if count:
                self.make(count)
                self.left = None if self.left is None else self.left - count
            elif self.left == 0:
                self._publish(self.faults.rest())

    def make(self, count: int, symbol: str | None = None) -> list[Trade]:
        """Make trades now, of one symbol or of all at random."""
        made = [self.tape.make(symbol or self.tape.any_symbol(), now_us()) for _ in range(count)]
        self._publish(self.faults.sent(made))
        return made

    def _publish(self, deliveries: Iterable[tuple[float, Trade]]) -> None:
        """Tell trades, each after its delay."""
        for wait_s, trade in deliveries:
            if self.muted or trade.symbol in self.muted_symbols:
                continue
            if self.stuck:
                trade = self._newest or trade
            self._newest = trade
            if wait_s:
                asyncio.get_running_loop().call_later(wait_s, self._tell, trade)
            else:
                self._tell(trade)

    def _tell(self, trade: Trade) -> None:
        open_peers = [peer for peer in self.open_peers if not (peer.frozen or peer.socket.transport.is_closing())]
        for market, stream, route in SERVED:
            name = stream_name(trade.symbol, stream)
            takers = [p for p in open_peers if p.route == route and name in p.streams]
            for combined in {peer.combined for peer in takers}:
                text = format_trade(trade, market, stream, combined)
                alike = [peer for peer in takers if peer.combined is combined]
                broadcast([peer.socket for peer in alike if not peer.lag_s], text)
                for peer in alike:
                    if peer.lag_s:
                        asyncio.get_running_loop().call_later(peer.lag_s, broadcast, [peer.socket], text)
