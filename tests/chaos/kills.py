"""Killed at any moment, again and again: nothing acknowledged is lost, and what was missed meanwhile is repaired."""

import random
import time
from collections.abc import Iterator
from pathlib import Path

from tests.chaos.proof import counts, first_ids, is_sound, stored_all
from tests.chaos.subject import SEED, SYMBOLS, Status, capture, finish, folder, live, unbalanced
from tests.fakes.exchange import FakeExchange
from tests.table import Row, Size, at_least, equal, soon

NAME = "kills"
RATE = 1_000.0
LIVE_S = 10.0
LIVES_S = (0.2, 2.0)  # how long a process lives after it is LIVE


def kills(size: Size) -> Iterator[Row]:
    """Kill -9 so many times, each at a random moment, then let the last process repair."""
    killed, moments = size.count(3, 50), random.Random(SEED)
    lost, damaged, unsound, live_s = 0, 0, 0, []
    with FakeExchange(symbols=SYMBOLS, seed=SEED, rate=RATE) as exchange, folder() as path:
        database = path / "tape.db"
        for _ in range(killed):
            before = counts(database) if database.exists() else {}
            began_s = time.monotonic()
            with capture(exchange, database) as app:
                live(app)
                live_s.append(time.monotonic() - began_s)
                time.sleep(moments.uniform(*LIVES_S))  # the moment is the test
                status = app.status()
                app.process.kill()
                app.process.wait()
            unsound += bool(unbalanced(status))
            lost += _lost(database, before, status)
            damaged += not is_sound(database)
        began_s = time.monotonic()
        with capture(exchange, database) as app:
            live(app)
            live_s.append(time.monotonic() - began_s)
            began_s = time.monotonic()
            finish(app, exchange, 60 + 6 * killed)
            repair_s = time.monotonic() - began_s
        found = stored_all(database, list(exchange.tape.trades.values()), first_ids(database))
        made = len(exchange.tape)
    yield equal(NAME, "kills", killed, len(live_s) - 1)
    yield at_least(NAME, "trades made meanwhile", int(killed * RATE), made)
    yield equal(NAME, "acknowledged and lost", 0, lost)
    yield equal(NAME, "files that SQLite finds damaged", 0, damaged)
    yield equal(NAME, "books that do not add up just before", 0, unsound)
    yield soon(NAME, "start to LIVE, slowest", LIVE_S, max(live_s), "s")
    yield soon(NAME, "last repair, after the last kill", 60 + 6 * killed, repair_s, "s")
    yield equal(NAME, "missing after the repair", 0, found.missed)
    yield equal(NAME, "stored twice", 0, found.repeated)
    yield equal(NAME, "stored with other values, or invented", 0, found.invented)


def _lost(database: Path, before: dict[str, int], status: Status) -> int:
    """Rows that the status had counted as stored and that are not in the file."""
    after, rows = counts(database), status["symbols"].items()
    return sum(max(before.get(symbol, 0) + row["stored"] - after.get(symbol, 0), 0) for symbol, row in rows)
