"""Where a market comes from, by its name and the settings: its feed, its quotes, what it missed. Nothing is started."""

from config import Settings
from data.feeds.binance import MARKETS
from data.feeds.feed import Feed
from data.feeds.rest import Rest
from data.feeds.simulated import SimulatedFeed
from data.feeds.socket import QuoteFeed, SocketFeed


def feed_of(market: str, settings: Settings, symbols: tuple[str, ...]) -> Feed:
    """The feed of an exchange or of the demo market."""
    if market == "demo":
        return SimulatedFeed(symbols, rate=settings.demo_rate, seed=settings.demo_seed)
    return SocketFeed(
        MARKETS[market],
        settings.ws_base(market),
        symbols,
        settings.stream,
        first_data_s=settings.live_deadline_s,
    )


def quote_feed_of(market: str, settings: Settings, symbols: tuple[str, ...]) -> QuoteFeed | None:
    """A second connection, for best quotes, where the exchange is asked for them."""
    if market not in MARKETS or not settings.quotes:
        return None
    return QuoteFeed(MARKETS[market], settings.ws_base(market), symbols)


def history_of(market: str, settings: Settings) -> Rest | None:
    """Where the trades come from that a live market missed."""
    if market not in MARKETS or not settings.backfill:
        return None
    return Rest(MARKETS[market], settings.rest_base(market), settings.stream)
