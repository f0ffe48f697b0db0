"""A disk that is full, read-only or broken: the capture goes on, says so, and recovers by itself."""

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path

from tests.chaos import disk
from tests.chaos.proof import counts, first_ids, is_sound, stored_all
from tests.chaos.subject import (
    SEED,
    SYMBOLS,
    Status,
    acknowledged,
    capture,
    finish,
    folder,
    live,
    queued,
    received,
    seconds_until,
    stop,
    unbalanced,
)
from tests.fakes.exchange import FakeExchange
from tests.running import ROOT, Running
from tests.table import Row, Size, at_least, equal, soon

RATE = 500.0
SEEN_S, BACK_S = 5.0, 15.0
Switch = Callable[[bool], object]  # spoil the disk (True) or make it well


def storage(size: Size) -> Iterator[Row]:
    """A disk that cannot be written for a while."""
    pause_s = size.pick(1.5, 30)
    yield from _full(pause_s)
    yield from _read_only(pause_s)
    yield from _read_only_at_start()


def files(_size: Size) -> Iterator[Row]:
    """A file that is damaged, empty or too new, each met at the start."""
    with folder() as path:
        yield from _broken(path)


def _full(pause_s: float) -> Iterator[Row]:
    """A small disk without space; where none can be made, a limit to the size of files."""
    name = "storage-full"
    with folder() as logs, folder() as path, disk.small(path) as is_disk, _exchange() as exchange:
        database = path / "tape.db"
        with capture(exchange, database, logs / "said") as app:

            def switch(spoil: bool) -> None:
                if is_disk:
                    (disk.fill if spoil else disk.empty)(path)
                else:
                    disk.limit(app, database.stat().st_size if spoil else 1 << 40)

            yield from _spoiled(name, app, exchange, switch, pause_s)
        yield from _all_stored(name, exchange, database)


def _read_only(pause_s: float) -> Iterator[Row]:
    """Files that become read-only while they are open; without the rights for that, files that cannot grow."""
    name = "storage-read-only"
    with folder() as path, _exchange() as exchange:
        database = path / "tape.db"
        with capture(exchange, database) as app:

            def switch(spoil: bool) -> None:
                if not disk.set_immutable(database, spoil):
                    disk.limit(app, 0 if spoil else 1 << 40)

            try:
                yield from _spoiled(name, app, exchange, switch, pause_s)
            finally:
                disk.set_immutable(database, False)
        yield from _all_stored(name, exchange, database)


def _spoiled(name: str, app: Running, exchange: FakeExchange, switch: Switch, pause_s: float) -> Iterator[Row]:
    """Spoil the disk of a running capture for a while."""
    live(app)
    switch(True)
    seen_s = seconds_until(app.status, _is_memory_only, 4 * SEEN_S)
    seen = [app.status()]
    for _ in range(5):
        time.sleep(pause_s / 5)  # the length is the test
        seen.append(app.status())
    switch(False)
    back_s = seconds_until(app.status, lambda status: status["mode"] == "LIVE" and not status["storage_error"], 60)
    written_s = seconds_until(app.status, lambda status: queued(status) < RATE, 60)
    finish(app, exchange)
    yield soon(name, "MEMORY-ONLY with the reason, after", SEEN_S, seen_s, "s")
    yield equal(name, "MEMORY-ONLY while it lasts", True, all(map(_is_memory_only, seen)))
    yield at_least(name, "trades received meanwhile", int(RATE * pause_s * 0.7), received(seen[-1]) - received(seen[0]))
    yield equal(name, "books that do not add up meanwhile", 0, sum(map(bool, map(unbalanced, seen))))
    yield equal(name, "dropped", 0, sum(sum(row["dropped"].values()) for row in seen[-1]["symbols"].values()))
    yield soon(name, "LIVE after its end, by itself", BACK_S, back_s, "s")
    yield soon(name, "and everything that waited is on disk after", BACK_S, written_s, "s")


