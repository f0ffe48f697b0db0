"""Seven indicators of every bar of a history, and of the bar in progress alone, against pandas over all that it holds.

pandas' exponential means begin with the first value instead of a window's mean; it is timed, not compared.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analytics.indicators import (
    RunningAtr,
    RunningBollinger,
    RunningEma,
    RunningMacd,
    RunningRsi,
    RunningSma,
    RunningVwap,
    atr,
    bollinger,
    ema,
    macd,
    rsi,
    sma,
    vwap,
)
from bench.frame import START_US, Row, at_least, count, grows_at_most, medians_s, named, scaled

WINDOW = 20
ROUNDS = 300  # refreshes timed together: one is too short for the clock
US_PER_MINUTE = 60_000_000


def made_up_bars(size: int) -> pd.DataFrame:
    """Seeded minutes near 1e5 that move by cents."""
    random = np.random.default_rng(6)
    close = np.round(1e5 + 0.01 * random.integers(-3, 4, size).cumsum(), 2)
    columns = {"high": close + 0.02, "low": close - 0.01, "close": close, "volume": random.lognormal(0, 1, size)}
    return pd.DataFrame(columns | {"ts_us": START_US + US_PER_MINUTE * np.arange(size)})


def ours(bars: pd.DataFrame) -> list[object]:
    """All seven, every bar."""
    high, low, close, volume, ts_us = (bars[name].to_numpy() for name in bars)
    averages = [sma(close, WINDOW), ema(close, WINDOW), rsi(close), macd(close), bollinger(close, WINDOW)]
    return [*averages, atr(high, low, close), vwap(close, volume, ts_us)]


def with_pandas(bars: pd.DataFrame) -> list[object]:
    """The same as a dashboard asks pandas for them."""
    close, change, before = bars["close"], bars["close"].diff(), bars["close"].shift()
    gain, loss = ((sign * change).clip(lower=0).ewm(alpha=1 / 14, adjust=False).mean() for sign in (1, -1))
    line = close.ewm(span=12, adjust=False).mean() - close.ewm(span=26, adjust=False).mean()
    middle, std = close.rolling(WINDOW).mean(), close.rolling(WINDOW).std(ddof=0)
    lower, upper = middle - 2 * std, middle + 2 * std
    true_range = np.maximum(bars["high"], before) - np.minimum(bars["low"], before)
    day = bars["ts_us"] // (1_440 * US_PER_MINUTE)
    paid = (close * bars["volume"]).groupby(day).cumsum() / bars["volume"].groupby(day).cumsum()
    return [
        *(middle, close.ewm(span=WINDOW, adjust=False).mean(), 100 * gain / (gain + loss)),
        *(line, line.ewm(span=9, adjust=False).mean()),
        *(upper, lower, (upper - lower) / middle, (close - lower) / (upper - lower)),
        *(true_range.ewm(alpha=1 / 14, adjust=False).mean(), paid),
    ]


class _Live:
    """All seven after the closed bars, ready for the bar in progress, which is the last one given."""

    def __init__(self, bars: pd.DataFrame) -> None:
        closed, forming = bars.iloc[:-1], bars.iloc[-1]
        high, low, close, volume, ts_us = (closed[name].to_numpy() for name in closed)
        twins = RunningSma(WINDOW), RunningEma(WINDOW), RunningRsi(), RunningMacd(), RunningBollinger(WINDOW)
        self._averages = [twin.after(close) for twin in twins]
        self._atr, self._vwap = RunningAtr().after(high, low, close), RunningVwap().after(close, volume, ts_us)
        self._bar: Sequence[float] = [float(forming[name]) for name in ("high", "low", "close")]
        self._volume, self._ts_us = float(forming["volume"]), int(forming["ts_us"])

    def refresh(self) -> None:
        for _ in range(ROUNDS):
            for twin in self._averages:
                twin.after(self._bar[2])
            self._atr.after(*self._bar)
            self._vwap.after(self._bar[2], self._volume, self._ts_us)


def run(scale: float = 1.0) -> list[Row]:
    """Every bar at once against pandas, and the bar in progress against pandas and against a shorter history."""
    bars = made_up_bars(scaled(100_000, scale))
    few = max(len(bars) // 100, 100)
    ours_s, pandas_s, many_s, few_s = medians_s(
        lambda: ours(bars), lambda: with_pandas(bars), _Live(bars).refresh, _Live(bars[-few:]).refresh
    )
    many_us, few_us = many_s / ROUNDS * 1e6, few_s / ROUNDS * 1e6
    size, pandas = count(len(bars)), f"{named('pandas')} rolling and ewm over all"
    grown = (f"the same at {size}", many_us), (f"the same at {count(few)}", few_us)
    return [
        at_least("indicators", ("seven indicators", ours_s * 1e3), (pandas, pandas_s * 1e3), "ms", size, 1.5),
        at_least("indicators", ("of the bar in progress", many_us), (pandas, pandas_s * 1e6), "us", size, 150),
        grows_at_most("indicators", *grown, "us", size, 1.5),
    ]
