"""Two legs on one grid: what a pair analysis is computed from."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from analytics.resampling import BarColumns
from data.resampler import Resampler
from data.session import Session
from data.trades import Trades

TICK = "tick"  # the grid of trade times, in place of a bar width


@dataclass(frozen=True, slots=True, eq=False)
class Leg:
    """Closes of one leg on the grid that both legs share, and its forming close."""

    ts_us: np.ndarray
    closes: np.ndarray
    complete: np.ndarray
    forming: float | None
    version: tuple[int, ...]


def legs(session: Session, symbol_y: str, symbol_x: str, timeframe: str, rows: int) -> tuple[Leg, Leg]:
    """The newest `rows` closes of both legs: at closed bars of a width like "1s", or at trade times ("tick").

    Raises
    ------
    TimeframeError
    """
    if timeframe == TICK:
        return _at_trades(session, symbol_y, symbol_x, rows)
    return _at_bars(session, symbol_y, symbol_x, timeframe, rows)


def closes(session: Session, symbols: Iterable[str], timeframe: str, rows: int) -> pd.DataFrame:
    """The newest `rows` closes of closed bars, a column a symbol, NaN where it has no bar; index open times, UTC.

    Raises
    ------
    TimeframeError
    """
    symbols = tuple(symbols)
    resamplers = [session.resampler(symbol, timeframe) for symbol in symbols]
    columns = _up_to_one_bar(resamplers, session.feed.market_us(), rows + 1)
    held = max(map(len, columns), default=0)
    values = np.full((held, len(symbols)), np.nan)
    ts_us = np.empty(0, np.int64)
    for at, column in enumerate(columns):
        values[held - len(column) :, at] = column.close
        ts_us = column.ts_us if len(column) == held else ts_us
    index = pd.DatetimeIndex(ts_us.astype("datetime64[us]"), tz="UTC", name="time")
    return pd.DataFrame(values, index, symbols)[:-1]


def trades_of(session: Session, symbol_y: str, symbol_x: str, since_us: int, limit: int) -> tuple[Trades, Trades]:
    """The newest trades of both legs, over the stretch of time that both cover.

    Of each leg `limit` at most, none older than `since_us`. By id; a time that steps back counts as the one before.
    """
    return together(*(session.buffer.snapshot(symbol, since_us, limit) for symbol in (symbol_y, symbol_x)))


def together(y: Trades, x: Trades) -> tuple[Trades, Trades]:
    """Trades of two legs, over the stretch of time that both cover; a time that steps back counts as the one before."""
    y, x = _onward(y), _onward(x)
    if len(y) and len(x):
        begun = max(int(y.ts_us[0]), int(x.ts_us[0]))
        y, x = (leg[int(np.searchsorted(leg.ts_us, begun)) :] for leg in (y, x))
    return y, x


def _onward(trades: Trades) -> Trades:
    return replace(trades, ts_us=np.maximum.accumulate(trades.ts_us)) if len(trades) else trades


def _at_bars(session: Session, symbol_y: str, symbol_x: str, timeframe: str, bars: int) -> tuple[Leg, Leg]:
    """The newest closed bars of both legs, from the later of their first bars on."""
    resamplers = [session.resampler(symbol, timeframe) for symbol in (symbol_y, symbol_x)]
    versions = [resampler.closed_version for resampler in resamplers]  # first: a later change is seen the next time
    columns = _up_to_one_bar(resamplers, session.feed.market_us(), bars + 1)
    rows = min(len(column) for column in columns)
    width_us = resamplers[0].width_us
    legs = []
    for symbol, column, version in zip((symbol_y, symbol_x), columns, versions, strict=True):
        closed = slice(len(column) - rows, -1) if rows else slice(0, 0)
        known_us = session.known_us(symbol)  # later bars may miss trades that nobody has told of yet
        known = column.ts_us[closed] + width_us <= known_us
        legs.append(
            Leg(
                ts_us=column.ts_us[closed],
                closes=column.close[closed],
                complete=column.complete[closed] & known,
                forming=float(column.close[-1]) if rows else None,
                version=(int(column.ts_us[-1]) if rows else 0, version, rows, int(known.sum())),
            )
        )
    return legs[0], legs[1]


def _up_to_one_bar(resamplers: Iterable[Resampler], now_us: int, bars: int) -> list[BarColumns]:
    """The newest bars of both legs, ending at the same one: a trade ahead of the clock moves both on."""
    while True:
        columns = [resampler.columns(now_us, bars) for resampler in resamplers]
        newest_us = {int(column.ts_us[-1]) for column in columns if len(column)}
        if len(newest_us) < 2:
            return columns
        now_us = max(newest_us)


def _at_trades(session: Session, symbol_y: str, symbol_x: str, rows: int) -> tuple[Leg, Leg]:
    """Both legs at each time at which either traded: its own last price there (previous tick)."""
    trades = [session.buffer.snapshot(symbol, limit=rows) for symbol in (symbol_y, symbol_x)]
    if not all(len(leg) for leg in trades):
        empty = np.array([], np.int64)
        nothing = Leg(empty, empty.astype(float), empty.astype(bool), None, ())
        return nothing, nothing
    start = max(int(leg.ts_us[0]) for leg in trades)
    times = np.unique(np.concatenate([leg.ts_us for leg in trades]))
    times = times[times >= start][-rows:]
    legs = []
    for leg in trades:
        at = np.searchsorted(leg.ts_us, times, side="right") - 1
        version = int(leg.trade_id[0]), int(leg.trade_id[-1]), len(leg)  # a late trade shifts the first, or adds one
        legs.append(Leg(times, leg.price[at], _without_holes(session, leg, times), None, version))
    return legs[0], legs[1]


def _without_holes(session: Session, leg: Trades, times: np.ndarray) -> np.ndarray:
    """Whether no trade of a leg is missing at each time: none between the ids of the trades around it."""
    complete = np.ones(times.size, bool)
    if session.feed.contiguous:
        for row in np.flatnonzero(np.diff(leg.trade_id) > 1):
            complete[(times >= leg.ts_us[row]) & (times <= leg.ts_us[row + 1])] = False
    return complete