def _read_only_at_start() -> Iterator[Row]:
    """A disk that is read-only when the capture begins; where no disk can be made, this is left out."""
    name = "storage-read-only-at-start"
    with folder() as logs, folder() as path, disk.small(path) as is_disk, _exchange() as exchange:
        if not is_disk:
            return
        database = path / "tape.db"
        with capture(exchange, database, logs / "said") as app:
            live(app)
            stop(app)
        held = sum(counts(database).values())
        disk.set_read_only(path, True)
        with capture(exchange, database, logs / "said") as app:
            seen_s = seconds_until(app.status, _is_memory_only, 4 * SEEN_S)
            received_s = seconds_until(lambda: received(app.status()), lambda count: count > RATE, 20)
            disk.set_read_only(path, False)
            back_s = seconds_until(app.status, lambda status: status["mode"] == "LIVE", 60)
            finish(app, exchange)
        yield at_least(name, "trades of the run before", 1, held)
        yield soon(name, "MEMORY-ONLY with the reason, after", SEEN_S, seen_s, "s")
        yield soon(name, "trades are received nevertheless, after", 10, received_s, "s")
        yield soon(name, "LIVE after its end, by itself", BACK_S, back_s, "s")
        yield from _all_stored(name, exchange, database)


def _broken(path: Path) -> Iterator[Row]:
    database = path / "tape.db"
    with _exchange() as exchange:
        with capture(exchange, database) as app:
            live(app)
            seconds_until(app.status, lambda status: acknowledged(status) > 2 * RATE, 20)
            stop(app)
        whole = path / "whole.db"
        shutil.copy(database, whole)
        yield from _overwritten(exchange, database)
        yield from _zero_length(exchange, path / "empty.db")
    yield from _newer(whole)


def _overwritten(exchange: FakeExchange, database: Path) -> Iterator[Row]:
    name = "file-page-overwritten"
    disk.overwrite_pages(database, 3, 4)
    damaged = _hash(database)
    with capture(exchange, database) as app:
        status = live(app)
        note = status["storage_note"]
        stored_s = seconds_until(app.status, lambda status: acknowledged(status) > 0, 10)
        stop(app)
    aside = [found for found in database.parent.glob(f"{database.name}.corrupt-*") if found.suffix not in (".wal",)]
    kept = [found for found in aside if _hash(found) == damaged]
    yield equal(name, "moved aside and kept, byte for byte", 1, len(kept))
    yield equal(name, "its new name is told", True, bool(kept) and kept[0].name in str(note))
    yield equal(name, "the new file is sound", True, is_sound(database))
    yield soon(name, "trades are stored again after", 10, stored_s, "s")


def _zero_length(exchange: FakeExchange, database: Path) -> Iterator[Row]:
    name = "file-zero-length"
    database.touch()
    with capture(exchange, database) as app:
        live(app)
        stored_s = seconds_until(app.status, lambda status: acknowledged(status) > 0, 10)
        stop(app)
    yield soon(name, "taken as new, trades are stored after", 10, stored_s, "s")
    yield equal(name, "the file is sound", True, is_sound(database))


def _newer(database: Path) -> Iterator[Row]:
    name = "file-newer-schema"
    with closing(sqlite3.connect(database)) as file:
        (version,) = file.execute("pragma user_version").fetchone()
        file.execute(f"pragma user_version = {version + 1}")
    before = _hash(database)
    environ = os.environ | {"PAIRSCOPE_SOURCE": "demo", "PAIRSCOPE_PORT": "0", "PAIRSCOPE_DATABASE": str(database)}
    command = [sys.executable, "app.py", "--capture"]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60, check=False)
    yield equal(name, "refused, exit status", 1, done.returncode)
    yield equal(name, "sentences said", 1, done.stderr.count("\n"))
    yield equal(name, "both versions are named", True, all(str(version + n) in done.stderr for n in (0, 1)))
    yield equal(name, "the file is as it was", True, _hash(database) == before)


def _exchange() -> FakeExchange:
    return FakeExchange(symbols=SYMBOLS, seed=SEED, rate=RATE)


def _all_stored(name: str, exchange: FakeExchange, database: Path) -> Iterator[Row]:
    found = stored_all(database, list(exchange.tape.trades.values()), first_ids(database))
    yield equal(name, "missing at the end", 0, found.missed)
    yield equal(name, "stored twice, or with other values", 0, found.repeated + found.invented)
    yield equal(name, "the file is sound", True, is_sound(database))


def _is_memory_only(status: Status) -> bool:
    return status["mode"] == "MEMORY-ONLY" and bool(status["storage_error"])


def _hash(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()
