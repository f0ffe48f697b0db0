"""One number for the state of a market, to compare two replays by: independent of wall clock, threads and speed."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from data.session import Session

TIMEFRAMES = ("1s", "1m")
BARS = 20_000  # newest bars of each width
EXACT = ("open", "high", "low", "close")
# Their last bits depend on how trades came in batches: floats do not add up the same in another order.
SUMS = ("volume", "vwap", "taker_buy_volume")
DIGITS = 7  # significant ones of a sum that count


def state_hash(
    session: Session, readings: Mapping[str, Mapping[str, float]], events: Iterable[Mapping[str, Any]]
) -> str:
    """SHA-256, as hexadecimal text, over market time, trades held, bars, readings of analyses and alert events.

    readings : metrics by name, by the name of what was read
    events : what rules did in this market, oldest first; without what is drawn at random or by this machine's clock
    """
    digest = hashlib.sha256(f"{session.feed.market_us()}".encode())
    for symbol in sorted(session.symbols):
        digest.update(symbol.encode())
        for column in session.buffer.snapshot(symbol).columns:
            digest.update(column.tobytes())
        for timeframe in TIMEFRAMES:
            _add_bars(digest, session, symbol, timeframe)
    for name in sorted(readings):
        digest.update(f"{name} {_text(readings[name])}".encode())
    for event in events:
        digest.update(_text(event).encode())
    return digest.hexdigest()


def _add_bars(digest: Any, session: Session, symbol: str, timeframe: str) -> None:
    bars = session.resampler(symbol, timeframe).columns(session.feed.market_us(), BARS)
    for name in ("ts_us", "trades", "complete", *EXACT):
        digest.update(getattr(bars, name).tobytes())
    for name in SUMS:
        digest.update(" ".join(f"{value:.{DIGITS}g}" for value in getattr(bars, name).tolist()).encode())


def _text(row: Mapping[str, Any]) -> str:
    """Names and values, in the order of the names; numbers to nine digits, since some are made of sums."""
    values = {name: f"{value:.9g}" if isinstance(value, float) else repr(value) for name, value in row.items()}
    return repr(sorted(values.items()))
