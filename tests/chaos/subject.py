"""Pairscope under test: a capture of its own process on the fake exchange, and what is asked of it."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.fakes.exchange import FakeExchange
from tests.running import Running, running
from tests.waiting import until
from utils.errors import PairscopeError

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
SEED = 20_261_121
START_S = 30.0
Status = dict[str, Any]


@contextmanager
def folder() -> Iterator[Path]:
    """A folder that is gone afterwards."""
    with TemporaryDirectory(prefix="pairscope-chaos-", ignore_cleanup_errors=True) as name:
        yield Path(name)


@contextmanager
def capture(exchange: FakeExchange, database: Path, log: Path | None = None, **options: object) -> Iterator[Running]:
    """A capture of the exchange's symbols; what it logs is beside the database if nothing else is said."""
    address = {"ws_url": exchange.ws_url, "rest_url": exchange.rest_url, "symbols": ",".join(exchange.tape.symbols)}
    settings = {"source": "binance-um", "database": database, "log_level": "WARNING", **address, **options}
    with running("--capture", log=log or database.with_suffix(".log"), well=False, **settings) as app:
        yield app


def subscribed(exchange: FakeExchange) -> None:
    """Wait until every symbol has been asked for on a connection that is open."""
    wanted = {f"{symbol.lower()}@aggTrade" for symbol in exchange.tape.symbols}
    until(
        lambda: exchange.open_peers, lambda peers: wanted <= {name for peer in peers for name in peer.streams}, START_S
    )


def live(app: Running, within_s: float = START_S) -> Status:
    """Wait for mode LIVE."""
    return until(app.status, lambda status: status["mode"] == "LIVE", within_s)


def settled(app: Running, exchange: FakeExchange, within_s: float) -> Status:
    """Wait until the newest trades of the ledger are known, on disk, and no gap is open."""

    def done(status: Status) -> bool:
        return is_caught_up(status, exchange) and not any(row["gaps_open"] for row in status["symbols"].values())

    return until(app.status, done, within_s)


def caught_up(app: Running, exchange: FakeExchange, within_s: float) -> Status:
    """Wait until the newest trades of the ledger are known and nothing waits for the disk."""
    return until(app.status, lambda status: is_caught_up(status, exchange), within_s)


def is_caught_up(status: Status, exchange: FakeExchange) -> bool:
    """Whether the newest trades of the ledger are known and nothing waits for the disk."""
    newest = {symbol: ledger.first_id + len(ledger) - 1 for symbol, ledger in exchange.tape.trades.items()}
    rows = status["symbols"]
    return all(
        symbol in rows and rows[symbol]["last_trade_id"] == last and not rows[symbol]["queued"]
        for symbol, last in newest.items()
    )


def received(status: Status) -> int:
    """Trades that arrived, of all symbols."""
    return _total(status, "received")


def acknowledged(status: Status) -> int:
    """Trades counted as stored."""
    return _total(status, "stored")


def queued(status: Status) -> int:
    """Trades that wait."""
    return _total(status, "queued")


def _total(status: Status, name: str) -> int:
    return sum(int(row[name]) for row in status["symbols"].values())


def stop(app: Running) -> None:
    """End a process as its user does."""
    app.process.terminate()
    app.process.wait(10)


def finish(app: Running, exchange: FakeExchange, within_s: float = 120.0) -> None:
    """Make no more trades, wait until all are stored and every gap is closed, and end the process."""
    exchange.rate = 0
    settled(app, exchange, within_s)
    stop(app)


def unbalanced(status: Status) -> list[str]:
    """Symbols whose books do not add up: received = stored + deduped + rejected + dropped + queued."""
    return [
        symbol
        for symbol, row in status["symbols"].items()
        if row["received"]
        != row["stored"] + row["deduped"] + sum(row["rejected"].values()) + sum(row["dropped"].values()) + row["queued"]
    ]


class StatusReads(threading.Thread):
    """So many reads of the status at random moments of a time span; `wrong` are those that do not add up."""

    def __init__(self, app: Running, reads: int, over_s: float) -> None:
        super().__init__(name="status-reads", daemon=True)
        self.read, self.wrong = 0, 0
        moments = random.Random(SEED)
        self._pauses_s = [moments.expovariate(reads / over_s) for _ in range(reads)]
        self._app = app

    def run(self) -> None:
        for pause_s in self._pauses_s:
            time.sleep(min(pause_s, 5.0))
            self.wrong += bool(unbalanced(self._app.status()))
            self.read += 1


def seconds_until(read: Callable[[], Any], done: Callable[[Any], object], within_s: float) -> float:
    """Seconds until something read is `done`; infinite where that does not come in time."""
    began_s = time.monotonic()
    while time.monotonic() - began_s < within_s:
        try:
            if done(read()):
                return time.monotonic() - began_s
        except (PairscopeError, OSError):
            pass  # not yet
        time.sleep(0.05)
    return float("inf")
