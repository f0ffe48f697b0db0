"""The rules in force, their states and what they did: one evaluator for the process, whatever the pages do."""

import math
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol

from alerts.outcome import Followed, Outcome, follow, followed
from alerts.rules import (
    CLOSE,
    MAX_NAME,
    MAX_RULES,
    AlertEvent,
    Change,
    Rule,
    RuleState,
    Scope,
    body_of,
    check_heard,
    check_windows,
    end_silence,
    plan_of,
    rule_from,
    silence,
    state_from,
    step,
)
from analytics.readings import Moment
from analytics.resampling import timeframe_us
from utils import logger
from utils.clock import US_PER_S, SteadyClock, monotonic_s
from utils.errors import InputError, StaleEdit, StorageError

LOG = logger.get("alerts")
EVENTS_KEPT = 1_000
TICK = "tick"  # a pair at trade times, in place of a bar width
ROUND_S = 0.8  # a round that takes longer leaves the rest of the scopes to the next one, which begins with them
SEEN_EVERY_US = US_PER_S  # how often it is noted that rules are judged, while one is pending
MAX_SILENCE_S = 30 * 86_400.0


class Reading(dict[str, float]):
    """Metrics by name, at the close of the newest bar or now; a plain dict will do where there is no more to say."""

    def __init__(
        self,
        values: Mapping[str, float],
        at_us: int | None = None,
        missed: Iterable[Moment] = (),
        revised: Iterable[Moment] = (),
        context: Callable[[], Mapping[str, Any]] | None = None,
    ) -> None:
        super().__init__(values)
        self.at_us = at_us  # None: the time of the round
        self.missed = missed  # bars that closed since the last round, before the newest
        self.revised = revised  # bars that later data has changed, to the newest
        self.context = context


