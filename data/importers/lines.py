"""One JSON object a line: trades and bars by any of their names, and frames of the exchange."""

import io
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from data.feeds.ahead import ahead
from data.feeds.manifest import MANIFEST
from data.importers.files import Source, parts_of
from data.importers.layout import Columns, by_name, columns_of
from data.importers.rows import TEXT_SHOWN, Batch, Rejected
from utils.errors import InputError

HEAD_BYTES = 4 << 20  # looked at to find the first row
EVENTS = {"trade": b'"trade"', "aggTrade": b'"aggTrade"'}
ADDRESS = (b"ws://", b"wss://")


@dataclass(frozen=True, slots=True)
class Lines:
    """How lines are to be read."""

    columns: Columns
    event: str  # of frames: other events are passed by; empty where the lines are no frames


def is_lines(head: bytes) -> bool:
    """Whether text looks like one JSON object a line."""
    first = next((line for line in io.BytesIO(head[:HEAD_BYTES]) if line.strip()), b"")
    return first.startswith((b"{", *ADDRESS)) or b" {" in first[:60]


def lines_of(source: Source) -> Lines:
    """What the lines hold, by the first one that is a row.

    Raises
    ------
    InputError
    """
    pieces = source.pieces()
    head = next(pieces, b"")
    pieces.close()  # type: ignore[attr-defined]
    first: Mapping[str, Any] = {}
    for line in io.BytesIO(head):
        row = None if line.startswith(MANIFEST) else _object(line)
        if not row or row.get("e", "trade") not in EVENTS:
            continue
        if (columns := by_name([*row])) is not None:
            return Lines(columns, str(row.get("e", "")))
        first = first or row
    if first:
        columns_of([*first], source.member)  # says which names it has
    raise InputError(f"{source.member} holds no trade and no bar among its first {len(head):,} bytes", "file")


def _object(line: bytes) -> dict[str, Any] | None:
    """The object in a line, out of its envelope; None where there is none."""
    start = line.find(b"{")
    if start < 0:
        return None
    try:
        row = msgspec.json.decode(line[start:])
    except ValueError:
        return None
    inner = row.get("data", row) if isinstance(row, dict) else None
    return inner if isinstance(inner, dict) else row


def batches(source: Source, lines: Lines, skip: int = 0) -> Iterator[Batch]:
    """The rows of the lines, a part at a time; the first `skip` parts are read and passed over.

    Raises
    ------
    InputError
    """
    line = 1
    with closing(ahead(source.pieces())) as pieces:  # type: ignore[type-var]
        for number, (part, breaks) in enumerate(chain.from_iterable(map(parts_of, pieces))):
            if number >= skip:
                yield _batch(part.removesuffix(b"\n").split(b"\n"), lines, line)
            line += breaks + (not part.endswith(b"\n"))


def _batch(rows: list[bytes], lines: Lines, line: int) -> Batch:
    found: dict[str, list[str | None]] = {role: [] for role in lines.columns.roles}
    numbers: list[int] = []
    batch = Batch(np.empty(0, np.int64), {})
    mark = EVENTS.get(lines.event)
    names = [(name, found[role]) for role, name in lines.columns.roles.items()]
    for number, text in enumerate(rows, line):
        if (mark is not None and mark not in text) and text.rstrip().endswith(b"}"):
            batch.passed += 1
            continue
        row = _object(text)
        if row is None:
            if not text.strip() or text.startswith(ADDRESS):
                batch.passed += 1
            else:
                batch.rejected.append(Rejected(number, "no JSON object", text[:TEXT_SHOWN].decode("utf-8", "replace")))
        elif text.startswith(MANIFEST) or (mark is not None and row.get("e") != lines.event):
            batch.passed += 1
        else:
            numbers.append(number)
            for name, column in names:
                column.append(plain_text(row.get(name)))
    batch.lines = np.array(numbers, np.int64)
    batch.columns = {role: pa.array(column, pa.string()) for role, column in found.items()}
    return batch


def plain_text(value: object) -> str | None:
    """A value as text: floats to the last bit; None where it is none or not a single value."""
    if type(value) is str:
        return value
    return str(value) if isinstance(value, (int, float)) else None
