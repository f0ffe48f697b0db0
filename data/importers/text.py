"""Delimited text: with names or without, any usual delimiter, decimal comma; read as tables of some megabytes.

A piece is first read straight into numbers, by two threads, at millions of rows a second. Only where that fails is it
read as text, so that each row is judged by itself.
"""

import csv
import io
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from data.feeds.ahead import ahead
from data.importers.files import Source, parts_of
from data.importers.layout import BOOLEANS, Columns, by_name, by_place, columns_of, is_number
from data.importers.rows import TEXT_SHOWN, Batch, Rejected
from utils.errors import InputError

DELIMITERS = ",;\t|"
HEAD_LINES = 50  # looked at to tell the delimiter and the kinds of columns
BLOCK = 2 << 20  # bytes that one thread parses at a time
TRUE = sorted({form for text, yes in BOOLEANS.items() if yes for form in (text, text.title(), text.upper())})
FALSE = sorted({form for text, yes in BOOLEANS.items() if not yes for form in (text, text.title(), text.upper())})
WHOLE_ROLES = ("trade_id", "ts")
TEXT_ROLES = ("side", "symbol", "market")


@dataclass(frozen=True, slots=True)
class Table:
    """How a text is to be read."""

    columns: Columns
    names: tuple[str, ...]  # of all columns, in order; numbers where the file has none
    delimiter: str
    decimal: str
    header: bool
    kinds: dict[str, pa.DataType]  # role -> what most of its values are


def table_of(source: Source) -> Table:
    """How a text is to be read, by its first lines.

    Raises
    ------
    InputError
    """
    pieces = source.pieces()
    head = next(pieces, b"")
    pieces.close()  # type: ignore[attr-defined]
    first = head[: 4 << 20].split(b"\n", 2 * HEAD_LINES)[: 2 * HEAD_LINES]
    lines = [line.decode("utf-8", "replace").removesuffix("\r") for line in first if line.strip()][:HEAD_LINES]
    delimiter = _delimiter(lines, source.member)
    rows = _cells(lines, delimiter)
    names = [name.strip() for name in rows[0]]
    header = by_name(names) is not None or not any(map(is_number, names))
    if header:
        columns, rows = columns_of(names, source.member), rows[1:]
        names = [name or f"column {place + 1}" for place, name in enumerate(names)]
    else:
        found = by_place(names)
        if found is None:
            raise InputError(
                f"{source.member} has no names in its first line, and its {len(names)} columns are in no known order: "
                f"{lines[0][:100]!r}",
                "file",
            )
        columns, names = found, [str(place) for place in range(len(names))]
    if not rows:
        raise InputError(f"{source.member} has names of columns and no rows", "file")
    if len(set(names)) < len(names):
        raise InputError(f"{source.member} has two columns of one name", "file")
    decimal = _decimal(rows, columns, names, delimiter)
    return Table(columns, tuple(names), delimiter, decimal, header, _kinds(rows, columns, names, decimal))


def _delimiter(lines: list[str], name: str) -> str:
    """What parts the columns: of the usual marks the one by which most of the lines have the most columns."""
    if not lines:
        raise InputError(f"{name} is empty", "file")
    counts = {}
    for mark in DELIMITERS:
        rows = _cells(lines, mark)
        width = len(rows[0]) if rows else 0
        agree = sum(len(row) == width for row in rows)
        counts[mark] = (width > 1, agree, width)
    best = max(DELIMITERS, key=counts.__getitem__)
    if not counts[best][0]:
        raise InputError(f"{name} has one column only: {lines[0][:80]!r}", "file")
    return best


def _cells(lines: list[str], delimiter: str) -> list[list[str]]:
    """The values of each line; of one with a field beyond measure none."""
    try:
        return list(csv.reader(io.StringIO("\n".join(lines)), delimiter=delimiter))
    except csv.Error:
        return []


def _decimal(rows: list[list[str]], columns: Columns, names: list[str], delimiter: str) -> str:
    at = names.index(columns.roles.get("price", columns.roles.get("close", "")))
    values = [row[at] for row in rows if len(row) == len(names)]
    commas = sum("," in value and "." not in value for value in values)
    return "," if delimiter != "," and 2 * commas > len(values) else "."


