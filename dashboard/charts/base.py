"""Parts that all figures are made of: lines, bands, panes, tags and shading, as plain Plotly dictionaries.

Plain dictionaries, not `go` objects: a figure is built every second, and checking each property against the
schema costs more than computing the numbers. `go.Figure(spec)` of the same dictionary is checked in the tests.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

import config
from dashboard.theme import Theme, axis
from utils.clock import US_PER_MS, UTC_ZONE, zone_name, zone_offset_us

Spec = dict[str, Any]

PANE_GAP = 0.022
CLIPS = ("clipmin", "clipmax")
# The drawn part begins on a multiple of this many bars: were it to move with every bar, the axes and the base of the
# legs would move too, and each refresh would have to draw every point again.
BLOCK_BARS = 60
STEPS = [part for part in range(1, BLOCK_BARS + 1) if BLOCK_BARS % part == 0]  # by which the end of the time axis moves
DIGITS, PRICE_DIGITS = 6, 8  # significant ones that travel; the formats of statistics show four at most
EDGE_SHARE = 18  # the room after the newest bar is one of so many parts of the bars drawn, or less


@dataclass(frozen=True, slots=True)
class Mark:
    """An alert on the chart: when, at which value, and whether it was above or below."""

    ts_us: int
    value: float
    text: str


def ms(ts_us: np.ndarray) -> np.ndarray:
    """Epoch milliseconds as float64: what a date axis takes without going through text."""
    return np.asarray(ts_us, np.float64) / US_PER_MS


def drawn(values: np.ndarray, digits: int = PRICE_DIGITS) -> np.ndarray:
    """Values to so many significant digits, more than a screen can show.

    Rolling sums that begin at another bar differ in the last bits; without this, each refresh would send all points.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = 10.0 ** (digits - 1 - np.floor(np.log10(np.abs(values))))
        return np.where(np.isfinite(scale), np.round(values * scale) / scale, values)


