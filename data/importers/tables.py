"""Tables of other programs: Parquet, SQLite and Excel, read in parts, none of them written to."""

import os
import sqlite3
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from data.exporters import NOTE
from data.importers.files import MOST_PRODUCED, MOST_RATIO, RATIO_FROM, Source
from data.importers.layout import MOST_COLUMNS, Columns, by_name, columns_of
from data.importers.lines import plain_text
from data.importers.rows import Batch
from utils.errors import InputError

ROWS = 100_000  # of one part
BUFFER = 1 << 20  # bytes of a column of Parquet read ahead
MOST_ROWS_A_BYTE = 10  # of Parquet: a trade needs a byte or more, however well it is packed
MOST_MEMORY = 128 << 20  # bytes of one group of rows, unpacked; more than the writers in use make
MOST_TEXT = 200  # bytes of one value of SQLite; what is longer is no number, time or name
MOST_PART = 32 << 20  # bytes of a part of Excel that is no sheet: it is read whole
STEPS = 100_000  # of SQLite's machine between two looks whether to go on


@dataclass(frozen=True, slots=True)
class Found:
    """A table and what its columns mean."""

    columns: Columns
    names: tuple[str, ...]
    rows: int | None  # None: not known before they are read
    table: str = ""  # its name in the file
    tables: tuple[str, ...] = ()  # others that hold trades or bars
    meta: bytes = b""  # our own notes in Parquet


# --- Parquet ----------------------------------------------------------------------------------------


@contextmanager
def _parquet(source: Source) -> Iterator[pa.parquet.ParquetFile]:
    try:
        with unpacked(source) as path, pa.parquet.ParquetFile(path, pre_buffer=False, buffer_size=BUFFER) as file:
            yield file
    except (pa.ArrowException, OSError) as exc:
        raise InputError(f"{source.path.name} cannot be read as Parquet: {exc}; nothing was stored", "file") from exc


def parquet_of(source: Source) -> Found:
    """What a Parquet file holds, by its footer, and whether it is as large as it looks.

    Raises
    ------
    InputError
    """
    with _parquet(source) as file:
        footer, schema = file.metadata, file.schema_arrow
        found = columns_of(schema.names, source.member)
        for number in range(footer.num_row_groups):
            size = _unpacked_size(footer.row_group(number), set(found.roles.values()))
            if size > MOST_MEMORY:
                raise InputError(
                    f"{source.member}: its group {number} of rows unpacks to {size:,} bytes, the most is "
                    f"{MOST_MEMORY:,}: write it with smaller groups",
                    "file",
                )
        if footer.num_rows > max(ROWS, MOST_ROWS_A_BYTE * source.size):
            raise InputError(
                f"{source.member} says it has {footer.num_rows:,} rows in {source.size:,} bytes: no market data", "file"
            )
        nested = [name for name in found.roles.values() if pa.types.is_nested(schema.field(name).type)]
        if nested:
            raise InputError(f"{source.member}: column {nested[0]} holds no single values", "file")
        return Found(found, tuple(schema.names), footer.num_rows, meta=(schema.metadata or {}).get(NOTE, b""))


def _unpacked_size(group: Any, names: set[str]) -> int:
    """Bytes of the columns that are read: a page of them is unpacked at once, and may be a whole column."""
    columns = (group.column(place) for place in range(group.num_columns))
    return sum(column.total_uncompressed_size for column in columns if column.path_in_schema in names)


def parquet_batches(source: Source, found: Found, skip: int) -> Iterator[Batch]:
    """The rows of a Parquet file. Raises InputError."""
    first = 1
    roles = found.columns.roles
    with _parquet(source) as file:
        for number, part in enumerate(file.iter_batches(ROWS, columns=list(dict.fromkeys(roles.values())))):
            lines = np.arange(first, first + len(part))
            first += len(part)
            if number >= skip:
                yield Batch(
                    lines, {role: part.column(part.schema.get_field_index(name)) for role, name in roles.items()}
                )
            source.consumed = int(source.size * min(1.0, first / max(found.rows or 1, 1)))