ReadingOf = Callable[[Scope], Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Kept:
    """What one round, or one act of a user, leaves to be stored: all of it or nothing."""

    events: tuple[AlertEvent, ...] = ()
    states: Mapping[tuple[str, str], Mapping[str, Any] | None] = field(default_factory=dict)  # by rule and venue
    outcomes: Mapping[str, Outcome] = field(default_factory=dict)  # by event id
    messages: tuple["Message", ...] = ()
    seen: tuple[str, int] | None = None  # venue, time up to which its rules have been judged


@dataclass(frozen=True, slots=True)
class Message:
    """What goes to one channel. `key` is the same however often it has to be sent."""

    key: str
    channel: str
    event_id: str
    rule_id: str
    state: str
    severity: str
    at_us: int  # of the event, market time
    queued_us: int  # wall time
    title: str
    body: str
    attempts: int = 0


class RuleStore(Protocol):
    """Where rules, states, events and messages survive the process."""

    def load_rules(self) -> list[dict[str, Any]]: ...

    def load_states(self) -> list[tuple[str, str, dict[str, Any]]]: ...

    def load_followed(self, venue: str) -> list[dict[str, Any]]: ...

    def seen_us(self, venue: str) -> int | None: ...

    def save_rule(self, body: Mapping[str, Any]) -> None: ...

    def delete_rule(self, rule_id: str) -> None: ...

    def keep(self, kept: Kept) -> threading.Event: ...

    def history(self, limit: int, **chosen: Any) -> list[dict[str, Any]]: ...


class Sender(Protocol):
    """Who brings messages to channels."""

    def messages(self, event: AlertEvent, rule: Rule) -> Iterable[Message]: ...

    def put(self, messages: Iterable[Message], committed: threading.Event) -> None: ...

    def forget(self, rule_id: str) -> None: ...

    def check(self, channels: Iterable[str]) -> None: ...


class AlertEngine:
    """Rules by id, their states, and the newest events; safe from any thread."""

    def __init__(
        self, store: RuleStore | None = None, sender: Sender | None = None, clock: Callable[[], int] | None = None
    ) -> None:
        self._store = store
        self._sender = sender
        self._clock = clock or SteadyClock()
        self._lock = threading.Lock()
        self._rules: dict[str, Rule] = {}
        self._scopes: dict[Scope, list[Rule]] | None = None  # of the rules as they are; None after a change
        self._states: dict[tuple[str, str], RuleState] = {}  # by rule and venue
        self._judged_us: dict[str, int] = {}  # rule -> the newest time it was judged at
        self._followed: dict[str, tuple[Scope, Followed]] = {}  # event id -> what came of it is not known yet
        self._events: deque[AlertEvent] = deque(maxlen=EVENTS_KEPT)
        self._seq = 0
        self._venue = ""
        self._anew_seq: int | None = None  # number of the newest event when this market was taken up anew, if it was
        self._turn = 0  # the scope that a round begins with
        self._seen_us = 0
        self.counts = dict.fromkeys(("rounds", "judged", "skipped", "failed", "fired"), 0)
        self.round_s = 0.0  # of the newest round

    # --- the market ---------------------------------------------------------------------------------

    def load(self) -> None:
        """Take the stored rules into force; one that cannot be read any more is logged and left in the store.

        One whose recovery level is on the wrong side, as it once could be, goes on without that level: it would flap.
        """
        for body in self._store.load_rules() if self._store else []:
            try:
                rule = _readable(body)
            except (InputError, KeyError) as exc:
                LOG.warning("stored rule left out: %s", exc)
                continue
            self._rules[rule.rule_id], self._scopes = rule, None
        for rule_id, venue, body in self._store.load_states() if self._store else []:
            try:
                self._states[rule_id, venue] = state_from(body)
            except (TypeError, ValueError, AttributeError) as exc:
                LOG.warning("stored state of rule %s left out: %s", rule_id, exc)

    def take_up(self, venue: str, now_us: int, anew: bool = False) -> None:
        """Judge this market from now on: where a stop or another market interrupted it, or anew.

        The time in between does not count for a rule that is pending, and none stands in the future.
        """
        seen_us, rows = (None, []) if anew else self._left_by_an_earlier_run(venue)
        with self._lock:
            silent = {rule_id: state for (rule_id, _), state in self._states.items() if state.silenced_until_us}
            self._venue, self._judged_us, self._followed = venue, {}, {}
            self._anew_seq = self._seq if anew else None
            for rule_id in self._rules:
                old = RuleState() if anew else self._states.get((rule_id, venue), RuleState())
                self._states[rule_id, venue] = _silent_as(silent.get(rule_id), _resumed(old, seen_us, now_us))
            for key, state in self._states.items():
                if key[1] != venue:  # a silence goes along
                    self._states[key] = silence(state, None)
            for row in rows:
                self._followed[row["event_id"]] = (Scope(*row["scope"]), Followed(**row["followed"]))

    def _left_by_an_earlier_run(self, venue: str) -> tuple[int | None, list[dict[str, Any]]]:
        """Up to when its rules were judged, and firings that are followed; nothing while the file cannot be read."""
        if self._store is None:
            return None, []
        try:
            return self._store.seen_us(venue), self._store.load_followed(venue)
        except StorageError as exc:
            LOG.error("rules go on without what is stored: %s", exc)
            return None, []

    # --- rules --------------------------------------------------------------------------------------

    def rules(self) -> list[Rule]:
        """Rules in the order they were made."""
        with self._lock:
            return list(self._rules.values())

    def state(self, rule_id: str) -> RuleState:
        """Where one rule stands."""
        with self._lock:
            return self._states.get((rule_id, self._venue), RuleState())

    def add(self, body: Mapping[str, Any]) -> Rule:
        """Take a new rule into force.

        Raises
        ------
        InputError
            A field is wrong, or there are MAX_RULES rules already.
        """
        rule = self.checked(body)
        with self._lock:
            if len(self._rules) >= MAX_RULES:
                raise InputError(f"there may be at most {MAX_RULES} rules")
            self._rules[rule.rule_id], self._scopes = rule, None
        self._save(rule)
        return rule

    def checked(self, body: Mapping[str, Any]) -> Rule:
        """The rule that these fields make; it is not in force.

        Raises
        ------
        InputError
        """
        rule = self._allowed(body, uuid.uuid4().hex[:12])
        check_heard(rule, body)
        return rule

    def _allowed(self, body: Mapping[str, Any], rule_id: str) -> Rule:
        rule = rule_from(body, rule_id)
        if not (rule.symbol_x and rule.timeframe == TICK):
            width_us = timeframe_us(rule.timeframe)
            if rule.on == CLOSE:
                check_windows(rule, width_us)
        if self._sender is not None:
            self._sender.check(rule.channels)
        return rule

    def update(self, rule_id: str, fields: Mapping[str, Any], version: int | None = None) -> Rule:
        """Change some fields of a rule; a change of what it watches starts its state anew, a silence stays.

        Raises
        ------
        KeyError
            No such rule.
        StaleEdit
            `version` is the one that was edited, and somebody has changed the rule since.
        InputError
        """
        with self._lock:
            old = self._rules[rule_id]
            body = body_of(old)
            differs = {n: (body.get(n), v) for n, v in fields.items() if _listed(body.get(n)) != _listed(v)}
            _check_version(old, version, differs)
            if {"metric", "condition"} & set(fields) and "expression" not in fields:
                body["expression"] = ""  # one condition takes its place
            rule = self._allowed({**body, **fields, "version": old.version + 1}, rule_id)
            check_heard(rule, fields)
            self._rules[rule_id], self._scopes = rule, None
            states = {}
            if _watched(rule) != _watched(old) or rule.enabled != old.enabled:
                self._judged_us.pop(rule_id, None)
                for key in [key for key in self._states if key[0] == rule_id]:
                    self._states[key] = _silent_as(self._states[key], RuleState())
                    states[key] = _stored(self._states[key])
        self._save(rule)
        self._keep(Kept(states=states))
        return rule

    def duplicate(self, rule_id: str) -> Rule:
        """A copy of a rule, not in force until it is enabled.

        Raises
        ------
        KeyError, InputError
        """
        with self._lock:
            body = body_of(self._rules[rule_id])
        name = f"{body['name']} (copy)"[:MAX_NAME] if body["name"] else ""
        return self.add({**body, "name": name, "enabled": False, "version": 1})

    def remove(self, rule_id: str, version: int | None = None) -> None:
        """Take a rule out of force; its history stays, what of it waits to be sent does not.

        Raises
        ------
        KeyError
            No such rule.
        StaleEdit
            `version` is the one that was seen, and somebody has changed the rule since.
        """
        with self._lock:
            _check_version(self._rules[rule_id], version, {})
            del self._rules[rule_id]
            self._scopes = None
            keys = [key for key in self._states if key[0] == rule_id]
            for key in keys:
                del self._states[key]
        if self._store:
            self._store.delete_rule(rule_id)
        self._keep(Kept(states=dict.fromkeys(keys)))
        if self._sender is not None:
            self._sender.forget(rule_id)

    def silence(self, rule_id: str, for_s: float | None) -> int | None:
        """Keep back what a rule has to say for so many seconds, or until now (None); it is judged all the same.

        Returns the time at which the silence ends.

        Raises
        ------
        KeyError, InputError
        """
        if for_s is not None and not 0 < for_s <= MAX_SILENCE_S:
            raise InputError(f"a silence must last up to {MAX_SILENCE_S:g} s, was {for_s:g}", "for_s")
        until_us = None if for_s is None else self._clock() + round(for_s * US_PER_S)
        with self._lock:
            key = self._rules[rule_id].rule_id, self._venue
            state = self._states.get(key, RuleState())
            if until_us is None and state.silenced_until_us is not None:
                until_us = self._clock()  # the next round ends it, with a word
            self._states[key] = state = silence(state, until_us)
        self._keep(Kept(states={key: _stored(state)}))
        return until_us

    # --- events -------------------------------------------------------------------------------------

    def events_after(self, seq: int) -> list[AlertEvent]:
        """Events newer than `seq`, oldest first."""
        with self._lock:
            return [event for event in self._events if event.seq > seq]

    def events_of_market(self) -> list[AlertEvent]:
        """Events of the open market, oldest first: not of another venue, nor of an earlier pass of a replay."""
        with self._lock:
            return self._of_market()

    @property
    def last_seq(self) -> int:
        """Number of the newest event; 0 before the first."""
        return self._seq

    def evaluate(self, reading: ReadingOf, at_us: int, venue: str, whole: bool = False) -> list[AlertEvent]:
        """Judge every enabled rule on the reading of its scope, and record the changes of state.

        A scope is read once, however many rules share it. A rule is judged once for each bar that closes. A round that
        takes long leaves scopes to the next one, but not where it is `whole`, as a replay waits for it.
        """
        began_s = monotonic_s()
        if venue != self._venue:
            self.take_up(venue, at_us)
        work = _Round(at_us, venue)
        scopes = list(self._by_scope().items())
        for done in range(len(scopes)):
            if not whole and done and monotonic_s() - began_s > ROUND_S:
                self.counts["skipped"] += len(scopes) - done
                self._turn += done
                break
            scope, rules = scopes[(self._turn + done) % len(scopes)]
            found = self._read(reading, scope)
            with self._lock:
                self._judge(scope, rules, found, work)
            if work.late:
                self._record_late(work)
        with self._lock:
            self._end_silences(work)
        self._note_seen(work)
        self._finish(work)
        self.counts["rounds"] += 1
        self.round_s = monotonic_s() - began_s
        return work.events

    def _read(self, reading: ReadingOf, scope: Scope) -> Mapping[str, float]:
        """The reading of a scope; none where taking it fails."""
        try:
            return reading(scope)
        except Exception:  # a bug in one metric must not silence the rules of every other scope
            LOG.exception("the reading of %s %s failed", scope.name, scope.timeframe)
            self.counts["failed"] += 1
            return {}

    def figures(self) -> dict[str, float]:
        """How the evaluation stands: rules, rounds, rules judged, scopes put off, firings, seconds of a round."""
        rules = self.rules()
        enabled = sum(rule.enabled for rule in rules)
        return {"rules": len(rules), "enabled": enabled, **self.counts, "round_s": self.round_s}

    def wanted(self, scope: Scope) -> set[str]:
        """Metrics that the rules of a scope ask for."""
        return {value.metric for rule in self._by_scope().get(scope, ()) for value in plan_of(rule).values}

    def _by_scope(self) -> dict[Scope, list[Rule]]:
        """The enabled rules of each scope; put together once a change."""
        with self._lock:
            if self._scopes is None:
                self._scopes = {}
                for rule in self._rules.values():
                    if rule.enabled:
                        self._scopes.setdefault(rule.scope, []).append(rule)
            return self._scopes

    # Everything below is called with the lock held, if nothing else is said.

    def _judge(self, scope: Scope, rules: list[Rule], found: Mapping[str, float], work: "_Round") -> None:
        newest_us = getattr(found, "at_us", None)
        newest = Moment(work.at_us if newest_us is None else newest_us, found)
        moments = [*getattr(found, "missed", ()), newest]
        for rule in rules:
            if self._rules.get(rule.rule_id) is not rule:
                continue  # edited or removed while its reading was made
            after_us = self._judged_us.get(rule.rule_id)
            if after_us is not None and newest.at_us < after_us:
                self._stepped_back(rule.rule_id, newest.at_us, work)
                after_us = None
            for moment in moments if after_us is not None else moments[-1:]:
                if newest_us is None or after_us is None or moment.at_us > after_us:
                    self._step(rule, moment, work, getattr(found, "context", None))
            self._judged_us[rule.rule_id] = newest.at_us
        self._recount(rules, list(getattr(found, "revised", ())), work)
        for moment in moments:
            self._follow(scope, moment, work)

    def _stepped_back(self, rule_id: str, at_us: int, work: "_Round") -> None:
        """The clock of the market was set back: no time of a state stands in the future."""
        key = rule_id, work.venue
        self._states[key] = _resumed(self._states.get(key, RuleState()), None, at_us)

    def _step(
        self, rule: Rule, moment: Moment, work: "_Round", context: Callable[[], Mapping[str, Any]] | None
    ) -> None:
        key = rule.rule_id, work.venue
        old = self._states.get(key) or RuleState()
        begins = old.watched_us is None
        if begins:
            old = replace(old, watched_us=moment.at_us)
        state, change = step(rule, old, moment.values, moment.at_us)
        self.counts["judged"] += 1
        if state is old and not begins:
            return
        if change is not None and change.state == "firing":
            state = replace(state, event_id=uuid.uuid4().hex[:12])
        self._states[key] = state
        if change is None:
            if begins or (state.state, state.since_us) != (old.state, old.since_us):
                work.states[key] = state
            return
        work.states[key] = state
        event = self._record(rule, state, change, moment.at_us, work)
        if change.state == "firing":
            self._begin_to_follow(rule, event, moment, work, context)

    def _record(self, rule: Rule, state: RuleState, change: Change, at_us: int, work: "_Round") -> AlertEvent:
        self._seq += 1
        event = AlertEvent(
            seq=self._seq,
            event_id=state.event_id if state.event_id and change.state != "missed" else uuid.uuid4().hex[:12],
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
            venue=work.venue,
            rule_version=rule.version,
            silenced=change.silenced,
            count=change.count,
            stands=state.state,
        )
        self._events.append(event)
        work.events.append(event)
        return event

    def _begin_to_follow(
        self,
        rule: Rule,
        event: AlertEvent,
        moment: Moment,
        work: "_Round",
        context: Callable[[], Mapping[str, Any]] | None,
    ) -> None:
        """Note what was true when it fired, and follow what comes of it."""
        self.counts["fired"] += 1
        values = moment.whole
        start = followed(values, moment.at_us) if rule.symbol_x else None
        if start is not None:
            self._followed[event.event_id] = rule.scope, start
        more: Mapping[str, Any] = context() if context is not None else {}
        told = replace(
            event,
            context={
                "rule": body_of(rule),
                "values": {name: value for name, value in values.items() if math.isfinite(value)},
                "followed": None if start is None else asdict(start),
                "scope": list(rule.scope),
                **more,
            },
        )
        self._events[-1] = work.events[-1] = told

    def _follow(self, scope: Scope, moment: Moment, work: "_Round") -> None:
        """What came of the firings of this scope, as far as it is known now."""
        if not self._followed or scope.timeframe == TICK:
            return
        width_us = timeframe_us(scope.timeframe)
        for event_id, (where, start) in list(self._followed.items()):
            if where != scope or moment.at_us <= start.began_us:
                continue
            start, outcome = follow(start, moment.values, moment.at_us, width_us)
            self._followed[event_id] = where, start
            if outcome is not None:
                del self._followed[event_id]
                work.outcomes[event_id] = outcome

    def _recount(self, rules: Iterable[Rule], revised: list[Moment], work: "_Round") -> None:
        """Find what would have fired had the data been there in time, while the rules watched what they watch now."""
        if not revised:
            return
        for rule in rules:
            since_us, state = self._state(rule).watched_us, RuleState()
            for moment in revised:
                if since_us is None or moment.at_us < since_us:
                    continue
                state, change = step(rule, state, moment.values, moment.at_us)
                if change is not None and change.state == "firing" and not self._fired_at(rule, moment.at_us, []):
                    work.late.append((rule, replace(change, state="missed"), moment.at_us))

    def _fired_at(self, rule: Rule, at_us: int, stored: list[Mapping[str, Any]]) -> bool:
        """Whether a rule was firing at a time, or that it would have been is recorded; `stored` rows are older."""
        now = self._state(rule)
        if "FIRING" in (now.state, now.before_nodata) and now.fired_us is not None and now.fired_us <= at_us:
            return True
        since_us = now.watched_us or 0
        rows = [(row["state"], row["at_us"]) for row in stored]
        rows += [(event.state, event.at_us) for event in self._of_market() if event.rule_id == rule.rule_id]
        firing = False
        for state, when_us in rows:
            if state == "missed" and when_us == at_us:
                return True
            if since_us <= when_us <= at_us and state in ("firing", "resolved"):
                firing = state == "firing"
        return firing

    def _state(self, rule: Rule) -> RuleState:
        return self._states.get((rule.rule_id, self._venue), RuleState())

    def _of_market(self) -> list[AlertEvent]:
        since = self._anew_seq or 0
        return [event for event in self._events if event.seq > since and event.venue == self._venue]

    def _end_silences(self, work: "_Round") -> None:
        for rule in self._rules.values():
            key = rule.rule_id, work.venue
            old = self._states.get(key)
            if old is None or old.silenced_until_us is None:
                continue
            state, change = end_silence(old, self._clock())
            if change is not None:
                self._states[key] = work.states[key] = state
                self._record(rule, state, change, work.at_us, work)

    def _note_seen(self, work: "_Round") -> None:
        """Note, now and then, up to when pending rules were judged: the time of a stop must not count for them."""
        pending = any(state.state == "PENDING" for (_, venue), state in self._states.items() if venue == work.venue)
        if pending and (work.states or abs(work.at_us - self._seen_us) >= SEEN_EVERY_US):
            self._seen_us = work.at_us
            work.seen = work.venue, work.at_us

    # --- without the lock ---------------------------------------------------------------------------

    def _record_late(self, work: "_Round") -> None:
        """Record, but do not tell, what would have fired, where neither this process nor an earlier one told it."""
        late, work.late = work.late, []
        stored = {rule.rule_id: self._stored_events(rule, work.venue) for rule, _, _ in late}
        with self._lock:
            for rule, change, at_us in late:
                if self._rules.get(rule.rule_id) is rule and not self._fired_at(rule, at_us, stored[rule.rule_id]):
                    self._record(rule, RuleState(), change, at_us, work)

    def _stored_events(self, rule: Rule, venue: str) -> list[Mapping[str, Any]]:
        """The newest events of a rule in the file that are not in memory, oldest first; none of a market begun anew."""
        if self._store is None or self._anew_seq is not None:
            return []
        try:
            rows = self._store.history(EVENTS_KEPT, rule_id=rule.rule_id)
        except StorageError as exc:
            LOG.error("what would have fired is looked up in memory alone: %s", exc)
            return []
        known = {(event.event_id, event.state, event.at_us) for event in self.events_of_market()}
        return [
            row
            for row in reversed(rows)
            if row["venue"] == venue and (row["event_id"], row["state"], row["at_us"]) not in known
        ]

    def _finish(self, work: "_Round") -> None:
        """Store what happened together with what is to be sent, then hand that on."""
        for event in work.events:
            LOG.info("%s", event.text)
        rules = {rule.rule_id: rule for rule in self.rules()}
        messages = tuple(
            message
            for event in work.events
            if self._sender is not None and event.rule_id in rules and not event.silenced and event.state != "missed"
            for message in self._sender.messages(event, rules[event.rule_id])
        )
        kept = Kept(
            events=tuple(work.events),
            states={key: _stored(state) for key, state in work.states.items()},
            outcomes=work.outcomes,
            messages=messages,
            seen=work.seen,
        )
        committed = self._keep(kept)
        if messages and self._sender is not None:
            self._sender.put(messages, committed)

    def _keep(self, kept: Kept) -> threading.Event:
        if self._store is not None and (kept.events or kept.states or kept.outcomes or kept.seen):
            return self._store.keep(kept)
        done = threading.Event()
        done.set()
        return done

    def _save(self, rule: Rule) -> None:
        if self._store:
            self._store.save_rule(body_of(rule))


class _Round:
    """What one round has brought about so far."""

    def __init__(self, at_us: int, venue: str) -> None:
        self.at_us, self.venue = at_us, venue
        self.events: list[AlertEvent] = []
        self.states: dict[tuple[str, str], RuleState] = {}
        self.outcomes: dict[str, Outcome] = {}
        self.seen: tuple[str, int] | None = None
        self.late: list[tuple[Rule, Change, int]] = []  # what would have fired, and when


def _readable(body: Mapping[str, Any]) -> Rule:
    """A stored rule, without its recovery level where that cannot be.

    Raises
    ------
    InputError, KeyError
    """
    try:
        return rule_from(body, str(body["rule_id"]))
    except InputError as exc:
        if exc.field != "recovery":
            raise
        rule = rule_from({**body, "recovery": None}, str(body["rule_id"]))
        LOG.warning("rule %s goes on without its recovery level: %s", rule.title, exc)
        return rule


def _check_version(rule: Rule, version: int | None, differs: dict[str, tuple[object, object]]) -> None:
    """Refuse what was decided on another version than the one in force."""
    if version not in (None, rule.version):
        raise StaleEdit(f"the rule has version {rule.version} by now, the edit was made on {version}", differs)


def _resumed(state: RuleState, seen_us: int | None, now_us: int) -> RuleState:
    """A state of an earlier run, as it stands now."""
    if state.state == "PENDING" and seen_us is not None:
        state = replace(state, since_us=state.since_us + max(now_us - max(seen_us, state.since_us), 0))
    times = {name: getattr(state, name) for name in ("since_us", "fired_us", "told_us", "blind_us", "watched_us")}
    late = {name: now_us for name, at_us in times.items() if at_us is not None and at_us > now_us}
    return replace(state, **late) if late else state  # type: ignore[arg-type]


def _silent_as(other: RuleState | None, state: RuleState) -> RuleState:
    """A state under the silence of another."""
    if other is None:
        return state
    return replace(state, silenced_until_us=other.silenced_until_us, suppressed=other.suppressed)


def _stored(state: RuleState) -> dict[str, Any]:
    """A state for the file: what a crossing or a change is told by begins anew after a stop."""
    body = asdict(state)
    del body["memory"]
    return body


def _watched(rule: Rule) -> tuple[Any, ...]:
    """What a rule watches, apart from its name, severity and channels."""
    return plan_of(rule), rule.scope, rule.for_s


def _listed(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
