"""The status strip that is always in sight, banners with a button, and toasts for alerts."""

from collections.abc import Callable
from dataclasses import replace

import streamlit as st

from dashboard import formats, replay_bar, rules, standing
from dashboard.live.component import live_panel
from dashboard.view import View
from engine import Engine, current

EVERY_S = 1.0
TOAST_S = 8
TOASTED = ("firing", "repeat", "resolved", "unsilenced")


def strip_view(view: View) -> View:
    """The view as the strip takes it: it goes on while the page is paused, at a pace of its own."""
    return replace(view, refresh_s=EVERY_S, paused=False)


@st.fragment
def status_strip(view: View) -> None:
    """How the market stands, live; runs again only where there is an alert to be told or another button to draw."""
    engine, steady = current(), strip_view(view)
    live_panel("strip", steady)
    status = engine.status()
    if status.mode == "REPLAY" and st.session_state.get("page") != "data":  # that page has the whole bar
        replay_bar.compact(status.replay or {})
    if standing.is_retried(status):
        _acted_banner("live", "Try now", engine.retry_live, steady)
    if status.storage_note:
        _acted_banner("note", "Dismiss", engine.dismiss_storage_note, steady)
    toasts(engine)


def _acted_banner(key: str, label: str, act: Callable[[], None], view: View) -> None:
    """A banner with a button; it cannot be dismissed otherwise."""
    with st.container(border=True, horizontal=True, vertical_alignment="center", key=f"banner-{key}"):
        live_panel(f"banner-{key}", view)
        st.button(label, key=f"act-{key}", on_click=act, width="content")


def toasts(engine: Engine) -> None:
    """One toast for each alert since this browser tab last looked; none for those before it was opened."""
    seen = st.session_state.setdefault("alerts-seen", engine.alerts.last_seq)
    for event in engine.alerts.events_after(seen)[-3:]:
        if event.state in TOASTED and not event.silenced:
            pair = "/".join(symbol for symbol in (event.symbol_y, event.symbol_x) if symbol)
            scope = f"{pair} {formats.timeframe(event.timeframe)}"
            st.toast(f"**{scope}**  {rules.event_text(event)}", duration=TOAST_S)
    st.session_state["alerts-seen"] = engine.alerts.last_seq
