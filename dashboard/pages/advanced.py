"""Advanced: correlation of many symbols and widths, who leads, how changes are distributed, trend and season."""

from collections.abc import Callable
from dataclasses import dataclass
from html import escape

import numpy as np
import pandas as pd
import streamlit as st

import config
from dashboard import formats, studies
from dashboard.live.component import live_chart, live_panel
from dashboard.main import run
from dashboard.markup import headed
from dashboard.panels import panel
from dashboard.sidebar import key
from dashboard.view import SUBJECTS, TOPICS, View
from data.exporters import csv_text
from engine import Engine
from utils.clock import US_PER_MS

HEIGHT = 380  # pixels
SEASON_HEIGHT = 560
CELL, CELLS = 46, (240, 760)  # pixels of a symbol of the heat map, and of all of them
SIDE = [1.7, 1]  # widths of figure and table


@dataclass(frozen=True, slots=True)
class Download:
    """A file offered under the figures that it holds the numbers of."""

    label: str
    name: str
    write: Callable[[Engine, View], str]


def page(engine: Engine, view: View) -> None:
    """One topic at a time: only what is looked at is computed."""
    about = f"{view.pair} · {formats.timeframe(view.timeframe)} bars · newest {config.CHART_BARS} closed ones"
    st.html(f'<div class="ps-head"><h2>Advanced</h2><span>{escape(about)}</span></div>')
    with st.container(horizontal=True, vertical_alignment="center"):
        _choice("Topic", "topic", list(TOPICS), TOPICS.__getitem__)
        if view.topic in ("distribution", "season"):
            _choice("Series", "subject", list(SUBJECTS), lambda subject: _series(view, subject))
        if view.topic == "season":
            _season_choice(view)
    TOPIC_PAGES[view.topic](engine, view)
    with st.container(horizontal=True):
        for download in DOWNLOADS[view.topic]:
            _offer(download, engine, view)


def _choice(label: str, field: str, options: list[str], text: Callable[[str], str]) -> None:
    st.segmented_control(label, options, format_func=text, key=key(field), required=True, label_visibility="collapsed")


def _series(view: View, subject: str) -> str:
    """What a choice of series is called."""
    return {"y": formats.base(view.symbol_y), "x": formats.base(view.symbol_x)}.get(subject, "spread")


def _season_choice(view: View) -> None:
    """The seasons that bars of this width can show; a choice that they cannot moves to the nearest."""
    fitting = studies.seasons(view)
    if fitting:
        st.session_state[key("season")] = studies.season_of(view)
        _choice("Season", "season", fitting, lambda season: f"1 {season}")


def _figure(name: str, title: str, metric: str, view: View, height: int, about: str = "") -> None:
    """A live figure under its title."""
    with panel(name, view), st.container(border=True):
        st.html(headed(title, metric, about))
        live_chart(name, view, height)


def _correlation(engine: Engine, view: View) -> None:
    left, right = st.columns(SIDE, gap="small")
    with left:
        shown = min(len(engine.symbols), studies.MOST_SYMBOLS)
        height = int(np.clip(CELL * shown, *CELLS))
        _figure("matrix", "Correlation of returns", "matrix", view, height, _of_symbols(engine))
    with right:
        live_panel("pairs", view)
    left, right = st.columns(SIDE, gap="small")
    with left:
        y, x = formats.base(view.symbol_y), formats.base(view.symbol_x)
        about = f"lag above 0: {x} first · drag to turn"
        _figure("surface", f"{y} and {x} over bar widths and lags", "surface", view, HEIGHT + 40, about)
    with right:
        live_panel("ridge", view)


def _of_symbols(engine: Engine) -> str:
    count, most = len(engine.symbols), studies.MOST_SYMBOLS
    return f"the first {most} of {count} symbols" if count > most else f"{count} symbols"


def _trades(engine: Engine, view: View) -> None:
    y, x = formats.base(view.symbol_y), formats.base(view.symbol_x)
    left, right = st.columns(SIDE, gap="small")
    with left:
        _figure("lead-lag", f"Which of {y} and {x} moves first", "lead_lag", view, HEIGHT, "newest trades, 20 ms")
    with right:
        live_panel("lead-and-lag", view)
    left, right = st.columns(SIDE, gap="small")
    with left:
        _figure("widths", "Correlation against bar width", "widths", view, HEIGHT, "the same trades")
    with right:
        live_panel("widths", view)


