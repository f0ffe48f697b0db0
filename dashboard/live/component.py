"""What runs in the browser by itself: the live chart, which follows its figure, and the head of the sidebar."""

from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import plotly
import streamlit as st

from dashboard.live.figures import FIGURES
from dashboard.view import View

HERE = Path(__file__).parent
PLOTLY_URL = f"/live/plotly.js?v={plotly.__version__}"


def live_chart(name: str, view: View, height: int) -> None:
    """Show a figure of `figures.FIGURES`, live; `height` in pixels. Only addresses travel through Streamlit."""
    query = view.part(FIGURES[name].fields) | {"every": f"{view.refresh_s:g}"}
    data = {
        "base": "/live",
        "name": name,
        "query": urlencode(query),
        "library": PLOTLY_URL,
        "height": height,
        "paused": view.paused,
    }
    _component()(key=f"live-{name}", data=data, height="content")


def frame() -> None:
    """The head of the sidebar: name, theme switch, keyboard shortcuts and their list; the server has no part in it."""
    _frame()(key="frame", height="content")


def _text(*names: str) -> str:
    """Files of this folder, one after the other."""
    return "\n".join((HERE / name).read_text(encoding="utf-8") for name in names)


@st.cache_resource(show_spinner=False)
def _frame() -> Any:
    return st.components.v2.component(
        "pairscope_frame",
        html=_text("frame.html"),
        css=_text("frame.css"),
        js=_text("frame.js"),
        isolate_styles=False,
    )


@st.cache_resource(show_spinner=False)
def _component() -> Any:
    return st.components.v2.component(
        "pairscope_live",
        html='<div class="ps-live"></div>',
        css=_text("chart.css"),
        js=_text("follow.js", "quick.js", "chart.js"),
        isolate_styles=False,
    )
