"""The System page as markup: health in cards; symbols, connections, threads, disk, delays, log, settings in tables."""

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

import pandas as pd

import config
from dashboard import formats
from dashboard.markup import Card, Row, cards, muted, section, table
from dashboard.standing import SOURCES
from engine import Disk, Status, System

LEAST_FREE = 1e9  # bytes on the disk
MOST_ROWS = 100  # symbols shown; a download has all
LOG_TONES = {"WARNING": "attention", "ERROR": "down", "CRITICAL": "down", "DEBUG": "muted"}
LIVED = {"running": "", "ended": "muted", "dead": "down"}
DELAYS = {"readable": "to readers", "stored": "to the disk"}


def delay(seconds: float | None) -> str:
    """A short time to two digits: `35 µs`, `4.1 ms`, `0.25 s`."""
    if seconds is None or not formats.exists(seconds):
        return formats.NONE
    unit, name = next((each for each in ((1.0, "s"), (1e-3, "ms")) if seconds >= each[0]), (1e-6, "µs"))
    return f"{float(f'{seconds / unit:.2g}'):g} {name}"


# --- cards ------------------------------------------------------------------------------------------


def health_cards(found: System) -> str:
    """Twelve figures that say at a glance whether all is well."""
    status, disk = found.status, found.disk
    rows = status.symbols.values()
    held = sum(row.held_in_memory for row in found.symbols.values())
    missing, filled = sum(row.gaps_open for row in rows), sum(row.gaps_filled for row in rows)
    queue = found.queues[0]
    return cards(
        [
            _health(found),
            Card("connection", status.mode, f"{status.reconnects} reconnects", "connection", _mode_tone(status)),
            Card("trades/s", formats.number(sum(r.trades_per_s for r in rows), 1), _usual(found), "trades_per_s"),
            _delay_card(found, "readable"),
            _delay_card(found, "stored"),
            _lag(found),
            Card("gaps open", f"{missing:,}", f"{filled:,} repaired", "gaps", "attention" if missing else ""),
            Card("waiting for the disk", f"{queue.waiting:,}", f"of {queue.most:,}", "waiting"),
            _file(disk),
            Card("disk free", formats.size(disk.free_bytes), "", "disk_free", _free_tone(disk)),
            Card("memory", formats.size(status.rss_bytes), f"{formats.size(status.memory_bytes)} of trades", "memory"),
            Card("trades in memory", f"{held:,}", f"up {formats.duration(status.uptime_s)}", "held"),
        ]
    )


def _file(disk: Disk) -> Card:
    log = f"log {formats.size(disk.log_bytes)}"
    return Card("database", formats.size(disk.file_bytes), log, "database", "down" if disk.error else "")


def _free_tone(disk: Disk) -> str:
    return "attention" if disk.free_bytes is not None and disk.free_bytes < LEAST_FREE else ""


def _health(found: System) -> Card:
    dead = [worker.name for worker in found.workers if worker.state == "dead"]
    if found.status.status == "ok":
        return Card("health", "ok", f"{len(found.workers)} threads", "health")
    why = f"{', '.join(dead)} dead" if dead else found.status.storage_error or ""
    return Card("health", "failing", why, "health", "down")


def _mode_tone(status: Status) -> str:
    return {"LIVE": "", "DEMO": "", "REPLAY": "", "BLOCKED": "down"}.get(status.mode, "attention")


def _usual(found: System) -> str:
    usual = sum(row.usual_trades_per_s for row in found.symbols.values())
    return f"usual {formats.number(usual, 1)}" if usual else ""


def _delay_card(found: System, name: str) -> Card:
    lately = found.delays[name]
    return Card(f"{DELAYS[name]}, p99", delay(lately.p99_s), f"median {delay(lately.p50_s)}", f"delay_{name}")


def _lag(found: System) -> Card:
    lags = {symbol: row.lag_s for symbol, row in found.symbols.items() if row.lag_s is not None}
    if not lags:
        return Card("lag", formats.NONE, "", "lag", "muted")
    worst = max(lags, key=lambda symbol: lags[symbol])
    return Card("lag, worst", delay(max(lags[worst], 0.0)), formats.base(worst), "lag")


