"""The replay bar: play, pause, speed, step and seek; compact in the strip of every page, whole on the Data page."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from html import escape
from typing import Any

import streamlit as st

from dashboard import formats
from engine import current
from utils.clock import US_PER_S, date_hhmmss, us_from_iso, zone_name, zone_offset_us
from utils.errors import PairscopeError

SPEEDS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0, 0.0)  # times real time; 0: no pause at all
BAR_S = 1.0  # seconds between refreshes ...
SLIDER_EVERY = 5  # ... and of them the slider of a replay that plays: one that moves cannot be dragged
TOLD, AT, BEAT = "replay-told", "replay-at", "replay-beat"  # in the session


def speed_text(speed: float) -> str:
    """`20×`."""
    return "as fast as possible" if speed == 0 else f"{speed:g}×"


def buttons(place: Mapping[str, Any], name: str) -> None:
    """Play or pause, steps and speed, side by side; `name` tells bars of one page apart."""
    stands = place.get("paused") or place.get("ended")
    verb = "Again" if place.get("ended") else "Play" if stands else "Pause"
    st.button(verb, key=f"{name}-play", on_click=_tell, args=("play" if stands else "pause",), width=92)
    for to in ("trade", "second"):
        st.button(
            f"+1 {to}",
            key=f"{name}-{to}",
            on_click=_tell,
            args=("step", to),
            help=f"Go to the next {'full second' if to == 'second' else to} and stand there",
        )
    speed = float(place.get("speed", 1.0))
    st.session_state[f"{name}-speed"] = st.session_state[f"{name}-shown"] = speed
    st.selectbox(
        "Speed",
        SPEEDS if speed in SPEEDS else sorted({*SPEEDS, speed}),
        format_func=speed_text,
        key=f"{name}-speed",
        on_change=_change_speed,
        args=(name,),
        label_visibility="collapsed",
        width=190,
    )


def _change_speed(name: str) -> None:
    """Take what was chosen; a browser also sends what it was shown when the bar comes and goes."""
    chosen = st.session_state[f"{name}-speed"]
    if chosen != st.session_state.get(f"{name}-shown"):
        _tell("speed", chosen)


def _tell(action: str, *how: Any) -> None:
    """Command the replay; what it cannot do is said."""
    try:
        getattr(current().replay, action)(*how)
    except PairscopeError as exc:
        st.toast(str(exc))
    st.session_state[TOLD] = True


def compact(place: Mapping[str, Any]) -> None:
    """What the replay can be told, in one line under the strip."""
    with st.container(horizontal=True, vertical_alignment="center", key="banner-replay"):
        buttons(place, "strip")


def news(place: Mapping[str, Any]) -> str:
    """What changes when the buttons have to be drawn anew."""
    return " ".join(str(place.get(name)) for name in ("paused", "ended", "speed"))


def bar(zone: str) -> None:
    """The whole bar: what is played and how far, and a slider over its time."""
    with st.container(border=True):
        st.fragment(_bar, run_every=BAR_S)(zone)


def _bar(zone: str) -> None:
    place = current().status().replay
    if place is None:  # another market was opened meanwhile
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.html('<span class="ps-badge ps-accent">REPLAY</span>', width="content")
        buttons(place, "bar")
    st.html(f'<div class="ps-keys"><span>{escape(position_text(place, zone))}</span></div>')
    _slider(place, zone)


def position_text(place: Mapping[str, Any], zone: str) -> str:
    """Time reached, of which stretch, and what it is doing."""
    at_us, first_us, last_us = (place.get(name) for name in ("position_us", "first_us", "last_us"))
    parts = []
    if at_us is not None and first_us is not None:
        until = "its end is not known yet" if last_us is None else date_hhmmss(last_us, zone)
        parts.append(f"{date_hhmmss(at_us, zone)} of {date_hhmmss(first_us, zone)} … {until} {zone_name(at_us, zone)}")
    if place.get("share") is not None:
        parts.append(formats.percent(place["share"], 1))
    doing = "going there" if place.get("seeking_us") is not None else "playing"
    parts.append("ended" if place.get("ended") else "stands" if place.get("paused") else doing)
    parts.append(speed_text(float(place.get("speed", 1.0))))
    return " · ".join(parts)


def _slider(place: Mapping[str, Any], zone: str) -> None:
    """Go to any time of the recording, back too."""
    state = st.session_state
    first_us, last_us = place.get("first_us"), place.get("last_us")
    if first_us is None or last_us is None or last_us - first_us < 2 * US_PER_S:
        st.caption("The slider comes when the end of the recording is known.")
        return
    first, last, now = (_moment(us, zone) for us in (first_us, last_us, place["position_us"]))
    state[BEAT] = state.get(BEAT, -1) + 1
    if state.pop(TOLD, False) or place.get("standing") or AT not in state or state[BEAT] % SLIDER_EVERY == 0:
        state[AT] = min(max(now, first), last)
    if not first <= state[AT] <= last:  # of another recording; to set it without need would disturb a hand on it
        state[AT] = first
    st.slider(
        "Position",
        first,
        last,
        step=timedelta(seconds=1),
        format="YYYY-MM-DD HH:mm:ss",
        key=AT,
        on_change=_seek,
        args=(first_us, last_us, zone),
        label_visibility="collapsed",
    )


def _moment(us: int, zone: str) -> datetime:
    """A time as the slider shows it: that of the zone, without one."""
    return datetime.fromisoformat(date_hhmmss(us, zone))


def _seek(first_us: int, last_us: int, zone: str) -> None:
    local_us = us_from_iso(st.session_state[AT].isoformat())
    at_us = local_us - zone_offset_us(local_us - zone_offset_us(first_us, zone), zone)
    _tell("seek", min(max(at_us, first_us), last_us))
