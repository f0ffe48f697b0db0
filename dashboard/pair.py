"""The Pair page as markup: its six readings, and what happened to the pair."""

import math

from analytics.pair import PairAnalysis
from analytics.verdict import ALPHA
from dashboard import formats, rules
from dashboard.evidence import bars_time, spread_unit
from dashboard.markup import Card, Row, muted, section, table
from dashboard.view import View
from engine import Engine, Gap
from utils.clock import hhmmss, zone_name

EVENTS = 6


def reading_cards(analysis: PairAnalysis, view: View) -> list[Card]:
    """The newest closed values as cards; values of the forming bar stand beside them, marked as such."""
    return [
        _zscore_card(analysis, view),
        _spread_card(analysis, view),
        _hedge_card(analysis),
        _half_life_card(analysis, view),
        _cointegration_card(analysis),
        _correlation_card(analysis, view),
    ]


def _zscore_card(analysis: PairAnalysis, view: View) -> Card:
    z = float(analysis.path.zscore[-1])
    past = abs(z) >= view.entry_z
    place = f"past ±{view.entry_z:g}" if past else ""
    forming = _forming(analysis, "zscore", lambda value: formats.number(value, 2, sign=True))
    detail = " · ".join(part for part in (place, forming) if part)
    return Card("z-score", formats.number(z, 2, sign=True), detail, "zscore", "attention" if past else "")


def _forming(analysis: PairAnalysis, name: str, write: object) -> str:
    """A value of the bar in progress, marked as provisional."""
    value = getattr(analysis.provisional, name, None) if analysis.provisional is not None else None
    return f"now {write(value)}" if formats.exists(value) else ""  # type: ignore[operator]


def _spread_card(analysis: PairAnalysis, view: View) -> Card:
    value = float(analysis.path.spread[-1])
    return Card("spread", formats.significant(value, 5), spread_unit(analysis, view.symbol_y), "spread")


def _hedge_card(analysis: PairAnalysis) -> Card:
    value = float(analysis.path.hedge_ratio[-1])
    stderr = float(analysis.path.hedge_ratio_stderr[-1])
    detail = f"se {formats.significant(stderr, 2)}" if math.isfinite(stderr) else ""
    return Card("hedge ratio", formats.significant(value, 4), detail, "hedge_ratio")


def _half_life_card(analysis: PairAnalysis, view: View) -> Card:
    found = analysis.evidence.half_life
    if found is None:
        return Card("half-life", formats.NONE, analysis.missing.get("half_life", ""), "half_life", "muted")
    low, high = (bars_time(bars, view) for bars in (found.low, found.high))
    return Card("half-life", bars_time(found.bars, view), f"{low} … {high}", "half_life")


def _cointegration_card(analysis: PairAnalysis) -> Card:
    pvalue = analysis.cointegration_pvalue
    if math.isnan(pvalue):
        reason = analysis.missing.get("engle_granger", "")
        return Card("cointegration p", formats.NONE, reason, "cointegration", "muted")
    word = "shown, one look" if pvalue < ALPHA else "not shown"
    return Card("cointegration p", formats.pvalue(pvalue), word, "cointegration")


def _correlation_card(analysis: PairAnalysis, view: View) -> Card:
    value = float(analysis.path.correlation[-1])
    return Card("correlation", formats.number(value, 2), f"{formats.timeframe(view.timeframe)} returns", "correlation")


def events(engine: Engine, view: View) -> str:
    """The newest alerts and gaps of the pair, newest first, as markup."""
    rows = [(event.at_us, rules.event_text(event), "") for event in rules.pair_events(engine, view, EVENTS)]
    gaps = (gap for gap in engine.gaps() if gap.symbol in (view.symbol_y, view.symbol_x))
    rows += [(gap.found_us, _gap_text(gap), "attention") for gap in gaps]
    newest = sorted(rows, reverse=True)[:EVENTS]
    body = [Row((hhmmss(at_us, view.zone), text), tone) for at_us, text, tone in newest]
    return section(
        "Last events",
        table((zone_name(engine.now_us(), view.zone), ""), body) if body else muted("No alerts and no gaps so far."),
    )


def _gap_text(gap: Gap) -> str:
    count = gap.last_id - gap.first_id + 1
    end = "open" + (f": {gap.note}" if gap.note else "")
    if gap.filled_us is not None:
        end = f"repaired in {formats.duration((gap.filled_us - gap.found_us) / 1e6)}"
    return f"{formats.base(gap.symbol)}: gap of {count:,} id{'s' if count > 1 else ''} ({gap.cause}), {end}"
