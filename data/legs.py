"""Two legs on one grid: what a pair analysis is computed from."""

from dataclasses import dataclass

import numpy as np

from data.session import Session

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


def _at_bars(session: Session, symbol_y: str, symbol_x: str, timeframe: str, bars: int) -> tuple[Leg, Leg]:
    """The newest closed bars of both legs, from the later of their first bars on."""
    now = session.feed.market_us()
    frames = [session.resampler(symbol, timeframe) for symbol in (symbol_y, symbol_x)]
    columns = [resampler.columns(now, bars + 1) for resampler in frames]
    rows = min(column.ts_us.size for column in columns)
    legs = []
    for resampler, column in zip(frames, columns, strict=True):
        closed = slice(column.ts_us.size - rows, -1) if rows else slice(0, 0)
        legs.append(
            Leg(
                ts_us=column.ts_us[closed],
                closes=column.close[closed],
                complete=column.complete[closed],
                forming=float(column.close[-1]) if rows else None,
                version=(resampler.closed_through(now), resampler.closed_version, rows),
            )
        )
    return legs[0], legs[1]


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
        newest = int(leg.trade_id[-1])
        legs.append(Leg(times, leg.price[at], np.ones(times.size, bool), None, (newest, times.size)))
    return legs[0], legs[1]
