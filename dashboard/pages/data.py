"""Data: what is stored and whole, what is missing, and the way to take it away."""

from collections.abc import Callable
from datetime import datetime, timedelta
from html import escape
from urllib.parse import urlsplit

import streamlit as st

from dashboard import formats, holdings, imports, recordings, replay_bar
from dashboard.charts.coverage import coverage_height
from dashboard.live.component import live_chart, live_panel
from dashboard.main import run
from dashboard.panels import panel, refreshed
from dashboard.sidebar import key
from dashboard.view import COVERS, View
from data.exporters import FORMATS, Span, Table, csv_text
from engine import Engine
from utils.clock import LATEST_US, US_PER_S, us_from_iso

BETWEEN = "between"
MOST_WITH_TOKEN = 1_000_000  # rows that go through a page, which holds them; whole ranges go over REST


def page(engine: Engine, view: View) -> None:
    """Coverage, gaps, holdings, downloads and imports."""
    st.html(f'<div class="ps-head"><h2>Data</h2><span>{escape(str(engine.settings.database))}</span></div>')
    if engine.status().mode == "REPLAY":
        with panel("replay", view):
            replay_bar.bar(view.zone)
    with panel("coverage", view), st.container(border=True):
        _coverage(engine, view)
    left, right = st.columns([1.35, 1], gap="small")
    with left:
        live_panel("gaps", view)
        live_panel("stored", view)
    with right:
        with panel("downloads", view), st.container(border=True):
            _downloads(engine, view)
        with st.container(border=True):
            refreshed("recordings", recordings.panel, view, engine, view)
    with panel("import", view), st.container(border=True):
        imports.importing(engine, view)
    refreshed("imports", imports.jobs, view, engine, view, min_height=0)


def _coverage(engine: Engine, view: View) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.html("<b>Coverage by minutes</b>", width="content")
        st.segmented_control(
            "Stretch",
            list(COVERS),
            format_func=formats.timeframe,
            key=key("cover"),
            required=True,
            label_visibility="collapsed",
        )
    live_chart("coverage", view, coverage_height(len(engine.symbols)))
    st.html(holdings.coverage_key(view.cover))


# --- downloads --------------------------------------------------------------------------------------


def _downloads(engine: Engine, view: View) -> None:
    st.html("<b>Download</b>")
    kinds, forms = holdings.KINDS, holdings.FORMS
    kind = _choice("What", list(kinds), kinds.__getitem__, "export-kind")
    if kind in ("ticks", "bars"):
        st.selectbox("Symbol", engine.symbols, key=key("symbol"), label_visibility="collapsed")
    part = _part(engine, _choice("Range", [*holdings.RANGES, BETWEEN], str, "export-range"))
    form = _choice("Format", list(forms), forms.__getitem__, "export-form")
    _button(engine, view, kind, form, part)
    st.caption(_told(kind, view))
    st.download_button(
        "Gaps, CSV",
        data=lambda: csv_text(holdings.gap_frame(engine.gaps())),
        file_name="gaps.csv",
        mime="text/csv",
        on_click="ignore",
        key="gaps-csv",
        width="stretch",
    )


def _choice(label: str, options: list[str], text: Callable[[str], str], name: str) -> str:
    """One of the options, the first to begin with."""
    return st.segmented_control(
        label, options, format_func=text, key=name, default=options[0], required=True, label_visibility="collapsed"
    )


def _part(engine: Engine, chosen: str) -> dict[str, int]:
    """The range that was chosen, as the API takes it."""
    now_us = engine.now_us()
    if chosen != BETWEEN:
        seconds = holdings.RANGES[chosen]
        return {} if seconds is None else {"since_us": now_us - seconds * US_PER_S}
    now = datetime.fromisoformat(formats.date(now_us, "UTC")[:16])
    first, last = st.columns(2)
    since = first.datetime_input("From, UTC", now - timedelta(hours=1), key="export-since")
    until = last.datetime_input("To, UTC", now, key="export-until")
    part = {
        name: us_from_iso(at.isoformat()) for name, at in (("since_us", since), ("until_us", until)) if at is not None
    }
    if part.get("until_us", LATEST_US) <= part.get("since_us", 0):
        st.warning("The range ends before it begins.")
    return part


def _told(kind: str, view: View) -> str:
    """What is in the file."""
    parts = {
        "ticks": "Trades by id: stored ones, then those that still wait for the disk.",
        "bars": "Bars as they are stored, and the newest from memory; `complete` is false where a trade is missing.",
        "analytics": "The analysis that the Pair page shows, as far back as its bars are held in memory.",
        "alerts": "Every change of state of every rule.",
    }
    return f"{parts[kind]} Times are microseconds since 1970, UTC."


def _button(engine: Engine, view: View, kind: str, form: str, part: dict[str, int]) -> None:
    """A link to the REST API, or where that asks for a token, which a link cannot carry, a download by the page."""
    about = holdings.what(kind, view)
    label = f"{about[:1].upper()}{about[1:]}, {holdings.FORMS[form]}"
    path = holdings.export_path(kind, form, view, part)
    if engine.settings.api_token is None:
        st.link_button(label, path, type="primary", width="stretch")
    else:
        st.download_button(
            label,
            data=lambda: exported(engine, view, kind, form, part),
            file_name=path.partition("?")[0].rpartition("/")[2],
            mime=FORMATS[form][1],
            on_click="ignore",
            key="export",
            type="primary",
            width="stretch",
        )
        st.caption(f"At most the newest {MOST_WITH_TOKEN:,} rows; the call below gives all.")
    st.code(_call(engine, path), language=None, wrap_lines=True)
    about_it = holdings.manifest_path(path)
    if engine.settings.api_token is None:
        st.link_button("Its manifest: source, range, parameters, coverage, hash", about_it, type="tertiary")
    else:
        st.code(_call(engine, about_it), language=None, wrap_lines=True)


def _call(engine: Engine, path: str) -> str:
    """The same as a command."""
    here = urlsplit(st.context.url or "")
    server = (
        f"{here.scheme}://{here.netloc}" if here.netloc else f"http://{engine.settings.host}:{engine.settings.port}"
    )
    token = "" if engine.settings.api_token is None else ' -H "Authorization: Bearer $PAIRSCOPE_API_TOKEN"'
    return f'curl -OJ{token} "{server}{path}"'


def exported(engine: Engine, view: View, kind: str, form: str, part: dict[str, int]) -> bytes:
    """The newest rows of a download as one piece."""
    span = Span(part.get("since_us", 0), part.get("until_us", LATEST_US), MOST_WITH_TOKEN)
    return b"".join(FORMATS[form][0](_table(engine, view, kind, span)))


def _table(engine: Engine, view: View, kind: str, span: Span) -> Table:
    if kind == "ticks":
        return engine.exports.ticks(view.symbol, span)
    if kind == "bars":
        return engine.exports.bars(view.symbol, view.timeframe, span)
    if kind == "analytics":
        span = Span(span.since_us, span.until_us)
        return engine.exports.analysis(view.symbol_y, view.symbol_x, view.timeframe, view.params, span)
    return engine.exports.alerts(span)


if __name__ == "__main__":
    run(page)
