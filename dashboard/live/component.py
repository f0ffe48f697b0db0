"""What runs in the browser by itself: live charts and panels, which follow the server, and the head of the sidebar."""

from typing import Any

import streamlit as st

from dashboard.live.boxes import PANELS
from dashboard.live.figures import followed
from dashboard.live.files import LIVE_URL, text
from dashboard.live.panels import markup, news
from dashboard.view import View
from engine import current


def live_chart(name: str, view: View, height: int) -> None:
    """Show a figure of `figures.FIGURES`, live; `height` in pixels. Only addresses travel through Streamlit."""
    _chart()(key=f"live-{name}", data=followed(name, view, height), height="content")


def live_panel(name: str, view: View) -> None:
    """Show a panel of `boxes.PANELS`, live: it begins with its markup of now and follows by itself from then on.

    Of a panel with news its fragment runs again for each of them; all panels of a page have different names.
    """
    panel, engine = PANELS[name], current()
    data = {
        "base": "/live",
        "name": name,
        "module": LIVE_URL,
        "query": view.part(panel.fields),
        "every": f"{max(view.refresh_s, panel.least_s):g}",
        "paused": view.paused,
        "news": news(name, engine),
        "html": markup(name, engine, view),
    }
    _panel()(key=f"panel-{name}", data=data, height="content", on_news_change=_heard)


def _heard() -> None:
    """News are answered by the run that they cause."""


def frame() -> None:
    """The head of the sidebar: name, theme switch, keyboard shortcuts and their list; the server has no part in it."""
    _frame()(key="frame", data={"module": LIVE_URL}, height="content")


@st.cache_resource(show_spinner=False)
def _frame() -> Any:
    return st.components.v2.component(
        "pairscope_frame",
        html=text("frame.html"),
        js=text("loader.js"),
        isolate_styles=False,
    )


@st.cache_resource(show_spinner=False)
def _chart() -> Any:
    return st.components.v2.component(
        "pairscope_live",
        html='<div class="ps-live" data-live="chart"></div>',
        js=text("loader.js"),
        isolate_styles=False,
    )


@st.cache_resource(show_spinner=False)
def _panel() -> Any:
    return st.components.v2.component(
        "pairscope_panel",
        html='<div class="ps-panel" data-live="panel"></div>',
        js=text("loader.js"),
        isolate_styles=False,
    )
