"""How the parts of an open market stand: symbols, connections, queues, disk and delays, as plain values for people."""

import math
import re
import shutil
import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data import sqlite
from data.feeds.feed import FeedState
from data.session import Session
from utils.delays import Delays

FEED_THREADS = {"demo": "demo", "replay": "replay"}  # by venue; the others are all "feed"
NUMBERS = re.compile(r"[-_ ]?\d+( \(.*\))?$")  # "asyncio_3", "Thread-7 (run)"


@dataclass(frozen=True, slots=True)
class SymbolHealth:
    """What the books of one symbol tell beside its counts."""

    usual_trades_per_s: float
    lag_s: float | None  # clock of the market minus time of the newest trade, when it arrived; None for recordings
    held_for_order: int  # above a hole, for a moment
    held_in_memory: int


@dataclass(frozen=True, slots=True)
class Connection:
    """One way on which data comes."""

    name: str
    mode: str
    reconnects: int | None
    detail: str
    retry_in_s: float | None


@dataclass(frozen=True, slots=True)
class Queue:
    """What waits, and how much may."""

    name: str
    waiting: int
    most: int | None  # None: by time, not by number


@dataclass(frozen=True, slots=True)
class Worker:
    """A thread of ours."""

    name: str
    does: str
    state: str  # "running", "ended" where there is no more to do, or "dead"


@dataclass(frozen=True, slots=True)
class Disk:
    """The database and the disk below it; None is what cannot be told now."""

    path: str
    file_bytes: int
    log_bytes: int
    free_bytes: int | None
    retention_days: float  # 0: for ever
    retention_gb: float  # 0: no limit
    oldest_us: int | None
    error: str | None
    note: str | None


def symbols(session: Session) -> dict[str, SymbolHealth]:
    """Every symbol that has delivered or been refused."""
    knows_lag = session.feed.venue != "replay"
    return {
        symbol: SymbolHealth(
            usual_trades_per_s=counts.usual_trades_per_s,
            lag_s=counts.lag_s if knows_lag else None,
            held_for_order=counts.held,
            held_in_memory=session.buffer.count(symbol),
        )
        for symbol, counts in session.ingestion.counts().items()
    }


def connections(session: Session, now_s: float) -> list[Connection]:
    """The feed, and where there are any the one of quotes and the repair of gaps."""
    found = [_connection(session.feed.venue, session.feed.state, now_s)]
    if session.quote_feed is not None:
        found.append(_connection("best bid and ask", session.quote_feed.state, now_s))
    if session.backfill is not None:
        repair = session.backfill.state
        mode = "WAITING" if repair.retry_at_s is not None else "REPAIRING" if repair.missing else "IDLE"
        about = f"{repair.repaired:,} trades repaired, {repair.missing:,} missing"
        detail = f"{about}: {repair.detail}" if repair.detail else about
        found.append(Connection("repair over REST", mode, None, detail, _in_s(repair.retry_at_s, now_s)))
    return found


def _connection(name: str, state: FeedState, now_s: float) -> Connection:
    return Connection(name, state.mode, state.reconnects, state.detail, _in_s(state.retry_at_s, now_s))


def _in_s(at_s: float | None, now_s: float) -> float | None:
    return None if at_s is None else max(0.0, at_s - now_s)


def queues(session: Session) -> list[Queue]:
    """What waits between the feed and the disk."""
    held = sum(counts.held for counts in session.ingestion.counts().values())
    return [
        Queue("for the database", session.mirror.waiting, session.mirror.max_queued),
        Queue("for trades that are missing", held, None),
    ]


def workers(session: Session) -> list[Worker]:
    """The threads of a market."""
    name = FEED_THREADS.get(session.feed.venue, "feed")
    found = [
        Worker(name, "reads trades", _state(name, session.feed.state)),
        worker("mirror", "writes to the database", session.mirror.alive),
    ]
    if session.quote_feed is not None:
        name = session.quote_feed.thread_name
        found.append(Worker(name, "reads best bid and ask", _state(name, session.quote_feed.state)))
    if session.backfill is not None:
        found.append(worker("backfill", "asks the exchange for trades that are missing", session.backfill.alive))
    return found


def worker(name: str, does: str, alive: bool) -> Worker:
    """A thread that has to live as long as we do."""
    return Worker(name, does, "running" if alive else "dead")


def _state(name: str, state: FeedState) -> str:
    """How the thread of a feed stands."""
    if any(thread.name == name for thread in threading.enumerate()):
        return "running"
    return "ended" if state.mode == "ENDED" else "dead"


def other_threads(known: Iterable[Worker]) -> dict[str, int]:
    """All other threads of the process by name, without their numbers."""
    ours = {each.name for each in known}
    names = (NUMBERS.sub("", thread.name) for thread in threading.enumerate() if thread.name not in ours)
    return dict(sorted(Counter(names).items()))


def delays(session: Session) -> dict[str, Delays]:
    """What a trade waits for, from its hand-over by the feed: until everybody reads it, and until it is stored."""
    return {"readable": session.ingestion.readable, "stored": session.mirror.stored}


def disk(path: Path, session: Session, retention: tuple[float, float], oldest_us: int | None) -> Disk:
    """The file of a market; `retention` is days and 10^9 bytes."""
    return Disk(
        path=str(path),
        file_bytes=_size(path),
        log_bytes=sqlite.log_bytes(path),
        free_bytes=_free(path),
        retention_days=retention[0],
        retention_gb=retention[1],
        oldest_us=oldest_us,
        error=session.mirror.error,
        note=session.mirror.storage_note,
    )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _free(path: Path) -> int | None:
    try:
        return shutil.disk_usage(path.parent).free
    except OSError:
        return None


def plain(value: Any) -> Any:
    """A tree of values for JSON: numbers that do not exist become None."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
