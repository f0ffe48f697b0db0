"""How the capture stands, as immutable values: of each symbol, of its quotes, of the whole, of every part."""

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from alerts.notify import ChannelStatus
from data import health, sqlite
from data.feeds.replay import ReplayFeed
from data.health import Connection, Disk, Queue, SymbolHealth, Worker
from data.recordings import Recordings
from data.session import Session
from engine.choice import Choice
from utils.clock import US_PER_S, monotonic_s
from utils.delays import Delay

STALE_TRADES = 20  # a symbol is stale after so many of its usual intervals without a trade ...
STALE_LEAST_S, STALE_MOST_S = 5.0, 300.0  # ... but within these bounds
STALE_MUTE_S = 15.0  # ... or without any trade since the start


@dataclass(frozen=True, slots=True)
class SymbolStatus:
    """How the capture of one symbol stands; received = stored + deduped + rejected + dropped + queued."""

    received: int
    stored: int
    deduped: int
    rejected: dict[str, int]
    dropped: dict[str, int]
    queued: int
    last_trade_id: int | None
    last_trade_us: int | None
    last_trade_age_s: float | None
    last_price: float | None
    gaps_open: int
    gaps_filled: int
    trades_per_s: float
    stale: bool


@dataclass(frozen=True, slots=True)
class QuoteStatus:
    """How the quotes of one symbol stand; received = kept + deduped + older + rejected."""

    received: int
    kept: int
    deduped: int
    older: int
    rejected: dict[str, int]
    renumbered: int
    last_quote_us: int | None
    last_quote_age_s: float | None  # since it arrived: quotes are pushed at each change
    bid: float | None  # newest, as they came: 0 is an empty side
    bid_qty: float | None
    ask: float | None
    ask_qty: float | None
    quotes_per_s: float
    reconnects: int  # of the connection that all symbols share