def first_shown(ts_us: np.ndarray, width_us: int, bars: int = config.CHART_BARS) -> int:
    """Index of the first bar drawn: at most `bars` of them, and steady for BLOCK_BARS bars."""
    block_us = min(BLOCK_BARS, bars) * width_us
    start_us = -(-(int(ts_us[-1]) - (bars - 1) * width_us) // block_us) * block_us
    return int(np.searchsorted(ts_us, start_us)) if start_us <= int(ts_us[-1]) else max(0, ts_us.size - bars)


def line(
    x: np.ndarray, y: np.ndarray, axis: str, name: str, color: str, *, digits: int = PRICE_DIGITS, **more: Any
) -> Spec:
    """One line; NaN leaves a hole in it."""
    return {
        "type": "scatter",
        "mode": "lines",
        "x": x,
        "y": drawn(y, digits),
        "yaxis": axis,
        "name": name,
        "line": {"color": color, "width": more.pop("width", 1.4), "shape": more.pop("shape", "linear")},
        "connectgaps": False,
        **more,
    }


statistic = partial(line, digits=DIGITS)


def band(x: np.ndarray, low: np.ndarray, high: np.ndarray, axis: str, name: str, color: str) -> list[Spec]:
    """The area between two lines."""
    edge: dict[str, Any] = {"width": 0, "hoverinfo": "skip"}
    return [
        statistic(x, low, axis, f"{name}, low", color, **edge),
        statistic(x, high, axis, f"{name}, high", color, fill="tonexty", fillcolor=color, **edge),
    ]


def rebased(spec: Spec) -> Spec:
    """The figure with traces as they are drawn: times y / base - less, where their `meta` tells these three.

    A live figure travels with prices, which stay what they were when their base moves on; `quick.js` does the same.
    """
    return spec | {"data": [_rebased(trace) if "base" in trace.get("meta", ()) else trace for trace in spec["data"]]}


def _rebased(trace: Spec) -> Spec:
    meta = trace["meta"]
    return trace | {"y": meta["times"] * (np.asarray(trace["y"]) / meta["base"]) - meta["less"]}


def domains(heights: Sequence[float]) -> list[tuple[float, float]]:
    """Shares of the height as axis domains, from the top down, with a gap between panes."""
    room = 1 - PANE_GAP * (len(heights) - 1)
    top, found = 1.0, []
    for height in heights:
        low = max(0.0, top - room * height / sum(heights))
        found.append((low, top))
        top = low - PANE_GAP
    return found


def amounts(theme: Theme, **more: Any) -> Spec:
    """An axis of amounts: plain decimals where a step is below 1, and k and M above.

    The SI prefix alone would write half a coin as `500m`, which a trader reads as millions.
    """
    steps = [{"dtickrange": [None, 0.999], "value": ",.10~f"}, {"dtickrange": [0.999, None], "value": ".4~s"}]
    return axis(theme, tickformatstops=steps, **more)


def pane_title(text: str, axis: str, theme: Theme) -> Spec:
    """A small title inside the top left corner of a pane."""
    return {
        "text": text,
        "xref": "paper",
        "x": 0,
        "xanchor": "left",
        "yref": f"{axis} domain",
        "y": 1,
        "yanchor": "top",
        "showarrow": False,
        "bgcolor": theme.veil,
        "borderpad": 1,
        "font": {"size": 11, "color": theme.muted},
    }


def last_value(value: float, text: str, axis: str, theme: Theme, color: str) -> Spec:
    """The newest value at the right edge; without a finite one, an empty tag in its place."""
    exists = bool(np.isfinite(value))
    return {
        "text": text if exists else "",
        "xref": "paper",
        "x": 1.004,
        "xanchor": "left",
        "yref": axis,
        "y": float(drawn(np.asarray(value, float), DIGITS)) if exists else 0,
        "visible": exists,
        "showarrow": False,
        "bgcolor": theme.tag,
        "borderpad": 2,
        "font": {"size": 11, "color": color},
    }


def level(value: float, axis: str, color: str, dash: str) -> Spec:
    """A horizontal line through one pane."""
    return {
        "type": "line",
        "xref": "paper",
        "x0": 0,
        "x1": 1,
        "yref": axis,
        "y0": value,
        "y1": value,
        "layer": "above",  # a grid line at the same level would hide it
        "line": {"color": color, "width": 1, "dash": dash},
    }


def z_levels(entry_z: float, exit_z: float, stop_z: float, axis: str, theme: Theme) -> list[Spec]:
    """Thresholds of z on both sides of zero: stop, entry and exit."""
    lines = ((stop_z, theme.down, "dashdot"), (entry_z, theme.attention, "dash"), (exit_z, theme.muted, "dot"))
    return [
        level(sign * value, axis, color, dash) for value, color, dash in lines if np.isfinite(value) for sign in (1, -1)
    ]


def shading(spans: Iterable[tuple[int, int]], theme: Theme, start_ms: float = 0.0) -> list[Spec]:
    """Rectangles over all panes where bars miss trades; spans are (first, last) times in microseconds.

    What lies before `start_ms`, where the drawn part begins, is left out.
    """
    return [
        {
            "type": "rect",
            "xref": "x",
            "x0": max(first / US_PER_MS, start_ms),
            "x1": last / US_PER_MS,
            "yref": "paper",
            "y0": 0,
            "y1": 1,
            "layer": "below",
            "fillcolor": theme.gap,
            "line": {"width": 0},
        }
        for first, last in spans
        if last / US_PER_MS > start_ms
    ]


def in_zone(spec: Spec, zone: str) -> Spec:
    """The figure with its times moved to a zone: Plotly draws every time as if it were UTC."""
    dates = [name for name, axis in spec["layout"].items() if name.startswith("xaxis") and axis.get("type") == "date"]
    if zone == UTC_ZONE or not dates:
        return spec
    axes = {name.replace("axis", "") for name in dates}
    newest = max((float(trace["x"][-1]) for trace in spec["data"] if len(trace["x"])), default=0.0)
    name = zone_name(int(newest * US_PER_MS), zone)
    moved = {key: spec["layout"][key] | {"hoverformat": f"%Y-%m-%d %H:%M:%S {name}"} for key in dates}
    for times in moved.values():
        if "autorangeoptions" in times:
            limits = times["autorangeoptions"]
            include = [_moved(at, zone) for at in limits["include"]]
            times["autorangeoptions"] = {key: _moved(limits[key], zone) for key in CLIPS} | {"include": include}
    shapes = [
        shape | {key: _moved(shape[key], zone) for key in ("x0", "x1")} if shape.get("xref") in axes else shape
        for shape in spec["layout"].get("shapes", ())
    ]
    data = [
        trace | {"x": _all_moved(trace["x"], zone)} if trace.get("xaxis", "x") in axes else trace
        for trace in spec["data"]
    ]
    return {"data": data, "layout": spec["layout"] | moved | {"shapes": shapes}}


def _moved(at_ms: float, zone: str) -> float:
    return float(at_ms) + zone_offset_us(int(at_ms * US_PER_MS), zone) / US_PER_MS


def _all_moved(x: Sequence[float] | np.ndarray, zone: str) -> np.ndarray:
    """Times in milliseconds, moved; the offset is looked up once where it does not change between first and last."""
    times = np.asarray(x, np.float64)
    if not times.size:
        return times
    first, last = (_moved(at, zone) - at for at in (float(times[0]), float(times[-1])))
    return times + first if first == last else np.array([_moved(at, zone) for at in times.tolist()])


def spans_of(ts_us: np.ndarray, marked: np.ndarray, width_us: int) -> list[tuple[int, int]]:
    """Runs of marked bars as (start of the first, end of the last), microseconds."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], marked, [False])).astype(np.int8)))
    return [
        (int(ts_us[first]), int(ts_us[last - 1]) + width_us)
        for first, last in zip(edges[::2], edges[1::2], strict=True)
    ]


def steady_range(x: np.ndarray) -> Spec:
    """What a time axis shows by itself of bars at `x` (milliseconds), as Plotly's autorangeoptions.

    It ends at most 6 % after the newest bar and moves on in steps, parts of a block of bars: were it to move with every
    bar, all of the figure would have to be drawn anew at every bar. A range given in its place would undo the reader's
    zoom.
    """
    bars = max(part for part in STEPS if part <= max(1, x.size // EDGE_SHARE))
    step = float(np.min(np.diff(x), initial=np.inf)) * bars if x.size > 1 else 0.0
    end = x[0] + step * math.ceil((x[-1] - x[0]) / step) if step else x[-1]
    return {"clipmin": float(x[0]), "clipmax": float(end), "include": [float(x[0]), float(end)]}


def time_axis(theme: Theme, anchor: str, **more: Any) -> Spec:
    """The one time axis under all panes, with a crosshair through them."""
    return {
        "type": "date",
        "anchor": anchor,
        "gridcolor": theme.grid,
        "linecolor": theme.grid,
        "zeroline": False,
        "tickfont": {"color": theme.muted, "size": 11},
        "nticks": 7,
        "tickangle": 0,
        "tickformatstops": [
            {"dtickrange": [None, 59_999], "value": "%H:%M:%S\n%b %-d, %Y"},
            {"dtickrange": [60_000, 43_200_000], "value": "%H:%M\n%b %-d, %Y"},
            {"dtickrange": [43_200_001, None], "value": "%b %-d\n%Y"},
        ],
        "hoverformat": "%Y-%m-%d %H:%M:%S UTC",
        "rangeslider": {"visible": False},
        "showspikes": True,
        "spikemode": "across",
        "spikesnap": "cursor",
        "spikethickness": 1,
        "spikedash": "dot",
        "spikecolor": theme.muted,
        **more,
    }
