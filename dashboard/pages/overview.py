"""Overview: a tile for each symbol, candles of one of them, statistics of all."""

from html import escape

import pandas as pd
import streamlit as st

import config
from dashboard.charts.overview import candles_height
from dashboard.live.component import live_chart, live_panel
from dashboard.main import run
from dashboard.overview import shown_bars, span_text, statistics
from dashboard.panels import panel
from dashboard.sidebar import key, span_control
from dashboard.view import INDICATORS, View
from data.exporters import csv_text, numbered
from engine import Engine


def page(engine: Engine, view: View) -> None:
    """All symbols at a glance."""
    about = f"{span_text(view)} · {len(engine.symbols)} symbols"
    st.html(f'<div class="ps-head"><h2>Overview</h2><span>{escape(about)}</span></div>')
    live_panel("tiles", view)
    with panel("candles", view), st.container(border=True):
        _chart(engine, view)
    live_panel("statistics", view)
    _downloads(engine, view)


def _chart(engine: Engine, view: View) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.segmented_control("Symbol", engine.symbols, key=key("symbol"), required=True, label_visibility="collapsed")
        span_control(view)
        st.pills(
            "Indicators",
            list(INDICATORS),
            format_func=INDICATORS.__getitem__,
            selection_mode="multi",
            key=key("indicators"),
            label_visibility="collapsed",
        )
    live_chart("candles", view, candles_height(view.indicators))


def _downloads(engine: Engine, view: View) -> None:
    with st.container(horizontal=True):
        st.download_button(
            f"Bars of {view.symbol}, CSV",
            data=lambda: bars_csv(engine, view),
            file_name=f"{view.symbol}-{view.timeframe}-bars.csv",
            mime="text/csv",
            on_click="ignore",
            key="bars-csv",
        )
        st.download_button(
            "Statistics, CSV",
            data=lambda: statistics_csv(engine, view),
            file_name=f"statistics-{view.timeframe}.csv",
            mime="text/csv",
            on_click="ignore",
            key="statistics-csv",
        )


def bars_csv(engine: Engine, view: View) -> str:
    """The bars shown as CSV; numbers are written so that reading them back gives the same ones."""
    frame = engine.bars(view.symbol, view.timeframe, config.CHART_BARS)
    return csv_text(numbered(frame))


def statistics_csv(engine: Engine, view: View) -> str:
    """The statistics of all symbols as CSV."""
    frames = shown_bars(engine, view)
    rows = {symbol: statistics(frame, view.timeframe) for symbol, frame in frames.items() if len(frame)}
    return csv_text(pd.DataFrame.from_dict(rows, orient="index").rename_axis("symbol").reset_index())


if __name__ == "__main__":
    run(page)
