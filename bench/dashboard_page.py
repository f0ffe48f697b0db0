"""The Streamlit script of the dashboard bench: Pairscope's pages, or with ?side= one chart of the comparison alone.

The peers draw four panes of our own figure with `st.plotly_chart` in a fragment, as one does where charts are to move:
same analysis, same points, same settings of the server. They are spared the fifth pane, and our cache serves them too.
"""

from collections.abc import Callable
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from dashboard.charts.pair import HEIGHT
from dashboard.live.component import live_chart
from dashboard.live.figures import FIGURES
from dashboard.main import main
from dashboard.theme import THEMES
from dashboard.view import View
from engine import current
from utils.clock import now_us

PANES = {"legs": "y", "spread": "y2", "z-score": "y3", "correlation": "y5"}


def ours(view: View) -> None:
    """The live chart."""
    live_chart("pair", view, HEIGHT)


def tuned(view: View) -> None:
    """The same as four native charts that refresh themselves, at as little cost as they can."""
    st.fragment(_tuned, run_every=view.refresh_s)(view)


def _tuned(view: View) -> None:
    t0 = now_us() / 1_000
    spec = FIGURES["pair"].build(current(), view, THEMES["dark"])
    for name, axis in PANES.items():
        st.plotly_chart(pane(spec, axis, t0), key=name, theme=None, height=HEIGHT // len(PANES))


def usual(view: View) -> None:
    """The same as usually written: graph objects over a DatetimeIndex."""
    st.fragment(_usual, run_every=view.refresh_s)(view)


def _usual(view: View) -> None:
    t0 = now_us() / 1_000
    spec = FIGURES["pair"].build(current(), view, THEMES["dark"])
    for axis in PANES.values():
        part = pane(spec, axis, t0)
        figure = go.Figure(layout={name: part["layout"][name] for name in ("meta", "hovermode", "shapes")})
        for trace in part["data"]:
            times = pd.to_datetime(trace["x"], unit="ms", utc=True)
            figure.add_trace(go.Scatter(x=times, y=trace["y"], name=trace["name"], mode=trace["mode"]))
        st.plotly_chart(figure, height=HEIGHT // len(PANES))


def pane(spec: dict[str, Any], axis: str, t0: float) -> dict[str, Any]:
    """One pane as a figure of its own; `t0`, milliseconds since the epoch, travels along."""
    traces = [{**trace, "yaxis": "y"} for trace in spec["data"] if trace["yaxis"] == axis]
    layout = {name: value for name, value in spec["layout"].items() if not name.startswith("yaxis")}
    layout["yaxis"] = {k: v for k, v in spec["layout"][f"yaxis{axis[1:]}"].items() if k != "domain"}
    layout["xaxis"] = {**layout["xaxis"], "anchor": "y"}
    layout["shapes"] = [{**shape, "yref": "y"} for shape in layout["shapes"] if shape["yref"] == axis]
    notes = [note for note in layout["annotations"] if note["yref"].split()[0] == axis]
    layout["annotations"] = [{**note, "yref": note["yref"].replace(axis, "y", 1)} for note in notes]
    return {"data": traces, "layout": {**layout, "meta": {"t0": t0}, "hoversubplots": "overlaying"}}


SIDES: dict[str, Callable[[View], None]] = {"ours": ours, "tuned": tuned, "usual": usual}

side = st.query_params.get("side")
if side is None:
    main()
else:
    st.set_page_config(layout="wide")
    SIDES[side](View.from_query(st.query_params.to_dict(), current().symbols)[0])
