"""Data on its way out: tables as CSV, Parquet, JSON lines and Excel, written as they are read.

Their length costs no memory.

CSV has one writer for all of Pairscope. Numbers are written so that reading them back gives the same ones, to the last
bit; what does not exist is an empty cell. A text that a spreadsheet would take for a formula gets an apostrophe in
front, and so does one that begins with an apostrophe: whoever reads takes one away.

A manifest says what a download is: its source, range, parameters, coverage, and a hash of its content, enough to make
it again. The hash is SHA-256 of the rows as CSV, whatever the format of the file: of one hash are the same rows.
"""

import hashlib
import io
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from data.archive import DAY_US, Archive, groups
from data.rows_as_text import excel, json_lines
from data.sqlite import BAR_COLUMNS, BAR_TYPES
from data.stored import Owner, Span, alert_columns, alert_pages, bar_pages, last_id, trade_pages
from data.trades import MAX_ID, Trades

FORMULA = "^[-=+@\t\r\n\x00＝＋－＠']"  # how a text begins that a spreadsheet may run, or that was marked like one
MARK = "'"
MANIFEST_FORMAT = 1
TIMES = ("ts_us", "at_us")  # columns that tell when a row was
NOTE = b"pairscope"  # key of what we say of ourselves in Parquet
CSV_OPTIONS = {"quoting_style": "needed", "quoting_header": "none", "batch_size": 65_536}
ROW_GROUP = 100_000  # rows of a Parquet file that are written together
TICKS = pa.schema(
    {
        "trade_id": pa.int64(),
        "ts_us": pa.int64(),
        "price": pa.float64(),
        "qty": pa.float64(),
        "buyer_is_maker": pa.bool_(),
    }
)
KINDS = {"INTEGER": pa.int64(), "REAL": pa.float64(), "TEXT": pa.string()}  # of SQLite
BARS = pa.schema({"ts_us": pa.int64()} | {name: pa.from_numpy_dtype(BAR_TYPES[name]) for name in BAR_COLUMNS})


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Columns and their kinds, and the rows in parts, oldest first, each read when it is asked for; once."""

    schema: pa.Schema
    parts: Iterable[pa.RecordBatch]


# --- tables -----------------------------------------------------------------------------------------


def ticks(
    path: Path,
    owner: Owner,
    span: Span,
    held: Trades,
    archive: Archive | None = None,
    run: tuple[int, int] = (0, MAX_ID),
) -> Table:
    """The trades of one symbol: those in the file, and those of `held`, in memory, that are not yet there.

    With an archive those of its day files too, by id; where more than one place has one, that of the file.

    run : first and last id of the stored trades that count: others are of another run of this market

    Raises
    ------
    StorageError
    """
    stored = trade_pages(path, owner, span, min(last_id(path, owner), run[1]))
    own = (page[page.trade_id >= run[0]] for page in stored)
    fresh = held[span.inside(held.ts_us)]
    pages = united((page for page in own if len(page)), iter([fresh] if len(fresh) else []))
    if archive is not None and archive.days(owner):
        pages = united((page for page in pages if len(page)), archive.pages(owner, _of_days(archive, owner, span)))
    return Table(TICKS, (_ticks(page) for page in _newest(pages, span.limit) if len(page)))


def united(pages: Iterable[Trades], others: Iterator[Trades]) -> Iterator[Trades]:
    """Pages of both, each by increasing id, as one; where both have an id, the row of the first."""
    rest = next(others, None)
    for page in pages:
        first, last = int(page.trade_id[0]), int(page.trade_id[-1])
        parts = [page]
        while rest is not None and int(rest.trade_id[0]) <= last:
            before, upto = np.searchsorted(rest.trade_id, [first, last + 1]).tolist()
            yield rest[:before]
            parts.append(rest[before:upto])
            rest = rest[upto:] if upto < len(rest) else next(others, None)
        rows = Trades.concat(page.symbol, parts).sorted_by_id()
        yield rows[np.append(True, np.diff(rows.trade_id) > 0)]
    if rest is not None:
        yield rest
        yield from others


def _of_days(archive: Archive, owner: Owner, span: Span) -> Span:
    """The span, or where only its newest rows are wanted, that of the newest days that hold so many."""
    rows = span.limit
    if rows is None:
        return span
    found, since_us = 0, span.until_us
    for day in reversed(archive.days(owner)):
        if day * DAY_US < span.until_us and found < rows:
            since_us = day * DAY_US
            inside = since_us >= span.since_us and since_us + DAY_US <= span.until_us  # others hold fewer that count
            found += sum(group.rows for group in groups(archive.path(owner, day))) if inside else 0
    return Span(max(span.since_us, since_us), span.until_us)


def _newest(pages: Iterable[Trades], rows: int | None) -> Iterator[Trades]:
    """The newest rows of pages; all where no number is given."""
    if rows is None:
        yield from pages
        return
    kept: deque[Trades] = deque()
    held = 0
    for page in pages:
        kept.append(page)
        held += len(page)
        while held - len(kept[0]) >= rows:
            held -= len(kept.popleft())
    for number, page in enumerate(kept):
        yield page[held - rows :] if number == 0 and held > rows else page


def _ticks(page: Trades) -> pa.RecordBatch:
    columns = (*page.columns[:4], page.buyer_is_maker.astype(bool))
    return pa.record_batch([pa.array(column) for column in columns], schema=TICKS)


def bars(path: Path, key: tuple[str, str, str], span: Span, held: pd.DataFrame) -> Table:
    """The bars of (venue, symbol, timeframe): those in the file, and those of `held`, from memory, as `numbered`.

    Where both have a bar it is that of memory if complete, as it knows of late trades first, else that of the file; the
    newest of memory, which is forming, stands, and the file has none after it: of a replay that was set back, say.

    Raises
    ------
    StorageError
    """
    forming_us = int(held["ts_us"].iloc[-1]) if len(held) else span.until_us
    held = held[span.inside(held["ts_us"].to_numpy())]
    begin_us = int(held["ts_us"].iloc[0]) if len(held) else span.until_us
    recent = Span(max(begin_us, span.since_us), min(span.until_us, forming_us))
    newest = overlaid(pd.concat([_no_bars(), *bar_pages(path, *key, recent)]), held)
    older = Span(span.since_us, min(begin_us, span.until_us), span.limit)
    if span.limit is not None:
        newest = newest.tail(span.limit)
        older = replace(older, limit=span.limit - len(newest))
    before: Iterable[pd.DataFrame] = () if older.limit == 0 else bar_pages(path, *key, older)
    return Table(BARS, (_batch(page, BARS) for page in chain(before, [newest]) if len(page)))


def numbered(frame: pd.DataFrame) -> pd.DataFrame:
    """Bars on a time index as a plain table, their times in the first column, `ts_us`."""
    table = frame.reset_index(drop=True)
    table.insert(0, "ts_us", frame.index.asi8)
    return table


def _no_bars() -> pd.DataFrame:
    return pd.DataFrame({name: np.array([], BAR_TYPES[name]) for name in ("ts_us", *BAR_COLUMNS)})


def overlaid(stored: pd.DataFrame, held: pd.DataFrame) -> pd.DataFrame:
    """Bars of both by time; of a time that both have, that of `held` where it is complete."""
    better = held[held["complete"].to_numpy(bool) | ~held["ts_us"].isin(stored["ts_us"]).to_numpy()]
    rest = stored[~stored["ts_us"].isin(better["ts_us"])]
    return pd.concat([rest, better[rest.columns]]).sort_values("ts_us", ignore_index=True)


def alerts(path: Path, span: Span) -> Table:
    """What the alert rules did, in the order they did it.

    Raises
    ------
    StorageError
    """
    schema = pa.schema({name: KINDS[kind] for name, kind in alert_columns(path).items()})

    def part(rows: list[tuple[Any, ...]]) -> pa.RecordBatch:
        columns = zip(*rows, strict=True)
        return pa.record_batch(
            [pa.array(column, kind) for column, kind in zip(columns, schema.types, strict=True)], schema=schema
        )

    return Table(schema, (part(rows) for rows in alert_pages(path, span)))


def table_of(frame: pd.DataFrame) -> Table:
    """A frame, without its index; NaN is what does not exist."""
    whole = pa.RecordBatch.from_pandas(frame, preserve_index=False)
    schema = whole.schema.remove_metadata()
    return Table(schema, [whole.cast(schema)])


def noted(table: Table, source: Mapping[str, Any]) -> Table:
    """The table with a note of what it is of, which Parquet carries: an import reads it."""
    return replace(table, schema=table.schema.with_metadata({NOTE: json.dumps(source, default=str)}))


def _batch(frame: pd.DataFrame, schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_pandas(frame, schema=schema, preserve_index=False).replace_schema_metadata(None)


# --- formats ----------------------------------------------------------------------------------------


class _Sink(io.RawIOBase):
    """A file that is handed on piece by piece."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._pieces.append(bytes(data))
        return len(self._pieces[-1])

    def taken(self) -> bytes:
        """What was written since the last call."""
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


