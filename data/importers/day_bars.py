"""Bars of imported days: one minute wide, complete where the ids prove it, also across the seam to stored trades."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pandas as pd

from analytics.resampling import BarColumns, Parts, fill, join, summarise, timeframe_us
from data.archive import DAY_US, Archive, groups, read_group
from data.stored import SLACK_US, Owner, Span
from data.trades import Trades

WIDTH = "1m"  # the width that a session stores for every symbol: wider ones are made of it
WIDTH_US = timeframe_us(WIDTH)
CONTIGUOUS = "aggTrade"  # the stream whose ids have no holes

Beside = Callable[[Owner, Span], Iterable[Trades]]  # trades of the database


def bars_of_day(archive: Archive, owner: Owner, day: int, whole: bool) -> BarColumns:
    """The bars of a day file, from its first trade to its last; of a whole day up to midnight.

    Bars that touch a hole in the ids are not complete, nor are the first and the last one where the day is not whole.

    Raises
    ------
    StorageError
    """
    sums: list[Parts] = []
    holes: list[tuple[int, int]] = []
    last: Trades | None = None
    for group in groups(archive.path(owner, day)):
        trades = read_group(owner[2], group)
        sums.append(summarise(trades, WIDTH_US))
        if owner[1] == CONTIGUOUS:
            holes += _holes(trades if last is None else Trades.concat(owner[2], [last, trades]))
        last = trades[-1:]
    parts = join(Parts.concat(*sums))
    end = (day + 1) * DAY_US // WIDTH_US - 1 if whole else int(parts.number[-1])
    bars = fill(parts, int(parts.number[0]), end, WIDTH_US)
    bars.complete[[0, -1]] = whole
    for first_us, last_us in holes:
        bars.complete[(bars.ts_us + WIDTH_US > first_us) & (bars.ts_us <= last_us)] = False
    return bars


def _holes(trades: Trades) -> Iterator[tuple[int, int]]:
    """Times of the trades before and after each run of missing ids."""
    for row in np.flatnonzero(np.diff(trades.trade_id) > 1).tolist():
        yield int(trades.ts_us[row]), int(trades.ts_us[row + 1])


def at_edges(archive: Archive, owner: Owner, bars: BarColumns, beside: Beside) -> pd.DataFrame:
    """The bars at both ends of some, and those next to them, from day files and database together.

    Raises
    ------
    StorageError
    """
    first, last = int(bars.ts_us[0]), int(bars.ts_us[-1])
    opens = sorted({first - WIDTH_US, first, last, last + WIDTH_US})
    frames = [frame for at in opens if (frame := _around(archive, owner, at, beside)) is not None]
    return pd.concat(frames) if frames else bars.frame().iloc[:0]


def _around(archive: Archive, owner: Owner, open_us: int, beside: Beside) -> pd.DataFrame | None:
    """One bar of all trades that there are of it; complete where those before and after it are there too."""
    span = Span(open_us - SLACK_US, open_us + WIDTH_US + SLACK_US)
    parts = [*beside(owner, span), *archive.pages(owner, span)]  # where both have an id, that of the database counts
    trades = Trades.concat(owner[2], parts).sorted_by_id()
    trades = trades[np.append(True, np.diff(trades.trade_id) > 0)[: len(trades)]]
    inside = np.flatnonzero((trades.ts_us >= open_us) & (trades.ts_us < open_us + WIDTH_US))
    if not inside.size:
        return None
    before, after = int(inside[0]) - 1, int(inside[-1]) + 1
    known = before >= 0 and after < len(trades)
    if known and owner[1] == CONTIGUOUS:
        known = int(trades.trade_id[after] - trades.trade_id[before]) == after - before
    number = open_us // WIDTH_US
    bar = fill(summarise(trades[inside], WIDTH_US), number, number, WIDTH_US)
    bar.complete[:] = known
    return bar.frame()
