"""Figures of the Advanced page of one series: its distribution, its memory, its trend and season."""

import numpy as np

from analytics.autocorrelation import Autocorrelation
from analytics.normality import QuantileLine
from analytics.seasonality import Decomposition
from dashboard import formats
from dashboard.charts.advanced_trades import legend, titled
from dashboard.charts.base import Spec, band, domains, level, line, ms, pane_title, time_axis
from dashboard.studies import Distribution, Remembering, Subject
from dashboard.theme import Theme, axis, layout

SEASON_HEIGHTS = (0.46, 0.27, 0.27)  # levels with trend, season, rest


def distribution_spec(found: Distribution, subject: Subject, theme: Theme) -> Spec:
    """Histogram of the middle 99 % of the changes, with the fitted normal and Student t."""
    shape, unit = found.density, subject.unit
    df = found.summary.student.df if found.summary.student is not None else float("nan")
    widths = np.diff(shape.edges)
    middles = (shape.edges[1:] + shape.edges[:-1]) / 2
    named = (
        ("normal", shape.normal, theme.muted, "dash"),
        (f"Student t, df {df:.1f}", shape.student, theme.x_leg, "solid"),
    )
    data: list[Spec] = [
        {
            "type": "bar",
            "x": middles,
            "y": shape.counts / (shape.n_obs * widths),
            "width": widths,
            "name": subject.what,
            "customdata": shape.counts,
            "hovertemplate": f"%{{x:.3~g}} {unit}: %{{customdata}}<extra></extra>",
            "marker": {"color": theme.accent, "opacity": 0.55, "line": {"width": 0}},
        }
    ]
    for name, values, color, dash in named:
        curve = line(shape.grid, values, "y", name, color, width=2, hoverinfo="skip")
        data.append(curve | {"line": {"color": color, "width": 2, "dash": dash}})
    return {
        "data": data,
        "layout": layout(
            theme,
            margin={"l": 14, "r": 14, "t": 8, "b": 42},
            hovermode="closest",
            uirevision=f"distribution {subject.name}",
            **legend(theme),
            bargap=0,
            xaxis=titled(f"{subject.what}, {unit}  ({_beside(found)})", theme, nticks=7, tickformat=".3~g"),
            yaxis=axis(theme, showticklabels=False, rangemode="tozero"),
        ),
    }


def _beside(found: Distribution) -> str:
    return f"{found.density.below} further left, {found.density.above} further right"


def quantiles_spec(found: Distribution, subject: Subject, theme: Theme) -> Spec:
    """Ordered changes against the quantiles of both fits, each with the band that an honest fit stays in."""
    ends = [float(found.normal.found[0]), float(found.normal.found[-1])]
    same = line(np.array(ends), np.array(ends), "y", "what fits lies here", theme.muted, width=1)
    same["line"]["dash"] = "dot"
    return {
        "data": [
            *_quantiles(found.student, "Student t", theme.x_leg, theme.band),
            *_quantiles(found.normal, "normal", theme.attention, theme.gap),
            same | {"hoverinfo": "skip", "showlegend": False},
        ],
        "layout": layout(
            theme,
            margin={"l": 46, "r": 14, "t": 8, "b": 42},
            hovermode="closest",
            uirevision=f"quantiles {subject.name}",
            **legend(theme),
            xaxis=titled(f"quantile of the fit, {subject.unit}", theme, nticks=6, tickformat=".3~g"),
            yaxis=titled(
                f"ordered {subject.what}, {subject.unit}", theme, nticks=6, tickformat=".3~g", range=_reach(ends)
            ),
        ),
    }


def _reach(ends: list[float]) -> list[float]:
    """The data and some room: the band of heavy tails would go far beyond."""
    room = 0.12 * (ends[1] - ends[0])
    return [ends[0] - room, ends[1] + room]


