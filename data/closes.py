"""Tables of closes to scan: from the bars of the database file, or from a file that a user hands in.

One column a symbol, one row a closed bar, oldest first; the index is the open time in UTC. NaN where a symbol has no
bar.
"""

import io
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from analytics.resampling import timeframe_us
from data.sqlite import reading
from utils.clock import LATEST_US, us_from_epoch, us_from_iso
from utils.errors import InputError

MOST_BYTES = 64 << 20  # of a file, and of what is read from it
MOST_ROWS, MOST_SYMBOLS = 100_000, 1_000
MOST_CELLS = 8_000_000  # 64 MB as numbers


def table_of_closes(columns: Mapping[str, pd.Series]) -> pd.DataFrame:
    """Closes by symbol, on the times at which any of them has a bar.

    Parameters
    ----------
    columns : closes on an index of microseconds, by symbol
    """
    table = pd.DataFrame(dict(columns), dtype=np.float64).sort_index()
    table.index = pd.DatetimeIndex(table.index.to_numpy(np.int64).astype("datetime64[us]"), tz="UTC", name="time")
    return table


# --- stored bars ------------------------------------------------------------------------------------


def stored_closes(
    path: Path,
    venue: str,
    timeframe: str,
    symbols: Iterable[str],
    bars: int,
    told: Callable[[str], None] = lambda symbol: None,
    *,
    until_us: int = LATEST_US,
) -> pd.DataFrame:
    """Closes of the newest `bars` bar widths of which the file has a bar of any of these symbols, opened before a time.

    `told` hears of each symbol before it is read, and may end it by raising.

    Raises
    ------
    StorageError, TimeframeError
    """
    bar = "bar where (venue, symbol, timeframe) = (?, ?, ?) and ts_us < ?"
    query = f"select ts_us, close from {bar} order by ts_us desc limit ?"
    columns = {}
    for symbol in symbols:
        told(symbol)
        with reading(path) as connection:
            rows = connection.execute(query, (venue, symbol, timeframe, until_us, bars)).fetchall()
        times, closes = zip(*rows, strict=True) if rows else ((), ())
        columns[symbol] = pd.Series(closes, np.array(times, np.int64), np.float64)
    newest_us = max((int(column.index[0]) for column in columns.values() if len(column)), default=0)
    since_us = newest_us - (bars - 1) * timeframe_us(timeframe)
    return table_of_closes({name: column[column.index >= since_us] for name, column in columns.items()})


# --- files of users ---------------------------------------------------------------------------------


def read_closes(name: str, body: bytes) -> pd.DataFrame:
    """Closes from a CSV or Parquet file: the first column is the time, each other one a symbol.

    Times are ISO 8601 text (UTC where no offset is given), or seconds, milliseconds, microseconds or nanoseconds since
    1970. An empty cell is a bar that a symbol does not have. Rows may be in any order.

    Raises
    ------
    InputError
        Not such a file, or beyond the limits; the message names place, value and limit.
    """
    if len(body) > MOST_BYTES:
        raise InputError(f"a table may have at most {MOST_BYTES >> 20} MB, {name[:80]} has {len(body) >> 20}", "table")
    table = _parquet(name, body) if body[:4] == b"PAR1" else _csv(name, body)
    symbols = [_symbol(text) for text in table.column_names[1:]]
    _check_size(table.num_rows, symbols)
    times = _times(table.column(0))
    values = {symbol: _closes(symbol, table.column(at)) for at, symbol in enumerate(symbols, 1)}
    frame = pd.DataFrame(values, times)
    if not frame.index.is_unique:
        twice = frame.index[frame.index.duplicated()][0]
        raise InputError(f"each time may stand once, {pd.Timestamp(twice, unit='us')} stands twice", "table")
    return table_of_closes({symbol: frame[symbol] for symbol in symbols})


def _csv(name: str, body: bytes) -> pa.Table:
    try:
        return pyarrow.csv.read_csv(io.BytesIO(body))
    except (pa.ArrowException, UnicodeDecodeError) as exc:
        raise InputError(f"{name[:80]} cannot be read as CSV: {str(exc)[:200]}", "table") from None


def _parquet(name: str, body: bytes) -> pa.Table:
    """The table of a Parquet file, whose size is looked at before it is unpacked."""
    try:
        file = pyarrow.parquet.ParquetFile(io.BytesIO(body))
        _check_size(file.metadata.num_rows, file.schema_arrow.names[1:])
        return file.read()
    except (pa.ArrowException, OSError) as exc:
        raise InputError(f"{name[:80]} cannot be read as Parquet: {str(exc)[:200]}", "table") from None


def _check_size(rows: int, symbols: list[str]) -> None:
    if not 2 <= len(symbols) <= MOST_SYMBOLS:
        raise InputError(
            f"a table needs a column of times and 2 to {MOST_SYMBOLS:,} of closes, had {len(symbols):,} of these",
            "table",
        )
    if not 1 <= rows <= MOST_ROWS:
        raise InputError(f"a table needs 1 to {MOST_ROWS:,} rows, had {rows:,}", "table")
    if rows * len(symbols) > MOST_CELLS:
        raise InputError(f"a table may have at most {MOST_CELLS:,} closes, had {rows * len(symbols):,}", "table")
    twice = sorted({symbol for symbol in symbols if symbols.count(symbol) > 1})
    if twice:
        raise InputError(f"each symbol may have one column, {twice[0]} has {symbols.count(twice[0])}", "table")


def _symbol(text: str) -> str:
    symbol = text.strip()
    if not 1 <= len(symbol) <= 32 or not symbol.isprintable():
        raise InputError(f"a column must be headed by a symbol of 1 to 32 characters, was {text[:40]!r}", "table")
    return symbol


def _times(column: pa.ChunkedArray) -> np.ndarray:
    """Microseconds of each row."""
    if column.null_count:
        raise InputError("each row needs a time in its first column, one has none", "table")
    if pa.types.is_temporal(column.type):
        return pd.DatetimeIndex(pd.to_datetime(column.to_pandas(), utc=True)).as_unit("us").asi8
    read = us_from_epoch if pa.types.is_integer(column.type) else us_from_iso
    try:
        return np.array([read(value) for value in column.to_pylist()], np.int64)
    except (TypeError, ValueError, AttributeError) as exc:
        raise InputError(f"the first column must be times, ISO 8601 or since 1970: {str(exc)[:120]}", "table") from None


def _closes(symbol: str, column: pa.ChunkedArray) -> np.ndarray:
    kind = column.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind)):
        raise InputError(f"closes must be numbers, the column {symbol} is of {kind}", "table")
    values = column.to_pandas().to_numpy(np.float64, na_value=np.nan)
    bad = np.flatnonzero(~(np.isnan(values) | ((values > 0) & np.isfinite(values))))
    if bad.size:
        raise InputError(f"closes must be > 0 and finite, {symbol} was {values[bad[0]]:g} in row {bad[0] + 1}", "table")
    return values