# --- tables -----------------------------------------------------------------------------------------


def feed_table(found: System) -> str:
    """One row a symbol, stale ones first: age, rates, lag, gaps and the books."""
    rows = found.status.symbols
    if not rows:
        return section("Feed by symbol", muted("No trade has arrived yet."))
    order = sorted(rows, key=lambda symbol: not rows[symbol].stale)[:MOST_ROWS]
    head = (
        "symbol", "age", "trades/s", "usual", "lag", "gaps open", "repaired", "received", "stored", "deduped",
        "rejected", "dropped", "queued",
    )  # fmt: skip
    body = [Row(_feed_cells(symbol, found), "attention" if rows[symbol].stale else "") for symbol in order]
    note = "received = stored + deduped + rejected + dropped + queued, of every symbol and at every moment."
    if len(rows) > MOST_ROWS:
        note = f"{MOST_ROWS} of {len(rows)} symbols, stale ones first; the download has all. {note}"
    refused = _counted(found.status.unattributed)
    if refused != "0":
        note = f"{note} Refused without a symbol: {refused}."
    return section("Feed by symbol", table(head, body) + muted(note))


def _feed_cells(symbol: str, found: System) -> list[str]:
    row, more = found.status.symbols[symbol], found.symbols.get(symbol)
    return [
        symbol,
        formats.age(row.last_trade_age_s),
        formats.number(row.trades_per_s, 1),
        formats.NONE if more is None else formats.number(more.usual_trades_per_s, 1),
        formats.NONE if more is None else delay(None if more.lag_s is None else max(more.lag_s, 0.0)),
        f"{row.gaps_open:,}",
        f"{row.gaps_filled:,}",
        f"{row.received:,}",
        f"{row.stored:,}",
        f"{row.deduped:,}",
        _counted(row.rejected),
        _counted(row.dropped),
        f"{row.queued:,}",
    ]


def _counted(reasons: Mapping[str, int]) -> str:
    """Counts by reason: `3 price, 1 id`."""
    return ", ".join(f"{count:,} {reason}" for reason, count in reasons.items()) or "0"


def connections(found: System) -> str:
    """How the ways stand on which trades come."""
    parts = []
    for each in found.connections:
        tone = "" if each.mode in ("LIVE", "IDLE", "OK") else "down" if each.mode == "BLOCKED" else "attention"
        if found.status.mode in ("DEMO", "REPLAY") and each.mode in ("LIVE", "PAUSED", "ENDED"):
            tone = ""
        facts = [each.detail]
        if each.reconnects is not None:
            facts.append(f"{each.reconnects} reconnects")
        if each.retry_in_s is not None:
            facts.append(f"next try in {each.retry_in_s:.0f} s")
        name = SOURCES.get(each.name, each.name)
        parts.append(
            f'<p>{escape(name)} <b class="ps-{tone or "plain"}">{escape(each.mode)}</b></p>'
            + muted(" · ".join(fact for fact in facts if fact))
        )
    asked = SOURCES.get(found.status.source, found.status.source)
    return section("Connections", "".join(parts) + muted(f"Asked for: {asked}."))


def threads(found: System) -> str:
    """Our threads and whether they run; the others by name."""
    rows = [Row((f"{each.name}: {each.does}", each.state), LIVED[each.state]) for each in found.workers]
    others = ", ".join(f"{name} {count}" if count > 1 else name for name, count in found.other_threads.items())
    return section("Threads", table(("thread", ""), rows) + muted(f"Others: {others}."))


