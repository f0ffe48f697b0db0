"""Alert rules, their states and history, and what waits to be sent, as rows of the file.

Writing functions run inside a transaction of the one writer; readers open the file for themselves.
"""

import json
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data.sqlite import reading

EVENT_COLUMNS = (
    "event_id", "rule_id", "name", "metric", "state", "severity", "venue", "symbol_y", "symbol_x", "timeframe",
    "at_us", "value", "threshold", "text", "rule_version", "silenced", "context", "outcome",
)  # fmt: skip
AS_JSON = ("context", "outcome")
LISTED = tuple(name for name in EVENT_COLUMNS if name != "context")  # a list of events leaves the long part out
WAITING = "waiting"
OUTBOX_COLUMNS = ("number", "channel", "key", "status", "attempts", "detail", "changed_us", "body")
OUTBOX_KEPT = 10_000  # newest messages that are done
COUNTED = 40_000
FOLLOWED = 500  # newest firings whose outcome may still be open

Row = Mapping[str, Any]


# --- writing ----------------------------------------------------------------------------------------


def put_rule(connection: sqlite3.Connection, body: Row) -> None:
    """Store an alert rule; an edit keeps its place among the others."""
    connection.execute(
        "insert into alert_rule values (?, ?, (select ifnull(max(position), -1) + 1 from alert_rule)) "
        "on conflict (rule_id) do update set body = excluded.body",
        (body["rule_id"], json.dumps(dict(body))),
    )


def drop_rule(connection: sqlite3.Connection, rule_id: str) -> None:
    """Take an alert rule and its states out of the file; its history stays."""
    connection.execute("delete from alert_rule where rule_id = ?", (rule_id,))
    connection.execute("delete from alert_state where rule_id = ?", (rule_id,))


def put_event(connection: sqlite3.Connection, row: Row) -> None:
    """Append a change of state of an alert rule; `context` and `outcome` may be left out."""
    values = {"rule_version": 1, "silenced": False, **row}
    cells = [_cell(name, values.get(name)) for name in EVENT_COLUMNS]
    marks = ",".join("?" * len(EVENT_COLUMNS))
    connection.execute(f"insert into alert_event ({','.join(EVENT_COLUMNS)}) values ({marks})", cells)


def put_outcome(connection: sqlite3.Connection, event_id: str, outcome: Row) -> None:
    """Store what came of a firing."""
    connection.execute(
        "update alert_event set outcome = ? where event_id = ? and state = 'firing'", (json.dumps(outcome), event_id)
    )


def put_state(connection: sqlite3.Connection, rule_id: str, venue: str, body: Row | None) -> None:
    """Store where a rule stands in a market; None forgets it."""
    if body is None:
        connection.execute("delete from alert_state where (rule_id, venue) = (?, ?)", (rule_id, venue))
    else:
        connection.execute("insert or replace into alert_state values (?, ?, ?)", (rule_id, venue, json.dumps(body)))


def put_message(connection: sqlite3.Connection, row: Row) -> None:
    """Queue a message; one of the same channel and key is there already and stays."""
    connection.execute(
        "insert or ignore into alert_outbox (channel, key, body, status, attempts, detail, event_id, changed_us) "
        f"values (?, ?, ?, '{WAITING}', ?, '', ?, ?)",
        (row["channel"], row["key"], json.dumps(dict(row)), row["attempts"], row["event_id"], row["queued_us"]),
    )


def mark_message(connection: sqlite3.Connection, row: Row, status: str, detail: str, at_us: int) -> None:
    """Note what became of a message; of those that are done the newest are kept."""
    connection.execute(
        "update alert_outbox set status = ?, detail = ?, attempts = ?, changed_us = ? where (channel, key) = (?, ?)",
        (status, detail, row["attempts"], at_us, row["channel"], row["key"]),
    )
    connection.execute(
        f"delete from alert_outbox where status in ('sent', 'digest') and number < "
        f"(select max(number) from alert_outbox) - {OUTBOX_KEPT}"
    )


def _cell(name: str, value: object) -> object:
    if name in AS_JSON and value is not None:
        return json.dumps(value)
    return int(value) if isinstance(value, bool) else value


# --- reading ----------------------------------------------------------------------------------------


def read_alert_rules(path: Path) -> list[dict[str, Any]]:
    """Stored alert rules in the order they were made.

    Raises
    ------
    StorageError
    """
    with reading(path) as connection:
        rows = connection.execute("select body from alert_rule order by position, rowid").fetchall()
    return [json.loads(body) for (body,) in rows]


def read_states(path: Path) -> list[tuple[str, str, dict[str, Any]]]:
    """Rule, venue and state of every stored state.

    Raises
    ------
    StorageError
    """
    with reading(path) as connection:
        rows = connection.execute("select rule_id, venue, body from alert_state").fetchall()
    return [(rule_id, venue, json.loads(body)) for rule_id, venue, body in rows]


