"""Figures of the Advanced page that rest on trades: which leg moves first, and correlation against bar width."""

from collections.abc import Sequence

import numpy as np

from analytics.correlation.lead_lag import LeadLag
from analytics.correlation.widths import WidthCorrelation
from dashboard import formats
from dashboard.charts.base import Spec, level, line
from dashboard.theme import Theme, axis, layout
from utils.clock import US_PER_MS, US_PER_S

EVERY_TRADE_S = 0.04  # where Hayashi-Yoshida on every trade stands on the axis, left of all widths


def lead_lag_spec(found: LeadLag, symbol_y: str, symbol_x: str, theme: Theme) -> Spec:
    """Correlation of the trades of both legs at each lag, the largest one with its interval."""
    y, x = formats.base(symbol_y), formats.base(symbol_x)
    at, low, high = (us / US_PER_MS for us in (found.lag_us, found.low_us, found.high_us))
    curve = line(found.lags_us / US_PER_MS, found.contrast, "y", "correlation", theme.text, width=1.6)
    best = {
        "type": "scatter",
        "mode": "markers",
        "x": [at],
        "y": [found.correlation],
        "name": "largest",
        "hoverinfo": "skip",
        "cliponaxis": False,
        "marker": {"size": 9, "color": theme.accent, "line": {"width": 2, "color": theme.ground}},
    }
    return {
        "data": [curve | {"hovertemplate": "%{x:+.0f} ms: <b>%{y:.3f}</b><extra></extra>"}, best],
        "layout": layout(
            theme,
            margin={"l": 46, "r": 14, "t": 8, "b": 42},
            hovermode="closest",
            uirevision=f"lead-lag {symbol_y} {symbol_x}",
            xaxis=titled(f"← {y} first      lag, ms      {x} first →", theme, nticks=9, tickformat=","),
            yaxis=axis(theme, nticks=6, tickformat=".2~f"),
            shapes=[
                _between(low, high, theme),
                _upright(0.0, theme.muted, "dot"),
                _upright(at, theme.accent, "dash"),
                level(0.0, "y", theme.muted, "dot"),
            ],
        ),
    }


def titled(text: str, theme: Theme, **more: object) -> Spec:
    """An axis with a title below or beside it."""
    return axis(theme, title={"text": text, "font": {"size": 11, "color": theme.muted}, "standoff": 6}, **more)


def _between(low: float, high: float, theme: Theme) -> Spec:
    """The interval as a shade; one of no width is still seen."""
    whole = {"xref": "x", "x0": low, "x1": high, "yref": "y domain", "y0": 0, "y1": 1}
    return {
        "type": "rect",
        **whole,
        "layer": "below",
        "fillcolor": theme.band,
        "line": {"width": 1, "color": theme.band},
    }


def _upright(at: float, color: str, dash: str) -> Spec:
    ends = {"xref": "x", "x0": at, "x1": at, "yref": "y domain", "y0": 0, "y1": 1}
    return {"type": "line", **ends, "line": {"color": color, "width": 1, "dash": dash}}


def widths_spec(rows: Sequence[WidthCorrelation], symbol_y: str, symbol_x: str, theme: Theme) -> Spec:
    """Correlation of bars by their width, with intervals, and beside it Hayashi-Yoshida on thinned trades."""
    bars, ticks = ([row for row in rows if row.method == method] for method in ("bars", "hayashi-yoshida"))
    seconds = [row.width_us / US_PER_S for row in bars]
    return {
        "data": [
            _with_intervals(bars, "bars", theme.accent, "lines+markers", "circle", theme),
            _with_intervals(ticks, "Hayashi-Yoshida, thinned", theme.x_leg, "markers", "diamond", theme),
        ],
        "layout": layout(
            theme,
            margin={"l": 46, "r": 14, "t": 8, "b": 42},
            hovermode="closest",
            uirevision=f"widths {symbol_y} {symbol_x}",
            **legend(theme, "bottom right"),
            xaxis=titled(
                "width of bars, or of thinning",
                theme,
                type="log",
                tickvals=[EVERY_TRADE_S, *seconds],
                ticktext=["every trade", *(formats.width(row.width_us) for row in bars)],
                tickangle=0,
            ),
            yaxis=axis(theme, nticks=6, tickformat=".2~f", rangemode="tozero"),
            shapes=[level(0.0, "y", theme.muted, "dot")],
        ),
    }


def legend(theme: Theme, corner: str = "top left") -> Spec:
    """A legend in a corner inside the figure."""
    low_or_high, side = corner.split()
    return {
        "showlegend": True,
        "legend": {
            "x": 0.01 if side == "left" else 0.99,
            "y": 0.99 if low_or_high == "top" else 0.01,
            "xanchor": side,
            "yanchor": low_or_high,
            "bgcolor": theme.veil,
            "font": {"size": 11, "color": theme.muted},
            "itemclick": False,
            "itemdoubleclick": False,
        },
    }


def _with_intervals(
    rows: Sequence[WidthCorrelation], name: str, color: str, mode: str, symbol: str, theme: Theme
) -> Spec:
    x = np.array([row.width_us / US_PER_S or EVERY_TRADE_S for row in rows])
    value, low, high = (np.array([getattr(row, field) for row in rows]) for field in ("correlation", "low", "high"))
    return {
        "type": "scatter",
        "mode": mode,
        "x": x,
        "y": value,
        "name": name,
        "text": [_told(row) for row in rows],
        "hovertemplate": "%{text}<extra></extra>",
        "line": {"color": color, "width": 1.4},
        "marker": {"color": color, "size": 7, "symbol": symbol},
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": high - value,
            "arrayminus": value - low,
            "color": color,
            "thickness": 1,
            "width": 3,
        },
    }


def _told(row: WidthCorrelation) -> str:
    width = formats.width(row.width_us)
    what = f"{width} bars" if row.method == "bars" else f"thinned to {width}" if row.width_us else "every trade"
    ends = f"{formats.number(row.low, 2)} … {formats.number(row.high, 2)}"
    return f"{what}<br><b>{formats.number(row.correlation, 3)}</b><br>95 %: {ends}<br>{row.n_obs:,} returns"
