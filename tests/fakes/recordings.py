"""Recordings made up for a test: the demo market's trades as frames, always the same for the same arguments."""

import gzip
from collections.abc import Iterable, Sequence
from pathlib import Path

from data.feeds.binance import USDM, format_trade
from data.feeds.simulated import SimulatedMarket
from data.trades import Trade
from tests.fakes.feed import T0, S

PAIR = ("BTCUSDT", "ETHUSDT")


def made_up(seconds: float, rate: float = 20.0, symbols: Sequence[str] = PAIR, at_us: int = T0) -> list[Trade]:
    """Trades of the demo market in the order of their times; ids of each symbol without a hole."""
    market = SimulatedMarket(symbols, rate, seed=3, start_us=at_us)
    trades = [trade for part in market.advance(at_us + int(seconds * S)) for trade in part]
    return sorted(trades, key=lambda trade: trade.ts_us)


def recorded(path: Path, trades: Iterable[Trade], stream: str = "aggTrade") -> Path:
    """A gzipped file of these trades as futures frames."""
    lines = [f"{trade.ts_us * 1_000} {format_trade(trade, USDM, stream)}\n" for trade in trades]
    path.write_bytes(gzip.compress("".join(lines).encode(), 1, mtime=0))
    return path
