"""Trades on their way into day files: written as parts while they are read, joined to whole days at the end.

Rows may come in any order and more than once. A part holds rows of one symbol and day by increasing id; what comes out
of order begins another part. A day of one part becomes the day file as it is; parts that overlap are merged by ranges
of ids, so that no more than some hundred thousand rows are in memory whatever a day holds.
"""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from data.archive import (
    DAY_US,
    GROUP_ROWS,
    PACKING,
    SCHEMA,
    Archive,
    Group,
    day_name,
    day_number,
    groups,
    read_group,
    table_of,
)
from data.stored import Owner
from data.trades import Trades
from utils.errors import StorageError

OPEN_PARTS = 24  # written to at once; the one that was longest left alone is closed first
MERGED_ROWS = 1_000_000  # of overlapping parts in memory at once
Key = tuple[str, int]  # symbol, day


@dataclass(frozen=True, slots=True)
class Day:
    """What became of the trades of one day."""

    owner: Owner
    day: int
    new: int
    known: int  # trades that were there already, or came twice


class _Part:
    """One file that grows by rows of increasing id."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.last_id = -1
        self._rows: list[Trades] = []
        self._held = 0
        self._writer = pa.parquet.ParquetWriter(path, SCHEMA, **PACKING)

    def add(self, trades: Trades) -> None:
        self.last_id = int(trades.trade_id[-1])
        self._rows.append(trades)
        self._held += len(trades)
        if self._held >= GROUP_ROWS:
            self._write()

    def _write(self) -> None:
        if self._rows:
            rows = Trades.concat(self._rows[0].symbol, self._rows)
            self._writer.write_batch(table_of(rows), row_group_size=GROUP_ROWS)
        self._rows, self._held = [], 0

    def close(self) -> None:
        self._write()
        self._writer.close()


class Staging:
    """A folder of parts; parts are packed by a thread of its own, while the next rows are read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._open: dict[Key, _Part] = {}
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="import-pack")
        self._last: Future[None] | None = None

    def add(self, trades: Trades) -> int:
        """Take trades of one symbol in any order; how many of them had an id that came before among them."""
        ordered = trades.sorted_by_id()
        new = np.append(True, np.diff(ordered.trade_id) > 0)
        twice = len(ordered) - int(np.count_nonzero(new))
        if twice:
            ordered = ordered[new]
        if self._last is not None:
            self._last.result()
        self._last = self._pool.submit(self._write, ordered)
        return twice

    def close(self) -> None:
        """End all parts; what is added later begins others."""
        try:
            if self._last is not None:
                self._last.result()
        finally:
            self._last = None
            for part in self._open.values():
                part.close()
            self._open.clear()

    def abandon(self) -> None:
        """End all parts, whatever becomes of them."""
        with suppress(OSError, StorageError, pa.ArrowException):
            self.close()

    def stop(self) -> None:
        """End the thread."""
        self._pool.shutdown()

    def parts(self) -> dict[Key, list[Path]]:
        """Closed parts of each symbol and day, in the order they were begun."""
        found: dict[Key, list[Path]] = {}
        for path in sorted(self.folder.glob("*/*/*.parquet"), key=lambda path: int(path.stem)):
            day = day_number(path.parent.name)
            if day is not None:
                found.setdefault((path.parent.parent.name, day), []).append(path)
        return found

    def _write(self, trades: Trades) -> None:
        days = trades.ts_us // DAY_US
        first, last = int(days.min()), int(days.max())
        for day in [first] if first == last else np.unique(days).tolist():
            self._add(day, trades if first == last else trades[days == day])

    def _add(self, day: int, trades: Trades) -> None:
        key = (trades.symbol, day)
        part = self._open.pop(key, None)
        if part is not None and part.last_id >= int(trades.trade_id[0]):
            part.close()
            part = None
        if part is None:
            while len(self._open) >= OPEN_PARTS:
                self._open.pop(next(iter(self._open))).close()
            part = _Part(self._next(key))
        self._open[key] = part  # last in line to be closed
        part.add(trades)

    def _next(self, key: Key) -> Path:
        folder = self.folder / key[0] / day_name(key[1])
        taken = [int(path.stem) for path in folder.glob("*.parquet")]
        return folder / f"{max(taken, default=0) + 1}.parquet"


def join(archive: Archive, owner: Owner, day: int, parts: list[Path]) -> Day:
    """Make the day file from parts and what it held before; the parts go away. Where both have an id, the file's stays.

    Raises
    ------
    StorageError
    """
    target = archive.path(owner, day)
    target.parent.mkdir(parents=True, exist_ok=True)
    if len(parts) == 1 and not target.exists():
        new = sum(group.rows for group in groups(parts[0]))
        parts[0].replace(target)
        return Day(owner, day, new, 0)
    before = groups(target) if target.exists() else []
    come = [group for path in parts for group in groups(path)]
    had, coming = (sum(group.rows for group in some) for some in (before, come))
    merged = target.with_name(f".{target.name}.part")
    rows = 0
    with pa.parquet.ParquetWriter(merged, SCHEMA, **PACKING) as writer:
        for trades in _merged(owner[2], [*before, *come]):
            rows += len(trades)
            writer.write_batch(table_of(trades), row_group_size=GROUP_ROWS)
    merged.replace(target)
    for path in parts:
        path.unlink()
    return Day(owner, day, rows - had, coming - (rows - had))


def _merged(symbol: str, found: list[Group]) -> Iterator[Trades]:
    """The rows of all groups by increasing id, each id once: that of the first group in the list."""
    for cluster in _overlapping(found):
        rows = sum(group.rows for group in cluster)
        if rows <= max(MERGED_ROWS, max(group.rows for group in cluster)):
            yield _first_of_each(symbol, [read_group(symbol, group) for group in cluster])
            continue
        edges = _edges(symbol, cluster, -(-rows // MERGED_ROWS))
        for low, high in pairwise(edges):
            inside = [group for group in cluster if group.first_id < high and group.last_id >= low]
            parts = (read_group(symbol, group) for group in inside)
            yield _first_of_each(symbol, [t[(t.trade_id >= low) & (t.trade_id < high)] for t in parts])


def _overlapping(found: list[Group]) -> Iterator[list[Group]]:
    """Groups whose ranges of ids touch each other together, by increasing id; within, in their order."""
    place = {id(group): number for number, group in enumerate(found)}
    cluster: list[Group] = []
    last = -1
    for group in sorted(found, key=lambda group: (group.first_id, group.last_id)):
        if cluster and group.first_id > last:
            yield sorted(cluster, key=lambda one: place[id(one)])
            cluster = []
        cluster.append(group)
        last = max(last, group.last_id)
    if cluster:
        yield sorted(cluster, key=lambda one: place[id(one)])


def _edges(symbol: str, cluster: list[Group], pieces: int) -> list[int]:
    """Ids that part a cluster into pieces of about the same number of rows."""
    sample = np.concatenate([read_group(symbol, group).trade_id[::64] for group in cluster])
    inner = np.quantile(sample, np.arange(1, pieces) / pieces, method="lower").tolist()
    ends = min(group.first_id for group in cluster), max(group.last_id for group in cluster) + 1
    return sorted({ends[0], *map(int, inner), ends[1]})


def _first_of_each(symbol: str, parts: list[Trades]) -> Trades:
    rows = Trades.concat(symbol, parts).sorted_by_id()
    new = np.append(True, np.diff(rows.trade_id) > 0)[: len(rows)]
    return rows if new.all() else rows[new]
