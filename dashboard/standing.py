"""How the market stands, as markup: the status strip, the banners of markets that are not live, and what is news."""

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any
from zlib import crc32

from dashboard import formats, replay_bar, rules
from dashboard.markup import helped
from dashboard.view import View
from engine import Engine, Status, SymbolStatus

TONES = {
    "LIVE": "up",
    "DEMO": "accent",
    "REPLAY": "accent",
    "RECONNECTING": "attention",
    "STALE": "attention",
    "MEMORY-ONLY": "attention",
    "BLOCKED": "down",
}
SPEED_WORDS = {0: "as fast as possible", 1: "as fast as recorded"}
NAMED = 4  # symbols whose age is shown one by one; of more, the oldest is
SOURCES = {
    "auto": "Binance USD-M, or demo",
    "binance-um": "Binance USD-M",
    "binance-spot": "Binance spot",
    "demo": "Demo market",
    "replay": "Recording",
}


def strip(engine: Engine, view: View) -> str:
    """Mode, age of the last trade of each symbol, rate, coverage and time; below it what has to be said."""
    status = engine.status()
    said = "".join(_banners(engine, status, view.zone))
    return f'<div class="ps-strip">{"".join(_parts(engine, status, view.zone))}</div>{said}'


def _parts(engine: Engine, status: Status, zone: str) -> list[str]:
    rate = sum(row.trades_per_s for row in status.symbols.values())
    parts = [
        f'<span class="ps-badge ps-{TONES.get(status.mode, "attention")}">{escape(status.mode)}</span>',
        *_ages(status.symbols),
        f"<span{helped('trades_per_s')}><b>{formats.number(rate, 0 if rate >= 10 else 1)}</b> trades/s</span>",
        _coverage(engine, status),
        f"<span>{formats.clock(engine.now_us(), zone)}</span>",
    ]
    if status.mode in ("LIVE", "STALE", "RECONNECTING") and status.detail:  # the other modes have a banner
        parts.append(f'<span class="ps-attention">{escape(status.detail)}{_next_try(status)}</span>')
    repair = status.backfill or {}
    if repair.get("missing"):
        parts.append(f'<span class="ps-attention">{escape(_repair(repair))}</span>')
    return parts


def _ages(symbols: Mapping[str, SymbolStatus]) -> list[str]:
    """Seconds since the last trade: of each symbol, or of the most silent where there are many."""
    ages = {symbol: row.last_trade_age_s for symbol, row in symbols.items()}
    shown = list(symbols)
    prefix = ""
    if len(shown) > NAMED:
        shown = [max(ages, key=lambda symbol: _or_infinite(ages[symbol]))]
        prefix = f"{len(ages)} symbols, most silent "
    return [
        f"<span{helped('age')}>{prefix}{escape(formats.base(symbol))} "
        f'<b class="{"ps-attention" if symbols[symbol].stale else ""}">{formats.age(ages[symbol])}</b></span>'
        for symbol in shown
    ]


def _or_infinite(seconds: float | None) -> float:
    return float("inf") if seconds is None else seconds


def coverage(engine: Engine, status: Status) -> tuple[float | None, int, int]:
    """Share of the trades that arrived (None before the first), and how many gaps are open and were repaired."""
    missing = sum(gap.last_id - gap.first_id + 1 for gap in engine.gaps() if gap.filled_us is None)
    stored = sum(row.stored + row.queued for row in status.symbols.values())
    opened = sum(row.gaps_open for row in status.symbols.values())
    filled = sum(row.gaps_filled for row in status.symbols.values())
    return (stored / (stored + missing) if stored + missing else None), opened, filled


def _coverage(engine: Engine, status: Status) -> str:
    share, opened, filled = coverage(engine, status)
    text = formats.NONE
    if share is not None:  # rounding must not turn a loss into 100 %
        text = "100 %" if share == 1.0 else f"{min(100 * share, 99.99):.2f} %"
    notes = [
        f"{count} gap{'s' if count > 1 else ''} {word}"
        for count, word in ((opened, "open"), (filled, "repaired"))
        if count
    ]
    note = f' · <span class="ps-attention">{", ".join(notes)}</span>' if notes else ""
    return f"<span{helped('coverage')}>coverage <b>{text}</b>{note}</span>"


