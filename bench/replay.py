"""A recording through the whole engine, as fast as possible: read, decoded, sequenced, stored, its bars closed.

The recording is made up: six minutes of two symbols with their quotes. The peer is its reading and decoding alone.
Beside it how fast market time passes while a rule of the pair is judged every second, and whether all have one state.
"""

import gzip
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import config
from bench.frame import START_US, Row, count, medians_s, scaled
from data.feeds.binance import USDM, format_trade
from data.feeds.book_ticker import format_quote
from data.feeds.replay import ReplayFeed
from data.feeds.simulated import SimulatedMarket
from data.quotes import QuoteBook, Quotes
from data.trades import Trades
from engine import Engine
from utils.clock import US_PER_S

SYMBOLS = ("BTCUSDT", "ETHUSDT")
RATE, SECONDS = 200, 360
LEAST_PER_S, LEAST_SPEED = 50_000, 20
REPEATS = 3
LOOK_S = 0.01  # between two looks at how far it is: each takes the interpreter's lock from who works
RULE = {"metric": "zscore", "condition": "outside", "threshold": 2.0}


def run(scale: float = 1.0) -> list[Row]:
    """Trades a second, market time with a rule in force, and the states of all replays."""
    with TemporaryDirectory() as name:
        path = Path(name) / "recording.gz"
        trades, quotes = _record(path, scaled(SECONDS, scale, least=90))
        (reading_s,) = medians_s(lambda: _read(path), repeats=REPEATS)
        plain = [_replayed(path, Path(name) / f"plain{k}") for k in range(REPEATS)]
        judged = [_replayed(path, Path(name) / f"judged{k}", RULE) for k in range(2)]
    per_s, seconds = trades / median(taken for taken, _ in plain), trades / RATE
    size = f"{count(trades)} trades, {count(quotes)} quotes"
    states, runs = len({state for _, state in plain}) + len({state for _, state in judged}), len(plain) + len(judged)
    read = ("reading and decoding alone", trades / reading_s)
    target = f">= {count(LEAST_PER_S)} trades/s"
    speed = seconds / median(taken for taken, _ in judged)
    return [
        Row(
            "replay",
            "engine, all stored",
            per_s,
            *read,
            "trades/s",
            size,
            per_s / read[1],
            target,
            per_s >= LEAST_PER_S,
        ),
        Row(
            "replay",
            "engine, a pair rule judged each second",
            speed,
            "real time",
            1.0,
            "s/s",
            size,
            speed,
            f">= {LEAST_SPEED}x",
            speed >= LEAST_SPEED,
        ),
        Row(
            "replay",
            "state hashes",
            states,
            "replays, with a rule and without",
            runs,
            "states",
            size,
            runs / states,
            "2",
            states == 2,
        ),
    ]


def _record(path: Path, seconds: int) -> tuple[int, int]:
    """Write the recording; how many trades and quotes it has."""
    market = SimulatedMarket(SYMBOLS, RATE, start_us=START_US)
    market.quoting = True
    parts: list[Trades | Quotes] = [*market.advance(START_US + seconds * US_PER_S)]
    parts += market.quotes()
    rows = []
    for part in parts:
        if isinstance(part, Trades):
            rows += [(trade.ts_us, 1, format_trade(trade, USDM, "aggTrade")) for trade in part]
        else:
            rows += [(quote.ts_us, 0, format_quote(quote, USDM)) for quote in part]
    text = "".join(f"{ts_us} {frame}\n" for ts_us, _, frame in sorted(rows))
    path.write_bytes(gzip.compress(text.encode(), 6))
    return sum(kind for _, kind, _ in rows), sum(1 - kind for _, kind, _ in rows)


class _Nowhere:
    """A sink that forgets."""

    def offer(self, trades: Trades) -> None:
        """Forget them."""

    def reject(self, symbol: str | None, reason: str, count: int = 1) -> None:
        """Forget them."""


def _read(path: Path) -> None:
    feed = ReplayFeed([path], speed=0)
    feed.quote_sink = QuoteBook()
    feed.start(_Nowhere())
    while not feed.ended:
        time.sleep(LOOK_S)
    feed.stop()


def _replayed(path: Path, folder: Path, rule: Mapping[str, Any] | None = None) -> tuple[float, str]:
    """Seconds until all is played and stored, and the state then."""
    folder.mkdir()
    if rule is not None:  # in the file before the replay begins; what this run plays of it is not stored again
        before = _engine(path, folder)
        before.start()
        before.alerts.add({**before.rule_defaults(), **rule})
        before.stop()
    engine = _engine(path, folder)
    began = time.perf_counter()
    engine.start()
    while not engine.replay.position().ended or engine.session.mirror.waiting:
        time.sleep(LOOK_S)
    taken, state = time.perf_counter() - began, engine.state_hash()
    engine.stop()
    return taken, state


def _engine(path: Path, folder: Path) -> Engine:
    return Engine(config.load(source="replay", replay=(path,), speed=0, database=folder / "tape.db"))
