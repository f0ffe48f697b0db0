"""Alert rules and their state machine: pure functions of a rule, its state, a reading and a time.

    OK --condition--> PENDING --for_s, cooldown--> FIRING --recovery--> OK
    any --no data for nodata_s--> NODATA --data--> OK, or FIRING where that was interrupted

Times are microseconds of the market that is watched; they come in as an argument and never run backwards.
"""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any, NamedTuple

from alerts.conditions import (
    ALIASES,
    BANDS,
    EMPTY,
    HOLDS,
    OLDEST,
    Condition,
    Memory,
    Node,
    Seen,
    Truth,
    Value,
    band,
    begins,
    check_window,
    conditions,
    holds,
    look,
    parse,
    without_last,
)
from analytics.readings import metrics
from utils.clock import US_PER_S
from utils.errors import InputError

WORDS = {
    "outside": "outside ±",
    "inside": "inside ±",
    "crosses_above": "crosses above ",
    "crosses_below": "crosses below ",
}
SEVERITIES = ("info", "warning", "critical")
MAX_RULES = 1_000
MAX_SECONDS = 7 * 86_400.0
MAX_NAME = 120
MAX_CHANNELS = 20
EXPRESSION = "expression"  # stands as condition of a rule that has an expression
CLOSE, INTRABAR = "close", "intrabar"
SCREEN = "screen"  # as channel: nothing is sent, it shows on the pages only


class Scope(NamedTuple):
    """What a reading is taken of: a pair or, without `symbol_x`, a symbol, at the closes of bars or in between."""

    symbol_y: str
    symbol_x: str
    timeframe: str
    intrabar: bool = False

    @property
    def name(self) -> str:
        """The pair or symbol."""
        return f"{self.symbol_y}/{self.symbol_x}" if self.symbol_x else self.symbol_y