@dataclass(frozen=True, slots=True)
class Status:
    """How the whole capture stands, as one immutable value."""

    status: str  # "ok" or "failing"
    mode: str  # LIVE, RECONNECTING, STALE, BLOCKED, DEMO, REPLAY or MEMORY-ONLY
    source: str  # what was asked for
    venue: str  # where trades come from now
    detail: str  # why, in plain words
    retry_in_s: float | None
    reconnects: int
    uptime_s: float
    symbols: dict[str, SymbolStatus]
    unattributed: dict[str, int]  # refused frames that name no symbol
    replay: dict[str, Any] | None
    storage_error: str | None
    memory_bytes: int  # of the trades held
    rss_bytes: int
    schema_version: int
    sqlite_version: str
    backfill: dict[str, Any] | None = None  # how the repair of gaps stands, for a live market
    storage_note: str | None = None  # what happened to the database file, until it is dismissed
    log_bytes: int = 0  # of SQLite's write-ahead log
    quotes: dict[str, QuoteStatus] = field(default_factory=dict)  # empty where no quote has come
    quote_feed: dict[str, Any] | None = None  # how the connection for quotes stands, where there is one
    recording: dict[str, Any] | None = None  # how the newest recording stands, once there was one
    sqlite_writers: str = sqlite.WRITERS
    sqlite_breaks_shared_logs: bool = sqlite.breaks_shared_logs(sqlite3.sqlite_version_info)

    def as_dict(self) -> dict[str, Any]:
        """The same as nested dictionaries, for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class System:
    """How every part stands, what runs, and by which settings."""

    status: Status
    symbols: dict[str, SymbolHealth]
    connections: list[Connection]
    queues: list[Queue]
    workers: list[Worker]
    other_threads: dict[str, int]  # name -> how many
    disk: Disk
    delays: dict[str, Delay]  # "readable" and "stored", from the hand-over by the feed, over the last minutes
    commit_ms: tuple[float, float]  # median and 99th percentile of the newest writes
    alert_rules: int
    alerts_firing: int
    alert_events: int  # since the start
    settings: dict[str, str]
    versions: dict[str, str]

    def as_dict(self) -> dict[str, Any]:
        """The same as nested dictionaries, for JSON; what does not exist is None."""
        found: dict[str, Any] = health.plain(asdict(self))
        return found


def mode_of(
    session: Session, followed: Iterable[str], rows: Mapping[str, SymbolStatus], choice: Choice
) -> tuple[str, str, float | None]:
    """Mode, reason and the monotonic time of the next attempt."""
    state = session.feed.state
    if session.feed.venue == "demo":
        return "DEMO", choice.why, choice.retry_at_s
    if session.feed.venue == "replay":
        return "REPLAY", state.detail, None
    if session.mirror.error:
        return "MEMORY-ONLY", session.mirror.error, None
    unlisted = session.backfill.state.unlisted if session.backfill is not None else ()
    wrong = f"{', '.join(unlisted)} is not traded on {session.feed.venue}" if unlisted else ""
    if state.mode == "LIVE":
        is_mute = monotonic_s() - session.opened_s > STALE_MUTE_S
        stale = sorted(symbol for symbol in followed if (rows[symbol].stale if symbol in rows else is_mute))
        if stale:
            return "STALE", wrong or f"no trade for a while: {', '.join(stale)}", None
        return "LIVE", wrong or state.detail, None
    return ("BLOCKED" if state.mode == "BLOCKED" else "RECONNECTING"), wrong or state.detail, state.retry_at_s


def recording_status(archive: Recordings) -> dict[str, Any] | None:
    """How the newest recording stands, or why none began."""
    if archive.failure:
        return {"running": False, "reason": archive.failure}
    return None if archive.status is None else asdict(archive.status)


def backfill_status(session: Session, now_s: float) -> dict[str, Any] | None:
    """How the repair of gaps stands; None where there is nothing that could be repaired."""
    if session.backfill is None:
        return None
    state = session.backfill.state
    retry_in_s = None if state.retry_at_s is None else max(0.0, state.retry_at_s - now_s)
    return {
        "missing": state.missing,
        "repaired": state.repaired,
        "detail": state.detail,
        "retry_in_s": retry_in_s,
        "unlisted": list(state.unlisted),
    }


def quote_status(session: Session, now_s: float) -> dict[str, QuoteStatus]:
    reconnects = 0 if session.quote_feed is None else session.quote_feed.state.reconnects
    rows = {}
    for symbol, counts in session.quotes.counts().items():
        last, heard_s = counts.last, counts.last_monotonic_s
        rows[symbol] = QuoteStatus(
            received=counts.received,
            kept=counts.kept,
            deduped=counts.deduped,
            older=counts.older,
            rejected=counts.rejected,
            renumbered=counts.renumbered,
            last_quote_us=None if last is None else last.ts_us,
            last_quote_age_s=None if heard_s is None else now_s - heard_s,
            bid=None if last is None else last.bid,
            bid_qty=None if last is None else last.bid_qty,
            ask=None if last is None else last.ask,
            ask_qty=None if last is None else last.ask_qty,
            quotes_per_s=counts.quotes_per_s,
            reconnects=reconnects,
        )
    return rows


def quote_feed_status(session: Session, now_s: float) -> dict[str, Any] | None:
    """Mode and reason of the second connection; its failures are told here and nowhere else."""
    if session.quote_feed is None:
        return None
    state = session.quote_feed.state
    retry_in_s = None if state.retry_at_s is None else max(0.0, state.retry_at_s - now_s)
    return {
        "mode": state.mode,
        "detail": state.detail,
        "retry_in_s": retry_in_s,
        "reconnects": state.reconnects,
        "unattributed": dict(session.quotes.unattributed),
    }


def channel(found: ChannelStatus) -> Connection:
    """A channel of alerts as one of the ways on which data goes."""
    detail = f"{found.service}: {found.sent:,} sent, {found.waiting:,} waiting, {found.dead:,} given up"
    detail = f"{detail}; {found.last_error}" if found.last_error else detail
    return Connection(f"channel {found.name}", found.state.upper(), None, detail, found.next_try_in_s)


def is_stale(session: Session, usual_per_s: float, age_s: float | None, now_s: float) -> bool:
    """Whether a symbol has been silent for much longer than it usually is. Only an exchange can be silent."""
    if not session.live:
        return False
    silent_s = now_s - session.opened_s if age_s is None else age_s
    patience_s = STALE_TRADES / usual_per_s if usual_per_s > 0 else STALE_LEAST_S
    return silent_s > min(max(patience_s, STALE_LEAST_S), STALE_MOST_S)


def symbol_status(session: Session, now_s: float) -> dict[str, SymbolStatus]:
    """How each symbol of a session stands; the age of a replayed trade by the time of the recording."""
    rows = {}
    replayed = isinstance(session.feed, ReplayFeed)
    for symbol, counts in session.ingestion.counts().items():
        last = session.buffer.last(symbol)
        age_s = None if counts.last_trade_monotonic_s is None else now_s - counts.last_trade_monotonic_s
        if replayed and counts.last_trade_us is not None:
            age_s = max(0.0, (session.feed.market_us() - counts.last_trade_us) / US_PER_S)
        rows[symbol] = SymbolStatus(
            received=counts.received,
            stored=counts.stored,
            deduped=counts.deduped,
            rejected=dict(counts.rejected),
            dropped=dict(counts.dropped),
            queued=counts.queued,
            last_trade_id=counts.last_trade_id,
            last_trade_us=counts.last_trade_us,
            last_trade_age_s=age_s,
            last_price=None if last is None else last.price,
            gaps_open=counts.gaps_open,
            gaps_filled=counts.gaps_filled,
            trades_per_s=counts.trades_per_s,
            stale=is_stale(session, counts.usual_trades_per_s, age_s, now_s),
        )
    return rows
