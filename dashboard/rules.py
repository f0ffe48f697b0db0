"""Alert rules as the pages use them: the quick rule on |z|, what a rule is called, and what is new."""

from typing import Any

from alerts.rules import AlertEvent, Rule
from dashboard import formats
from dashboard.view import View
from engine import Engine

QUICK_COOLDOWN_S = 30.0
QUICK_CONDITIONS = (">", "<", "crosses_above", "crosses_below", "outside")
WORDS = {
    "firing": "fired",
    "repeat": "still fires",
    "resolved": "ended",
    "nodata": "has no data",
    "unsilenced": "is not silenced any more",
    "missed": "would have fired",
}


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


def on_pair(view: View) -> dict[str, Any]:
    """The fields that say what a rule on the pair shown watches."""
    return {"symbol_y": view.symbol_y, "symbol_x": view.symbol_x, "timeframe": view.timeframe}


def newest(engine: Engine, view: View, metric: str) -> float:
    """What a metric of the pair shown is at the newest close, as rules see it; NaN where it is not known."""
    return engine.metric(view.symbol_y, view.symbol_x, view.timeframe, metric)


def is_set(engine: Engine, view: View) -> bool:
    """Whether the quick rule of this view is in force already."""
    wanted = quick_rule(view)
    return any(all(getattr(rule, name) == wanted[name] for name in wanted) for rule in engine.alerts.rules())


def title(rule: Rule) -> str:
    """A rule in few words: `|z| > 2`, or the name it was given."""
    if rule.name:
        return rule.name
    if rule.what == f"zscore outside ±{rule.threshold:g}":
        return f"|z| > {rule.threshold:g}"
    return rule.what


def scope(rule: Rule) -> str:
    """What a rule watches: `ETH/BTC 1s`."""
    legs = [formats.base(symbol) for symbol in (rule.symbol_y, rule.symbol_x) if symbol]
    return f"{'/'.join(legs)} {rule.timeframe}"


def event_text(event: AlertEvent) -> str:
    """What happened, without the pair: `|z| > 2 fired at +2.14`."""
    pair = f"{event.symbol_y}/{event.symbol_x}" if event.symbol_x else event.symbol_y
    name = event.name.removeprefix(f"{pair} {event.timeframe} ")
    name = name.replace("zscore outside ±", "|z| > ")
    word = WORDS.get(event.state, event.state)
    at = "" if event.value is None else f" at {formats.number(event.value, 2, sign=True)}"
    return f"{name} {word}{at}"


def state(engine: Engine, rule: Rule) -> str:
    """Where a rule stands, in words: ok, pending, firing, silenced, no data, no value yet or off."""
    if not rule.enabled:
        return "off"
    now = engine.alerts.state(rule.rule_id)
    if now.shown == "OK" and not now.since_us:
        return "no value yet"
    return {"NODATA": "no data"}.get(now.shown, now.shown.lower())


def pair_events(engine: Engine, view: View, limit: int) -> list[AlertEvent]:
    """The newest events of rules on the pair shown, newest first."""
    pair = (view.symbol_y, view.symbol_x)
    events = [event for event in engine.alerts.events_of_market() if (event.symbol_y, event.symbol_x) == pair]
    return events[::-1][:limit]
