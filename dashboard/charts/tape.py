"""The figures of the Microstructure page: what takers did bar by bar, how large they trade, and the signature plot."""

import math

import numpy as np
import pandas as pd

from analytics.indicators import vwap
from analytics.microstructure import Signature, TradeSizes
from analytics.resampling import timeframe_us
from dashboard import formats
from dashboard.charts.base import (
    Spec,
    amounts,
    domains,
    last_value,
    level,
    line,
    ms,
    pane_title,
    shading,
    spans_of,
    time_axis,
)
from dashboard.charts.indicators import vwap_began
from dashboard.charts.overview import step_decimals
from dashboard.theme import Theme, axis, layout
from utils.clock import US_PER_S, UTC_ZONE, hhmmss

HEIGHT, SIZES_HEIGHT = 760, 230  # pixels
HEIGHTS = (0.28, 0.2, 0.18, 0.17, 0.17)  # price, taker flow, cumulative delta, imbalance, trades/s
SMOOTH_BARS = 20  # of the order flow imbalance
SIZE_BINS = 40
WIDTHS_NAMED = (1, 5, 15, 60)  # seconds: of a phone's width there is room for no more names
MOST_SIZES = 4  # named on their axis, for the same reason


def tape_spec(
    frame: pd.DataFrame, symbol: str, timeframe: str, normal_per_s: float, theme: Theme, zone: str = UTC_ZONE
) -> Spec:
    """Price with VWAP, taker flow, cumulative delta, order flow imbalance and velocity on one time axis.

    `frame` as the engine's bars(), the forming one last; `normal_per_s` is the usual rate at this time of day, or NaN.
    """
    x, base = ms(frame.index.asi8), formats.base(symbol)
    close, volume, buys, trades = (
        frame[name].to_numpy(float) for name in ("close", "volume", "taker_buy_volume", "trades")
    )
    sells, delta = volume - buys, 2 * buys - volume
    rate = trades / (timeframe_us(timeframe) / US_PER_S)
    rate[-1:] = np.nan  # the forming bar has not seen all of its trades
    decimals, imbalance = step_decimals(close), rolling_imbalance(buys, volume, SMOOTH_BARS)
    average = vwap(frame["vwap"].to_numpy(float), volume, frame.index.asi8)
    price = f"%{{y:,.{decimals}f}}"
    data = [
        line(x, average, "y", f"VWAP since {vwap_began(frame, zone)}", theme.muted, hovertemplate=price),
        line(x, close, "y", base, theme.text, hovertemplate=price),
        _bars(x, buys, "y2", "taker buys", theme.up),
        _bars(x, -sells, "y2", "taker sells", theme.down),
        line(x, delta.cumsum(), "y3", "cumulative delta", theme.y_leg, hovertemplate="%{y:.4~g}", shape="hv"),
        line(x, imbalance, "y4", f"imbalance, {SMOOTH_BARS} bars", theme.x_leg, hovertemplate="%{y:+.2f}"),
        line(x, rate, "y5", "trades/s", theme.accent, hovertemplate="%{y:.3~g}"),
    ]
    return {"data": data, "layout": _layout(frame, symbol, timeframe, normal_per_s, decimals, data, theme, zone)}


def rolling_imbalance(buys: np.ndarray, volume: np.ndarray, bars: int) -> np.ndarray:
    """Order flow imbalance over the newest bars, -1..1; NaN until there are as many, and where nothing traded."""
    sums = [np.convolve(column, np.ones(bars))[: column.size] for column in (2 * buys - volume, volume)]
    known = (np.arange(volume.size) >= bars - 1) & (sums[1] > 0)
    return np.where(known, sums[0] / np.where(known, sums[1], 1.0), np.nan)


def _bars(x: np.ndarray, y: np.ndarray, axis_: str, name: str, color: str) -> Spec:
    return {
        "type": "bar",
        "x": x,
        "y": y,
        "yaxis": axis_,
        "name": name,
        "marker": {"color": color, "line": {"width": 0}},
        "hovertemplate": "%{y:.4~g}",
    }


def _layout(
    frame: pd.DataFrame,
    symbol: str,
    timeframe: str,
    normal_per_s: float,
    decimals: int,
    data: list[Spec],
    theme: Theme,
    zone: str,
) -> Spec:
    width_us, base = timeframe_us(timeframe), formats.base(symbol)
    missing = ~frame["complete"].to_numpy(bool)
    missing[-1:] = False  # the forming bar is not complete by nature
    axes = {
        f"yaxis{number if number > 1 else ''}": amounts(theme, domain=list(domain), nticks=5)
        for number, domain in enumerate(domains(HEIGHTS), start=1)
    }
    axes["yaxis"] = axis(theme, domain=axes["yaxis"]["domain"], nticks=5, tickformat=f",.{decimals}f")
    axes["yaxis4"]["range"] = [-1.05, 1.05]
    axes["yaxis5"]["rangemode"] = "tozero"
    zero = [level(0, pane, theme.muted, "dot") for pane in ("y2", "y3", "y4")]
    usual = [level(normal_per_s, "y5", theme.attention, "dash")] if np.isfinite(normal_per_s) else []
    titles = (
        f"{symbol}  {formats.timeframe(timeframe)}",
        f"taker buys and sells  {base}",
        f"cumulative delta  {base}, since {hhmmss(int(frame.index.asi8[0]), zone)[:5]}",
        f"order flow imbalance, {SMOOTH_BARS} bars",
        "trades/s" + ("  (dashed: usual at this time of day)" if usual else ""),
    )
    last = (("y", data[1], f",.{decimals}f"), ("y3", data[4], ",.4g"), ("y4", data[5], "+.2f"))
    return layout(
        theme,
        margin={"l": 12, "r": 78, "t": 8, "b": 34},
        hoversubplots="axis",
        uirevision=f"tape {symbol} {timeframe}",
        xaxis=time_axis(theme, "y5"),
        **{name: {**value, "side": "right"} for name, value in axes.items()},
        barmode="relative",
        bargap=0.1,
        shapes=[*shading(spans_of(frame.index.asi8, missing, width_us), theme), *zero, *usual],
        annotations=[
            *(pane_title(text, f"y{n if n > 1 else ''}", theme) for n, text in enumerate(titles, start=1)),
            *(_last(pane, trace["y"], write, theme) for pane, trace, write in last),
        ],
    )