def _repair(repair: Mapping[str, Any]) -> str:
    """How the repair of gaps stands."""
    text = f"repairing {repair['missing']:,} trade{'s' if repair['missing'] > 1 else ''}"
    if not repair["detail"]:
        return text
    again = "" if repair["retry_in_s"] is None else f" · next request in {repair['retry_in_s']:.0f} s"
    return f"{text}: {repair['detail']}{again}"


def _next_try(status: Status) -> str:
    return "" if status.retry_in_s is None else f" · next try in {status.retry_in_s:.0f} s"


def _banners(engine: Engine, status: Status, zone: str) -> Iterable[str]:
    """What has to be said while the trades on the screen are not the live market, but for what has a button."""
    if status.mode == "DEMO" and status.source == "demo":
        yield _banner("DEMO", "Simulated trades, as chosen under Market. These are not prices.", "")
    elif status.mode == "REPLAY":
        yield _banner("REPLAY", replay_text(engine, status, zone), "accent")
    if status.storage_error:
        yield _banner("MEMORY-ONLY", memory_text(status))


def _banner(word: str, text: str, tone: str = "attention") -> str:
    return f'<div class="ps-banner"><b class="ps-{tone or "plain"}">{word}</b> {escape(text)}</div>'


def is_retried(status: Status) -> bool:
    """Whether the live market was asked for, is out of reach, and may be tried again at once."""
    return status.mode == "BLOCKED" or (status.mode == "DEMO" and status.source != "demo")


def not_live(engine: Engine, view: View) -> str:
    """Why the live market is not shown, and when it is tried again; empty where it is."""
    status = engine.status()
    if not is_retried(status):
        return ""
    if status.mode == "BLOCKED":
        return _banner("BLOCKED", f"{status.detail}{_next_try(status)}")
    why = (status.detail or "the exchange does not answer").rstrip(".")
    when = f"in {status.retry_in_s:.0f} s" if status.retry_in_s else "now"
    return _banner("DEMO", f"Simulated trades, not prices. No live market: {why}. It is tried again {when}.")


def storage_note(engine: Engine, view: View) -> str:
    """What happened to the database; empty where nothing did, or it was dismissed."""
    note = engine.status().storage_note
    return _banner("STORAGE", note) if note else ""


def news(engine: Engine) -> str:
    """What changes when there is an alert to be told, or another banner with a button."""
    status = engine.status()
    replay = "" if status.mode != "REPLAY" else replay_bar.news(status.replay or {})
    return f"{engine.alerts.last_seq} {is_retried(status):d} {bool(status.storage_note):d} {replay}"


def rule_news(engine: Engine) -> str:
    """What changes with any rule or its state."""
    standing = [(rule.rule_id, rule.version, rules.state(engine, rule)) for rule in engine.alerts.rules()]
    return f"{crc32(repr(standing).encode()):x}"


def replay_text(engine: Engine, status: Status, zone: str) -> str:
    """Where a replay stands: time, share of the files, speed."""
    place = status.replay or {}
    parts = [formats.date(engine.now_us(), zone)]
    speed = place.get("speed")
    if speed is not None:
        parts.append(SPEED_WORDS.get(speed, f"{speed:g} times as fast as recorded"))
    if place.get("last_us") is None and place.get("bytes_total"):
        parts.append(f"{100 * place['bytes_read'] / place['bytes_total']:.0f} % of the files read")
    if status.detail:
        parts.append(status.detail)
    return " · ".join(parts)


def memory_text(status: Status) -> str:
    """What waits while the database cannot be written."""
    waiting = sum(row.queued for row in status.symbols.values())
    return (
        f"The database cannot be written: {status.storage_error}. {waiting:,} trades wait in memory and are written as "
        "soon as it can be."
    )
