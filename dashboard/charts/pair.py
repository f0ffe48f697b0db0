"""The figure of the Pair page: legs, spread, z-score, hedge ratio and correlation on one time axis."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import plotly.graph_objects as go

import config
from analytics.pair import PairAnalysis
from analytics.resampling import timeframe_us
from dashboard import formats
from dashboard.charts.base import (
    Mark,
    Spec,
    band,
    domains,
    first_shown,
    last_value,
    level,
    line,
    ms,
    pane_title,
    rebased,
    shading,
    statistic,
    steady_range,
    time_axis,
    z_levels,
)
from dashboard.theme import Theme, axis, layout

HEIGHT = 1_000  # pixels
HEIGHTS = (0.22, 0.19, 0.25, 0.15, 0.13)  # legs, spread, z-score, hedge ratio, correlation
LEGS = {  # what is drawn of a leg: times close / first close - less, and how it is told
    "bp": ({"times": 10_000, "less": 10_000}, "%{y:.1f} bp"),
    "log": ({"times": 100, "less": 0}, "%{y:.2f}"),
}


@dataclass(frozen=True, slots=True)
class PairChart:
    """What the figure shows besides the analysis."""

    symbol_y: str
    symbol_x: str
    timeframe: str
    incomplete: Sequence[tuple[int, int]] = field(default=())  # spans of bars that miss trades, microseconds
    marks: Sequence[Mark] = field(default=())
    stop_z: float = math.inf
    rules: Sequence[float] = ()  # levels of z at which alert rules fire
    bars: int = config.CHART_BARS  # newest ones drawn
    legs: str = "bp"  # change in basis points, or "log": percent of the first on a logarithmic scale


def pair_spec(analysis: PairAnalysis, chart: PairChart, theme: Theme) -> Spec:
    """The figure as a plain Plotly dictionary; its legs are prices until they are `rebased`."""
    ts_us = analysis.ts_us if analysis.ts_us is not None else np.arange(analysis.n_obs) * timeframe_us(chart.timeframe)
    shown = slice(first_shown(ts_us, timeframe_us(chart.timeframe), chart.bars), None)
    x = ms(ts_us[shown])
    data = [
        *_legs(analysis, chart, x, shown, theme),
        *_spread(analysis, x, shown, theme),
        *_zscore(analysis, chart, x, shown, theme),
        *_hedge_ratio(analysis, x, shown, theme),
        statistic(x, analysis.path.correlation[shown], "y5", "correlation", theme.x_leg, hovertemplate="%{y:.2f}"),
    ]
    return {"data": data, "layout": _layout(analysis, chart, x, theme)}


def pair_figure(analysis: PairAnalysis, chart: PairChart, theme: Theme) -> go.Figure:
    """The figure as a checked `go.Figure`, for pages drawn once, reports and tests."""
    return go.Figure(rebased(pair_spec(analysis, chart, theme)))


def _legs(analysis: PairAnalysis, chart: PairChart, x: np.ndarray, shown: slice, theme: Theme) -> list[Spec]:
    """Closes, with what `rebased` needs to draw their change since the first one shown."""
    legs = ((analysis.x[shown], chart.symbol_x, theme.x_leg), (analysis.y[shown], chart.symbol_y, theme.y_leg))
    scale, hover = LEGS[chart.legs]
    return [
        line(x, y, "y", formats.base(symbol), color, hovertemplate=hover, meta=scale | {"base": float(y[0])})
        for y, symbol, color in legs
    ]


def _spread(analysis: PairAnalysis, x: np.ndarray, shown: slice, theme: Theme) -> list[Spec]:
    """The spread's distance from its rolling mean, inside the band at which |z| reaches entry."""
    reach = analysis.params.entry_z * analysis.path.spread_std[shown]
    deviation = (analysis.path.spread - analysis.path.spread_mean)[shown]
    unit = "%{y:.4~g}"
    return [
        *band(x, -reach, reach, "y2", "entry band", theme.band),
        statistic(x, deviation, "y2", "spread − mean", theme.text, hovertemplate=unit),
    ]