def csv(table: Table) -> Iterator[bytes]:
    """The table as CSV in UTF-8, with names in the first line and LF at the end of each."""
    sink = _Sink()
    with pa.csv.CSVWriter(sink, table.schema, write_options=pa.csv.WriteOptions(**CSV_OPTIONS)) as writer:
        for part in table.parts:
            writer.write(pa.record_batch([_harmless(column) for column in part.columns], schema=table.schema))
            yield sink.taken()
    yield sink.taken()


def _harmless(column: pa.Array) -> pa.Array:
    """Text that is nobody's formula; other columns as they are."""
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return column
    marked = pc.binary_join_element_wise(pa.scalar(MARK, column.type), column, pa.scalar("", column.type))
    return pc.if_else(pc.match_substring_regex(column, FORMULA), marked, column)


def parquet(table: Table) -> Iterator[bytes]:
    """The table as Parquet, compressed by Zstandard."""
    sink = _Sink()
    with pa.parquet.ParquetWriter(sink, table.schema, compression="zstd") as writer:
        for part in table.parts:
            writer.write_batch(part, row_group_size=ROW_GROUP)
            yield sink.taken()
    yield sink.taken()


def ndjson(table: Table) -> Iterator[bytes]:
    """The table as JSON, an object a line; what does not exist is null."""
    for part in table.parts:
        yield json_lines(part)
    yield b""


