"""Files that tests import, and a place to import them into."""

import gzip
import io
import zipfile
from pathlib import Path

import numpy as np

from data import sqlite, stored
from data.archive import Archive
from data.importers.importing import Result, run
from data.importers.plan import Options, plan
from data.trades import Trades

DAY_US = 86_400_000_000
START_US = 1_735_689_600_000_000  # 2025-01-01


def trades(rows: int, start_us: int = START_US, step_us: int = 1_000_000, first_id: int = 1, seed: int = 3) -> Trades:
    """A tape of one trade each `step_us`."""
    random = np.random.default_rng(seed)
    price = np.round(95_000 + np.cumsum(random.integers(-5, 6, rows)) * 0.01, 2)
    qty = np.round(random.lognormal(-4, 1, rows) + 0.00001, 5)
    ids, ts_us = first_id + np.arange(rows), start_us + step_us * np.arange(rows)
    return Trades.of("BTCUSDT", ids, ts_us, price, qty, random.integers(0, 2, rows))


def archive_csv(tape: Trades, divide: int = 1) -> bytes:
    """Spot aggregate trades as the public archive has them: no names, True and False."""
    rows = (f"{t.trade_id},{t.price:.8f},{t.qty:.8f},1,2,{t.ts_us // divide},{t.buyer_is_maker},True\n" for t in tape)
    return "".join(rows).encode()


def zipped(data: bytes, name: str = "BTCUSDT-aggTrades-2025-01-01.csv") -> bytes:
    """A zip of one file."""
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return into.getvalue()


def gzipped(data: bytes) -> bytes:
    return gzip.compress(data, 1)


class Place:
    """A database and its archive."""

    def __init__(self, folder: Path) -> None:
        self.database = folder / "p.db"
        self.archive = Archive.beside(self.database)
        self._connection = sqlite.open_writer(self.database)

    def close(self) -> None:
        self._connection.close()

    def write(self, write) -> None:
        with sqlite.transaction(self._connection):
            write(self._connection)

    def put(self, *bars) -> tuple[int, int]:
        with sqlite.transaction(self._connection):
            return sqlite.add_bars(self._connection, *bars)

    def take(self, path: Path, options: Options | None = None, **more) -> Result:
        def beside(owner, span):
            return stored.trade_pages(self.database, owner, span)

        return run(plan(path, options), self.archive, self.put, beside, **more)

    def bars(self, columns: str = "count(*), sum(complete), sum(trades)", where: str = "1") -> list[tuple]:
        query = f"select venue, symbol, timeframe, {columns} from bars where {where} group by 1, 2, 3 order by 1, 2, 3"
        return self._connection.execute(query).fetchall()

    def query(self, query: str) -> list[tuple]:
        return self._connection.execute(query).fetchall()

    def trades(self, *owner: str) -> Trades:
        return Trades.concat(owner[2], self.archive.pages(owner, stored.Span()))

    def left_over(self) -> list[Path]:
        """Anything of an import that did not end."""
        return [path for path in self.archive.folder.rglob("*") if path.name.startswith(".")]
