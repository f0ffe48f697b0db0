"""The small picture that is kept with an alert: what the spread or the price did before it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from dashboard.charts.base import in_zone, line, ms, time_axis
from dashboard.theme import Theme, axis, layout

NAMES = ("zscore", "price")  # the first that is there is drawn


def picture_figure(picture: Mapping[str, Sequence[Any]], theme: Theme, zone: str) -> go.Figure:
    """The newest points before a firing; `picture` as an event keeps it, None for what did not exist."""
    name = next(name for name in NAMES if name in picture)
    values = np.array([np.nan if value is None else value for value in picture[name]], np.float64)
    drawn = line(ms(np.array(picture["ts_us"])), values, "y", name, theme.text, hovertemplate="%{y:.4~g}")
    spec = {
        "data": [drawn],
        "layout": layout(
            theme,
            height=150,
            margin={"l": 40, "r": 10, "t": 8, "b": 34},
            xaxis=time_axis(theme, "y", nticks=4),
            yaxis=axis(theme, nticks=4, title={"text": name, "font": {"size": 11}}),
        ),
    }
    return go.Figure(in_zone(spec, zone))
