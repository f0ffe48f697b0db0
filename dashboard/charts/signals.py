"""The figure of the Signals page: z with its thresholds and what the rule did, the position, and the momentum."""

import numpy as np

from analytics.pair import PairAnalysis
from analytics.resampling import timeframe_us
from analytics.signals import Crossover, Event, SignalParams, mean_reversion_signal, momentum_signal
from dashboard import formats
from dashboard.charts.base import (
    Spec,
    domains,
    first_shown,
    last_value,
    level,
    line,
    ms,
    pane_title,
    shading,
    steady_range,
    time_axis,
    z_levels,
)
from dashboard.charts.pair import PairChart
from dashboard.theme import Theme, axis, layout

HEIGHT = 700  # pixels
HEIGHTS = (0.56, 0.14, 0.3)  # z-score, position, momentum


def signals_spec(analysis: PairAnalysis, rule: SignalParams, chart: PairChart, theme: Theme) -> Spec:
    """z with thresholds and events, the position that each bar's close decides, and the momentum of z."""
    ts_us = analysis.ts_us if analysis.ts_us is not None else np.arange(analysis.n_obs) * timeframe_us(chart.timeframe)
    first = first_shown(ts_us, timeframe_us(chart.timeframe), chart.bars)
    x, z = ms(ts_us[first:]), analysis.path.zscore
    reversion, momentum = mean_reversion_signal(z, rule), momentum_signal(z, rule)
    position = reversion.position.astype(np.float64)
    data = [
        line(x, z[first:], "y", "z-score", theme.text, width=1.6, hovertemplate="%{y:.2f}"),
        _events(reversion.events, first, x, theme),
        line(x, position[first:], "y2", "position", theme.y_leg, hovertemplate="%{y:+.0f}", shape="hv"),
        line(x, momentum.strength[first:], "y3", "momentum of z", theme.x_leg, hovertemplate="%{y:+.2f}"),
        _crossovers(momentum.crossovers, first, x, theme),
    ]
    newest = float(z[-1]), float(momentum.strength[-1])
    return {"data": data, "layout": _layout(rule, chart, newest, x, theme)}


def event_text(event: Event) -> str:
    """What the rule did: `sell the spread`, `leave`, `stop`."""
    if event.kind == "entry":
        return "buy the spread" if event.side > 0 else "sell the spread"
    return "leave" if event.kind == "exit" else "stop"


def _events(events: tuple[Event, ...], first: int, x: np.ndarray, theme: Theme) -> Spec:
    """Entries as triangles in the direction of the trade, exits as circles, stops as crosses."""
    shown = [event for event in events if event.bar >= first]
    symbols = [
        ("triangle-up" if event.side > 0 else "triangle-down")
        if event.kind == "entry"
        else {"exit": "circle-open", "stop": "x"}[event.kind]
        for event in shown
    ]
    colors = [
        (theme.up if event.side > 0 else theme.down)
        if event.kind == "entry"
        else (theme.attention if event.kind == "stop" else theme.muted)
        for event in shown
    ]
    return {
        **_markers(x[[event.bar - first for event in shown]], [event.zscore for event in shown], "y", "rule"),
        "text": [event_text(event) for event in shown],
        "marker": {"size": 9, "symbol": symbols, "color": colors, "line": {"width": 1.5, "color": colors}},
    }


def _crossovers(crossovers: tuple[Crossover, ...], first: int, x: np.ndarray, theme: Theme) -> Spec:
    shown = [turn for turn in crossovers if turn.bar >= first]
    return {
        **_markers(x[[turn.bar - first for turn in shown]], [turn.strength for turn in shown], "y3", "turn"),
        "text": ["now rising" if turn.side > 0 else "now falling" for turn in shown],
        "marker": {
            "size": 7,
            "symbol": ["triangle-up" if turn.side > 0 else "triangle-down" for turn in shown],
            "color": [theme.up if turn.side > 0 else theme.down for turn in shown],
        },
    }


def _markers(x: np.ndarray, y: list[float], axis_: str, name: str) -> Spec:
    return {
        "type": "scatter",
        "mode": "markers",
        "x": x,
        "y": y,
        "yaxis": axis_,
        "name": name,
        "hovertemplate": "%{text}",
        "cliponaxis": False,
    }


def _layout(rule: SignalParams, chart: PairChart, newest: tuple[float, float], x: np.ndarray, theme: Theme) -> Spec:
    ticks = (".2~g", ".1~f", ".2~g")
    axes = {
        f"yaxis{number if number > 1 else ''}": axis(theme, domain=list(domain), nticks=6, tickformat=tickformat)
        for number, (domain, tickformat) in enumerate(zip(domains(HEIGHTS), ticks, strict=True), start=1)
    }
    axes["yaxis2"] |= {"range": [-1.25, 1.25], "tickvals": [-1, 0, 1], "ticktext": ["short", "flat", "long"]}
    thresholds = z_levels(rule.entry_z, rule.exit_z, rule.stop_z, "y", theme)
    turns = [level(sign * rule.hysteresis, "y3", theme.muted, "dot") for sign in (1, -1)]
    z, strength = newest
    titles = ("z-score: stop, entry and exit", "position, decided at each close", "momentum of z")
    return layout(
        theme,
        margin={"l": 46, "r": 60, "t": 8, "b": 34},
        hoversubplots="axis",
        uirevision=f"signals {chart.symbol_y} {chart.symbol_x} {chart.timeframe}",
        xaxis=time_axis(theme, "y3", autorangeoptions=steady_range(x)),
        **axes,
        shapes=[
            *shading(chart.incomplete, theme, x[0]),
            *thresholds,
            *turns,
        ],
        annotations=[
            *(pane_title(text, f"y{n if n > 1 else ''}", theme) for n, text in enumerate(titles, start=1)),
            last_value(z, formats.number(z, 2, sign=True), "y", theme, theme.text),
            last_value(strength, formats.number(strength, 2, sign=True), "y3", theme, theme.text),
        ],
    )
