"""Alert rules and their state machine: pure functions of a rule, its state, a value and a time."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from utils.clock import US_PER_S
from utils.errors import InputError

# A comparison with NaN is False, so a value that does not exist never holds.
HOLDS: dict[str, Callable[[float, float], bool]] = {
    ">": lambda value, threshold: value > threshold,
    ">=": lambda value, threshold: value >= threshold,
    "<": lambda value, threshold: value < threshold,
    "<=": lambda value, threshold: value <= threshold,
    "outside": lambda value, threshold: abs(value) > threshold,
    "inside": lambda value, threshold: abs(value) < threshold,
}
WORDS = {"outside": "outside ±", "inside": "inside ±"}
SEVERITIES = ("info", "warning", "critical")
ALIASES = {"z_score": "zscore", "half_life_bars": "half_life"}
PAIR_METRICS = (
    "zscore",
    "spread",
    "hedge_ratio",
    "correlation",
    "half_life",
    "half_life_low",
    "half_life_high",
    "pvalue",
    "session_pvalue",
    "monitor",
    "adf_pvalue",
    "residual_z",
    "exit_bars",
    "breakeven_z",
    "price_y",
    "price_x",
    "coverage",
)
MAX_RULES = 1_000
MAX_SECONDS = 7 * 86_400.0


@dataclass(frozen=True, slots=True)
class Rule:
    """What to watch for. `outside` and `inside` compare the absolute value: z outside ±2.

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
    channels: tuple[str, ...] = ()
    enabled: bool = True
    version: int = 1

    def __post_init__(self) -> None:
        if self.metric not in PAIR_METRICS:
            raise InputError(f"metric must be one of {', '.join(PAIR_METRICS)}, was {self.metric!r}", "metric")
        if self.condition not in HOLDS:
            raise InputError(f"condition must be one of {', '.join(HOLDS)}, was {self.condition!r}", "condition")
        if self.severity not in SEVERITIES:
            raise InputError(f"severity must be one of {', '.join(SEVERITIES)}, was {self.severity!r}", "severity")
        for field in ("threshold", "recovery"):
            value = getattr(self, field)
            if value is not None and not math.isfinite(value):
                raise InputError(f"{field} must be a finite number, was {value}", field)
        for field in ("for_s", "cooldown_s"):
            if not 0 <= getattr(self, field) <= MAX_SECONDS:
                raise InputError(f"{field} must be 0 to {MAX_SECONDS:.0f} seconds, was {getattr(self, field)}", field)
        if len(self.name) > 120:
            raise InputError(f"name must have at most 120 characters, had {len(self.name)}", "name")

    @property
    def title(self) -> str:
        """The rule's name, or its condition in words: `ETHUSDT/BTCUSDT 1s zscore outside ±2`."""
        word = WORDS.get(self.condition, f"{self.condition} ")
        return self.name or f"{self.symbol_y}/{self.symbol_x} {self.timeframe} {self.metric} {word}{self.threshold:g}"

    def holds(self, value: float) -> bool:
        """Whether the condition is met; never for NaN."""
        return HOLDS[self.condition](value, self.threshold)

    def recovered(self, value: float) -> bool:
        """Whether a firing rule may resolve; never for NaN."""
        level = self.threshold if self.recovery is None else self.recovery
        return not math.isnan(value) and not HOLDS[self.condition](value, level)


@dataclass(frozen=True, slots=True)
class RuleState:
    """Where a rule stands: OK, PENDING, FIRING or NODATA."""

    state: str = "OK"
    since_us: int = 0
    fired_us: int | None = None  # last time it began to fire
    event_id: str = ""  # of the firing in progress
    before_nodata: str = "OK"  # what NODATA interrupted: no data neither fires nor resolves


@dataclass(frozen=True, slots=True)
class Change:
    """A change of state that people are told of: "firing", "resolved" or "nodata"."""

    state: str
    value: float | None


@dataclass(frozen=True, slots=True)
class AlertEvent:
    """One change of state of one rule."""

    seq: int  # grows by one with each event of this process; pages ask for what is newer
    event_id: str  # the same for a firing and its end
    rule_id: str
    name: str
    metric: str
    state: str  # "firing", "resolved" or "nodata"
    severity: str
    symbol_y: str
    symbol_x: str
    timeframe: str
    at_us: int
    value: float | None
    threshold: float
    venue: str

    @property
    def text(self) -> str:
        """The event in one sentence."""
        at = "" if self.value is None else f" at {self.value:+.4g}"
        return f"{self.name}: {self.state}{at}"


def step(rule: Rule, now: RuleState, value: float, at_us: int) -> tuple[RuleState, Change | None]:
    """The next state of a rule for one value, and the change to report, if any.

    NaN means that there is no value: the rule goes to NODATA once and later continues where it was. A rule
    that has not seen a value yet goes there without a word.
    """
    if math.isnan(value):
        if now.state == "NODATA":
            return now, None
        told = Change("nodata", None) if now.since_us else None
        return replace(now, state="NODATA", since_us=at_us, before_nodata=now.state), told
    if now.state == "NODATA":
        back = "FIRING" if now.before_nodata == "FIRING" else "OK"
        now = replace(now, state=back, since_us=at_us)
    now = now if now.since_us else replace(now, since_us=at_us)
    if now.state == "FIRING":
        if rule.recovered(value):
            return replace(now, state="OK", since_us=at_us), Change("resolved", value)
        return now, None
    if not rule.holds(value):
        return (replace(now, state="OK", since_us=at_us) if now.state == "PENDING" else now), None
    if now.state == "OK":
        now = replace(now, state="PENDING", since_us=at_us)
    rested = now.fired_us is None or at_us - now.fired_us >= rule.cooldown_s * US_PER_S
    if rested and at_us - now.since_us >= rule.for_s * US_PER_S:
        return replace(now, state="FIRING", since_us=at_us, fired_us=at_us), Change("firing", value)
    return now, None


def rule_from(body: Mapping[str, Any], rule_id: str) -> Rule:
    """A rule from loose fields, as they come from a form, a file or the API.

    Raises
    ------
    InputError
        An unknown field, a missing one, or a value of the wrong kind.
    """
    known = {name: body[name] for name in body if name in Rule.__dataclass_fields__ and name != "rule_id"}
    unknown = sorted(set(body) - set(known) - {"rule_id"})
    if unknown:
        raise InputError(f"unknown field {unknown[0]!r}", unknown[0])
    for field in ("metric", "condition", "threshold", "symbol_y", "symbol_x", "timeframe"):
        if field not in known:
            raise InputError(f"{field} is missing", field)
    known["metric"] = ALIASES.get(known["metric"], known["metric"])
    known["channels"] = tuple(known.get("channels") or ())
    for field in ("threshold", "for_s", "cooldown_s", "recovery"):
        if known.get(field) is not None:
            known[field] = _number(known[field], field)
    return Rule(rule_id=rule_id, **known)


def _number(value: object, field: str) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise InputError(f"{field} must be a number, was {value!r}", field) from None