def _kinds(rows: list[list[str]], columns: Columns, names: list[str], decimal: str) -> dict[str, pa.DataType]:
    kinds: dict[str, pa.DataType] = {}
    for role, name in columns.roles.items():
        at = names.index(name)
        values = [row[at].strip() for row in rows if len(row) == len(names)]
        if role in WHOLE_ROLES:
            kinds[role] = pa.int64() if _most(values, str.isdigit) else pa.string()
        elif role in ("maker", "complete"):
            kinds[role] = pa.bool_() if _most(values, lambda text: text.lower() in BOOLEANS) else pa.string()
        else:
            kinds[role] = pa.string() if role in TEXT_ROLES else pa.float64()
    return kinds


def _most(values: list[str], test: object) -> bool:
    assert callable(test)
    return 2 * sum(map(test, values)) > len(values)


def batches(source: Source, table: Table, skip: int = 0) -> Iterator[Batch]:
    """The rows of a text, a part at a time; the first `skip` parts are read and passed over.

    Raises
    ------
    InputError
    """
    line = 1
    with closing(ahead(source.pieces())) as pieces:  # type: ignore[type-var]
        for number, (part, breaks) in enumerate(chain.from_iterable(map(parts_of, pieces))):
            rows = breaks + (not part.endswith(b"\n"))
            first = table.header and number == 0
            if number >= skip:
                start = part.find(b"\n") + 1 if first else 0
                data = pa.py_buffer(part)[start:] if start else pa.py_buffer(part)
                if len(data):
                    yield _batch(data, table, line + first, rows - first)
            line += rows


def _batch(data: pa.Buffer, table: Table, line: int, rows: int) -> Batch:
    try:
        found = _read(data, table, table.kinds, pa.csv.ReadOptions(column_names=table.names, block_size=BLOCK))
        if found.num_rows == rows:
            return Batch(np.arange(line, line + rows), _by_role(found, table))
    except pa.ArrowInvalid:
        pass
    return _careful(data, table, line, rows)


def _read(
    data: pa.Buffer,
    table: Table,
    kinds: dict[str, pa.DataType],
    options: pa.csv.ReadOptions,
    parse: pa.csv.ParseOptions | None = None,
) -> pa.Table:
    names = list(dict.fromkeys(table.columns.roles.values()))
    convert = pa.csv.ConvertOptions(
        include_columns=names,
        column_types={table.columns.roles[role]: kind for role, kind in kinds.items()},
        true_values=TRUE,
        false_values=FALSE,
        decimal_point=table.decimal,
        strings_can_be_null=False,
    )
    parse = parse or pa.csv.ParseOptions(delimiter=table.delimiter)
    return pa.csv.read_csv(pa.BufferReader(data), options, parse, convert)


def _by_role(found: pa.Table, table: Table) -> dict[str, pa.Array]:
    return {role: _one(found[name]) for role, name in table.columns.roles.items()}


def _one(column: pa.ChunkedArray) -> pa.Array:
    whole = column.combine_chunks()
    return whole.chunk(0) if isinstance(whole, pa.ChunkedArray) else whole


def _careful(data: pa.Buffer, table: Table, line: int, rows: int) -> Batch:
    """Every value as text, and lines that have not the right number of columns one by one."""
    odd: dict[int, tuple[int, str]] = {}  # number -> columns, text

    def put_aside(row: pa.csv.InvalidRow) -> str:
        odd[row.number] = (row.actual_columns, row.text.strip()[:TEXT_SHOWN])
        return "skip"

    parse = pa.csv.ParseOptions(delimiter=table.delimiter, ignore_empty_lines=False, invalid_row_handler=put_aside)
    options = pa.csv.ReadOptions(column_names=table.names, use_threads=False, block_size=len(data) + 1)
    kinds = dict.fromkeys(table.columns.roles, pa.string())
    try:
        found = _read(data, table, kinds, options, parse)
    except pa.ArrowInvalid as exc:
        raise InputError(f"lines {line:,} to {line + rows - 1:,} cannot be read: {exc}", "file") from exc
    blank = {number for number, (_, text) in odd.items() if not text}
    reasons = {count: f"{count} columns, expected {len(table.names)}" for count, _ in odd.values()}
    wrong = [Rejected(line + at - 1, reasons[count], text) for at, (count, text) in odd.items() if at not in blank]
    lines = np.setdiff1d(np.arange(1, found.num_rows + len(odd) + 1), np.array([*odd], np.int64)) + line - 1
    columns = _by_role(found, table)
    filled = np.any([pc.not_equal(column, "").to_numpy(zero_copy_only=False) for column in columns.values()], axis=0)
    if not filled.all():
        columns = {role: column.filter(pa.array(filled)) for role, column in columns.items()}
    return Batch(lines[filled], columns, wrong, len(blank) + int(np.count_nonzero(~filled)))
