"""Best quotes: each measure over a million of them and as many trades against a copy; live, ten symbols."""

import time

import numpy as np

from analytics.microstructure import (
    QuoteMeter,
    QuoteParams,
    effective_spread,
    microprice,
    quote_ofi,
    quote_reading,
    quoted_spread,
)
from bench.frame import START_US, Row, Step, count, medians_s, scaled
from data.quotes import Quotes
from data.trades import Trades
from utils.clock import US_PER_S

MOST_COPIES = 15
SYMBOLS, RATE, LIVE_S, WARM_S = 10, 200, 20, 100
MOST_SHARE = 2.0  # percent of one core


def run(scale: float = 1.0) -> list[Row]:
    """A row a measure, one of all of them together, and the share of a core that live readings take."""
    quotes, trades = _made_up(scaled(1_000_000, scale, least=5_000), 1_000)
    now_us, four = int(quotes.ts_us[-1]), quotes.columns[2:]
    steps: dict[str, Step] = {
        "quoted_spread()": lambda: quoted_spread(quotes.ts_us, quotes.bid, quotes.ask, now_us),
        "effective_spread()": lambda: effective_spread(*trades.columns[2:], quotes.bid, quotes.ask),
        "microprice()": lambda: microprice(*four),
        "quote_ofi()": lambda: quote_ofi(*four),
        "quote_reading(): all": lambda: quote_reading(quotes, trades, now_us, QuoteParams(window_s=3_600)),
    }
    every = *quotes.columns, *trades.columns
    *ours, copy_s = medians_s(*steps.values(), lambda: [column.copy() for column in every])
    measured = zip(steps, ours, strict=True)
    return [*(_against_copy(name, seconds, copy_s, len(quotes)) for name, seconds in measured), _live(scale)]


def _against_copy(name: str, seconds: float, copy_s: float, size: int) -> Row:
    ratio, peer = seconds / copy_s, ("a copy of quotes and trades", copy_s * 1e3)
    target = f"<= {MOST_COPIES}x"
    return Row("quotes", name, seconds * 1e3, *peer, "ms", count(size), ratio, target, ratio <= MOST_COPIES)


def _live(scale: float) -> Row:
    """Ten symbols with as many quotes as trades a second, fed ten times and read once a second."""
    rate, seconds = scaled(RATE, scale, least=10), scaled(LIVE_S, scale, least=1)
    books = [_made_up(rate * (WARM_S + seconds), rate, seed) for seed in range(SYMBOLS)]
    meters = [QuoteMeter() for _ in books]
    for meter, (quotes, trades) in zip(meters, books, strict=True):
        meter.feed_quotes(quotes[: WARM_S * rate])
        meter.feed_trades(trades[: WARM_S * rate])
    began = time.perf_counter()
    for start in range(WARM_S * rate, (WARM_S + seconds) * rate, rate):
        for meter, (quotes, trades) in zip(meters, books, strict=True):
            for part in range(10):
                rows = slice(start + part * rate // 10, start + (part + 1) * rate // 10)
                meter.feed_quotes(quotes[rows])
                meter.feed_trades(trades[rows])
            meter.reading(int(quotes.ts_us[start + rate - 1]))
    share = 100 * (time.perf_counter() - began) / seconds
    ours = (f"QuoteMeter, {SYMBOLS} symbols, read each second", share)
    size, target = f"{count(rate)} quotes/s and trades/s each", f"<= {MOST_SHARE:g} %"
    return Row("quotes", *ours, "one core", 100.0, "%", size, 100 / share, target, share <= MOST_SHARE)


def _made_up(size: int, rate: int, seed: int = 7) -> tuple[Quotes, Trades]:
    """Quotes at an even rate, and a trade a millisecond after each."""
    rng, ids = np.random.default_rng(seed), np.arange(size)
    ts_us = START_US + ids * (US_PER_S // rate)
    bid = 1_000 + 0.01 * rng.integers(-1, 2, size).cumsum()
    quotes = Quotes("BTCUSDT", ids, ts_us, bid, rng.uniform(1, 9, size), bid + 0.01, rng.uniform(1, 9, size))
    sold = rng.random(size) < 0.5
    return quotes, Trades.of("BTCUSDT", ids, ts_us + 1_000, np.where(sold, bid, bid + 0.01), bid / 1_000, sold)
