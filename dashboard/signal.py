"""The signal of a pair as markup: what the rule would do, the score taken apart, and what speaks against it."""

from collections.abc import Iterable
from html import escape

from analytics.pair import PairAnalysis
from analytics.signals import Event, Leg, Opportunity, Signal, SignalParams
from dashboard import formats
from dashboard.charts.signals import event_text
from dashboard.markup import Card, Row, gauge, muted, section, table
from dashboard.view import View
from utils.clock import hhmmss

SIDES = {1: "long the spread", 0: "flat", -1: "short the spread"}
TERMS = {
    "zscore": ("z-score", "|z|"),
    "volatility": ("volatility", "of the spread, × before"),
    "momentum": ("momentum", "towards the mean"),
    "liquidity": ("liquidity", "of the thinner leg"),
}


def cards_of(found: Signal, view: View) -> list[Card]:
    """The six cards."""
    past = f"past ±{view.entry_z:g}" if abs(found.zscore) > view.entry_z else ""
    score, pays = found.opportunity, formats.number(found.breakeven_z, 2)
    return [
        Card("opportunity", formats.number(score.score, 0), _capped(score), "opportunity", _tone(found)),
        Card("signal", _entry(found), "", "signal", "" if found.entry == "none" else "attention"),
        Card("z-score", formats.number(found.zscore, 2, sign=True), past, "zscore"),
        Card("|z| that pays", _infinite(found.breakeven_z, pays), _pays(found), "breakeven"),
        Card("position of the rule", SIDES[found.position], "", "position"),
        Card("momentum of z", formats.number(found.momentum, 2, sign=True), _momentum(found, view.rule), "momentum"),
    ]


def _tone(found: Signal) -> str:
    return "" if formats.exists(found.opportunity.score) and not found.opportunity.void else "muted"


def _capped(score: Opportunity) -> str:
    if score.void:
        return "void"
    if not formats.exists(score.score):
        return "not known"
    if formats.exists(score.uncapped) and score.uncapped > score.score:
        return f"capped, {score.uncapped:.0f} without reasons against"
    return "of 100"


def _entry(found: Signal) -> str:
    return {"buy": "buy the spread", "sell": "sell the spread", "none": "no entry"}[found.entry]


def _infinite(value: float, text: str) -> str:
    return "none" if value == float("inf") else text


def _pays(found: Signal) -> str:
    if not formats.exists(found.breakeven_z):
        return ""
    by = "at quotes" if found.cost_measured else "fees only"
    return f"{'reached' if found.pays else 'not reached'}, {by}"


def _momentum(found: Signal, rule: SignalParams) -> str:
    if not formats.exists(found.momentum):
        return ""
    return "flat" if abs(found.momentum) < rule.hysteresis else "rising" if found.momentum > 0 else "falling"


def plan(found: Signal, analysis: PairAnalysis, view: View) -> str:
    """What the rule would do with each leg, for one unit of y."""
    legs = ((view.symbol_y, found.leg_y), (view.symbol_x, found.leg_x))
    rows = [_leg(symbol, leg, found.entry != "none") for symbol, leg in legs]
    if found.entry == "none":
        side = "sold" if found.zscore > 0 else "bought"
        lead = f"No entry. Beyond |z| {view.entry_z:g} the spread would be {side}, with these sizes."
    else:
        lead = f"{_entry(found).capitalize()}: z is {formats.number(found.zscore, 2, sign=True)}."
    limits = f"Leave below |z| {view.exit_z:g}, stop above {view.stop_z:g}"
    leave = f"{limits}; each decided at a close and in force from the next bar."
    body = f"<p>{escape(lead)}</p>{table(('leg', '', 'units', 'notional'), rows)}{muted(leave)}"
    return section("What the rule says", body)


def _leg(symbol: str, leg: Leg, stands: bool) -> Row:
    notional = f"{formats.number(leg.notional, 2)} {formats.quote(symbol)}"
    action = leg.action if stands else formats.NONE
    return Row((symbol, action, formats.significant(leg.units, 5), notional), metric="signal")


def score(found: Signal) -> str:
    """The opportunity score taken apart."""
    rows = []
    for term in found.opportunity.terms:
        name, unit = TERMS[term.name]
        measured = formats.number(term.value, 2 if term.name != "liquidity" else 0)
        parts = (formats.number(term.score, 0), f"{term.weight:.0%}".replace("%", " %"), formats.number(term.part, 1))
        rows.append(Row((f"{name}, {unit}", measured, *parts), metric="opportunity"))
    total = formats.number(found.opportunity.uncapped, 1)
    rows.append(Row(("together, before reasons against", "", "", "", total), metric="opportunity"))
    bars = gauge([(TERMS[term.name][0], term.part, 100 * term.weight) for term in found.opportunity.terms])
    return section("Opportunity, taken apart", bars + table(("term", "measured", "score", "weight", "part"), rows))


def reasons(found: Signal) -> str:
    """What speaks against the trade, strongest first."""
    if not found.reasons:
        return section("Reasons not to trade", muted("None. That is no promise: the score ranks moments of one pair."))
    rows = []
    for reason in found.reasons:
        effect = "voids" if reason.cap == 0 else f"at most {reason.cap:g}" if formats.exists(reason.cap) else "unknown"
        rows.append(Row((reason.text, effect), "attention" if reason.cap == 0 else "", "reasons"))
    return section("Reasons not to trade", table(("", "score"), rows))


def event_rows(events: Iterable[Event], analysis: PairAnalysis, zone: str) -> list[tuple[str, str, str]]:
    """Time, what the rule did, and z then."""
    return [(_time(analysis, event.bar, zone), event_text(event), _signed(event.zscore)) for event in events]


def _time(analysis: PairAnalysis, bar: int, zone: str) -> str:
    return f"bar {bar}" if analysis.ts_us is None else hhmmss(int(analysis.ts_us[bar]), zone)


def _signed(value: float) -> str:
    return formats.number(value, 2, sign=True)


def history(rows: list[tuple[str, str, str]], zone: str) -> str:
    """What the rule did lately."""
    body = table((zone, "", "z"), [Row(cells) for cells in rows]) if rows else muted("No entry in the bars shown.")
    return section("What the rule did", body + muted("Of the rule on z alone: reasons against are those of now."))
