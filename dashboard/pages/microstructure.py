"""Microstructure: who is hitting whom, how fast, and how thin the market is, from the tape of one symbol."""

from html import escape

import pandas as pd
import streamlit as st

from dashboard import formats
from dashboard.charts.tape import HEIGHT, SIZES_HEIGHT
from dashboard.live.component import live_chart, live_panel
from dashboard.main import run
from dashboard.panels import panel
from dashboard.sidebar import key, span_control
from dashboard.view import SIZE_LIMITS, View
from data.exporters import csv_text
from engine import Engine


def page(engine: Engine, view: View) -> None:
    """The tape of the chosen symbol, live."""
    about = f"the last minute against up to an hour before · charts of {formats.timeframe(view.timeframe)} bars"
    st.html(f'<div class="ps-head"><h2>Microstructure</h2><span>{escape(about)}</span></div>')
    with st.container(horizontal=True, vertical_alignment="center"):
        st.segmented_control("Symbol", engine.symbols, key=key("symbol"), required=True, label_visibility="collapsed")
        span_control(view)
    live_panel("tape-readings", view)
    chart, side = st.columns([2.5, 1], gap="small")
    with chart:
        with panel("tape chart", view), st.container(border=True):
            live_chart("tape", view, HEIGHT)
        with panel("sizes chart", view), st.container(border=True):
            live_chart("sizes", view, SIZES_HEIGHT)
    with side:
        live_panel("tape", view)
    left, middle, right = st.columns(3, gap="small")
    with left:
        live_panel("flow", view)
        _downloads(engine, view)
    with middle:
        live_panel("quotes", view)
        live_panel("lead-and-lag", view)
    with right:
        live_panel("round-trip", view)
        _size(view)


def _size(view: View) -> None:
    label = f"Size of y for the round trip, {formats.quote(view.symbol_y)}"
    st.number_input(label, *SIZE_LIMITS, step=1_000.0, key=key("notional"), format="%.0f")


def _downloads(engine: Engine, view: View) -> None:
    st.download_button(
        "Readings, CSV",
        data=lambda: readings_csv(engine),
        file_name="microstructure.csv",
        mime="text/csv",
        on_click="ignore",
        key="tape-csv",
        width="stretch",
    )


def readings_csv(engine: Engine) -> str:
    """The newest reading of every symbol that has traded, one row each, as CSV."""
    rows = engine.tapes.every()
    frame = pd.DataFrame([{"symbol": symbol, "now_us": row.now_us, **row.reading()} for symbol, row in rows.items()])
    return csv_text(frame)


if __name__ == "__main__":
    run(page)
