"""Compiles every kernel of the analytics: `python -m analytics.warm`, once a version, before the start."""

from typing import Any

import numpy as np
import pandas as pd

from analytics.backtest import BacktestParams, backtest, walk_forward
from analytics.correlation.lead_lag import lead_lag
from analytics.correlation.widths import correlation_by_width
from analytics.hedge import kalman
from analytics.indicators import atr, bollinger, ema, macd, rsi, sma, vwap
from analytics.microstructure import LiveTape, quote_reading, side_accuracy, tick_rule, trade_sizes
from analytics.microstructure.columns import Rows
from analytics.pair import METHODS, SCALES, PairParams, analyse_pair
from analytics.scanner import scan
from analytics.signals import mean_reversion_signal
from analytics.zscores import ewm_moments, robust_zscore


def warm() -> None:
    """Analyse, scan and trade a made-up pair, and read a made-up tape and made-up quotes."""
    random = np.random.default_rng(1)
    x = 100 + random.standard_normal(900).cumsum()
    y = 2 * x + random.standard_normal(900)
    _warm_tape(random)
    for method in METHODS:
        for scale in SCALES:
            analyse_pair(y, x, PairParams(method=method, scale=scale), forming=(y[-1], x[-1])).as_dict()
    kalman(y, x)
    robust_zscore(y - 2 * x, 60)
    ewm_moments(y - 2 * x, 60).after(0.0).zscore  # noqa: B018  a property computes
    _warm_quotes()
    scan(pd.DataFrame({"y": y, "x": x}))
    backtest(y, x, BacktestParams(time_stop=3.0))
    walk_forward(y, x, entry_z=[1.0, 2.0])


def _warm_quotes() -> None:
    def made_up(**kinds: str) -> Any:
        return np.ones(1, list(kinds.items())).view(np.recarray)

    sides = dict.fromkeys(("bid", "bid_qty", "ask", "ask_qty"), "f8")
    quotes = made_up(update_id="i8", ts_us="i8", **sides)
    trades = made_up(trade_id="i8", ts_us="i8", price="f8", qty="f8", buyer_is_maker="?")
    quote_reading(quotes, trades, 3)


def _warm_tape(random: np.random.Generator) -> None:
    """Read a made-up tape, feed it on, and draw the signal of a made-up path."""
    n = 2_000
    price = np.round(100 + random.standard_normal(n).cumsum() / 100, 2)
    ids, times = np.arange(n), 1_700_000_000_000_000 + np.arange(n) * 50_000
    tape = Rows(ids, times, price, np.round(random.lognormal(0, 1, n) + 0.01, 2), ids.astype(np.uint8) % 2)
    live = LiveTape(lambda: Rows.of(tape, np.arange(n // 2)))
    live.reading(int(times[n // 2]))
    live.add(Rows.of(tape, np.arange(n // 2, n)))
    live.reading(int(times[-1]))
    side_accuracy(tick_rule(price), tape.buyer_is_maker, tape.qty, price)
    trade_sizes(1 + np.arange(n) / 1e6)  # more sizes than bins
    lead_lag(times, price, times + 1, price, max_lag_us=1_000_000)
    correlation_by_width(times, price, times + 1, price)
    sma(price, 20)
    ema(price, 20)
    rsi(price)
    bollinger(price)
    macd(price)
    atr(price + 1, price - 1, price)
    vwap(price, tape.qty, times)
    mean_reversion_signal(random.standard_normal(200))


if __name__ == "__main__":
    warm()
