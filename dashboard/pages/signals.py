"""Signals: what a fixed rule would do with the pair now, its score taken apart, and what speaks against it."""

from html import escape

import pandas as pd
import streamlit as st

from analytics.pair import PairAnalysis
from analytics.resampling import timeframe_us
from analytics.signals import mean_reversion_signal, momentum_signal
from dashboard import formats, signal
from dashboard.charts.base import first_shown
from dashboard.charts.signals import HEIGHT
from dashboard.live.component import live_chart, live_panel
from dashboard.main import run
from dashboard.panels import panel
from dashboard.sidebar import key, notice, span_control
from dashboard.view import AVERAGES, WEIGHTS, View
from data.exporters import csv_text
from engine import Engine


def page(engine: Engine, view: View) -> None:
    """The signal of the selected pair, live."""
    about = f"{formats.timeframe(view.timeframe)} bars · decided at closes only · a fixed rule, no advice"
    st.html(f'<div class="ps-head"><h2>Signals {escape(view.pair)}</h2><span>{escape(about)}</span></div>')
    live_panel("signal-readings", view)
    chart, side = st.columns([1.7, 1], gap="small")
    with chart:
        with panel("signal chart", view), st.container(border=True):
            span_control(view)
            live_chart("signals", view, HEIGHT)
        live_panel("rule-events", view)
    with side:
        live_panel("signal-plan", view)
        _settings(view)
        _downloads(engine, view)


def _analysis(engine: Engine, view: View) -> PairAnalysis:
    return engine.analysis(view.symbol_y, view.symbol_x, view.timeframe, view.params)


def _settings(view: View) -> None:
    """Weights of the score and bars of the momentum."""
    with st.expander("Weights and averages"), st.form("signal-settings", border=False):
        st.caption("Weights of the score, percent; together 100.")
        columns = st.columns(len(WEIGHTS))
        names = [name for name, _ in signal.TERMS.values()]
        for column, name, weight in zip(columns, names, view.weights, strict=True):
            column.number_input(name, 0, 100, weight, step=5, key=f"weight-{name}")
        st.caption("Averages of the momentum, bars.")
        fast, slow = st.columns(2)
        fast.number_input("fast", *AVERAGES, view.fast, key="average-fast")
        slow.number_input("slow", *AVERAGES, view.slow, key="average-slow")
        st.form_submit_button("Apply", on_click=_apply)


def _apply() -> None:
    state = st.session_state
    weights = [state[f"weight-{name}"] for name, _ in signal.TERMS.values()]
    if sum(weights) != 100:
        notice(f"weights must sum to 100, summed to {sum(weights)}: they stay as they were")
    else:
        state[key("weights")] = weights
    if state["average-fast"] >= state["average-slow"]:
        notice(f"the fast average needs fewer bars than the slow: {state['average-fast']}, {state['average-slow']}")
    else:
        state[key("fast")], state[key("slow")] = state["average-fast"], state["average-slow"]


def _downloads(engine: Engine, view: View) -> None:
    st.download_button(
        "Signal bar by bar, CSV",
        data=lambda: signal_csv(engine, view),
        file_name=f"{view.symbol_y}-{view.symbol_x}-{view.timeframe}-signal.csv",
        mime="text/csv",
        on_click="ignore",
        key="signal-csv",
        width="stretch",
    )


def signal_csv(engine: Engine, view: View) -> str:
    """z, position and momentum of the bars drawn, as CSV; numbers are written so that reading them back is exact."""
    analysis = _analysis(engine, view)
    z = analysis.path.zscore
    reversion, momentum = mean_reversion_signal(z, view.rule), momentum_signal(z, view.rule)
    columns = {"zscore": z, "position": reversion.position, "in_force": reversion.in_force}
    columns |= {"momentum": momentum.strength, "momentum_position": momentum.position}
    frame = pd.DataFrame(columns)
    if analysis.ts_us is not None:
        frame.insert(0, "ts_us", analysis.ts_us)
        frame = frame.iloc[first_shown(analysis.ts_us, timeframe_us(view.timeframe), view.span) :]
    return csv_text(frame)


if __name__ == "__main__":
    run(page)
