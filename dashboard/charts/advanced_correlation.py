"""Figures of the Advanced page: correlation of all symbols, and of the pair over bar widths and lags."""

import numpy as np

from analytics.correlation.intervals import MIN_OBS
from analytics.correlation.matrix import CorrelationMatrix
from analytics.correlation.surface import CorrelationSurface
from dashboard import formats
from dashboard.charts.base import Spec
from dashboard.theme import Theme, axis, layout, scale

PRINTED = 12  # symbols up to which the values are written into the cells
NAMED = 24  # and up to which every symbol has its name beside them


def matrix_spec(found: CorrelationMatrix, timeframe: str, theme: Theme) -> Spec:
    """Heat map of correlations, with values in the cells where there is room."""
    names = [formats.base(symbol) for symbol in found.symbols]
    places = range(len(names))
    heat = {
        "type": "heatmap",
        "x": names,
        "y": names,
        "z": list(found.correlation),
        "zmin": -1,
        "zmax": 1,
        "colorscale": scale(theme.diverging),
        "hovertext": [[_hover(found, names, i, j) for j in places] for i in places],
        "hovertemplate": "%{hovertext}<extra></extra>",
        "xgap": 2,
        "ygap": 2,
        "colorbar": _colorbar(theme),
    }
    if len(names) <= PRINTED:
        heat |= {
            "text": [[formats.number(value, 2) for value in row] for row in found.correlation.tolist()],
            "texttemplate": "%{text}",
            "textfont": {"size": 12},
        }
    side = axis(theme, showgrid=False, fixedrange=True, automargin=True, ticks="")
    if len(names) <= NAMED:
        side |= {"tickmode": "array", "tickvals": names}
    return {
        "data": [heat],
        "layout": layout(
            theme,
            margin={"l": 12, "r": 12, "t": 8, "b": 12},
            hovermode="closest",
            uirevision=f"matrix {' '.join(sorted(names))} {timeframe}",
            xaxis={**side, "side": "bottom"},
            yaxis={**side, "autorange": "reversed"},
        ),
    }


def _hover(found: CorrelationMatrix, names: list[str], i: int, j: int) -> str:
    value, count = float(found.correlation[i, j]), int(found.n_obs[i, j])
    if i == j:
        return f"{names[i]}, {count} returns"
    if not np.isfinite(value):
        reason = f"{count} common returns, needs {MIN_OBS}" if count < MIN_OBS else "a price that does not move"
        return f"{names[i]} and {names[j]}<br>no number: {reason}"
    ends = " … ".join(formats.number(float(end[i, j]), 2) for end in (found.low, found.high))
    return f"{names[i]} and {names[j]}  <b>{formats.number(value, 3)}</b><br>95 %: {ends}<br>{count} returns"


def _colorbar(theme: Theme) -> Spec:
    return {
        "thickness": 8,
        "outlinewidth": 0,
        "tickfont": {"color": theme.muted, "size": 10},
        "ypad": 4,
        "xpad": 6,
        "tickformat": ".2~f",
        "nticks": 5,
    }


def surface_spec(found: CorrelationSurface, symbol_y: str, symbol_x: str, theme: Theme) -> Spec:
    """Correlation of y with x some bars before, as a surface over lags and bar widths; only widths that have a row."""
    legs = formats.base(symbol_y), formats.base(symbol_x)
    rows = [row for row in range(len(found.widths_us)) if found.widths_us[row] not in found.missing]
    places = list(range(len(rows)))
    lines = {"show": True, "width": 1, "color": theme.muted, "highlight": False, "size": 1}
    data = {
        "type": "surface",
        "x": found.lags,
        "y": places,
        "z": [found.correlation[row] for row in rows],
        "colorscale": scale(theme.sequential),
        "text": [[_place(found, row, column, legs) for column in range(found.lags.size)] for row in rows],
        "hoverinfo": "text",
        "lighting": {"ambient": 0.85, "diffuse": 0.35, "specular": 0.05},
        "contours": {
            "x": {**lines, "start": int(found.lags[0]), "end": int(found.lags[-1])},
            "y": {**lines, "start": 0, "end": max(places)},
        },
        "showscale": False,
    }
    return {"data": [data], "layout": _surface_layout(found, rows, legs, theme)}


def _place(found: CorrelationSurface, row: int, column: int, legs: tuple[str, str]) -> str:
    """`5 s bars, BTC 2 bars before ETH: +0.12, by chance up to ±0.09`."""
    y, x = legs
    lag, width = int(found.lags[column]), formats.width(found.widths_us[row])
    first, second = (x, y) if lag > 0 else (y, x)
    bars = f"{abs(lag)} bar{'s' if abs(lag) > 1 else ''}"
    when = f"{first} {bars} before {second}" if lag else "at the same time"
    value, band = float(found.correlation[row, column]), float(found.band[row, column])
    return (
        f"{width} bars, {when}<br><b>{formats.number(value, 3, sign=True)}</b>"
        f"<br>by chance up to ±{formats.number(band, 2)}<br>{int(found.n_obs[row])} returns"
    )


def _surface_layout(found: CorrelationSurface, rows: list[int], legs: tuple[str, str], theme: Theme) -> Spec:
    y, x = legs

    def side(text: str, **more: object) -> Spec:
        return {
            "title": {"text": text, "font": {"size": 12, "color": theme.muted}},
            "tickfont": {"size": 11, "color": theme.muted},
            "gridcolor": theme.border,
            "zerolinecolor": theme.border,
            "showbackground": False,
            "showspikes": False,
            **more,
        }

    return layout(
        theme,
        margin={"l": 0, "r": 0, "t": 0, "b": 0},
        hovermode="closest",
        uirevision=f"surface {y} {x}",
        scene={
            "xaxis": side("lag, bars", nticks=5),
            "yaxis": side("bar width", tickvals=list(range(len(rows))), ticktext=_widths(found, rows)),
            "zaxis": side("correlation", nticks=5, tickformat=".2~f"),
            "aspectmode": "manual",
            "aspectratio": {"x": 1.35, "y": 1.05, "z": 0.7},
            "camera": {"eye": {"x": 1.5, "y": -1.9, "z": 0.95}, "center": {"x": 0, "y": 0, "z": -0.2}},
            "dragmode": "turntable",
        },
    )


def _widths(found: CorrelationSurface, rows: list[int]) -> list[str]:
    return [formats.width(found.widths_us[row]) for row in rows]
