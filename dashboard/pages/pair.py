"""Pair: six readings, five panes on one time axis, and beside them what it means, the tests, and what happened."""

from html import escape

import streamlit as st

from analytics.pair import PairAnalysis
from analytics.resampling import timeframe_us
from dashboard import formats
from dashboard.charts.base import first_shown
from dashboard.charts.pair import HEIGHT
from dashboard.live.component import live_chart, live_panel
from dashboard.main import run
from dashboard.panels import panel
from dashboard.sidebar import key, span_control
from dashboard.view import LEGS, METHODS, View
from data.exporters import csv_text
from engine import Engine


def page(engine: Engine, view: View) -> None:
    """The selected pair, live."""
    st.html(f'<div class="ps-head"><h2>{escape(_title(view))}</h2><span>{escape(_subtitle(view))}</span></div>')
    live_panel("pair-readings", view)
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
        live_chart("pair", view, HEIGHT)
    with side:
        live_panel("pair-tests", view)
        live_panel("pair-events", view)
        st.button(
            "Backtest this",
            key="backtest-this",
            on_click=_backtest,
            help="Trade this rule over the past, with the window, method and thresholds of this page",
            width="stretch",
        )
        _downloads(engine, view)
    live_panel("pair-reversion", view)


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
