"""Where alert rules, their states, events and messages are kept."""

import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from alerts.alert_engine import Kept, Message
from alerts.outbox import Mark
from data import alert_rows, sqlite
from data.storage import Mirror
from utils.clock import now_us
from utils.errors import NotFound


class AlertFile:
    """Rules, states, events and messages in the database of the engine, written by its one writer thread."""

    def __init__(
        self,
        database: Path,
        mirror: Callable[[], AbstractContextManager[Mirror]],  # the open one: it is not closed while it is held
        resend: Callable[[Message], None],
    ) -> None:
        self._path = database
        self._mirror = mirror
        self._resend = resend

    def _write(self, write: Callable[[sqlite3.Connection], None]) -> threading.Event:
        with self._mirror() as mirror:
            return mirror.write(write)

    def load_rules(self) -> list[dict[str, Any]]:
        """Bodies of the stored rules."""
        return alert_rows.read_alert_rules(self._path)

    def load_states(self) -> list[tuple[str, str, dict[str, Any]]]:
        """Rule, venue and state."""
        return alert_rows.read_states(self._path)

    def load_followed(self, venue: str) -> list[dict[str, Any]]:
        """Firings whose outcome is not known."""
        rows = [(row["event_id"], row["context"]) for row in alert_rows.read_followed(self._path, venue)]
        return [
            {"event_id": event_id, "scope": context["scope"], "followed": context["followed"]}
            for event_id, context in rows
            if context.get("followed") and context.get("scope")
        ]

    def seen_us(self, venue: str) -> int | None:
        """Time up to which pending rules have been judged."""
        text = sqlite.read_note(self._path, f"{venue} judged until")
        return int(text) if text else None

    def save_rule(self, body: Mapping[str, Any]) -> None:
        """Store a rule."""
        with self._mirror() as mirror:
            mirror.put_rule(body)

    def delete_rule(self, rule_id: str) -> None:
        """Forget a rule and its states."""
        with self._mirror() as mirror:
            mirror.drop_rule(rule_id)

    def keep(self, kept: Kept) -> threading.Event:
        """Store all of it or nothing; the event is set after the commit."""
        if not (kept.events or kept.states or kept.outcomes):
            with self._mirror() as mirror:
                if mirror.error is not None:
                    return threading.Event()  # the disk fails: only what cannot be told again waits for it

        def write(connection: sqlite3.Connection) -> None:
            for event in kept.events:
                alert_rows.put_event(connection, {**asdict(event), "text": event.text})
            for (rule_id, venue), state in kept.states.items():
                alert_rows.put_state(connection, rule_id, venue, state)
            for event_id, outcome in kept.outcomes.items():
                alert_rows.put_outcome(connection, event_id, asdict(outcome))
            for message in kept.messages:
                alert_rows.put_message(connection, asdict(message))
            if kept.seen is not None:
                sqlite.put_note(connection, f"{kept.seen[0]} judged until", str(kept.seen[1]))

        return self._write(write)

    def mark(self, marks: Iterable[Mark]) -> threading.Event:
        """Note what became of messages; the event is set after the commit."""
        marks, at_us = list(marks), now_us()

        def write(connection: sqlite3.Connection) -> None:
            for mark in marks:
                alert_rows.mark_message(connection, asdict(mark.message), mark.status, mark.detail, at_us)

        return self._write(write)

    def waiting(self) -> list[Message]:
        """What an earlier run left to be sent."""
        return [Message(**row) for row in alert_rows.read_waiting(self._path)]

    def event(self, event_id: str) -> list[dict[str, Any]]:
        """Every change of one alert with its context and outcome, oldest first; empty where there is none."""
        return alert_rows.read_event(self._path, event_id)

    def statistics(self) -> list[dict[str, Any]]:
        """What became of each rule's firings."""
        return alert_rows.read_statistics(self._path)

    def history(self, limit: int, **chosen: Any) -> list[dict[str, Any]]:
        """Changes of state, newest first; `chosen` as `alert_rows.read_alert_history` has it."""
        return alert_rows.read_alert_history(self._path, limit, **chosen)

    def outbox(self, status: str | None = None, limit: int = 200, before: int | None = None) -> list[dict[str, Any]]:
        """Messages, newest first, of one status ("waiting", "sent", "digest", "dead", "dropped") or all."""
        return alert_rows.read_outbox(self._path, status, limit, before)

    def retry(self, number: int) -> None:
        """Send a message again that was given up.

        Raises
        ------
        NotFound
        """
        row = alert_rows.read_message(self._path, number)
        if row is None or row["status"] not in ("dead", "dropped"):
            raise NotFound(f"there is no message {number} that was given up", "message")
        fields = {name: row[name] for name in Message.__dataclass_fields__}
        message = Message(**fields | {"attempts": 0, "queued_us": now_us()})
        self.mark([Mark(message, alert_rows.WAITING)])
        self._resend(message)