def xlsx(table: Table) -> Iterator[bytes]:
    """The table as Excel, in as many sheets as it takes."""
    sink = _Sink()
    return excel(table.schema, table.parts, sink, sink.taken)


FORMATS: dict[str, tuple[Callable[[Table], Iterator[bytes]], str]] = {  # ending -> writer and media type
    "csv": (csv, "text/csv; charset=utf-8"),
    "parquet": (parquet, "application/vnd.apache.parquet"),
    "ndjson": (ndjson, "application/x-ndjson"),
    "xlsx": (xlsx, "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
}


def csv_text(frame: pd.DataFrame) -> str:
    """A frame as CSV, without its index."""
    return b"".join(csv(table_of(frame))).decode()


# --- manifests --------------------------------------------------------------------------------------


def summary(table: Table) -> dict[str, Any]:
    """Rows, first and last time, coverage and hash of a table; its parts are used up."""
    found: dict[str, Any] = {"rows": 0, "first_us": None, "last_us": None}
    coverage: dict[str, int] = {}
    digest = hashlib.sha256()

    def seen(part: pa.RecordBatch) -> pa.RecordBatch:
        found["rows"] += len(part)
        for name in TIMES:
            if name in part.schema.names and len(part):
                ends = pc.min_max(part.column(name)).as_py()
                first_us, last_us = found["first_us"], found["last_us"]
                found["first_us"] = ends["min"] if first_us is None else min(first_us, ends["min"])
                found["last_us"] = ends["max"] if last_us is None else max(last_us, ends["max"])
        _cover(coverage, part)
        return part

    for piece in csv(replace(table, parts=map(seen, table.parts))):
        digest.update(piece)
    if "last_id" in coverage:
        coverage["ids_missing"] = coverage.pop("last_id") - coverage.pop("first_id") + 1 - found["rows"]
    return found | {"coverage": coverage, "sha256_of_csv": digest.hexdigest(), "columns": table.schema.names}


def _cover(coverage: dict[str, int], part: pa.RecordBatch) -> None:
    """Add a part to what is known of its completeness."""
    if not len(part):
        return
    if "trade_id" in part.schema.names:
        ids = part.column("trade_id")
        coverage.setdefault("first_id", ids[0].as_py())
        coverage["last_id"] = ids[-1].as_py()
    if "complete" in part.schema.names:
        whole = pc.sum(part.column("complete").cast(pa.int64())).as_py()
        coverage["bars_complete"] = coverage.get("bars_complete", 0) + whole


def manifest(
    table: Table, source: Mapping[str, Any], span: Span, parameters: Mapping[str, Any], request: str, version: str
) -> dict[str, Any]:
    """What a download of a table is.

    Parameters
    ----------
    source : what it is of: kind, venue, stream, symbol, timeframe, as far as there are any
    parameters : of the method that made the rows, where one did
    request : the address that gives the same rows
    """
    return {
        "pairscope_export": MANIFEST_FORMAT,
        "source": dict(source),
        "range": {"since_us": span.since_us, "until_us": span.until_us, "limit": span.limit},
        "parameters": dict(parameters),
        "version": version,
        "request": request,
        **summary(table),
    }