def _quantiles(found: QuantileLine, name: str, color: str, shade: str) -> list[Spec]:
    low, high = band(found.expected, found.low, found.high, "y", name, shade)
    points = {
        "type": "scatter",
        "mode": "markers",
        "x": found.expected,
        "y": found.found,
        "name": f"against {name}, {formats.percent(found.outside, 0)} outside its band",
        "hovertemplate": f"{name} %{{x:.3~g}}, data %{{y:.3~g}}<extra></extra>",
        "marker": {"color": color, "size": 4},
    }
    return [low | {"showlegend": False}, high | {"showlegend": False}, points]


def memory_spec(found: Remembering, subject: Subject, theme: Theme) -> Spec:
    """Autocorrelation of the changes and of their sizes, with the band of chance; what leaves it is coloured."""
    top, bottom = domains((0.5, 0.5))
    what = subject.what.removesuffix("s")
    return {
        "data": [*_stems(found.changes, "y", what, theme), *_stems(found.sizes, "y2", f"size of {what}", theme)],
        "layout": layout(
            theme,
            margin={"l": 46, "r": 14, "t": 8, "b": 42},
            hovermode="closest",
            uirevision=f"memory {subject.name}",
            bargap=0.35,
            xaxis=titled("bars before", theme, anchor="y2", nticks=8),
            yaxis=axis(theme, domain=list(top), nticks=4, tickformat=".2~f"),
            yaxis2=axis(theme, domain=list(bottom), nticks=4, tickformat=".2~f"),
            shapes=[level(0.0, pane, theme.muted, "dot") for pane in ("y", "y2")],
            annotations=[
                pane_title(f"autocorrelation of {subject.what}", "y", theme),
                pane_title(f"of their sizes (ranks of |{what} − median|)", "y2", theme),
            ],
        ),
    }


def _stems(found: Autocorrelation, pane: str, name: str, theme: Theme) -> list[Spec]:
    beyond = np.abs(found.values) > found.band
    bars = {
        "type": "bar",
        "x": found.lags,
        "y": found.values,
        "yaxis": pane,
        "name": name,
        "customdata": found.band,
        "marker": {"color": [theme.accent if flag else theme.muted for flag in beyond], "line": {"width": 0}},
        "hovertemplate": "%{x} bars: <b>%{y:.3f}</b>, by chance up to ±%{customdata:.2f}<extra></extra>",
    }
    return [*band(found.lags, -found.band, found.band, pane, "chance", theme.band), bars]


def season_spec(found: Decomposition, subject: Subject, season: str, timeframe: str, theme: Theme) -> Spec:
    """Levels with their trend, the repeating season, and what is left, on one time axis."""
    x = ms(subject.ts_us)
    hover = "%{y:.6~g}"
    data = [
        line(x, found.observed, "y", "observed", theme.muted, width=1, hovertemplate=hover),
        line(x, found.trend, "y", "trend", theme.accent, width=2, hovertemplate=hover),
        line(x, found.seasonal, "y2", "season", theme.x_leg, hovertemplate="%{y:.3~g}"),
        line(x, found.residual, "y3", "rest", theme.text, width=1, hovertemplate="%{y:.3~g}"),
    ]
    axes = {
        f"yaxis{number if number > 1 else ''}": axis(
            theme, domain=list(domain), nticks=5, side="right", tickformat=".6~g"
        )
        for number, domain in enumerate(domains(SEASON_HEIGHTS), start=1)
    }
    unit = subject.level_unit
    titles = (
        f"{subject.name}  {unit}: observed, and its trend",
        f"season of one {season}  {unit}",
        f"what is left  {unit}",
    )
    return {
        "data": data,
        "layout": layout(
            theme,
            margin={"l": 12, "r": 70, "t": 8, "b": 34},
            hoversubplots="axis",
            uirevision=f"season {subject.name.split()[0]} {timeframe} {season}",
            xaxis=time_axis(theme, "y3"),
            **axes,
            shapes=[level(0.0, pane, theme.muted, "dot") for pane in ("y2", "y3")],
            annotations=[pane_title(text, f"y{n if n > 1 else ''}", theme) for n, text in enumerate(titles, start=1)],
        ),
    }
