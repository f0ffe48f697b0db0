"""The figure of the Overview page, candles over volume, and the small lines of its tiles."""

from collections.abc import Collection, Sequence
from html import escape
from urllib.parse import quote

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dashboard import formats
from dashboard.charts.base import (
    Spec,
    amounts,
    domains,
    last_value,
    level,
    ms,
    pane_title,
    shading,
    spans_of,
    time_axis,
)
from dashboard.charts.indicators import INDICATORS, PANES, Indicator
from dashboard.theme import Theme, axis, layout

HEIGHT, PANE_HEIGHT = 460, 110  # pixels, of candles with volume and of an indicator below
HEIGHTS = (0.78, 0.22)  # candles, volume
PANE = 0.24  # an indicator below them
FIRST_PANE = 3  # number of its axis
SPARK_WIDTH, SPARK_HEIGHT = 200, 36  # units of the drawing, stretched to the tile
SPARK_POINTS = 120


def candles_height(chosen: Collection[str]) -> int:
    """Height of candles with these indicators, pixels."""
    return HEIGHT + PANE_HEIGHT * sum(name in PANES for name in chosen)


def candles_spec(
    frame: pd.DataFrame,
    symbol: str,
    timeframe: str,
    width_us: int,
    theme: Theme,
    chosen: Sequence[str] = (),
    shown: int | None = None,
) -> Spec:
    """Candles over volume, with indicators, as a plain Plotly dictionary; `frame` as the engine's bars().

    `chosen` are keys of `INDICATORS`. Only the newest `shown` bars are drawn: those before warm the indicators up.
    """
    added = [INDICATORS[name](frame, theme) for name in chosen]
    start = 0 if shown is None else max(0, len(frame) - shown)
    frame = frame.iloc[start:]
    ts_us = frame.index.asi8
    x = ms(ts_us)
    columns = {name: frame[name].to_numpy(float) for name in ("open", "high", "low", "close", "volume")}
    decimals = step_decimals(columns["close"])
    candles = {
        "type": "candlestick",
        "x": x,
        **{name: columns[name] for name in ("open", "high", "low", "close")},
        "name": symbol,
        "yaxis": "y",
        "increasing": {"line": {"color": theme.up, "width": 1}, "fillcolor": theme.up},
        "decreasing": {"line": {"color": theme.down, "width": 1}, "fillcolor": theme.down},
        "yhoverformat": f",.{decimals}f",
    }
    volume = {
        "type": "bar",
        "x": x,
        "y": columns["volume"],
        "yaxis": "y2",
        "name": "volume",
        "marker": {"color": theme.accent, "opacity": 0.45, "line": {"width": 0}},
        "hovertemplate": "%{y:.4~g}",
    }
    missing = ~frame["complete"].to_numpy(bool)
    missing[-1:] = False  # the forming bar is not complete by nature
    incomplete = spans_of(ts_us - width_us // 2, missing, width_us)  # a candle is drawn around its open
    over, below = ([part for part in added if part.pane is pane] for pane in (False, True))
    indicators = [trace for part in over for trace in part.traces(x, start, "y", decimals)]
    for number, part in enumerate(below, start=FIRST_PANE):
        indicators += part.traces(x, start, f"y{number}", decimals)
    return {
        "data": [candles, volume, *indicators],
        "layout": _layout(columns, symbol, timeframe, incomplete, decimals, below, theme),
    }


def candles_figure(frame: pd.DataFrame, symbol: str, timeframe: str, width_us: int, theme: Theme) -> go.Figure:
    """The figure as a checked `go.Figure`, for pages drawn once, reports and tests."""
    return go.Figure(candles_spec(frame, symbol, timeframe, width_us, theme))


def _layout(
    columns: dict[str, np.ndarray],
    symbol: str,
    timeframe: str,
    incomplete: list[tuple[int, int]],
    decimals: int,
    below: list[Indicator],
    theme: Theme,
) -> Spec:
    top, bottom, *panes = domains((*HEIGHTS, *(PANE for _ in below)))
    close, opened = float(columns["close"][-1]), float(columns["open"][-1])
    color = theme.up if close >= opened else theme.down
    named = [(f"y{number}", part) for number, part in enumerate(below, start=FIRST_PANE)]
    axes = {
        f"yaxis{name[1:]}": amounts(theme, domain=list(domain), side="right", nticks=3)
        for (name, _), domain in zip(named, panes, strict=True)
    }
    levels = [level(value, name, theme.muted, "dot") for name, part in named for value in part.levels]
    return layout(
        theme,
        margin={"l": 12, "r": 78, "t": 8, "b": 34},
        hoversubplots="axis",
        uirevision=f"{symbol} {timeframe} {len(below)}",
        xaxis=time_axis(theme, named[-1][0] if named else "y2"),
        yaxis=axis(theme, domain=list(top), side="right", tickformat=f",.{decimals}f", nticks=8),
        yaxis2=amounts(theme, domain=list(bottom), side="right", nticks=3, rangemode="tozero"),
        **axes,
        bargap=0.25,
        shapes=[*shading(incomplete, theme), *levels],
        annotations=[
            pane_title(f"{symbol}  {formats.timeframe(timeframe)}", "y", theme),
            pane_title(f"volume  {formats.base(symbol)}", "y2", theme),
            *(pane_title(part.title, name, theme) for name, part in named),
            last_value(close, formats.number(close, decimals), "y", theme, color),
        ],
    )


def step_decimals(prices: np.ndarray) -> int:
    """Decimals that the prices are printed with: the fewest that show each of the newest exactly."""
    newest = prices[np.isfinite(prices)][-50:]
    if not newest.size:
        return 2
    for decimals in range(11):
        if np.allclose(newest, np.round(newest, decimals), rtol=0, atol=1e-9 * max(1.0, float(newest.max()))):
            return max(decimals, 1 if newest.max() >= 1_000 else 2)
    return 10


def sparkline(closes: np.ndarray, label: str) -> str:
    """A small line of the newest closes that takes the colour of its text, as markup; empty for fewer than two."""
    values = closes[np.isfinite(closes)]
    if values.size < 2:
        return ""
    if values.size > SPARK_POINTS:
        values = values[np.linspace(0, values.size - 1, SPARK_POINTS).round().astype(int)]
    span = float(np.ptp(values)) or 1.0
    x = np.linspace(0, SPARK_WIDTH, values.size)
    y = 2 + (SPARK_HEIGHT - 4) * (1 - (values - values.min()) / span)
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x.tolist(), y.tolist(), strict=True))
    svg = (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {SPARK_WIDTH} {SPARK_HEIGHT}' "
        f"preserveAspectRatio='none'><polyline points='{points}' fill='none' stroke='black' stroke-width='1.4' "
        "vector-effect='non-scaling-stroke'/></svg>"
    )
    # As a mask, since st.html keeps no SVG: the line is where the ground, of the text's colour, shows through.
    mask = f"mask-image:url(&quot;data:image/svg+xml,{quote(svg)}&quot;)"
    return f'<div class="ps-spark" role="img" aria-label="{escape(label)}" style="{mask}"></div>'