def _last(pane: str, values: np.ndarray, write: str, theme: Theme) -> Spec:
    value = float(values[-1])
    return last_value(value, format(value, write).replace("-", formats.MINUS), pane, theme, theme.text)


def sizes_spec(qty: np.ndarray, sizes: TradeSizes, signature: Signature, symbol: str, theme: Theme) -> Spec:
    """Distribution of trade sizes with the fence of large prints, and beside it volatility by sampling width."""
    edges, counts = size_bins(qty)
    middles = np.sqrt(edges[1:] * edges[:-1])
    large = np.isfinite(sizes.large_from) & (middles > sizes.large_from)
    known = np.isfinite(signature.volatility)
    percent = np.where(known, 100 * signature.volatility, np.nan)
    data: list[Spec] = [
        {
            "type": "bar",
            "x": middles,
            "y": counts,
            "width": np.diff(edges),
            "name": "trades",
            "marker": {"color": [theme.attention if flag else theme.accent for flag in large], "line": {"width": 0}},
            "hovertemplate": "%{x:.3~g}: %{y}<extra></extra>",
        },
        {
            **line(signature.width_s.astype(float), percent, "y2", "volatility", theme.x_leg),
            "xaxis": "x2",
            "mode": "lines+markers",
            "hovertemplate": "every %{x:g} s: %{y:.1f} % a year<extra></extra>",
        },
    ]
    fence = [] if not np.isfinite(sizes.large_from) else [_upright(sizes.large_from, theme)]
    return {"data": data, "layout": _sizes_layout(edges, signature, symbol, fence, theme)}


def size_bins(qty: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Edges of bins of equal width on a logarithmic scale, and how many sizes each holds."""
    low, high = float(qty.min()), float(qty.max())
    edges = np.geomspace(low, max(high, low * 1.01), SIZE_BINS + 1)
    edges[0], edges[-1] = min(edges[0], low), max(edges[-1], high)
    return edges, np.histogram(qty, edges)[0]


def _upright(value: float, theme: Theme) -> Spec:
    """A vertical line where large prints begin."""
    return {
        "type": "line",
        "xref": "x",
        "x0": value,
        "x1": value,
        "yref": "y domain",
        "y0": 0,
        "y1": 1,
        "line": {"color": theme.attention, "width": 1, "dash": "dash"},
    }


def above(pane: str) -> Spec:
    """Where a title stands above its pane."""
    return {"xref": f"{pane} domain", "yref": "paper", "y": 1, "align": "left"}


def _named_sizes(low: float, high: float) -> Spec:
    """Round sizes named on a logarithmic axis: powers of ten, or 1, 2 and 5 of each where few of those are there."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    tens, fine = ([float(f"{digit}e{power}") for power in powers for digit in digits] for digits in ((1,), (1, 2, 5)))
    inside = [[value for value in values if low <= value <= high] for values in (tens, fine)]
    values = inside[0] if len(inside[0]) > 1 else inside[1]
    return {"tickvals": values[:: max(1, math.ceil(len(values) / MOST_SIZES))], "tickformat": ",.10~f"}


def _sizes_layout(edges: np.ndarray, signature: Signature, symbol: str, shapes: list[Spec], theme: Theme) -> Spec:
    widths = signature.width_s
    small = {"side": "right", "nticks": 4}
    return layout(
        theme,
        margin={"l": 12, "r": 60, "t": 8, "b": 34},
        hovermode="closest",
        uirevision=f"sizes {symbol}",
        xaxis=axis(theme, domain=[0, 0.46], type="log", anchor="y", tickangle=0, **_named_sizes(edges[0], edges[-1])),
        xaxis2=axis(
            theme,
            domain=[0.54, 1],
            type="log",
            anchor="y2",
            tickangle=0,
            tickvals=widths.tolist(),
            ticktext=[f"{width:g} s" if width in WIDTHS_NAMED else "" for width in widths.tolist()],
        ),
        yaxis=amounts(theme, domain=[0, 0.86], anchor="x", **small),
        yaxis2=axis(theme, domain=[0, 0.86], anchor="x2", ticksuffix=" %", rangemode="tozero", **small),
        bargap=0,
        shapes=shapes,
        annotations=[
            {**pane_title(f"trades by size  {formats.base(symbol)},<br>large ones amber", "y", theme), **above("x")},
            {**pane_title("volatility a year<br>by width of sampling", "y2", theme), **above("x2")},
        ],
    )
