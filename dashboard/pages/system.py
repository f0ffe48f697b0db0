"""System: how capture, storage and process stand, the newest lines of the log, and the settings in force."""

import json
from html import escape

import streamlit as st

from dashboard import system
from dashboard.live.component import live_panel
from dashboard.main import run
from dashboard.panels import panel
from dashboard.sidebar import key
from dashboard.view import LEVELS, View
from data.exporters import csv_text
from engine import Engine
from utils.versions import pairscope_version


def page(engine: Engine, view: View) -> None:
    """Every part, live."""
    about = f"Pairscope {pairscope_version()} · {engine.settings.database}"
    st.html(f'<div class="ps-head"><h2>System</h2><span>{escape(about)}</span></div>')
    live_panel("health", view)
    live_panel("feed", view)
    live_panel("parts", view)
    with st.container(border=True):
        _log(view)
    with panel("settings", view):
        st.html(system.settings(engine.system()))
    _downloads(engine)


def _log(view: View) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.html("<b>Log</b>", width="content")
        st.segmented_control("Least severity", LEVELS, key=key("level"), required=True, label_visibility="collapsed")
    live_panel("log", view)


def _downloads(engine: Engine) -> None:
    with st.container(horizontal=True):
        st.download_button(
            "Status, JSON",
            data=lambda: status_json(engine),
            file_name="pairscope-status.json",
            mime="application/json",
            on_click="ignore",
            key="status-json",
        )
        st.download_button(
            "Status, CSV",
            data=lambda: csv_text(system.status_frame(engine.system())),
            file_name="pairscope-status.csv",
            mime="text/csv",
            on_click="ignore",
            key="status-csv",
        )


def status_json(engine: Engine) -> str:
    """Everything that is known, as one document."""
    return json.dumps(engine.system().as_dict(), indent=1, allow_nan=False)


if __name__ == "__main__":
    run(page)
