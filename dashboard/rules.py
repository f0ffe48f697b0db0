"""Alert rules as the pages use them: the quick rule on |z|, what a rule is called, and what is new."""

from typing import Any

from alerts.rules import AlertEvent, Rule
from dashboard import formats
from dashboard.view import View
from engine import Engine

QUICK_COOLDOWN_S = 30.0


def quick_rule(view: View) -> dict[str, Any]:
    """The rule that fires when |z| of the pair shown passes its entry threshold, and ends at its exit threshold."""
    return {
        "metric": "zscore",
        "condition": "outside",
        "threshold": view.entry_z,
        "recovery": view.exit_z,
        "symbol_y": view.symbol_y,
        "symbol_x": view.symbol_x,
        "timeframe": view.timeframe,
        "cooldown_s": QUICK_COOLDOWN_S,
    }


def is_set(engine: Engine, view: View) -> bool:
    """Whether the quick rule of this view is in force already."""
    wanted = quick_rule(view)
    return any(all(getattr(rule, name) == wanted[name] for name in wanted) for rule in engine.alerts.rules())


def title(rule: Rule) -> str:
    """A rule in few words: `|z| > 2`, or the name it was given."""
    if rule.name:
        return rule.name
    if rule.metric == "zscore" and rule.condition == "outside":
        return f"|z| > {rule.threshold:g}"
    word = {"outside": "outside ±", "inside": "inside ±"}.get(rule.condition, f"{rule.condition} ")
    return f"{rule.metric} {word}{rule.threshold:g}"


def scope(rule: Rule) -> str:
    """What a rule watches: `ETH/BTC 1s`."""
    return f"{formats.base(rule.symbol_y)}/{formats.base(rule.symbol_x)} {rule.timeframe}"


def event_text(event: AlertEvent) -> str:
    """What happened, without the pair: `|z| > 2 fired at +2.14`."""
    name = event.name.removeprefix(f"{event.symbol_y}/{event.symbol_x} {event.timeframe} ")
    name = name.replace("zscore outside ±", "|z| > ")
    word = {"firing": "fired", "resolved": "ended", "nodata": "has no data"}.get(event.state, event.state)
    at = "" if event.value is None else f" at {formats.number(event.value, 2, sign=True)}"
    return f"{name} {word}{at}"


def state(engine: Engine, rule: Rule) -> str:
    """Where a rule stands, in words: ok, pending, firing, no data or off."""
    if not rule.enabled:
        return "off"
    return {"NODATA": "no data"}.get(found := engine.alerts.state(rule.rule_id).state, found.lower())


def pair_events(engine: Engine, view: View, limit: int) -> list[AlertEvent]:
    """The newest events of rules on the pair shown, newest first."""
    pair = (view.symbol_y, view.symbol_x)
    events = [event for event in engine.alerts.events_after(0) if (event.symbol_y, event.symbol_x) == pair]
    return events[::-1][:limit]
