"""What an alert engine needs around it, in memory: a store, a sender, a clock, and a rule to begin with."""

import threading
from dataclasses import asdict

from alerts.alert_engine import Kept, Message

S = 1_000_000
T0 = 1_700_000_000 * S
BODY = {
    "metric": "zscore",
    "condition": "outside",
    "threshold": 2.0,
    "symbol_y": "ETHUSDT",
    "symbol_x": "BTCUSDT",
    "timeframe": "1s",
    "cooldown_s": 0,
    "nodata_s": 0,
}


class MemoryStore:
    """A rule store in a dict."""

    def __init__(self) -> None:
        self.rules: dict[str, dict] = {}
        self.states: dict[tuple[str, str], dict] = {}
        self.events: list[dict] = []
        self.outcomes: dict[str, dict] = {}
        self.messages: list[Message] = []
        self.seen: dict[str, int] = {}
        self.marks: list = []
        self.commits = True

    def load_rules(self):
        return list(self.rules.values())

    def load_states(self):
        return [(rule_id, venue, dict(body)) for (rule_id, venue), body in self.states.items()]

    def load_followed(self, venue):
        fired = [row for row in self.events if row["context"] and row["context"]["followed"]]
        rows = [row for row in fired if row["event_id"] not in self.outcomes]
        return [{"event_id": row["event_id"], **{k: row["context"][k] for k in ("scope", "followed")}} for row in rows]

    def seen_us(self, venue):
        return self.seen.get(venue)

    def save_rule(self, body):
        self.rules[body["rule_id"]] = dict(body)

    def delete_rule(self, rule_id):
        self.rules.pop(rule_id)

    def keep(self, kept: Kept):
        self.events += [asdict(event) for event in kept.events]
        self.outcomes |= {event_id: asdict(outcome) for event_id, outcome in kept.outcomes.items()}
        for key, state in kept.states.items():
            if state is None:
                self.states.pop(key, None)
            else:
                self.states[key] = dict(state)
        self.messages += kept.messages
        if kept.seen:
            self.seen[kept.seen[0]] = kept.seen[1]
        return self._committed()

    def history(self, limit, rule_id):
        return [row for row in self.events[::-1] if row["rule_id"] == rule_id][:limit]

    def mark(self, marks):
        self.marks += marks
        return self._committed()

    def waiting(self):
        done = {(mark.message.channel, mark.message.key) for mark in self.marks if mark.status != "waiting"}
        return [message for message in self.messages if (message.channel, message.key) not in done]

    def _committed(self):
        done = threading.Event()
        if self.commits:
            done.set()
        return done


class Clock:
    """A clock that stands where it is put, in seconds after T0."""

    def __init__(self) -> None:
        self.second = 0.0

    def __call__(self) -> int:
        return T0 + round(self.second * S)
