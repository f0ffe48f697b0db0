"""What is on disk and in the API, held against the ledger of the fake exchange."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from analytics.resampling import bars
from data.trades import Trades
from tests.fakes.tape import Ledger
from tests.running import Running

BLOCK = 500_000  # ids compared at a time
BARS = 20_000  # most that the API gives
WIDTH_US = 1_000_000
Run = tuple[int, int]  # first and last id


@dataclass(slots=True)
class Stored:
    """The trades of one symbol on disk, against its ledger."""

    rows: int = 0
    missing: list[Run] = field(default_factory=list)
    repeated: int = 0
    invented: int = 0  # rows that the ledger does not know, or knows with other values

    @property
    def missed(self) -> int:
        """How many trades are missing."""
        return sum(last - first + 1 for first, last in self.missing)


def stored(database: Path, ledger: Ledger, first_id: int | None = None) -> Stored:
    """Compare every trade from `first_id`, by default the first one made, to the last one made."""
    found = Stored()
    start = 0 if first_id is None else first_id - ledger.first_id
    missing: list[np.ndarray] = []
    for at in range(start, len(ledger), BLOCK):
        made = ledger.columns(at, min(at + BLOCK, len(ledger)))
        on_disk = read_trades(database, ledger.symbol, int(made.trade_id[0]), int(made.trade_id[-1]))
        unique, rows = np.unique(on_disk.trade_id, return_index=True)
        found.rows += len(on_disk)
        found.repeated += len(on_disk) - unique.size
        missing.append(np.setdiff1d(made.trade_id, unique))
        there = made[np.isin(made.trade_id, unique)]
        same = [np.asarray(a) == np.asarray(b) for a, b in zip(there.columns, on_disk[rows].columns, strict=True)]
        found.invented += int((~np.all(same, axis=0)).sum())
    found.invented += _outside(database, ledger, start)
    found.missing = runs(np.concatenate(missing)) if missing else []
    return found


def stored_all(database: Path, ledgers: Sequence[Ledger], firsts: dict[str, int] | None = None) -> Stored:
    """The same over several symbols."""
    total = Stored()
    for ledger in ledgers:
        one = stored(database, ledger, (firsts or {}).get(ledger.symbol))
        total.rows += one.rows
        total.missing += one.missing
        total.repeated += one.repeated
        total.invented += one.invented
    return total


def read_trades(database: Path, symbol: str, first_id: int, last_id: int) -> Trades:
    """Stored trades of one symbol, by the public view."""
    with reading(database) as file:
        rows = file.execute(
            "select trade_id, ts_us, price, qty, buyer_is_maker from trades "
            "where (venue, stream, symbol) = ('binance-um', 'aggTrade', ?) and trade_id between ? and ? order by 1",
            (symbol, first_id, last_id),
        ).fetchall()
    return Trades.of(symbol, *zip(*rows, strict=True)) if rows else Trades.empty(symbol)


def first_ids(database: Path) -> dict[str, int]:
    """The first stored id of each symbol."""
    with reading(database) as file:
        return dict(file.execute("select symbol, min(trade_id) from trades group by symbol").fetchall())


def counts(database: Path) -> dict[str, int]:
    """Rows of each symbol."""
    with reading(database) as file:
        return dict(file.execute("select symbol, count(*) from trades group by symbol").fetchall())


def is_sound(database: Path) -> bool:
    """Whether SQLite finds no damage."""
    with reading(database) as file:
        return bool(file.execute("pragma quick_check").fetchone() == ("ok",))


def gap_rows(database: Path) -> list[dict[str, Any]]:
    """The gaps on record."""
    with reading(database) as file:
        file.row_factory = sqlite3.Row
        return [dict(row) for row in file.execute("select * from gaps")]


def reading(database: Path) -> closing[sqlite3.Connection]:
    """A connection that writes nothing."""
    return closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True, timeout=5))


def runs(ids: np.ndarray) -> list[Run]:
    """Runs of consecutive ids, from increasing ones."""
    if not ids.size:
        return []
    cuts = np.flatnonzero(np.diff(ids) > 1)
    firsts, lasts = ids[np.r_[0, cuts + 1]], ids[np.r_[cuts, ids.size - 1]]
    return list(zip(firsts.tolist(), lasts.tolist(), strict=True))


def joined(gaps: Sequence[dict[str, Any]], symbol: str) -> list[Run]:
    """The ids of open gaps of one symbol, as runs."""
    ids = [np.arange(gap["first_id"], gap["last_id"] + 1) for gap in gaps if _is_open(gap, symbol)]
    return runs(np.unique(np.concatenate(ids))) if ids else []


def _is_open(gap: dict[str, Any], symbol: str) -> bool:
    return bool(gap["symbol"] == symbol and gap["filled_us"] is None)


def _outside(database: Path, ledger: Ledger, start: int) -> int:
    """Rows with ids that were never made."""
    with reading(database) as file:
        (count,) = file.execute(
            "select count(*) from trades where symbol = ? and (trade_id < ? or trade_id >= ?)",
            (ledger.symbol, ledger.first_id + start, ledger.first_id + len(ledger)),
        ).fetchone()
    return int(count)


# --- bars -------------------------------------------------------------------------------------------


@dataclass(slots=True)
class BarProof:
    """One-second bars of the API against bars of the trades that should be in them."""

    compared: int = 0
    different: int = 0
    unmarked: int = 0  # bars that miss trades and do not say so
    overmarked: int = 0  # closed bars that miss nothing and say they do


def prove_bars(app: Running, ledger: Ledger, missing: Sequence[Run] = ()) -> BarProof:
    """Compare bar by bar; a bar between the trades on both sides of missing ones has to be marked.

    Left out of the marks are the first bar, in which the capture began, and the last one, which forms.
    """
    proof = BarProof()
    made = ledger.columns()
    expected = bars(made[~np.isin(made.trade_id, _ids(missing))], "1s")
    answer = app.get(f"/api/v1/bars/{ledger.symbol}/1s?limit={BARS}")
    found = {row["ts_us"]: row for row in answer}
    touched = _touched(ledger, missing)
    times = expected.index.asi8.tolist()
    for ts_us, (_, bar) in zip(times, expected.iterrows(), strict=True):
        row = found.get(ts_us)
        proof.compared += 1
        if row is None or not _is_same(row, bar):
            proof.different += 1
        if row is not None and ts_us not in (times[0], times[-1]):
            proof.unmarked += ts_us in touched and row["complete"]
            proof.overmarked += ts_us not in touched and not row["complete"]
    return proof


def _is_same(row: dict[str, Any], bar: Any) -> bool:
    for name in ("open", "high", "low", "close", "volume", "vwap", "trades", "taker_buy_volume"):
        value = float("nan") if row[name] is None else float(row[name])
        if not np.isclose(value, float(bar[name]), rtol=1e-9, atol=1e-12, equal_nan=True):
            return False
    return True


def _touched(ledger: Ledger, missing: Sequence[Run]) -> set[int]:
    """Open times of the bars from the trade before each run of missing ones to the trade after it."""
    touched: set[int] = set()
    for first, last in missing:
        before = ledger.times[max(first - ledger.first_id - 1, 0)]
        after = ledger.times[min(last - ledger.first_id + 1, len(ledger) - 1)]
        touched.update(range(before // WIDTH_US * WIDTH_US, after + 1, WIDTH_US))
    return touched


def _ids(missing: Sequence[Run]) -> np.ndarray:
    def each() -> Iterator[np.ndarray]:
        yield np.empty(0, np.int64)
        yield from (np.arange(first, last + 1) for first, last in missing)

    return np.concatenate(list(each()))
