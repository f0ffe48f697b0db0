"""Pair: six readings, five panes on one time axis, and beside them what it means, the tests, and what happened."""

import math
from html import escape

import streamlit as st

from analytics.pair import PairAnalysis
from analytics.resampling import timeframe_us
from analytics.verdict import ALPHA
from dashboard import formats, rules
from dashboard.charts.base import first_shown
from dashboard.evidence import (
    bars_time,
    hedge,
    legs,
    residual_tests,
    reversion,
    spread_unit,
    tests,
    together,
    verdict,
    watching,
)
from dashboard.live.component import live_chart
from dashboard.main import run
from dashboard.markup import Card, Row, cards, muted, section, table
from dashboard.panels import panel, refreshed
from dashboard.sidebar import key, span_control
from dashboard.view import LEGS, METHODS, View
from data.exporters import csv_text
from engine import Engine, Gap
from utils.clock import hhmmss, zone_name

CHART_HEIGHT = 1_000  # pixels
EVENTS = 6


def page(engine: Engine, view: View) -> None:
    """The selected pair, live."""
    st.html(f'<div class="ps-head"><h2>{escape(_title(view))}</h2><span>{escape(_subtitle(view))}</span></div>')
    refreshed("readings", readings, view, engine, view, min_height=70)
    chart, side = st.columns([2.5, 1], gap="small")
    with chart, panel("pair chart", view), st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            span_control(view)
            st.segmented_control(
                "Legs",
                list(LEGS),
                format_func=LEGS.__getitem__,
                key=key("legs"),
                required=True,
                label_visibility="collapsed",
            )
        live_chart("pair", view, CHART_HEIGHT)
    with side:
        refreshed("tests", beside, view, engine, view)
        refreshed("events", events_box, view, engine, view)
        st.button(
            "Backtest this",
            key="backtest-this",
            on_click=_backtest,
            help="Trade this rule over the past, with the window, method and thresholds of this page",
            width="stretch",
        )
        _downloads(engine, view)
    refreshed("reversion", below, view, engine, view)


def _backtest() -> None:
    """Open the Backtest page on the bars of this one, and run it."""
    st.session_state["go"] = "backtest"
    st.session_state["backtest-run"] = True


def _title(view: View) -> str:
    return f"{view.symbol_y} / {view.symbol_x}"


def _subtitle(view: View) -> str:
    name, *how = METHODS[view.method].split(", ")
    method = " ".join((*how, name))
    logs = " · logarithms" if view.log_prices else ""
    return f"{formats.timeframe(view.timeframe)} bars · {method}, {view.window} bars{logs} · closed bars only"


def _analysis(engine: Engine, view: View) -> PairAnalysis:
    return engine.analysis(view.symbol_y, view.symbol_x, view.timeframe, view.params)


def readings(engine: Engine, view: View) -> None:
    """The six cards."""
    st.html(cards(reading_cards(_analysis(engine, view), view)))


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


def beside(engine: Engine, view: View) -> None:
    """Verdict, session, tests and hedge ratio."""
    analysis = _analysis(engine, view)
    parts = verdict(analysis), watching(analysis, view), tests(analysis, view), hedge(analysis, view)
    st.html("".join(parts))


def below(engine: Engine, view: View) -> None:
    """Reversion, and what the spread and the legs are by themselves."""
    analysis = _analysis(engine, view)
    alone = f"<div>{together(analysis, view)}{legs(analysis, view)}</div>"
    parts = reversion(analysis, view), residual_tests(analysis, view), alone
    st.html(f'<div class="ps-columns">{"".join(parts)}</div>')


def events_box(engine: Engine, view: View) -> None:
    """What happened to the pair."""
    st.html(events(engine, view))


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


def _downloads(engine: Engine, view: View) -> None:
    st.download_button(
        "Rows shown, CSV",
        data=lambda: pair_csv(engine, view),
        file_name=f"{view.symbol_y}-{view.symbol_x}-{view.timeframe}.csv",
        mime="text/csv",
        on_click="ignore",
        key="pair-csv",
        width="stretch",
    )


def pair_csv(engine: Engine, view: View) -> str:
    """The rows drawn as CSV; numbers are written so that reading them back gives the same ones."""
    analysis = _analysis(engine, view)
    frame = analysis.frame()
    if analysis.ts_us is not None:
        frame = frame.iloc[first_shown(analysis.ts_us, timeframe_us(view.timeframe), view.span) :]
    return csv_text(frame)


if __name__ == "__main__":
    run(page)
