"""Microstructure: who is hitting whom, how fast, and how thin the market is, from the tape of one symbol."""

import contextlib
from html import escape

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import advanced, formats, quotes, tape
from dashboard.charts.overview import step_decimals
from dashboard.live.component import live_chart
from dashboard.main import run
from dashboard.markup import cards
from dashboard.panels import panel, refreshed
from dashboard.sidebar import key, span_control
from dashboard.view import SIZE_LIMITS, View
from data.exporters import csv_text
from engine import Engine
from utils.errors import TooFewObservations

CHART_HEIGHT, SIZES_HEIGHT = 760, 230  # pixels
TAPE_ROWS = 44


def page(engine: Engine, view: View) -> None:
    """The tape of the chosen symbol, live."""
    about = f"the last minute against up to an hour before · charts of {formats.timeframe(view.timeframe)} bars"
    st.html(f'<div class="ps-head"><h2>Microstructure</h2><span>{escape(about)}</span></div>')
    with st.container(horizontal=True, vertical_alignment="center"):
        st.segmented_control("Symbol", engine.symbols, key=key("symbol"), required=True, label_visibility="collapsed")
        span_control(view)
    refreshed("tape readings", readings, view, engine, view, min_height=140)
    chart, side = st.columns([2.5, 1], gap="small")
    with chart:
        with panel("tape chart", view), st.container(border=True):
            live_chart("tape", view, CHART_HEIGHT)
        with panel("sizes chart", view), st.container(border=True):
            live_chart("sizes", view, SIZES_HEIGHT)
    with side:
        refreshed("tape", newest, view, engine, view)
    left, middle, right = st.columns(3, gap="small")
    with left:
        refreshed("flow", flow, view, engine, view)
        _downloads(engine, view)
    with middle:
        refreshed("quotes", quoted, view, engine, view)
        refreshed("lead and lag", lead_and_lag, view, engine, view)
    with right:
        refreshed("round trip", round_trip, view, engine, view)
        _size(view)


def readings(engine: Engine, view: View) -> None:
    """The twelve cards."""
    st.html(cards(tape.reading_cards(engine.tape(view.symbol), view.symbol)))


def flow(engine: Engine, view: View) -> None:
    """The same minute in numbers."""
    st.html(tape.flow_table(engine.tape(view.symbol), view.symbol))


def lead_and_lag(engine: Engine, view: View) -> None:
    """Which leg of the pair moves first."""
    legs = view.symbol_y, view.symbol_x
    st.html(advanced.lead_lag(engine.lead_lag(*legs), *legs))


def newest(engine: Engine, view: View) -> None:
    """The newest trades."""
    large_from = engine.tape(view.symbol).sizes.large_from
    st.html(tape.ribbon(engine.ticks(view.symbol, TAPE_ROWS), large_from, view.symbol, view.zone))


def quoted(engine: Engine, view: View) -> None:
    """Best bid and ask."""
    try:
        found = engine.book(view.symbol)
    except TooFewObservations:
        st.html(quotes.no_quotes())
        return
    decimals = step_decimals(np.array([found.bid, found.ask]))
    st.html(quotes.quotes_table(found, view.symbol, decimals))


def round_trip(engine: Engine, view: View) -> None:
    """What the pair costs to enter and leave, where there are quotes of both legs."""
    analysis = engine.analysis(view.symbol_y, view.symbol_x, view.timeframe, view.params)
    ratio = float(analysis.path.hedge_ratio[-1])
    with contextlib.suppress(TooFewObservations):
        found = engine.pair_cost((view.symbol_y, view.symbol_x), ratio, view.log_prices, view.notional)
        st.html(quotes.cost_table(found, view))


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
    rows = engine.tapes()
    frame = pd.DataFrame([{"symbol": symbol, "now_us": row.now_us, **row.reading()} for symbol, row in rows.items()])
    return csv_text(frame)


if __name__ == "__main__":
    run(page)