# --- SQLite -----------------------------------------------------------------------------------------


@contextmanager
def _sqlite(source: Source, go_on: Callable[[], bool] = lambda: True) -> Iterator[sqlite3.Connection]:
    """A connection that cannot write, to a file that is not touched: not even a log is made beside it."""
    with unpacked(source) as path:
        logged = path.with_name(path.name + "-wal").exists()
        address = f"{path.resolve().as_uri()}?mode=ro{'' if logged else '&immutable=1'}"
        try:
            with closing(sqlite3.connect(address, uri=True)) as connection:
                connection.execute("pragma query_only = on")
                connection.execute("pragma trusted_schema = off")
                connection.execute("pragma cell_size_check = on")
                connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
                connection.set_progress_handler(lambda: not go_on(), STEPS)
                yield connection
        except sqlite3.Error as exc:
            raise InputError(f"{source.path.name} cannot be read as SQLite: {exc}; nothing was stored", "file") from exc


def sqlite_of(source: Source, wanted: str = "") -> Found:
    """The table of a SQLite file with trades or bars that is wanted, or the largest.

    An integer primary key called `id` numbers the rows of that file, not the trades of an exchange: it is no trade id.

    Raises
    ------
    InputError
    """
    with _sqlite(source) as connection:
        query = "select name from sqlite_master where type = 'table' and name not like 'sqlite\\_%' escape '\\'"
        names = [name for (name,) in connection.execute(query).fetchmany(1_000)]
        tables = {name: found for name in names if (found := _table(connection, name)) is not None}
        if not tables:
            raise InputError(
                f"{source.member} has no table of trades or bars; its tables are {', '.join(names)[:200]}", "file"
            )
        if wanted and wanted not in tables:
            raise InputError(
                f"{source.member} has no table {wanted!r} of trades or bars, but {', '.join(tables)}", "table"
            )
        name = wanted or max(tables, key=lambda table: _largest_row(connection, table))
        return replace(tables[name], tables=tuple(tables))


def _table(connection: sqlite3.Connection, name: str) -> Found | None:
    columns = connection.execute(f"pragma table_info({_quoted(name)})").fetchall()
    named = [column[1] for column in columns]
    found = by_name(named) if len(named) <= MOST_COLUMNS else None
    if found is None:
        return None
    keys = {column[1] for column in columns if column[5] and str(column[2]).upper() == "INTEGER"}
    roles = dict(found.roles)
    if roles.get("trade_id", "").lower() == "id" and roles["trade_id"] in keys:
        del roles["trade_id"]
    return Found(
        replace(found, roles=roles, stream=found.stream if "trade_id" in roles else ""), tuple(named), None, name
    )


def _largest_row(connection: sqlite3.Connection, table: str) -> int:
    try:
        found = connection.execute(f"select max(rowid) from {_quoted(table)}").fetchone()[0]
    except sqlite3.Error:  # a table without row ids
        found = 1
    return int(found or 0)


def sqlite_batches(source: Source, found: Found, skip: int, go_on: Callable[[], bool]) -> Iterator[Batch]:
    """The rows of a table. Raises InputError."""
    names = ", ".join(map(_short, found.columns.roles.values()))
    first = 1
    with _sqlite(source, go_on) as connection:
        last = _largest_row(connection, found.table)
        rows = connection.execute(f"select {names} from {_quoted(found.table)}")
        for number, part in enumerate(iter(lambda: rows.fetchmany(ROWS), [])):
            if number >= skip:
                yield _of_rows(part, found.columns, first)
            first += len(part)
            source.consumed = int(source.size * min(1.0, first / max(last, 1)))


