"""An archive CSV into Parquet day files and bars, against pandas in chunks into SQLite; and our peak memory.

Each import runs in a process of its own, so that its memory is its own: the peak is that of the whole process,
libraries included; they are loaded before the clock starts. Both sides read the same file, of spot trades as the public
archive has them, one after the other; medians of three, as one run of the peer takes half a minute.
"""

import json
import resource
import sqlite3
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from bench.frame import Row, at_least, at_most, count, grows_at_most, named, scaled
from data import sqlite, stored
from data.archive import Archive
from data.importers.importing import run as carry_out
from data.importers.plan import Options, plan

REPEATS = 3
ROWS = 10_000_000
ROWS_A_DAY = 1_000_000
DAY_US = 86_400_000_000
START_US = 1_735_689_600_000_000  # 2025-01-01
BLOCK = 250_000
NAMES = ["id", "price", "qty", "quote", "time", "maker", "best"]
MOST_MB = 500
OURS, PEER = "day files", "pandas"


def run(scale: float = 1.0) -> list[Row]:
    """Seconds against the peer, peak memory, and how it grows from a tenth of the rows to all."""
    large = scaled(ROWS, scale)
    small = max(large // 10, 1_000)
    with TemporaryDirectory() as name:
        folder = Path(name)
        files = {rows: _file(folder / f"BTCUSDT-trades-{rows}.csv", rows) for rows in (small, large)}
        runs = {side: [_measured(side, files[large], folder) for _ in range(REPEATS)] for side in (OURS, PEER)}
        few = _measured(OURS, files[small], folder)
    ours, peer = (statistics.median(seconds for seconds, _ in runs[side]) for side in (OURS, PEER))
    memory, its = (max(peak for _, peak in runs[side]) for side in (OURS, PEER))
    pandas, size = f"{named('pandas')} chunks to SQLite", count(large)
    return [
        at_least("import", ("archive CSV to day files", ours), (pandas, peer), "s", size, 4),
        at_most("import", ("peak of the process", memory), (pandas, its), "MB", size, MOST_MB),
        grows_at_most(
            "import", ("peak at all rows", memory), ("peak at a tenth", few[1]), "MB", f"{size} / {count(small)}", 1.5
        ),
    ]


def _file(path: Path, rows: int) -> Path:
    """Spot trades: a walk in cents, lognormal sizes, times that grow, 1 million rows a day."""
    random = np.random.default_rng(1)
    price, ts_us = 95_000.0, START_US
    with path.open("w") as file:
        for first in range(0, rows, BLOCK):
            size = min(BLOCK, rows - first)
            prices = np.round(price + np.cumsum(random.integers(-1, 2, size)) * 0.01, 2)
            times = ts_us + np.cumsum(random.integers(0, 2 * DAY_US // ROWS_A_DAY, size))
            price, ts_us = float(prices[-1]), int(times[-1])
            qty = np.round(random.lognormal(-4, 1, size) + 0.00001, 5)
            maker = random.integers(0, 2, size).astype(bool)
            table = zip(
                range(first + 1, first + size + 1), prices.tolist(), qty.tolist(), times.tolist(), maker, strict=True
            )
            file.write("".join(f"{i},{p:.8f},{q:.8f},{p * q:.8f},{t},{m},True\n" for i, p, q, t, m in table))
    return path


def _measured(side: str, path: Path, folder: Path) -> tuple[float, float]:
    """Seconds and peak megabytes of one import in a process of its own."""
    with TemporaryDirectory(dir=folder) as into:
        call = [sys.executable, "-m", "bench.imports", side, str(path), into]
        done = subprocess.run(call, check=True, capture_output=True, text=True, cwd=Path(__file__).resolve().parents[1])
    seconds, peak = json.loads(done.stdout)
    return seconds, peak


def _ours(path: Path, into: Path) -> None:
    database = into / "p.db"
    connection = sqlite.open_writer(database)

    def put(*bars: object) -> tuple[int, int]:
        with sqlite.transaction(connection):
            return sqlite.add_bars(connection, *bars)  # type: ignore[arg-type]

    made = plan(path, Options(symbol="BTCUSDT"))
    done = carry_out(made, Archive.beside(database), put, lambda owner, span: stored.trade_pages(database, owner, span))
    assert done.added == done.rows and not done.rejected_rows
    connection.close()


def _peer(path: Path, into: Path) -> None:
    connection = sqlite3.connect(into / "p.db")
    connection.executescript("pragma journal_mode=wal; pragma synchronous=normal")
    connection.execute("create table t (id integer primary key, price real, qty real, time integer, maker integer)")
    columns = ["id", "price", "qty", "time", "maker"]
    for chunk in pd.read_csv(path, names=NAMES, usecols=columns, chunksize=200_000):
        rows = zip(*(chunk[name].tolist() for name in columns), strict=True)
        with connection:
            connection.executemany("insert or ignore into t values (?, ?, ?, ?, ?)", rows)
    connection.close()


def main(side: str, path: str, into: str) -> None:
    """One import; seconds and peak megabytes as JSON."""
    began = time.perf_counter()
    (_ours if side == OURS else _peer)(Path(path), Path(into))
    taken = time.perf_counter() - began
    print(json.dumps([taken, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_000]))


if __name__ == "__main__":
    main(*sys.argv[1:])
