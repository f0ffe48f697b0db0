"""What the file holds, for pages and exports: rows and spans, coverage, and pages of trades, bars and alerts.

Trades are told by id; there is no index on time. Ids follow time but for moments, so the way to a time is a bisection
of ids, and whoever asks for a span looks a little beyond its ends.
"""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from data.sqlite import BAR_COLUMNS, BAR_TYPES, EPOCH_US, read_beside, reading
from data.trades import MAX_ID, Trades
from utils.clock import LATEST_US, US_PER_S, monotonic_s

SLACK_US = 60 * US_PER_S  # how far ids and times of trades may disagree
PAGE_ROWS = 50_000
STEPS = 20_000  # of SQLite's machine between two looks at the clock
COVERAGE_OF = "1m"  # bars of this width are stored for every symbol
COUNTED = {"trade": f"since_us + {EPOCH_US}", "trade_exact": "ts_us"}  # tables of trades, and how each tells the time

Owner = tuple[str, str, str]  # venue, stream, symbol


@dataclass(frozen=True, slots=True)
class Span:
    """From a time on, up to another one that is left out, microseconds; of that the newest `limit` rows."""

    since_us: int = 0
    until_us: int = LATEST_US
    limit: int | None = None

    def inside(self, ts_us: np.ndarray) -> np.ndarray:
        """Which times lie in it."""
        return (ts_us >= self.since_us) & (ts_us < self.until_us)


@dataclass(frozen=True, slots=True)
class StoredTrades:
    """The trades of one instrument in the file."""

    venue: str
    stream: str
    symbol: str
    rows: int | None  # None: more than can be counted in the time
    most_rows: int  # as many ids lie from the first to the last
    first_us: int
    last_us: int


@dataclass(frozen=True, slots=True)
class StoredBars:
    """The bars of one symbol and width in the file."""

    venue: str
    symbol: str
    timeframe: str
    rows: int | None  # None: more than can be counted in the time
    complete: int | None
    first_us: int
    last_us: int


# --- what there is ----------------------------------------------------------------------------------


def read_trade_spans(path: Path, budget_s: float) -> tuple[StoredTrades, ...]:
    """Every instrument with trades; rows are counted for at most `budget_s` seconds.

    Raises
    ------
    StorageError
    """
    found = []
    end_s = monotonic_s() + budget_s
    with reading(path) as connection:
        owners = connection.execute("select venue, stream, symbol, instrument from instrument order by 1, 2, 3")
        for venue, stream, symbol, number in owners.fetchall():
            first, last = _end(connection, number, "asc"), _end(connection, number, "desc")
            if first is not None and last is not None:
                queries = [f"select count(*) from {table} where instrument = ?" for table in COUNTED]
                counts = [_counted(connection, end_s, query, number) for query in queries]
                rows = None if None in counts else sum(count[0] for count in counts if count)
                ids = last[0] - first[0] + 1
                found.append(StoredTrades(venue, stream, symbol, rows, ids, first[1], last[1]))
    return tuple(found)


def read_bar_spans(path: Path, budget_s: float) -> tuple[StoredBars, ...]:
    """Every symbol and width with bars; rows are counted for at most `budget_s` seconds.

    Raises
    ------
    StorageError
    """
    names = "venue, symbol, timeframe"
    following = f"select {names} from bar where ({names}) > (?, ?, ?) order by {names} limit 1"  # a step of the index
    among = f"from bar where ({names}) = (?, ?, ?)"
    found, key = [], ("", "", "")
    end_s = monotonic_s() + budget_s
    with reading(path) as connection:
        while (row := connection.execute(following, key).fetchone()) is not None:
            key = row
            ends = [connection.execute(f"select {end}(ts_us) {among}", key).fetchone()[0] for end in ("min", "max")]
            counts = _counted(connection, end_s, f"select count(*), sum(complete) {among}", *key)
            found.append(StoredBars(*key, *(counts or (None, None)), *ends))
    return tuple(found)


def read_coverage(
    path: Path, venue: str, symbol: str, first_us: int, cell_us: int, cells: int
) -> tuple[int | None, np.ndarray, np.ndarray]:
    """Open of the first stored minute, and for each cell how many minutes are stored and how many of them complete.

    Cells are `cell_us` wide, whole minutes, from `first_us` on; arrays of int64, shape (cells,).

    Raises
    ------
    StorageError
    """
    among = "from bar where (venue, symbol, timeframe) = (?, ?, ?)"
    counted = f"select (ts_us - ?) / ?, count(*), sum(complete) {among} and ts_us >= ? and ts_us < ? group by 1"
    key = (venue, symbol, COVERAGE_OF)
    with reading(path) as connection:
        (since_us,) = connection.execute(f"select min(ts_us) {among}", key).fetchone()
        values = (first_us, cell_us, *key, first_us, first_us + cells * cell_us)
        rows = np.array(connection.execute(counted, values).fetchall(), np.int64).reshape(-1, 3)
    stored, complete = np.zeros(cells, np.int64), np.zeros(cells, np.int64)
    stored[rows[:, 0]], complete[rows[:, 0]] = rows[:, 1], rows[:, 2]
    return since_us, stored, complete


def _counted(connection: sqlite3.Connection, end_s: float, query: str, *values: Any) -> tuple[Any, ...] | None:
    """The one row of a query that counts, or None where it is not done at a time of the monotonic clock."""
    connection.set_progress_handler(lambda: monotonic_s() > end_s, STEPS)
    try:
        row: tuple[Any, ...] = connection.execute(query, values).fetchone()
    except sqlite3.OperationalError as exc:
        if exc.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
        return None
    finally:
        connection.set_progress_handler(None, 0)
    return row