def _short(name: str) -> str:
    """A column, without values that are long."""
    column = _quoted(name)
    long = f"typeof({column}) in ('text', 'blob') and length(cast({column} as blob)) > {MOST_TEXT}"
    return f"case when {long} then null else {column} end"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _of_rows(rows: Iterable[tuple[Any, ...]], columns: Columns, first: int) -> Batch:
    values = list(zip(*rows, strict=True))
    texts = {
        role: pa.array(map(plain_text, column), pa.string()) for role, column in zip(columns.roles, values, strict=True)
    }
    return Batch(np.arange(first, first + len(values[0])), texts)


# --- Excel ------------------------------------------------------------------------------------------


@contextmanager
def _excel(source: Source) -> Iterator[Iterator[tuple[Any, ...]]]:
    """Rows of all sheets, one after the other, the names once."""
    import openpyxl

    _check_sheets(source)
    try:
        book = openpyxl.load_workbook(source.path, read_only=True, data_only=True, keep_links=False)
        try:
            yield _sheet_rows(book)
        finally:
            book.close()
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile, SyntaxError) as exc:
        raise InputError(f"{source.path.name} cannot be read as Excel: {exc}; nothing was stored", "file") from exc


def _sheet_rows(book: Any) -> Iterator[tuple[Any, ...]]:
    names: tuple[Any, ...] = ()
    for sheet in book.worksheets:
        rows = sheet.iter_rows(values_only=True)
        head = next(rows, ())
        if not names:
            names = head
            yield head
        elif head != names:
            return
        yield from rows


def _check_sheets(source: Source) -> None:
    """Unpack each part once, to count what comes out of it: its stated size may be false."""
    produced = 0
    try:
        with zipfile.ZipFile(source.path) as archive:
            for member in archive.infolist():
                whole = not member.filename.startswith("xl/worksheets/")
                before = produced
                with archive.open(member) as file:
                    while data := file.read(1 << 20):
                        produced += len(data)
                        if produced > min(MOST_PRODUCED, max(RATIO_FROM, MOST_RATIO * source.size)):
                            raise InputError(
                                f"{source.path.name} unpacks to more than {MOST_RATIO} times its size", "file"
                            )
                        if whole and produced - before > MOST_PART:
                            raise InputError(
                                f"{source.path.name} has more than {MOST_PART:,} bytes of {member.filename[:60]!r}: "
                                "save it as CSV",
                                "file",
                            )
    except (OSError, EOFError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as exc:
        raise InputError(
            f"{source.path.name} cannot be unpacked to its end: {exc}; nothing was stored", "file"
        ) from exc


def excel_of(source: Source) -> Found:
    """What the sheets of an Excel file hold. Raises InputError."""
    with _excel(source) as rows:
        names = ["" if value is None else str(value) for value in next(rows, ())]
    return Found(columns_of(names, source.member), tuple(names), None)


def excel_batches(source: Source, found: Found, skip: int) -> Iterator[Batch]:
    """The rows of an Excel file. Raises InputError."""
    places = [found.names.index(name) for name in found.columns.roles.values()]
    first, number = 2, 0
    with _excel(source) as rows:
        next(rows, None)
        part: list[tuple[Any, ...]] = []
        for row in rows:
            part.append(tuple(_cell(row[place]) if place < len(row) else None for place in places))
            if len(part) == ROWS:
                if number >= skip:
                    yield _of_rows(part, found.columns, first)
                first, number, part = first + len(part), number + 1, []
        if part:
            yield _of_rows(part, found.columns, first)


def _cell(value: Any) -> Any:
    return value.isoformat(" ") if hasattr(value, "isoformat") else value


# --- both -------------------------------------------------------------------------------------------


@contextmanager
def unpacked(source: Source) -> Iterator[Path]:
    """The path of a file that must lie unpacked to be read; a copy that goes away afterwards where it was packed."""
    if not source.packing:
        yield source.path
        return
    handle, name = tempfile.mkstemp(prefix="pairscope-", suffix=f".{source.form}")
    try:
        with os.fdopen(handle, "wb") as file:
            for data in source.chunks():
                file.write(data)
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)
