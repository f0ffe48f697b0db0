"""Bars of the file that come before those of memory: what charts and analyses begin with.

Joined are bars that follow one another without a hole up to the first trade that memory holds: of the same width where
the file has them, else of minutes. The bar in which memory begins is taken from the file where that has it whole; else
the trades that it lacks are looked up by id, in the database and in the day files.
"""

from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd

from analytics.resampling import BarColumns, Parts, aggregate, timeframe_us
from data import sqlite, stored
from data.archive import Archive
from data.sqlite import BAR_COLUMNS, BAR_TYPES
from data.stored import SLACK_US, Owner, Span
from data.trades import Trade, Trades
from utils.clock import LATEST_US

MINUTE = "1m"  # of this width a session stores bars of every symbol, and an import those of its trades
MOST_ROWS = 30_000  # stored bars read for one width
CONTIGUOUS = "aggTrade"  # the stream whose ids have no holes


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """Bars before those of memory."""

    parts: Parts  # of the width asked for
    edge: Trades  # older than those of memory, in the bar in which it begins
    since_us: int  # every trade is here from then on, but for ...
    broken: tuple[tuple[int, int], ...]  # ... times between which trades are missing, both included
    until_us: int  # trades before this time are in the parts: memory's own of that time are left out


def before(path: Path, owner: Owner, timeframe: str, first: Trade) -> History | None:
    """The stored bars of a symbol that lead up to the first trade of memory, if any.

    Raises
    ------
    StorageError
    """
    venue, _, symbol = owner
    width_us = timeframe_us(timeframe)
    for source in dict.fromkeys((timeframe, MINUTE)):
        source_us = timeframe_us(source)
        if width_us % source_us:
            continue
        seam_us = first.ts_us // source_us * source_us
        bars = sqlite.read_bars(path, venue, symbol, source, seam_us + source_us, MOST_ROWS)
        if len(bars) and bars.complete[-1]:
            return _history(bars, source_us, width_us, Trades.empty(symbol))
        bars = bars[:-1] if len(bars) else sqlite.read_bars(path, venue, symbol, source, seam_us, MOST_ROWS)
        if len(bars):
            edge, whole = _edge(path, owner, seam_us, first)
            return _history(bars, source_us, width_us, edge, () if whole else ((seam_us, first.ts_us),))
    return None


def stored_bars(
    path: Path, venue: str, symbol: str, timeframe: str, since_us: int = 0, until_us: int = LATEST_US
) -> pd.DataFrame:
    """The stored bars that open between two times, the later left out, as a frame like that of `analytics.resampling`.

    Before the first one of this width come those made of stored minutes that lead up to it without a hole.

    Raises
    ------
    StorageError, TimeframeError
    """
    width_us, minute_us = timeframe_us(timeframe), timeframe_us(MINUTE)
    own = _frame(path, venue, symbol, timeframe, Span(since_us, until_us))
    if width_us == minute_us or width_us % minute_us:
        return own
    until_us = int(own.index.asi8[0]) if len(own) else until_us
    minutes = _frame(path, venue, symbol, MINUTE, Span(since_us, until_us))
    if len(own) and not (minutes.index.asi8[-1:] == until_us - minute_us).any():
        return own
    holes = np.flatnonzero(np.diff(minutes.index.asi8) != minute_us)
    earlier = aggregate(minutes[holes[-1] + 1 if holes.size else 0 :], timeframe)
    return pd.concat([frame for frame in (earlier, own) if len(frame)] or [own])


def _frame(path: Path, venue: str, symbol: str, timeframe: str, span: Span) -> pd.DataFrame:
    """Stored bars of one width."""
    pages = list(stored.bar_pages(path, venue, symbol, timeframe, span))
    bars = pd.concat(pages) if pages else pd.DataFrame(columns=["ts_us", *BAR_COLUMNS]).astype(BAR_TYPES)
    times = bars.pop("ts_us").to_numpy(np.int64)
    return bars.set_index(pd.DatetimeIndex(times.view("M8[us]"), tz="UTC", name="time"))


def _edge(path: Path, owner: Owner, seam_us: int, first: Trade) -> tuple[Trades, bool]:
    """Stored trades from a time on that come before the first one of memory, and whether none is missing among them."""
    span, up_to_id = Span(seam_us - SLACK_US, first.ts_us + SLACK_US), first.trade_id - 1
    pages = (stored.trade_pages(path, owner, span, up_to_id), Archive.beside(path).pages(owner, span, up_to_id))
    found = Trades.concat(owner[2], chain(*pages)).sorted_by_id()
    found = found[np.append(True, np.diff(found.trade_id) > 0)[: len(found)]]
    inside = found.ts_us >= seam_us
    since = int(np.argmax(inside)) - 1 if inside.any() else len(found) - 1  # the last one before the bar
    ids = np.append(found.trade_id[max(since, 0) :], first.trade_id)
    whole = since >= 0 and (owner[1] != CONTIGUOUS or bool((np.diff(ids) == 1).all()))
    return found[inside], whole


def _history(
    bars: BarColumns, source_us: int, width_us: int, edge: Trades, gap: tuple[tuple[int, int], ...] = ()
) -> History:
    broken = tuple((int(at), int(at) + source_us - 1) for at in bars.ts_us[~bars.complete])
    until_us = int(bars.ts_us[-1]) + source_us
    return History(_parts(bars, width_us), edge, int(bars.ts_us[0]), (*broken, *gap), until_us)


def _parts(bars: BarColumns, width_us: int) -> Parts:
    """Bars as parts of wider ones, before any trade by their ids; flat ones without volume are left to be carried."""
    flat = (bars.volume == 0) & (bars.high == bars.low) & (bars.trades == 0)
    flat[0] = False
    rows = np.flatnonzero(~flat)
    ids = np.arange(-rows.size, 0)
    whole = np.stack((bars.ts_us[rows] // width_us, ids, ids, bars.trades[rows]))
    value = bars.vwap * bars.volume
    columns = (bars.open, bars.high, bars.low, bars.close, bars.volume, value, bars.taker_buy_volume)
    return Parts(whole, np.stack([column[rows] for column in columns]))
