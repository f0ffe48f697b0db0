"""Recordings on the Data page: begin and end one, replay what was recorded, delete it."""

from collections.abc import Mapping
from html import escape
from typing import Any

import streamlit as st

from dashboard import formats
from dashboard.markup import muted
from dashboard.view import View
from engine import Engine, Recorded, current
from utils.clock import US_PER_S, date_hhmmss, zone_name
from utils.errors import PairscopeError

MOST = 30  # recordings listed


def sessions(rows: list[Recorded]) -> dict[str, list[Recorded]]:
    """The parts of each recording, in order; the newest recording first."""
    found: dict[str, list[Recorded]] = {}
    for row in rows:
        found.setdefault(row.session, []).insert(0, row)
    return found


def panel(engine: Engine, view: View) -> None:
    """What is being recorded, and the list of what was."""
    status = engine.status()
    told = status.recording or {}
    with st.container(horizontal=True, vertical_alignment="center"):
        st.html("<b>Recordings</b>", width="stretch")
        if told.get("running"):
            st.button("Stop recording", key="record-stop", on_click=_do, args=("stop_recording",))
        else:
            st.button(
                "Start recording",
                key="record-start",
                on_click=_do,
                args=("start_recording",),
                disabled=status.mode == "REPLAY",
                help="Raw frames of the open market with their receipt, compressed, in files of bounded size",
            )
    if told:
        st.html(f'<div class="ps-keys"><span>{escape(running_text(told))}</span></div>')
    found = sessions(engine.recordings())
    if not found:
        st.html(muted("Nothing was recorded yet. A recording can be replayed at any speed, and be backtested on."))
    for session, parts in list(found.items())[:MOST]:
        _row(session, parts, view)
    if len(found) > MOST:
        st.html(muted(f"{MOST} of {len(found)}; the others are in the folder beside the database."))


def running_text(told: Mapping[str, Any]) -> str:
    """How the newest recording stands."""
    if "frames" not in told:
        return str(told.get("reason", ""))
    lost = f" · {told['dropped']:,} frames came too fast" if told["dropped"] else ""
    size = f"{told['frames']:,} frames, {formats.size(told['bytes'])}{lost}"
    return f"recording {told['name']}: {size}" if told["running"] else f"ended: {told['reason']} · {size}"


def row_text(parts: list[Recorded], zone: str) -> str:
    """What a recording holds: market, symbols, when, how long, how large."""
    first = parts[0]
    symbols = ", ".join(first.symbols[:4]) + (f" and {len(first.symbols) - 4} more" if len(first.symbols) > 4 else "")
    when = f"{date_hhmmss(first.began_us, zone)} {zone_name(first.began_us, zone)}"
    ended = max((part.ended_us for part in parts if part.ended_us is not None), default=None)
    long = formats.duration((ended - first.began_us) / US_PER_S) if ended is not None else "empty so far"
    size = formats.size(sum(part.bytes for part in parts))
    files = f" in {len(parts)} files" if len(parts) > 1 else ""
    return f"{first.venue}, {first.stream} · {symbols} · {when} · {long} · {size}{files}"


def _row(session: str, parts: list[Recorded], view: View) -> None:
    running = any(part.running for part in parts)
    names = tuple(part.name for part in parts)
    with st.container(horizontal=True, vertical_alignment="center", key=f"recording-{session}"):
        st.html(f'<div class="ps-keys"><span>{escape(row_text(parts, view.zone))}</span></div>', width="stretch")
        if running:
            st.html('<span class="ps-badge ps-attention">RECORDING</span>', width="content")
            return
        st.button("Replay", key=f"replay-{session}", on_click=_do, args=("replay_recordings", names))
        with st.popover("Delete", key=f"delete-{session}"):
            st.caption(f"{len(names)} file{'s' if len(names) > 1 else ''} will be gone for good.")
            st.button("Delete for good", key=f"gone-{session}", on_click=_delete, args=(names,), type="primary")


def _do(action: str, *how: Any) -> None:
    """Ask the engine; what it cannot do is said."""
    try:
        getattr(current(), action)(*how)
    except PairscopeError as exc:
        st.toast(str(exc))


def _delete(names: tuple[str, ...]) -> None:
    for name in names:
        _do("delete_recording", name)
