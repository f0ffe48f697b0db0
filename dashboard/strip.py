"""The status strip that is always in sight, the banners of markets that are not live, and toasts for alerts."""

from collections.abc import Callable, Mapping
from html import escape
from typing import Any

import streamlit as st

from dashboard import formats, replay_bar, rules
from dashboard.markup import helped
from engine import Engine, Status, SymbolStatus, current
from utils.clock import UTC_ZONE

TONES = {
    "LIVE": "up",
    "DEMO": "accent",
    "REPLAY": "accent",
    "RECONNECTING": "attention",
    "STALE": "attention",
    "MEMORY-ONLY": "attention",
    "BLOCKED": "down",
}
NAMED = 4  # symbols whose age is shown one by one; of more, the oldest is
TOAST_S = 8
TOASTED = ("firing", "repeat", "resolved", "unsilenced")
SOURCES = {
    "auto": "Binance USD-M, or demo",
    "binance-um": "Binance USD-M",
    "binance-spot": "Binance spot",
    "demo": "Demo market",
    "replay": "Recording",
}


@st.fragment(run_every=1.0)
def status_strip() -> None:
    """Mode, age of the last trade of each symbol, rate, coverage and time; new alerts as toasts."""
    engine = current()
    status = engine.status()
    zone = st.session_state.get("view", {}).get("zone", UTC_ZONE)
    st.html(f'<div class="ps-strip">{"".join(_parts(engine, status, zone))}</div>')
    banner(engine, status, zone)
    toasts(engine)


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


def banner(engine: Engine, status: Status, zone: str) -> None:
    """What has to be said while the trades on the screen are not the live market; it cannot be dismissed."""
    if status.mode == "DEMO":
        _demo_banner(engine, status)
    elif status.mode == "REPLAY":
        _replay_banner(replay_text(engine, status, zone), status.replay or {})
    elif status.mode == "BLOCKED":
        _live_banner(engine, "BLOCKED", f"{status.detail}{_next_try(status)}")
    if status.storage_note:
        _acted_banner("note", "STORAGE", status.storage_note, "Dismiss", engine.dismiss_storage_note)
    if status.storage_error:
        st.html(f'<div class="ps-banner"><b class="ps-attention">MEMORY-ONLY</b> {escape(memory_text(status))}</div>')


def _replay_banner(text: str, place: Mapping[str, Any]) -> None:
    """With the short bar, but on the Data page, which has the whole one."""
    if st.session_state.get("page") == "data":
        st.html(f'<div class="ps-banner"><b>REPLAY</b> {escape(text)}</div>')
    else:
        replay_bar.compact(text, place)


def _demo_banner(engine: Engine, status: Status) -> None:
    if status.source == "demo":
        st.html(
            '<div class="ps-banner"><b>DEMO</b> Simulated trades, as chosen under Market. These are not prices.</div>'
        )
        return
    why = status.detail or "the exchange does not answer"
    when = "now" if not status.retry_in_s else f"in {status.retry_in_s:.0f} s"
    _live_banner(
        engine, "DEMO", f"Simulated trades, not prices. No live market: {why.rstrip('.')}. It is tried again {when}."
    )


def _live_banner(engine: Engine, word: str, text: str) -> None:
    _acted_banner("live", word, text, "Try now", engine.retry_live)


def _acted_banner(key: str, word: str, text: str, label: str, act: Callable[[], None]) -> None:
    """A banner with a button."""
    with st.container(border=True, horizontal=True, vertical_alignment="center", key=f"banner-{key}"):
        st.html(f'<div class="ps-banner"><b class="ps-attention">{word}</b> {escape(text)}</div>')
        st.button(label, key=f"act-{key}", on_click=act, width="content")


def replay_text(engine: Engine, status: Status, zone: str) -> str:
    """Where a replay stands: time, share of the files, speed."""
    place = status.replay or {}
    parts = [formats.date(engine.now_us(), zone)]
    speed = place.get("speed")
    if speed is not None:
        parts.append("as fast as possible" if speed == 0 else f"{speed:g} times as fast as recorded")
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


def toasts(engine: Engine) -> None:
    """One toast for each alert since this browser tab last looked; none for those before it was opened."""
    seen = st.session_state.setdefault("alerts-seen", engine.alerts.last_seq)
    for event in engine.alerts.events_after(seen)[-3:]:
        if event.state in TOASTED and not event.silenced:
            pair = "/".join(symbol for symbol in (event.symbol_y, event.symbol_x) if symbol)
            scope = f"{pair} {formats.timeframe(event.timeframe)}"
            st.toast(f"**{scope}**  {rules.event_text(event)}", duration=TOAST_S)
    st.session_state["alerts-seen"] = engine.alerts.last_seq