def read_alert_history(
    path: Path,
    limit: int,
    rule_id: str | None = None,
    before: int | None = None,
    state: str | None = None,
    since_us: int | None = None,
) -> list[dict[str, Any]]:
    """Changes of state of the alert rules, newest first, without their context; `number` is for the next page.

    Of one rule, before a number, of one state, from a market time on.

    Raises
    ------
    StorageError
    """
    where, values = _chosen({"rule_id = ?": rule_id, "number < ?": before, "state = ?": state, "at_us >= ?": since_us})
    query = f"select number, {','.join(LISTED)} from alert_event {where} order by number desc limit ?"
    with reading(path) as connection:
        rows = connection.execute(query, (*values, limit)).fetchall()
    return [_event(("number", *LISTED), row) for row in rows]


def read_event(path: Path, event_id: str) -> list[dict[str, Any]]:
    """Every change of one alert, oldest first, with all that is known of it; empty where there is none.

    Raises
    ------
    StorageError
    """
    query = f"select number, {','.join(EVENT_COLUMNS)} from alert_event where event_id = ? order by number"
    with reading(path) as connection:
        rows = connection.execute(query, (event_id,)).fetchall()
    return [_event(("number", *EVENT_COLUMNS), row) for row in rows]


def read_followed(path: Path, venue: str) -> list[dict[str, Any]]:
    """The newest firings in a market whose outcome is not known: `event_id`, `context`.

    Raises
    ------
    StorageError
    """
    query = (
        "select event_id, context from (select * from alert_event where venue = ? and state = 'firing' "
        f"order by number desc limit {FOLLOWED}) where outcome is null and context is not null"
    )
    with reading(path) as connection:
        rows = connection.execute(query, (venue,)).fetchall()
    return [{"event_id": event_id, "context": json.loads(context)} for event_id, context in rows]


def read_statistics(path: Path) -> list[dict[str, Any]]:
    """Of each rule and severity: firings, their outcomes, and the seconds from a firing to its end.

    Of the newest COUNTED changes: a page that asks for them must not wait.

    Raises
    ------
    StorageError
    """
    query = f"""
        select f.rule_id, f.severity, max(f.name), count(*), sum(f.silenced), max(f.at_us),
               avg((r.at_us - f.at_us) / 1e6), count(f.outcome),
               sum(json_extract(f.outcome, '$.reverted')), avg(json_extract(f.outcome, '$.half_lives')),
               max(json_extract(f.outcome, '$.worst_z'))
        from alert_event f left join alert_event r on r.event_id = f.event_id and r.state = 'resolved'
        where f.state = 'firing' and f.number > (select max(number) from alert_event) - {COUNTED}
        group by f.rule_id, f.severity order by count(*) desc
    """
    names = (
        "rule_id", "severity", "name", "firings", "silenced", "last_us", "mean_s", "outcomes", "reverted",
        "mean_half_lives", "worst_z",
    )  # fmt: skip
    with reading(path) as connection:
        return [dict(zip(names, row, strict=True)) for row in connection.execute(query).fetchall()]


def read_outbox(path: Path, status: str | None, limit: int, before: int | None = None) -> list[dict[str, Any]]:
    """Messages, newest first, of one status or all; before a number.

    Raises
    ------
    StorageError
    """
    where, values = _chosen({"status = ?": status, "number < ?": before})
    query = f"select {','.join(OUTBOX_COLUMNS)} from alert_outbox {where} order by number desc limit ?"
    with reading(path) as connection:
        rows = connection.execute(query, (*values, limit)).fetchall()
    return [_message(row) for row in rows]


def read_message(path: Path, number: int) -> dict[str, Any] | None:
    """One message, if there is one of that number.

    Raises
    ------
    StorageError
    """
    with reading(path) as connection:
        query = f"select {','.join(OUTBOX_COLUMNS)} from alert_outbox where number = ?"
        row = connection.execute(query, (number,)).fetchone()
    return None if row is None else _message(row)


def read_waiting(path: Path) -> list[dict[str, Any]]:
    """What is left to be sent, oldest first.

    Raises
    ------
    StorageError
    """
    with reading(path) as connection:
        query = f"select body, attempts from alert_outbox where status = '{WAITING}' order by number"
        rows = connection.execute(query).fetchall()
    return [json.loads(body) | {"attempts": attempts} for body, attempts in rows]


def _chosen(conditions: Mapping[str, Any]) -> tuple[str, tuple[Any, ...]]:
    """A where clause of the conditions whose value is asked for, and these values."""
    asked = {text: value for text, value in conditions.items() if value is not None}
    return f"where {' and '.join(asked)}" if asked else "", tuple(asked.values())


def _event(names: tuple[str, ...], row: tuple[Any, ...]) -> dict[str, Any]:
    found = dict(zip(names, row, strict=True))
    for name in AS_JSON:
        if found.get(name) is not None:
            found[name] = json.loads(found[name])
    return found | {"silenced": bool(found["silenced"])}


def _message(row: tuple[Any, ...]) -> dict[str, Any]:
    found = dict(zip(OUTBOX_COLUMNS, row, strict=True))
    return json.loads(found.pop("body")) | found
