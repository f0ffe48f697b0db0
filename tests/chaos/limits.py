"""Told to stay away (429) or banned (418): not one call until the time is over, and the capture goes on."""

import time
from collections.abc import Iterator

from tests.chaos.proof import first_ids, stored_all
from tests.chaos.subject import SEED, SYMBOLS, capture, finish, folder, live, received, stop
from tests.fakes.exchange import FakeExchange
from tests.fakes.faults import Faults
from tests.running import Running
from tests.table import Row, Size, at_least, equal, soon
from tests.waiting import until

RATE = 300.0
LOST = frozenset(range(0, 300, 100))  # trades that only REST can bring, then a share of them:
LOSS = 0.001  # there is always something to ask for, but no more than the budget of a minute repairs
RETURN_S = 10.0  # how soon after the end the first call is made
STAY, STOP, KILL = "stay", "stop", "kill"  # what a process does before the time is over


def limits(size: Size) -> Iterator[Row]:
    """429 on one process; 418 over restarts, the first polite and the second not."""
    yield from _limits(429, size.count(4, 30), (STAY,))
    yield from _limits(418, size.count(24, 90), (STOP, STAY) if size.short else (STOP, KILL, STAY))


def _limits(status: int, window_s: int, lives: tuple[str, ...]) -> Iterator[Row]:
    name, forbidden_s, rates = f"limits-{status}", 0.0, []
    with FakeExchange(symbols=SYMBOLS, seed=SEED, rate=RATE) as exchange, folder() as path:
        database = path / "tape.db"
        for ending in lives:
            with capture(exchange, database) as app:
                live(app)
                forbidden_s = forbidden_s or _provoke(exchange, status, window_s)
                rates.append(_rate(app, forbidden_s + window_s if ending == STAY else time.monotonic() + 1))
                if ending == KILL:
                    app.process.kill()
                elif ending == STAY:
                    _repair(app, exchange)
                else:
                    stop(app)
        calls = [at_s - forbidden_s for at_s, _, _ in exchange.rest_log if at_s > forbidden_s]
        found = stored_all(database, list(exchange.tape.trades.values()), first_ids(database))
    yield equal(name, f"REST calls in the {window_s} s after HTTP {status}", 0, sum(at_s < window_s for at_s in calls))
    yield equal(name, "restarts meanwhile", len(lives) - 1, len(rates) - 1)
    yield at_least(name, "trades received meanwhile, slowest process", RATE * 0.7, round(min(rates)), "a second")
    yield soon(name, "first call after its end", RETURN_S, min(calls, default=float("inf")) - window_s, "s")
    yield equal(name, "missing after the repair", 0, found.missed)
    yield equal(name, "stored twice", 0, found.repeated)


def _provoke(exchange: FakeExchange, status: int, window_s: int) -> float:
    """Give the client something to ask for and refuse it; when that was, on the monotonic clock."""
    until(lambda: exchange.rest_log, bool)  # the listing has been asked for
    exchange.refuse_rest(status, {"Retry-After": str(window_s)}, times=1)
    exchange.faults = Faults(SEED, drop_at=LOST, drop=LOSS)
    return until(lambda: next((at_s for at_s, _, answer in exchange.rest_log if answer == status), 0.0), bool)


def _rate(app: Running, until_s: float) -> float:
    """Trades received a second up to a moment: the window is the test."""
    before, began_s = received(app.status()), time.monotonic()
    time.sleep(max(until_s - began_s, 0.5))
    return (received(app.status()) - before) / (time.monotonic() - began_s)


def _repair(app: Running, exchange: FakeExchange) -> None:
    calls = len(exchange.rest_log)
    until(lambda: len(exchange.rest_log), lambda now: now > calls, 3 * RETURN_S)
    exchange.faults = Faults()
    for symbol in SYMBOLS:
        exchange.emit(1, symbol)  # no loss at the very end, which nobody could know of
    finish(app, exchange)