def _end(connection: sqlite3.Connection, number: int, order: str, from_id: int = 0) -> tuple[int, int] | None:
    """Id and time of the first or last trade of an instrument, from an id on."""
    among = "where instrument = ? and trade_id >= ? order by trade_id"
    queries = [f"select trade_id, {time} from {table} {among} {order} limit 1" for table, time in COUNTED.items()]
    rows = [connection.execute(query, (number, from_id)).fetchone() for query in queries]
    return (min if order == "asc" else max)((row for row in rows if row is not None), default=None)


# --- pages, oldest first ----------------------------------------------------------------------------


def last_id(path: Path, owner: Owner) -> int:
    """The highest stored id; -1 where none is.

    Raises
    ------
    StorageError
    """
    with reading(path) as connection:
        number = _number(connection, owner)
        found = None if number is None else _end(connection, number, "desc")
    return -1 if found is None else found[0]


def _number(connection: sqlite3.Connection, owner: Owner) -> int | None:
    query = "select instrument from instrument where (venue, stream, symbol) = (?, ?, ?)"
    found = connection.execute(query, owner).fetchone()
    return None if found is None else int(found[0])


def id_at(path: Path, owner: Owner, ts_us: int) -> int:
    """An id that parts trades before a time, below it, from the others, as far as times increase with ids.

    Raises
    ------
    StorageError
    """
    with reading(path) as connection:
        number = _number(connection, owner)
        ends = (None, None) if number is None else (_end(connection, number, "asc"), _end(connection, number, "desc"))
        if number is None or ends[0] is None or ends[1] is None:
            return 0
        low, high = ends[0][0], ends[1][0] + 1
        while low < high:
            middle = (low + high) // 2
            found = _end(connection, number, "asc", middle)
            if found is None or found[1] >= ts_us:
                high = middle
            else:
                low = found[0] + 1
    return low


def trade_pages(path: Path, owner: Owner, span: Span, up_to_id: int = MAX_ID) -> Iterator[Trades]:
    """The stored trades of a span by increasing id, a page at a time; none above an id.

    Each page is a read of its own: a slow reader keeps nothing locked.

    Raises
    ------
    StorageError
    """
    above = id_at(path, owner, span.since_us - SLACK_US) - 1
    if span.limit is not None:
        above = max(above, _before_newest(path, owner, span, up_to_id))
    while len(page := read_beside(path, *owner, above, PAGE_ROWS)):
        above = int(page.trade_id[-1])
        wanted = page[span.inside(page.ts_us) & (page.trade_id <= up_to_id)]
        if len(wanted):
            yield wanted
        if above >= up_to_id or page.ts_us.min() >= span.until_us + SLACK_US:
            return


def _before_newest(path: Path, owner: Owner, span: Span, up_to_id: int) -> int:
    """An id below the newest `limit` trades of a span and above all older ones; -1 where there are fewer."""
    missing = span.limit or 0
    below = min(id_at(path, owner, span.until_us + SLACK_US), up_to_id + 1)
    while len(page := read_beside(path, *owner, below, -PAGE_ROWS)):
        below = int(page.trade_id[0])
        ids = page.trade_id[span.inside(page.ts_us)]
        if ids.size >= missing:
            return int(ids[ids.size - missing]) - 1
        missing -= ids.size
        if page.ts_us.max() < span.since_us - SLACK_US:
            break
    return -1


def bar_pages(path: Path, venue: str, symbol: str, timeframe: str, span: Span) -> Iterator[pd.DataFrame]:
    """The stored bars of a span by increasing time, a page at a time: ts_us and the columns of the view `bars`.

    Raises
    ------
    StorageError
    """
    columns = ("ts_us", *BAR_COLUMNS)
    among = "from bars where (venue, symbol, timeframe) = (?, ?, ?) and ts_us >= ? and ts_us < ?"
    key, since_us = (venue, symbol, timeframe), span.since_us
    if span.limit is not None:
        newest = f"select ts_us {among} order by ts_us desc limit 1 offset ?"
        with reading(path) as connection:
            row = connection.execute(newest, (*key, since_us, span.until_us, span.limit - 1)).fetchone()
        since_us = since_us if row is None else row[0]
    while True:
        with reading(path) as connection:
            query = f"select {', '.join(columns)} {among} order by ts_us limit ?"
            rows = connection.execute(query, (*key, since_us, span.until_us, PAGE_ROWS)).fetchall()
        if not rows:
            return
        yield pd.DataFrame(rows, columns=list(columns)).astype(BAR_TYPES)
        since_us = rows[-1][0] + 1


Columns = dict[str, str]  # name -> kind as SQLite declares it


def alert_columns(path: Path) -> Columns:
    """The columns of the view `alert_history`.

    Raises
    ------
    StorageError
    """
    with reading(path) as connection:
        return {name: kind.upper() for _, name, kind, *_ in connection.execute("pragma table_info(alert_history)")}


def alert_pages(path: Path, span: Span) -> Iterator[list[tuple[Any, ...]]]:
    """The changes of state of alert rules in a span, in the order they were made, a page at a time; all columns.

    Raises
    ------
    StorageError
    """
    among = "from alert_history where at_us >= ? and at_us < ?"
    times, above = (span.since_us, span.until_us), 0
    number = list(alert_columns(path)).index("number")
    if span.limit is not None:
        newest = f"select number {among} order by number desc limit 1 offset ?"
        with reading(path) as connection:
            row = connection.execute(newest, (*times, span.limit - 1)).fetchone()
        above = above if row is None else row[0] - 1
    while True:
        with reading(path) as connection:
            query = f"select * {among} and number > ? order by number limit ?"
            rows = connection.execute(query, (*times, above, PAGE_ROWS)).fetchall()
        if not rows:
            return
        yield rows
        above = rows[-1][number]