@dataclass(frozen=True, slots=True)
class Rule:
    """What to watch for: one condition, or an expression of several.

    `outside` and `inside` mean the band from `low` to `threshold`; without `low` the absolute value counts: z outside
    ±2. With `change_s` the change of the metric over so many seconds is compared. `symbol_x` is empty where a single
    symbol is watched.

    Raises
    ------
    InputError
        `field` names the field that is out of its limits.
    """

    rule_id: str
    metric: str
    condition: str
    threshold: float
    symbol_y: str
    symbol_x: str
    timeframe: str
    name: str = ""
    for_s: float = 0.0  # seconds that the condition has to hold, in market time
    cooldown_s: float = 60.0  # seconds after a "firing" in which the rule does not fire again
    recovery: float | None = None  # level at which a firing rule resolves; None = the threshold itself
    severity: str = "warning"
    channels: tuple[str, ...] = ()  # names of those to send to; none = all, "screen" = on the pages only
    enabled: bool = True
    version: int = 1
    low: float | None = None  # lower end of a band
    change_s: float = 0.0  # compare the change over this time
    expression: str = ""  # several conditions, in place of metric, condition and threshold
    until: str = ""  # a firing rule resolves when this expression holds, in place of `recovery`
    repeat_s: float = 0.0  # while firing it is told again after this time; 0 = once
    nodata_s: float = 10.0  # seconds without data after which that is told
    on: str = CLOSE  # judged at the close of each bar, or "intrabar": every second on the bar in progress

    def __post_init__(self) -> None:
        _one_of(self.severity, SEVERITIES, "severity")
        _one_of(self.on, (CLOSE, INTRABAR), "on")
        for field in ("threshold", "recovery", "low"):
            value = getattr(self, field)
            if value is not None and not math.isfinite(value):
                raise InputError(f"{field} must be a finite number, was {value}", field)
        for field in ("for_s", "cooldown_s", "repeat_s", "nodata_s"):
            if not 0 <= getattr(self, field) <= MAX_SECONDS:
                raise InputError(f"{field} must be 0 to {MAX_SECONDS:.0f} seconds, was {getattr(self, field)}", field)
        if len(self.name) > MAX_NAME:
            raise InputError(f"name must have at most {MAX_NAME} characters, had {len(self.name)}", "name")
        if len(self.channels) > MAX_CHANNELS:
            raise InputError(f"there may be at most {MAX_CHANNELS} channels, were {len(self.channels)}", "channels")
        if self.symbol_x == self.symbol_y:
            raise InputError(f"a pair needs two different symbols, both legs are {self.symbol_y}", "symbol_x")
        known = metrics(bool(self.symbol_x))
        for name, field in _named(plan_of(self), self):
            _one_of(name, tuple(known), field)

    @property
    def scope(self) -> Scope:
        """What its readings are taken of."""
        return Scope(self.symbol_y, self.symbol_x, self.timeframe, self.on == INTRABAR)

    @property
    def what(self) -> str:
        """Its condition in words: `zscore outside ±2`."""
        if self.expression:
            return self.expression
        if self.low is not None:
            return f"{self._value} {self.condition} {self.low:g} .. {self.threshold:g}"
        return f"{self._value} {WORDS.get(self.condition, f'{self.condition} ')}{self.threshold:g}"

    @property
    def title(self) -> str:
        """The rule's name, or its condition in words: `ETHUSDT/BTCUSDT 1s zscore outside ±2`."""
        what = self.what if len(self.what) <= MAX_NAME else f"{self.what[:MAX_NAME]} ..."
        return self.name or f"{self.scope.name} {self.timeframe} {what}"

    @property
    def _value(self) -> Value:
        return Value(self.metric, "change" if self.change_s else "", self.change_s)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a rule asks of its readings."""

    fires: Node
    until: Node | None  # resolves where this holds ...
    holding: Node  # ... or where this does not hold any more
    values: tuple[Value, ...]
    crossed: frozenset[Value]

    def recovered(self, seen: Seen) -> Truth:
        """Whether a firing rule may resolve."""
        if self.until is not None:
            return holds(self.until, seen)
        still = holds(self.holding, seen)
        return None if still is None else not still


@lru_cache(maxsize=4 * MAX_RULES)
def plan_of(rule: Rule) -> Plan:
    """What a rule asks of its readings.

    Raises
    ------
    InputError
        Its condition or expression cannot be read.
    """
    fires = parse(rule.expression) if rule.expression else _single(rule)
    until = parse(rule.until, "until") if rule.until else None
    holding = fires
    if rule.recovery is not None:
        if until is not None or not isinstance(fires, Condition) or rule.low is not None:
            raise InputError("recovery is for a rule of one level: use until", "recovery")
        _check_recovery(fires, rule.recovery)
        holding = replace(fires, high=rule.recovery, low=-rule.recovery)
    parts = [*conditions(fires), *conditions(holding), *(conditions(until) if until else ())]
    crossed = frozenset(one.value for one in conditions(fires) if one.compare.startswith("crosses"))
    return Plan(fires, until, holding, tuple(dict.fromkeys(one.value for one in parts)), crossed)


def _check_recovery(fires: Condition, level: float) -> None:
    """Refuse a level beyond the one that fires: the rule would end and fire again with every reading."""
    if fires.compare in BANDS and level < 0:
        raise InputError(f"recovery of a band must be >= 0, was {level:g}", "recovery")
    least, most = -math.inf, math.inf
    if fires.compare == "outside":
        most = min(fires.high, -fires.low)
    elif fires.compare == "inside":
        least = max(fires.high, -fires.low)
    elif fires.compare in (">", ">=", "crosses_above"):
        most = fires.high
    else:
        least = fires.high
    if not least <= level <= most:
        limit = f"<= {most:g}" if level > most else f">= {least:g}"
        raise InputError(f"recovery must be {limit} for {fires}, was {level:g}", "recovery")


def check_windows(rule: Rule, width_us: int) -> None:
    """Refuse a change that closes of this width never tell.

    A window that is no multiple of the width is rounded up to the next close; older than OLDEST windows none counts.

    Raises
    ------
    InputError
    """
    least_s = width_us / US_PER_S / OLDEST
    plan, field = plan_of(rule), EXPRESSION if rule.expression else "change_s"
    for name, node in ((field, plan.fires), ("until", plan.until)):
        for one in conditions(node) if node is not None else ():
            if 0 < one.value.window_s < least_s:
                why = f"is never known on bars of {rule.timeframe}: its window must be at least {least_s:g} s"
                raise InputError(f"{name}: {one.value} {why}, was {one.value.window_s:g} s", name)


def _single(rule: Rule) -> Condition:
    """The one condition of a rule without an expression."""
    _one_of(rule.condition, tuple(HOLDS), "condition")
    if rule.change_s:
        check_window(rule.change_s, "change_s")
    if rule.condition not in BANDS:
        if rule.low is not None:
            raise InputError(f"low is for {' and '.join(BANDS)}, not for {rule.condition}", "low")
        return Condition(rule._value, rule.condition, rule.threshold)
    if rule.low is None:
        return band(rule._value, rule.condition, rule.threshold, None, "threshold")
    return band(rule._value, rule.condition, rule.low, rule.threshold, "low")


def _named(plan: Plan, rule: Rule) -> list[tuple[str, str]]:
    """Every metric that a rule names, with the field that names it."""
    field = EXPRESSION if rule.expression else "metric"
    named = [(one.value.metric, field) for one in conditions(plan.fires)]
    return named + [(one.value.metric, "until") for one in (conditions(plan.until) if plan.until else ())]


def _one_of(value: str, known: tuple[str, ...], field: str) -> None:
    if value not in known:
        raise InputError(f"{field} must be one of {', '.join(known)}, was {str(value)[:80]!r}", field)


# --- the state machine --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RuleState:
    """Where a rule stands: OK, PENDING, FIRING or NODATA; silenced or not, it is judged."""

    state: str = "OK"
    since_us: int = 0  # 0 before its first value
    fired_us: int | None = None  # last time it began to fire
    told_us: int | None = None  # last time that was told, or told again
    event_id: str = ""  # of the firing in progress
    before_nodata: str = "OK"  # what NODATA interrupted: no data neither fires nor resolves
    blind_us: int | None = None  # since when there is no data
    watched_us: int | None = None  # since when it is judged as it is now; None before its first reading
    begun: int = 0  # times that the condition began to hold since the last firing
    silenced_until_us: int | None = None
    suppressed: int = 0  # changes that the silence kept back
    memory: Memory = dataclasses.field(default_factory=dict)  # what crossings and changes are told by

    @property
    def shown(self) -> str:
        """The state, or SILENCED."""
        return self.state if self.silenced_until_us is None else "SILENCED"


@dataclass(frozen=True, slots=True)
class Change:
    """What people are told of a rule: "firing", "repeat", "resolved", "nodata" or "unsilenced"."""

    state: str
    value: float | None
    silenced: bool = False
    count: int = 0  # of a firing: how often the condition began since the last one; of "unsilenced": what was kept back


@dataclass(frozen=True, slots=True)
class AlertEvent:
    """One change of state of one rule."""

    seq: int  # grows by one with each event of this process; pages ask for what is newer
    event_id: str  # the same for a firing and its end
    rule_id: str
    name: str
    metric: str
    state: str  # of `Change`, or "missed": it would have fired, on data that came later
    severity: str
    symbol_y: str
    symbol_x: str
    timeframe: str
    at_us: int
    value: float | None
    threshold: float
    venue: str
    rule_version: int = 1
    silenced: bool = False
    count: int = 0
    stands: str = ""  # the state of the rule now
    context: Mapping[str, Any] | None = None  # what was true then, of a firing
    outcome: Mapping[str, Any] | None = None  # what came of it

    @property
    def text(self) -> str:
        """The event in one sentence."""
        at = "" if self.value is None else f" at {self.value:+.4g}"
        if self.state == "unsilenced":
            kept = "1 message was" if self.count == 1 else f"{self.count} messages were"
            return f"{self.name}: the silence has ended, {kept} kept back; the rule is {self.stands}"
        often = f" ({self.count} times since the last)" if self.state == "firing" and self.count > 1 else ""
        word = {"repeat": "still firing", "missed": "would have fired"}.get(self.state, self.state)
        return f"{self.name}: {word}{at}{often}"


Stepped = tuple[RuleState, Change | None]


def step(rule: Rule, now: RuleState, reading: Mapping[str, float], at_us: int) -> Stepped:
    """The next state of a rule for one reading, and the change to report, if any.

    A metric that is absent or NaN is no data. It neither fires nor resolves; after `nodata_s` the rule goes to NODATA
    once, and later continues where it was. A rule that has not seen a value yet goes there without a word.
    """
    plan = plan_of(rule)
    seen, memory = look(plan.values, plan.crossed, reading, now.memory, at_us)
    if memory or now.memory:
        now = replace(now, memory=memory)
    value = seen.now[plan.values[0]]
    firing = (now.before_nodata if now.state == "NODATA" else now.state) == "FIRING"
    verdict = plan.recovered(seen) if firing else (holds if now.state == "PENDING" else begins)(plan.fires, seen)
    if verdict is None:
        stepped = _blind(rule, now, at_us)
    else:
        now = _seeing(now, at_us)
        stepped = (_firing if firing else _quiet)(rule, now, verdict, value, at_us)
    return _kept_back(*stepped)


def _blind(rule: Rule, now: RuleState, at_us: int) -> Stepped:
    """A step without data."""
    if now.state == "NODATA":
        return now, None
    since_us = at_us if now.blind_us is None else now.blind_us
    if at_us - since_us < rule.nodata_s * US_PER_S:
        return (now if now.blind_us == since_us else replace(now, blind_us=since_us)), None
    told = Change("nodata", None) if now.since_us else None
    memory = without_last(now.memory)
    return replace(now, state="NODATA", since_us=at_us, before_nodata=now.state, blind_us=since_us, memory=memory), told


def _seeing(now: RuleState, at_us: int) -> RuleState:
    """The state as data comes, or comes back."""
    if now.state == "NODATA":
        back = "FIRING" if now.before_nodata == "FIRING" else "OK"
        return replace(now, state=back, since_us=at_us, blind_us=None, before_nodata="OK")
    if now.since_us and now.blind_us is None:
        return now
    return replace(now, since_us=now.since_us or at_us, blind_us=None)


def _firing(rule: Rule, now: RuleState, recovered: bool, value: float, at_us: int) -> Stepped:
    """A step of a rule that fires."""
    if recovered:
        return replace(now, state="OK", since_us=at_us, told_us=None), Change("resolved", value)
    told_us = now.told_us if now.told_us is not None else now.since_us
    if rule.repeat_s and at_us - told_us >= rule.repeat_s * US_PER_S:
        return replace(now, told_us=at_us), Change("repeat", value)
    return now, None


def _quiet(rule: Rule, now: RuleState, met: bool, value: float, at_us: int) -> Stepped:
    """A step of a rule that does not fire."""
    if not met:
        return (replace(now, state="OK", since_us=at_us) if now.state == "PENDING" else now), None
    if now.state == "OK":
        now = replace(now, state="PENDING", since_us=at_us, begun=now.begun + 1)
    rested = now.fired_us is None or at_us - now.fired_us >= rule.cooldown_s * US_PER_S
    if rested and at_us - now.since_us >= rule.for_s * US_PER_S:
        fired = replace(now, state="FIRING", since_us=at_us, fired_us=at_us, told_us=at_us, begun=0)
        return fired, Change("firing", value, count=now.begun)
    return now, None


def _kept_back(now: RuleState, change: Change | None) -> Stepped:
    """The same under a silence: what changes is counted and not told."""
    if change is None or now.silenced_until_us is None:
        return now, change
    return replace(now, suppressed=now.suppressed + 1), replace(change, silenced=True)


def silence(now: RuleState, until_us: int | None) -> RuleState:
    """The state with a silence until a time; None takes it away without a word."""
    return replace(now, silenced_until_us=until_us, suppressed=0 if now.silenced_until_us is None else now.suppressed)


def end_silence(now: RuleState, at_us: int, value: float | None = None) -> Stepped:
    """The state once the time of a silence is over, and a word that says so; unchanged before."""
    if now.silenced_until_us is None or at_us < now.silenced_until_us:
        return now, None
    told_us = at_us if now.state == "FIRING" else now.told_us
    ended = replace(now, silenced_until_us=None, suppressed=0, told_us=told_us)
    return ended, Change("unsilenced", value, count=now.suppressed)


# --- loose fields ---------------------------------------------------------------------------------------

NUMBERS = ("threshold", "for_s", "cooldown_s", "recovery", "low", "change_s", "repeat_s", "nodata_s")
SINGLE = ("metric", "condition", "threshold", "low", "change_s")  # what an expression takes the place of
TEXTS = ("metric", "condition", "symbol_y", "symbol_x", "timeframe", "name", "severity", "expression", "until", "on")


def rule_from(body: Mapping[str, Any], rule_id: str) -> Rule:
    """A rule from loose fields, as they come from a form, a file or the API.

    `symbol` in place of the legs watches one symbol. An expression stands in place of metric, condition and threshold.
    None gives a field its default.

    Raises
    ------
    InputError
        An unknown field, a missing one, or a value of the wrong kind.
    """
    body = dict(body)
    symbol = body.pop("symbol", None)
    if symbol is not None:
        body |= {"symbol_y": symbol, "symbol_x": ""}
    known = {name: body[name] for name in body if name in Rule.__dataclass_fields__ and name != "rule_id"}
    unknown = sorted(set(body) - set(known) - {"rule_id"})
    if unknown:
        raise InputError(f"unknown field {unknown[0]!r}", unknown[0])
    known = {name: value for name, value in known.items() if value is not None}
    if known.get("expression"):
        known = _of_expression(known)
    for field in ("metric", "condition", "threshold", "symbol_y", "symbol_x", "timeframe"):
        if known.get(field) is None:
            raise InputError(f"{field} is missing", field)
    for field in TEXTS:
        if not isinstance(known.get(field, ""), str):
            raise InputError(f"{field} must be text, was {known[field]!r}", field)
    known["metric"] = ALIASES.get(known["metric"], known["metric"])
    known["channels"] = _channels(known.get("channels"))
    for field in NUMBERS:
        if known.get(field) is not None:
            known[field] = _number(known[field], field)
    return Rule(rule_id=rule_id, **known)


def check_heard(rule: Rule, fields: Mapping[str, Any]) -> None:
    """Refuse fields of one condition beside an expression: they have no effect. What a rule says of itself may stand.

    Raises
    ------
    InputError
    """
    for field in SINGLE if rule.expression else ():
        given = fields.get(field)
        if given is not None and (ALIASES.get(given, given) if field == "metric" else given) != getattr(rule, field):
            raise InputError(f"{field} has no effect beside an expression: give one or the other", field)


def body_of(rule: Rule) -> dict[str, Any]:
    """A rule as loose fields, from which `rule_from` makes it again."""
    return asdict(rule)


def state_from(body: Mapping[str, Any]) -> RuleState:
    """A state from its fields as JSON has them.

    Raises
    ------
    TypeError, ValueError, AttributeError
        The fields are not those of a state.
    """
    memory = {name: tuple((int(at), float(v)) for at, v in rows) for name, rows in body.get("memory", {}).items()}
    return RuleState(**{**body, "memory": memory or EMPTY})


def _of_expression(known: dict[str, Any]) -> dict[str, Any]:
    """The fields of a rule of an expression: its first condition stands for it in lists."""
    if not isinstance(known["expression"], str):
        raise InputError(f"expression must be text, was {known['expression']!r}", "expression")
    first = next(conditions(parse(known["expression"])))
    rest = {name: value for name, value in known.items() if name not in SINGLE}
    return rest | {"metric": first.value.metric, "condition": EXPRESSION, "threshold": first.high}


def _channels(names: object) -> tuple[str, ...]:
    if names is None:
        return ()
    if isinstance(names, str) or not isinstance(names, list | tuple) or not all(isinstance(n, str) for n in names):
        raise InputError(f"channels must be a list of names, was {names!r}", "channels")
    return tuple(dict.fromkeys(names))


def _number(value: object, field: str) -> float:
    try:
        if isinstance(value, bool):
            raise TypeError
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise InputError(f"{field} must be a number, was {value!r}", field) from None
