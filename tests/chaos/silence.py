"""Connected and silent, in three ways: it is seen and said in time, and over when it is over."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tests.chaos.proof import first_ids, stored_all
from tests.chaos.subject import SEED, SYMBOLS, Status, capture, finish, folder, live, seconds_until
from tests.fakes.exchange import FakeExchange
from tests.table import Row, Size, equal, soon
from tests.waiting import until

RATE = 150.0
STALE_S, LIVE_S = 10.0, 20.0
KNOWN_TRADES = 200  # of each symbol before the fault: its usual rate is known then
MUTED = SYMBOLS[1]


@dataclass(frozen=True)
class Fault:
    """A way to be silent."""

    name: str
    begin: Callable[[FakeExchange], None]
    end: Callable[[FakeExchange], None]
    symbols: tuple[str, ...] = SYMBOLS  # that fall silent


def _mute_all(exchange: FakeExchange) -> None:
    exchange.muted = True


def _unmute_all(exchange: FakeExchange) -> None:
    exchange.muted = False


def _stick(exchange: FakeExchange) -> None:
    exchange.stuck = True


def _unstick(exchange: FakeExchange) -> None:
    exchange.stuck = False


FAULTS = (
    Fault("freeze", FakeExchange.freeze, FakeExchange.thaw),
    Fault("zombie", _mute_all, _unmute_all),
    Fault("mute", lambda exchange: exchange.mute(MUTED), lambda exchange: exchange.unmute(MUTED), (MUTED,)),
    Fault("repeat", _stick, _unstick),
)


def silence(size: Size) -> Iterator[Row]:
    """Every way at once, each on an exchange of its own: they spend their time waiting."""
    faults = FAULTS[:3] if size.short else FAULTS
    with ThreadPoolExecutor(len(faults)) as pool:
        for rows in pool.map(lambda fault: list(_silence(fault, size)), faults):
            yield from rows


def _silence(fault: Fault, size: Size) -> Iterator[Row]:
    name = f"silence-{fault.name}"
    with FakeExchange(symbols=SYMBOLS, seed=SEED, rate=RATE) as exchange, folder() as path:
        database = path / "tape.db"
        with capture(exchange, database) as app:
            live(app)
            until(app.status, _is_known)
            began_s = time.monotonic()
            fault.begin(exchange)
            stale_s = seconds_until(app.status, lambda status: _stale(status) >= set(fault.symbols), 3 * STALE_S)
            modes = {app.status()["mode"]}
            others = _stale(app.status()) - set(fault.symbols)
            while time.monotonic() - began_s < size.pick(0, 45):
                modes.add(app.status()["mode"])
                time.sleep(0.2)
            fault.end(exchange)
            live_s = seconds_until(app.status, lambda status: status["mode"] == "LIVE", 3 * LIVE_S)
            finish(app, exchange)
        found = stored_all(database, list(exchange.tape.trades.values()), first_ids(database))
    yield soon(name, "symbols shown as stale after", STALE_S, stale_s, "s")
    yield equal(name, "other symbols shown as stale", 0, len(others))
    yield equal(name, "LIVE while it lasts", False, "LIVE" in modes)
    yield soon(name, "LIVE after its end", LIVE_S, live_s, "s")
    yield equal(name, "missing after the repair", 0, found.missed)
    yield equal(name, "stored twice", 0, found.repeated)


def _is_known(status: Status) -> bool:
    rows = status["symbols"].values()
    return len(rows) == len(SYMBOLS) and all(row["received"] >= KNOWN_TRADES for row in rows)


def _stale(status: Status) -> set[str]:
    return {symbol for symbol, row in status["symbols"].items() if row["stale"]}