def _distribution(engine: Engine, view: View) -> None:
    series = _series(view, view.subject)
    left, right = st.columns(2, gap="small")
    with left:
        _figure("distribution", f"Distribution of {series}", "density", view, HEIGHT)
        _figure("memory", f"Memory of {series}", "autocorrelation", view, HEIGHT)
    with right:
        _figure("quantiles", "Against a normal and a Student t (Q-Q)", "quantiles", view, HEIGHT)
        live_panel("numbers", view)


def _season(engine: Engine, view: View) -> None:
    left, right = st.columns([2.5, 1], gap="small")
    with left:
        _figure("season", "Trend, season and rest", "season", view, SEASON_HEIGHT)
    with right:
        live_panel("strengths", view)


def _offer(download: Download, engine: Engine, view: View) -> None:
    st.download_button(
        f"{download.label}, CSV",
        data=lambda: download.write(engine, view),
        file_name=f"{download.name}-{view.symbol_y}-{view.symbol_x}-{view.timeframe}.csv",
        mime="text/csv",
        on_click="ignore",
        key=f"{download.name}-csv",
    )


def matrix_csv(engine: Engine, view: View) -> str:
    """One row a pair of symbols: correlation, interval and returns."""
    found = studies.matrix(engine, view)
    i, j = np.triu_indices(len(found.symbols), 1)
    legs = {name: [found.symbols[at] for at in rows.tolist()] for name, rows in (("symbol", i), ("other", j))}
    numbers = {name: getattr(found, name)[i, j] for name in ("correlation", "low", "high", "n_obs")}
    return csv_text(pd.DataFrame(legs | numbers))


def surface_csv(engine: Engine, view: View) -> str:
    """One row a bar width and lag."""
    found = studies.surface(engine, view)
    widths, lags = np.repeat(found.widths_us, found.lags.size), np.tile(found.lags, len(found.widths_us))
    returns = np.repeat(found.n_obs, found.lags.size)
    places = {"width_us": widths, "lag_bars": lags, "correlation": found.correlation.ravel()}
    return csv_text(pd.DataFrame(places | {"chance": found.band.ravel(), "n_obs": returns}))


def lead_lag_csv(engine: Engine, view: View) -> str:
    """One row a lag."""
    found = engine.lead_lag(view.symbol_y, view.symbol_x)
    return csv_text(pd.DataFrame({"lag_ms": found.lags_us / US_PER_MS, "correlation": found.contrast}))


def widths_csv(engine: Engine, view: View) -> str:
    """One row a width."""
    return csv_text(pd.DataFrame(engine.correlation_by_width(view.symbol_y, view.symbol_x)))


def changes_csv(engine: Engine, view: View) -> str:
    """The changes that are distributed, one row a bar."""
    subject = studies.subject_of(engine, view)
    columns = {"ts_us": subject.ts_us[1:], "level": subject.levels[1:], f"change_{subject.unit}": subject.changes}
    return csv_text(pd.DataFrame(columns))


def numbers_csv(engine: Engine, view: View) -> str:
    """The numbers of the distribution, one a row."""
    subject = studies.subject_of(engine, view)
    return csv_text(studies.distribution(subject).summary.table().reset_index())


def season_csv(engine: Engine, view: View) -> str:
    """Observed, trend, season and rest, one row a bar."""
    subject = studies.subject_of(engine, view)
    found = studies.decomposition(subject, studies.season_period(view, studies.season_of(view)))
    parts = {name: getattr(found, name) for name in ("observed", "trend", "seasonal", "residual")}
    return csv_text(pd.DataFrame({"ts_us": subject.ts_us} | parts))


TOPIC_PAGES: dict[str, Callable[[Engine, View], None]] = {
    "correlation": _correlation,
    "trades": _trades,
    "distribution": _distribution,
    "season": _season,
}
DOWNLOADS: dict[str, tuple[Download, ...]] = {
    "correlation": (
        Download("Correlations", "correlation", matrix_csv),
        Download("Widths and lags", "surface", surface_csv),
    ),
    "trades": (
        Download("Correlation by lag", "lead-lag", lead_lag_csv),
        Download("Correlation by width", "widths", widths_csv),
    ),
    "distribution": (
        Download("Series", "changes", changes_csv),
        Download("Numbers", "distribution", numbers_csv),
    ),
    "season": (Download("Parts", "season", season_csv),),
}


if __name__ == "__main__":
    run(page)
