"""A feed that a test holds in its hand: it delivers what it is told to, when it is told to."""

from collections.abc import Iterable

from data.feeds.feed import FeedState, Sink
from data.trades import Trade, Trades

T0 = 1_700_000_000_000_000  # 2023-11-14T22:13:20Z, the open of a second
S = 1_000_000


class ScriptedFeed:
    """A feed whose trades, clock and state are set by the test."""

    def __init__(self, venue: str = "demo", contiguous: bool = True) -> None:
        self.venue = venue
        self.stream = "aggTrade"
        self.contiguous = contiguous
        self.state = FeedState("LIVE")
        self.clock_us = T0
        self.stopped = False

    def market_us(self) -> int:
        return self.clock_us

    def start(self, sink: Sink) -> None:
        self.sink = sink

    def stop(self) -> None:
        self.stopped = True

    def print(self, symbol: str, prices: Iterable[float], first_id: int = 1, at_us: int = T0) -> None:
        """One trade a second for each price; the clock stands at the end of the last second."""
        rows = [
            Trade(symbol, first_id + i, at_us + i * S, price, 1.0, buyer_is_maker=bool(i % 2))
            for i, price in enumerate(prices)
        ]
        self.sink.offer(Trades.from_rows(symbol, rows))
        self.clock_us = max(self.clock_us, at_us + len(rows) * S)
