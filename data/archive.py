"""Long history: trades in Parquet, a file a day, beside the database.

    archive/<venue>/<stream>/<symbol>/<YYYY-MM-DD>.parquet

Each holds the trades of one day (UTC) by increasing id, each id once: columns trade_id, ts_us, price, qty,
buyer_is_maker. Any program that reads Parquet can read them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from data.stored import Owner, Span
from data.trades import MAX_ID, Trades
from utils.clock import US_PER_S
from utils.errors import StorageError

DAY_US = 86_400 * US_PER_S
GROUP_ROWS = 128_000  # rows that are packed, and read, together
SCHEMA = pa.schema(
    {
        "trade_id": pa.int64(),
        "ts_us": pa.int64(),
        "price": pa.float64(),
        "qty": pa.float64(),
        "buyer_is_maker": pa.bool_(),
    }
)
# Ids and times grow by little steps, prices and quantities repeat: 6 bytes a trade instead of 33.
PACKING = {
    "compression": "zstd",
    "use_dictionary": ["price", "qty"],
    "column_encoding": {"trade_id": "DELTA_BINARY_PACKED", "ts_us": "DELTA_BINARY_PACKED"},
}


@dataclass(frozen=True, slots=True)
class Group:
    """Some consecutive rows of a file, and the ids and times that they lie between."""

    path: Path
    number: int
    first_id: int
    last_id: int
    first_us: int
    last_us: int
    rows: int


class Archive:
    """The folder of day files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def beside(cls, database: Path) -> "Archive":
        """That of a database."""
        return cls(database.parent / "archive")

    def path(self, owner: Owner, day: int) -> Path:
        """Where the trades of a day lie, or would; days are counted from 1970."""
        return self.folder.joinpath(*owner, f"{day_name(day)}.parquet")

    def days(self, owner: Owner) -> list[int]:
        """Days with trades, increasing."""
        folder = self.folder.joinpath(*owner)
        found = (day_number(path.name.removesuffix(".parquet")) for path in folder.glob("????-??-??.parquet"))
        return sorted(day for day in found if day is not None)

    def owners(self) -> list[Owner]:
        """Whose trades there are."""
        found = {path.parent.relative_to(self.folder).parts for path in self.folder.glob("*/*/*/????-??-??.parquet")}
        return sorted((venue, stream, symbol) for venue, stream, symbol in found)

    def pages(self, owner: Owner, span: Span, up_to_id: int = MAX_ID, after_id: int = -1) -> Iterator[Trades]:
        """The trades of a span by increasing id, some at a time, oldest first.

        Raises
        ------
        StorageError
            A day file cannot be read.
        """
        for day in self.days(owner):
            if (day + 1) * DAY_US <= span.since_us or day * DAY_US >= span.until_us:
                continue
            for group in groups(self.path(owner, day)):
                if group.last_id <= after_id or group.first_id > up_to_id:
                    continue
                if group.last_us < span.since_us or group.first_us >= span.until_us:
                    continue
                page = read_group(owner[2], group)
                wanted = page[span.inside(page.ts_us) & (page.trade_id <= up_to_id) & (page.trade_id > after_id)]
                if len(wanted):
                    yield wanted

    def rows(self, owner: Owner) -> int:
        """Trades of all days.

        Raises
        ------
        StorageError
        """
        return sum(group.rows for day in self.days(owner) for group in groups(self.path(owner, day)))


def groups(path: Path) -> list[Group]:
    """The groups of rows of a file, as its footer tells them.

    Raises
    ------
    StorageError
    """
    try:
        footer = pa.parquet.read_metadata(path)
    except (OSError, pa.ArrowException) as exc:
        raise StorageError(f"{path} cannot be read: {exc}") from exc
    found = []
    for number in range(footer.num_row_groups):
        group = footer.row_group(number)
        ids, times = (group.column(place).statistics for place in (0, 1))
        ends = int(ids.min), int(ids.max), int(times.min), int(times.max)
        found.append(Group(path, number, *ends, group.num_rows))
    return found


def read_group(symbol: str, group: Group) -> Trades:
    """The trades of a group.

    Raises
    ------
    StorageError
    """
    try:
        with pa.parquet.ParquetFile(group.path) as file:
            return trades_of(symbol, file.read_row_group(group.number))
    except (OSError, pa.ArrowException) as exc:
        raise StorageError(f"{group.path} cannot be read: {exc}") from exc


def trades_of(symbol: str, table: pa.Table) -> Trades:
    """The columns of a table as trades."""
    columns = [table.column(name).combine_chunks() for name in SCHEMA.names]
    return Trades.of(symbol, *(np.asarray(column.to_numpy(zero_copy_only=False)) for column in columns))


def table_of(trades: Trades) -> pa.RecordBatch:
    """Trades as Arrow has them."""
    columns = (*trades.columns[:4], trades.buyer_is_maker.astype(bool))
    return pa.record_batch([pa.array(column) for column in columns], schema=SCHEMA)


def day_name(day: int) -> str:
    """A day as text, `2025-01-31`."""
    return datetime.fromtimestamp(day * 86_400, UTC).strftime("%Y-%m-%d")


def day_number(text: str) -> int | None:
    """Days since 1970; None where the text is no day."""
    try:
        return date.fromisoformat(text).toordinal() - date(1970, 1, 1).toordinal()
    except ValueError:
        return None
