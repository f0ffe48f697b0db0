"""The rules in force, their states and what they did: one evaluator for the process, whatever the pages do."""

import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, replace
from typing import Any, Protocol

from alerts.rules import MAX_RULES, AlertEvent, Change, Rule, RuleState, rule_from, step
from utils import logger
from utils.errors import InputError

LOG = logger.get("alerts")
EVENTS_KEPT = 1_000


class RuleStore(Protocol):
    """Where rules and events survive the process."""

    def load_rules(self) -> list[dict[str, Any]]: ...

    def save_rule(self, body: Mapping[str, Any]) -> None: ...

    def delete_rule(self, rule_id: str) -> None: ...

    def save_event(self, row: Mapping[str, Any]) -> None: ...


Reading = Callable[[Rule], Mapping[str, float]]


class AlertEngine:
    """Rules by id, their states, and the newest events; safe from any thread."""

    def __init__(self, store: RuleStore | None = None) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._rules: dict[str, Rule] = {}
        self._states: dict[str, RuleState] = {}
        self._events: deque[AlertEvent] = deque(maxlen=EVENTS_KEPT)
        self._seq = 0

    def load(self) -> None:
        """Take the stored rules into force; one that cannot be read any more is logged and left in the store."""
        for body in self._store.load_rules() if self._store else []:
            try:
                rule = rule_from(body, str(body["rule_id"]))
            except (InputError, KeyError) as exc:
                LOG.warning("stored rule left out: %s", exc)
                continue
            self._rules[rule.rule_id] = rule

    def rules(self) -> list[Rule]:
        """Rules in the order they were made."""
        with self._lock:
            return list(self._rules.values())

    def state(self, rule_id: str) -> RuleState:
        """Where one rule stands."""
        with self._lock:
            return self._states.get(rule_id, RuleState())

    def add(self, body: Mapping[str, Any]) -> Rule:
        """Take a new rule into force.

        Raises
        ------
        InputError
            A field is wrong, or there are MAX_RULES rules already.
        """
        rule = rule_from(body, uuid.uuid4().hex[:12])
        with self._lock:
            if len(self._rules) >= MAX_RULES:
                raise InputError(f"there may be at most {MAX_RULES} rules")
            self._rules[rule.rule_id] = rule
        self._save(rule)
        return rule

    def update(self, rule_id: str, fields: Mapping[str, Any]) -> Rule:
        """Change some fields of a rule; a change of what it watches starts its state anew.

        Raises
        ------
        KeyError
            No such rule.
        InputError
        """
        with self._lock:
            old = self._rules[rule_id]
            body = {**asdict(old), **fields, "version": old.version + 1}
            rule = rule_from(body, rule_id)
            self._rules[rule_id] = rule
            if _watched(rule) != _watched(old) or rule.enabled != old.enabled:
                self._states.pop(rule_id, None)
        self._save(rule)
        return rule

    def remove(self, rule_id: str) -> None:
        """Take a rule out of force; its history stays.

        Raises
        ------
        KeyError
            No such rule.
        """
        with self._lock:
            del self._rules[rule_id]
            self._states.pop(rule_id, None)
        if self._store:
            self._store.delete_rule(rule_id)

    def events_after(self, seq: int) -> list[AlertEvent]:
        """Events newer than `seq`, oldest first."""
        with self._lock:
            return [event for event in self._events if event.seq > seq]

    @property
    def last_seq(self) -> int:
        """Number of the newest event; 0 before the first."""
        return self._seq

    def forget_states(self) -> None:
        """Every rule starts anew, as another market is watched now."""
        with self._lock:
            self._states.clear()

    def evaluate(self, reading: Reading, at_us: int, venue: str) -> list[AlertEvent]:
        """Judge every enabled rule on its reading and record the changes of state."""
        changes = []
        for rule in self.rules():
            if rule.enabled:
                value = reading(rule).get(rule.metric, float("nan"))
                changes.append((rule, float(value)))
        with self._lock:
            events = list(self._judge(changes, at_us, venue))
        for event in events:
            LOG.info("%s", event.text)
            if self._store:
                self._store.save_event({**asdict(event), "text": event.text})
        return events

    def _judge(self, values: Iterable[tuple[Rule, float]], at_us: int, venue: str) -> Iterable[AlertEvent]:
        for rule, value in values:
            if self._rules.get(rule.rule_id) is not rule:
                continue  # edited or removed while its reading was made
            state, change = step(rule, self._states.get(rule.rule_id, RuleState()), value, at_us)
            if change is not None and change.state == "firing":
                state = replace(state, event_id=uuid.uuid4().hex[:12])
            self._states[rule.rule_id] = state
            if change is not None:
                yield self._record(rule, state, change, at_us, venue)

    def _record(self, rule: Rule, state: RuleState, change: Change, at_us: int, venue: str) -> AlertEvent:
        self._seq += 1
        event = AlertEvent(
            seq=self._seq,
            event_id=state.event_id or uuid.uuid4().hex[:12],
            rule_id=rule.rule_id,
            name=rule.title,
            metric=rule.metric,
            state=change.state,
            severity=rule.severity,
            symbol_y=rule.symbol_y,
            symbol_x=rule.symbol_x,
            timeframe=rule.timeframe,
            at_us=at_us,
            value=change.value,
            threshold=rule.threshold,
            venue=venue,
        )
        self._events.append(event)
        return event

    def _save(self, rule: Rule) -> None:
        if self._store:
            self._store.save_rule(asdict(rule))


def _watched(rule: Rule) -> tuple[Any, ...]:
    """What a rule watches, apart from its name, severity and channels."""
    return rule.metric, rule.condition, rule.threshold, rule.symbol_y, rule.symbol_x, rule.timeframe, rule.for_s