def _zscore(analysis: PairAnalysis, chart: PairChart, x: np.ndarray, shown: slice, theme: Theme) -> list[Spec]:
    first = x[0] if x.size else 0
    marks = [mark for mark in chart.marks if mark.ts_us / 1_000 >= first]
    above = [mark.value >= 0 for mark in marks]
    return [
        statistic(x, analysis.path.zscore[shown], "y3", "z-score", theme.text, width=1.6, hovertemplate="%{y:.2f}"),
        {
            "type": "scatter",
            "mode": "markers",
            "x": [mark.ts_us / 1_000 for mark in marks],
            "y": [mark.value for mark in marks],
            "yaxis": "y3",
            "name": "alert",
            "text": [mark.text for mark in marks],
            "hovertemplate": "%{text}",
            "cliponaxis": False,
            "marker": {
                "size": 9,
                "symbol": ["triangle-down" if up else "triangle-up" for up in above],
                "color": [theme.down if up else theme.up for up in above],
            },
        },
    ]


def _hedge_ratio(analysis: PairAnalysis, x: np.ndarray, shown: slice, theme: Theme) -> list[Spec]:
    ratio = analysis.path.hedge_ratio[shown]
    drawn = statistic(x, ratio, "y4", "hedge ratio", theme.y_leg, hovertemplate="%{y:.4~g}")
    reach = 2 * analysis.path.hedge_ratio_stderr[shown]
    return [*band(x, ratio - reach, ratio + reach, "y4", "2 standard errors", theme.band), drawn]


def _layout(analysis: PairAnalysis, chart: PairChart, x: np.ndarray, theme: Theme) -> Spec:
    low_high = domains(HEIGHTS)
    axes = {
        f"yaxis{number if number > 1 else ''}": axis(theme, domain=list(domain), nticks=5, tickformat=tickformat)
        for number, (domain, tickformat) in enumerate(
            zip(low_high, (".4~g", ".4~g", ".2~g", ".3~g", ".2~g"), strict=True), start=1
        )
    }
    if chart.legs == "log":
        axes["yaxis"] |= {"type": "log", "tickformat": ".5~g"}
    return layout(
        theme,
        margin={"l": 46, "r": 60, "t": 8, "b": 34},
        hoversubplots="axis",
        uirevision=f"{chart.symbol_y} {chart.symbol_x} {chart.timeframe} {chart.bars} {chart.legs}",
        # Alert marks would push the edges out and in again.
        xaxis=time_axis(theme, "y5", autorangeoptions=steady_range(x)),
        **axes,
        shapes=[*shading(chart.incomplete, theme, x[0]), *_thresholds(analysis, chart, theme)],
        annotations=[*_titles(analysis, chart, theme), *_last_values(analysis, theme)],
    )


def _thresholds(analysis: PairAnalysis, chart: PairChart, theme: Theme) -> list[Spec]:
    """Thresholds of the view, and in the accent those of alert rules."""
    params = analysis.params
    watched = [level(value, "y3", theme.accent, "longdash") for value in chart.rules]
    own = z_levels(params.entry_z, params.exit_z, chart.stop_z, "y3", theme)
    return [*own, level(0, "y2", theme.muted, "dot"), *watched]


def _titles(analysis: PairAnalysis, chart: PairChart, theme: Theme) -> list[Spec]:
    legs = ((chart.symbol_y, theme.y_leg), (chart.symbol_x, theme.x_leg))
    names = "  ".join(f'<span style="color:{color}">{formats.base(symbol)}</span>' for symbol, color in legs)
    unit = "log" if analysis.params.log_prices else formats.quote(chart.symbol_y)
    scale = "first bar = 100" if chart.legs == "log" else "bp"
    texts = (f"{names}  {scale}", f"spread − mean  {unit}".rstrip(), "z-score", "hedge ratio", "correlation")
    return [pane_title(text, f"y{n if n > 1 else ''}", theme) for n, text in enumerate(texts, start=1)]


def _last_values(analysis: PairAnalysis, theme: Theme) -> list[Spec]:
    deviation = float(analysis.path.spread[-1] - analysis.path.spread_mean[-1])
    newest = (getattr(analysis.path, name) for name in ("zscore", "hedge_ratio", "correlation"))
    z, ratio, correlation = (float(values[-1]) for values in newest)
    stretched = abs(z) >= analysis.params.entry_z
    return [
        last_value(deviation, formats.significant(deviation, 3), "y2", theme, theme.text),
        last_value(z, formats.number(z, 2, sign=True), "y3", theme, theme.attention if stretched else theme.text),
        last_value(ratio, formats.significant(ratio, 3), "y4", theme, theme.text),
        last_value(correlation, formats.number(correlation, 2), "y5", theme, theme.text),
    ]