def disk(found: System, zone: str) -> str:
    """The database, the disk below it, and what is kept."""
    on = found.disk
    limits = ((on.retention_days, "days"), (on.retention_gb, "GB"))
    keeps = " and ".join(f"{most:g} {unit}" for most, unit in limits if most)
    rows = [
        Row(("database file", formats.size(on.file_bytes))),
        Row(("write-ahead log", formats.size(on.log_bytes))),
        Row(("free on its disk", formats.size(on.free_bytes)), _free_tone(on)),
        Row(("oldest stored trade", formats.NONE if on.oldest_us is None else formats.date(on.oldest_us, zone))),
        Row(("trades are kept", keeps or "for ever"), metric="retention"),
        *(Row((f"waiting {queue.name}", f"{queue.waiting:,}")) for queue in found.queues),
    ]
    said = [text for text in (on.error, on.note) if text]
    notes = "".join(f'<p class="ps-attention">{escape(text)}</p>' for text in said)
    return section("Storage", table((on.path, ""), rows) + notes)


def delays(found: System) -> str:
    """What a trade waits for."""
    rows = [
        Row((f"{text}, {lately.count:,} trades", delay(lately.p50_s), delay(lately.p99_s)), metric=f"delay_{name}")
        for name, text in DELAYS.items()
        for lately in (found.delays[name],)
    ]
    commit = [delay(value / 1_000) if formats.exists(value) else formats.NONE for value in found.commit_ms]
    rows.append(Row(("one write to the file", *commit), metric="commit"))
    note = muted("From the moment the feed hands a trade over; the last five minutes. Percentiles to a quarter.")
    return section("Delays", table(("", "median", "p99"), rows) + note)


def running(found: System) -> str:
    """What runs."""
    rows = [Row((name, version)) for name, version in found.versions.items()]
    writers = f"{found.status.sqlite_writers} connection writes"
    if found.status.sqlite_breaks_shared_logs:
        writers += ", as this SQLite needs: two can corrupt a write-ahead log"
    return section("Versions", table(("", ""), rows) + muted(f"Schema {found.status.schema_version}; {writers}."))


def settings(found: System) -> str:
    """Every setting with its environment name, value and meaning; those that differ from the default stand out."""
    meanings, defaults = config.meanings(), config.Settings.model_fields
    rows = []
    for name in meanings:
        value = found.settings.get(name, "not set")
        default = defaults[name].default
        usual = "not set" if default is None else _shown(default)
        told = escape(value).replace("/", "/<wbr>")  # a path breaks between its folders
        meaning = escape(meanings[name].replace("`", ""))
        rows.append(
            f'<tr class="ps-{"plain" if value == usual else "changed"}"><td>PAIRSCOPE_{escape(name.upper())}</td>'
            f"<td>{told or '–'}</td><td>{meaning}</td></tr>"
        )
    head = "<thead><tr><th>variable</th><th>value</th><th>meaning</th></tr></thead>"
    body = f'<table class="ps-table ps-settings">{head}<tbody>{"".join(rows)}</tbody></table>'
    return section("Settings in force", f'<div class="ps-scroll">{body}</div>' + muted("Bold: not the default."))


def _shown(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple | dict) else str(value)


def log(lines: Iterable[Any]) -> str:
    """Lines of the log, newest first."""
    body = "".join(f'<div class="ps-{LOG_TONES.get(line.level, "plain")}">{escape(line.text)}</div>' for line in lines)
    return f'<div class="ps-log">{body}</div>' if body else muted("Nothing was logged at this severity.")


# --- downloads --------------------------------------------------------------------------------------


def flat(tree: Mapping[str, Any], above: str = "") -> Iterable[tuple[str, Any]]:
    """The leaves of a tree by their path: `disk.file_bytes`."""
    for key, value in tree.items():
        name = f"{above}{key}"
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{name}.")
        elif isinstance(value, list) and value:
            yield from flat({str(at): item for at, item in enumerate(value)}, f"{name}.")
        else:
            yield name, value


def status_frame(found: System) -> pd.DataFrame:
    """Everything that is known, one row a figure: its name and its value as text."""
    rows = [(name, "" if value is None or value in ({}, []) else str(value)) for name, value in flat(found.as_dict())]
    return pd.DataFrame(rows, columns=["name", "value"])
