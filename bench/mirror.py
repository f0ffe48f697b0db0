"""Rows a second into SQLite, and bytes a trade: `Mirror` against two ways to write the same trades.

One peer is the table that dashboards make: symbol and ISO time as text, an index on both. The other is the least that
SQLite can do: one `executemany` of ready integers into a bare table. Their rows are made ready outside the clock.
"""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.frame import Row, at_least, at_most, count, made_up_trades, medians_s, scaled
from data.storage import Mirror
from data.trades import Trades
from utils.clock import iso_from_us

BATCH = 1_000  # trades a call, as a feed delivers them under load
COMMIT = 5_000  # rows a transaction, the mirror's own

TEXT_TABLE = (
    "CREATE TABLE ticks (id INTEGER PRIMARY KEY AUTOINCREMENT, symbol TEXT, timestamp TEXT, price REAL, size REAL,"
    " trade_id INTEGER, is_buyer_maker INTEGER); CREATE INDEX by_time ON ticks (symbol, timestamp)"
)
TEXT_INSERT = "INSERT INTO ticks (symbol, timestamp, price, size, trade_id, is_buyer_maker) VALUES (?, ?, ?, ?, ?, ?)"
RAW_TABLE = "CREATE TABLE ticks (trade_id INTEGER PRIMARY KEY, ts_us INT, price INT, qty INT, maker INT)"
RAW_INSERT = "INSERT INTO ticks VALUES (?, ?, ?, ?, ?)"

Rows = Sequence[tuple[object, ...]]


def run(scale: float = 1.0) -> list[Row]:
    """Speed against both peers, and our bytes a trade beside those of the text table."""
    trades = made_up_trades(scaled(200_000, scale))
    text, raw = _text_rows(trades), _raw_rows(trades)
    with TemporaryDirectory() as name:
        folder = Path(name)
        seconds = medians_s(
            lambda: _mirrored(trades, folder / "ours.db"),
            lambda: _inserted(text, TEXT_TABLE, TEXT_INSERT, BATCH, folder / "text.db"),
            lambda: _inserted(raw, RAW_TABLE, RAW_INSERT, COMMIT, folder / "raw.db"),
        )
        ours_b, text_b = ((folder / name).stat().st_size / len(trades) for name in ("ours.db", "text.db"))
    ours, text_peer, raw_peer = (len(trades) / taken for taken in seconds)
    size, sqlite, unit = count(len(trades)), f"SQLite {sqlite3.sqlite_version}", "rows/s"
    mirror = ("Mirror, committed", ours)
    return [
        at_least("mirror", mirror, (f"{sqlite}, text and index", text_peer), unit, size, 1.8, more=True),
        at_least("mirror", mirror, (f"{sqlite}, bare executemany", raw_peer), unit, size, 0.35, more=True),
        at_most("mirror", ("Mirror, file", ours_b), (f"{sqlite}, text and index", text_b), "B a trade", size, 32),
    ]


def _mirrored(trades: Trades, path: Path) -> None:
    _remove(path)
    mirror = Mirror(path, "bench", "aggTrade", max_queued=len(trades))
    mirror.start()
    for row in range(0, len(trades), BATCH):
        mirror.put(trades[row : row + BATCH])
    mirror.stop(timeout_s=120)


def _inserted(rows: Rows, table: str, insert: str, commit: int, path: Path) -> None:
    _remove(path)
    connection = sqlite3.connect(path)
    connection.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; {table}")
    for row in range(0, len(rows), commit):
        with connection:
            connection.executemany(insert, rows[row : row + commit])
    connection.close()


def _remove(path: Path) -> None:
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()


def _text_rows(trades: Trades) -> Rows:
    return [(t.symbol, iso_from_us(t.ts_us), t.price, t.qty, t.trade_id, int(t.buyer_is_maker)) for t in trades]


def _raw_rows(trades: Trades) -> Rows:
    return [(t.trade_id, t.ts_us, round(t.price * 10), round(t.qty * 1_000), int(t.buyer_is_maker)) for t in trades]
