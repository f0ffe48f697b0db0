"""The trading floor of the fake exchange: trades are made, meet their faults, and are told to who asked for them."""

import asyncio
import time
from collections.abc import Iterable, Sequence

from websockets.asyncio.server import broadcast

from data.feeds.binance import MARKETS, QUOTES, format_trade, stream_name
from data.feeds.book_ticker import format_quote
from data.quotes import Quote
from data.trades import Trade
from tests.fakes.faults import Faults
from tests.fakes.peer import Peer
from tests.fakes.tape import TICK_SIZE, Tape
from utils.clock import now_us

EMIT_EVERY_S = 0.005
QUOTE_ID = 5_000_000_000_000  # first update id, of the size of the real ones
SIZE = 3.0  # of the quotes around trades
SERVED = [(market, stream, route) for market in MARKETS.values() for stream, route in market.routes.items()]


class Floor:
    """Trades made at `rate` a second over all symbols; `tape` has all of them. Fields may be set from any thread."""

    def __init__(self, symbols: Sequence[str], rate: float, seed: int) -> None:
        self.tape = Tape(symbols, seed)
        self.peers: list[Peer] = []  # every connection, oldest first
        self.rate = rate
        self.left: int | None = None  # trades still to be made at the rate; None: without end
        self.faults = Faults(seed)  # set another one at any time
        self.quotes: list[Quote] = []  # every one that was made
        self.quoting = False  # each trade follows a quote, at whose bid or ask it is
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
        for trade in made if self.quoting else ():
            bid = trade.price if trade.buyer_is_maker else trade.price - TICK_SIZE
            self.quote(trade.symbol, round(bid, 2), SIZE, round(bid + TICK_SIZE, 2), SIZE)
        self._publish(self.faults.sent(made))
        return made

    def quote(self, symbol: str, bid: float, bid_qty: float, ask: float, ask_qty: float) -> Quote:
        """Print best bid and ask now, to who asked for them."""
        made = Quote(symbol, QUOTE_ID + len(self.quotes), now_us() // 1_000 * 1_000, bid, bid_qty, ask, ask_qty)
        self.quotes.append(made)
        for market in MARKETS.values():
            takers = self._takers(market.quotes_route, stream_name(symbol, QUOTES))
            for combined in {peer.combined for peer in takers}:
                text = format_quote(made, market, combined)
                broadcast([peer.socket for peer in takers if peer.combined is combined], text)
        return made

    def _takers(self, route: str, name: str) -> list[Peer]:
        """Connections of a route that asked for a stream and can be reached."""
        open_peers = [peer for peer in self.open_peers if not (peer.frozen or peer.socket.transport.is_closing())]
        return [peer for peer in open_peers if peer.route == route and name in peer.streams]

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
        for market, stream, route in SERVED:
            takers = self._takers(route, stream_name(trade.symbol, stream))
            for combined in {peer.combined for peer in takers}:
                text = format_trade(trade, market, stream, combined)
                alike = [peer for peer in takers if peer.combined is combined]
                broadcast([peer.socket for peer in alike if not peer.lag_s], text)
                for peer in alike:
                    if peer.lag_s:
                        asyncio.get_running_loop().call_later(peer.lag_s, broadcast, [peer.socket], text)
