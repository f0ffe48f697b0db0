"""What a feed is: something that delivers batches of trades to a sink, from a thread of its own."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from data.quotes import QuoteSink
from data.trades import Trades


@dataclass(frozen=True, slots=True)
class FeedState:
    """How a feed stands, as one immutable value; replaced, never changed."""

    mode: str  # "CONNECTING", "LIVE", "RECONNECTING", "BLOCKED", "PAUSED" or "ENDED"
    detail: str = ""  # why, in plain words, for people
    reconnects: int = 0
    retry_at_s: float | None = None  # monotonic time of the next attempt, where one is waited for


class Sink(Protocol):
    """Where a feed delivers. Every call is safe from any thread and returns quickly."""

    def offer(self, trades: Trades) -> None:
        """Trades of one symbol, checked, in order of arrival; duplicates and disorder are welcome."""

    def reject(self, symbol: str | None, reason: str, count: int = 1) -> None:
        """Trades that arrived and were refused; `symbol` is None where the frame does not tell."""


class Feed(Protocol):
    """A source of trades: the exchange, a recording or the demo market."""

    venue: str  # "binance-um", "binance-spot", "demo" or "replay": trades of different venues never mix
    stream: str  # "aggTrade", "trade", ...: counts its ids apart from every other stream
    contiguous: bool  # ids follow each other without holes, so a hole is a loss

    @property
    def state(self) -> FeedState: ...

    def market_us(self) -> int:
        """The time of this market, microseconds: the wall clock, or the position in a recording."""

    def start(self, sink: Sink) -> None:
        """Begin to deliver, in threads of the feed's own."""

    def stop(self) -> None:
        """Stop and join; nothing is delivered afterwards. Safe to call twice."""


@runtime_checkable
class QuotingFeed(Protocol):
    """A feed that has quotes beside its trades, over the same line."""

    quote_sink: QuoteSink | None  # where they go; set before the start, None: nowhere
