"""Figures of a backtest: money, drawdown, z with its trades, the grid, the walk, shuffled pairs, runs side by side."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from analytics.backtest import BacktestResult, Bands, Benchmark, GridResult, WalkForward
from dashboard import formats
from dashboard.charts.base import (
    Spec,
    band,
    domains,
    level,
    line,
    ms,
    pane_title,
    shading,
    spans_of,
    time_axis,
    z_levels,
)
from dashboard.theme import Theme, axis, layout, scale

HEIGHTS = (0.36, 0.16, 0.36, 0.12)  # equity, drawdown, z-score, position
POINTS = 4_000  # drawn of a line; of each stretch its lowest and highest value
MARKED = 1_500  # newest trades that are marked
PRINTED = 60  # cells of a heat map up to which their figures are written into them
BEST, BEST_PLATEAU = "●", "■"
METRICS = {  # of the heat maps
    "sharpe": "Sharpe, year",
    "sharpe_bar": "Sharpe, bar",
    "plateau": "plateau",
    "net": "net",
    "max_drawdown": "drawdown",
    "trades": "trades",
}
MARGIN = {"l": 58, "r": 14, "t": 8, "b": 34}


def thinned(values: np.ndarray, points: int = POINTS) -> np.ndarray:
    """Rows of the lowest and the highest of each stretch, and both ends; all rows where there are few."""
    if values.size <= points:
        return np.arange(values.size)
    edges = np.linspace(0, values.size, points // 2 + 1).astype(np.int64)
    low, high = (np.where(np.isfinite(values), values, fill) for fill in (math.inf, -math.inf))
    rows = [0, values.size - 1]
    for first, last in pairwise(edges.tolist()):
        rows += [first + int(low[first:last].argmin()), first + int(high[first:last].argmax())]
    return np.unique(rows)


def run_spec(run: BacktestResult, bands: Bands | None, width_us: int, theme: Theme) -> Spec:
    """Equity with its band, drawdown, z with every entry and exit at the close that decided it, and the position."""
    times = run.index if run.ts_us is None else ms(run.ts_us)
    data = [
        *_equity_band(bands, times, theme),
        _thin(times, run.equity, "y", "equity", theme.accent, width=1.6, hovertemplate="%{y:,.2f}"),
        _thin(times, -100 * run.drawdown, "y2", "drawdown", theme.down, fill="tozeroy", hovertemplate="%{y:.2f} %"),
        _thin(times, run.zscore, "y3", "z-score", theme.text, hovertemplate="%{y:.2f}"),
        *_marks(run, times, theme),
        _position(run, times, theme),
    ]
    return {"data": data, "layout": _run_layout(run, times, width_us, theme)}


def _thin(times: np.ndarray, values: np.ndarray, axis_: str, name: str, color: str, **more: Any) -> Spec:
    rows = thinned(values)
    return line(times[rows], values[rows], axis_, name, color, **more)


def _position(run: BacktestResult, times: np.ndarray, theme: Theme) -> Spec:
    """Steps: only where it changes, and at the end."""
    changes = np.flatnonzero(np.diff(run.position, prepend=run.position[0] + 1))
    rows = np.unique(np.append(changes, run.n_obs - 1))
    steps = run.position[rows].astype(float)
    return line(times[rows], steps, "y4", "position", theme.y_leg, shape="hv", hovertemplate="%{y:+.0f}")


def _equity_band(bands: Bands | None, times: np.ndarray, theme: Theme) -> list[Spec]:
    if bands is None:
        return []
    return band(times[bands.bars], bands.equity_low, bands.equity_high, "y", "95 %", theme.band)


def _marks(run: BacktestResult, times: np.ndarray, theme: Theme) -> list[Spec]:
    """Entries as triangles in the direction of the trade; exits as circles, stops and what gave up as crosses."""
    trades = run.trades.tail(MARKED)
    ended = trades[trades["exit_decided"] >= 0]
    long = trades["side"].to_numpy() > 0
    plain = ended["why"].to_numpy() == "exit"
    words = [_entry_words(row) for row in trades.to_dict("records")]
    ends = [f"{row['why']}, net {row['net']:+,.2f}" for row in ended.to_dict("records")]
    at, until = trades["entry_decided"].to_numpy(), ended["exit_decided"].to_numpy()
    return [
        _markers(
            times[at],
            run.zscore[at],
            "entry",
            words,
            np.where(long, "triangle-up", "triangle-down"),
            np.where(long, theme.up, theme.down),
        ),
        _markers(
            times[until],
            run.zscore[until],
            "end",
            ends,
            np.where(plain, "circle-open", "x"),
            np.where(plain, theme.muted, theme.attention),
        ),
    ]


def _entry_words(row: Mapping[Any, Any]) -> str:
    lost = f", touches {row['incomplete_bars']} incomplete bars" if row["incomplete_bars"] else ""
    return f"{'buy' if row['side'] > 0 else 'sell'} the spread{lost}"


def _markers(
    x: np.ndarray, y: np.ndarray, name: str, words: list[str], symbols: np.ndarray, colors: np.ndarray
) -> Spec:
    return {
        "type": "scatter",
        "mode": "markers",
        "x": x,
        "y": y,
        "yaxis": "y3",
        "name": name,
        "text": words,
        "hovertemplate": "%{text}",
        "cliponaxis": False,
        "marker": {"size": 7, "symbol": symbols.tolist(), "color": colors.tolist()},
    }


def _run_layout(run: BacktestResult, times: np.ndarray, width_us: int, theme: Theme) -> Spec:
    parts = {
        f"yaxis{number if number > 1 else ''}": axis(theme, domain=list(domain), nticks=6)
        for number, domain in enumerate(domains(HEIGHTS), start=1)
    }
    parts["yaxis"] |= {"tickformat": ",.6~g"}
    parts["yaxis2"] |= {"ticksuffix": " %", "rangemode": "tozero"}
    parts["yaxis4"] |= {"range": [-1.25, 1.25], "tickvals": [-1, 0, 1], "ticktext": ["short", "flat", "long"]}
    lost = [] if run.ts_us is None else spans_of(run.ts_us, ~run.complete, width_us)[:200]
    params = run.params
    titles = ("equity, 95 % band", "drawdown", "z-score: stop, entry and exit", "position")
    bottom = time_axis(theme, "y4") if run.ts_us is not None else axis(theme, anchor="y4")
    return layout(
        theme,
        margin=MARGIN,
        hoversubplots="axis",
        xaxis=bottom,
        **parts,
        shapes=[
            *shading(lost, theme, float(times[0])),
            level(params.capital, "y", theme.muted, "dot"),
            *z_levels(params.entry_z, params.exit_z, params.stop_z, "y3", theme),
        ],
        annotations=[pane_title(text, f"y{n if n > 1 else ''}", theme) for n, text in enumerate(titles, start=1)],
    )


# --- grid ---------------------------------------------------------------------------------------------


def grid_spec(found: GridResult, method: str, window: int, metric: str, theme: Theme) -> Spec:
    """Entries against exits at one window, in the colours of all windows; the best trial and plateau are marked."""
    values = found.plateau if metric == "plateau" else found.figures[metric]
    values = values[found.axes.method.index(method)]
    ends = _ends(values[np.isfinite(values)], metric)
    here = values[found.axes.window.index(window)]
    heat: Spec = {
        "type": "heatmap",
        "x": [f"{value:g}" for value in found.axes.exit_z],
        "y": [f"{value:g}" for value in found.axes.entry_z],
        "z": here.tolist(),
        "text": _cells(found, here, method, window, metric),
        "zmin": ends[0],
        "zmax": ends[1],
        "colorscale": scale(theme.diverging if ends[0] < 0 else theme.sequential),
        "showscale": False,
        "xgap": 2,
        "ygap": 2,
        "hovertemplate": "enter %{y}, leave %{x}<br><b>%{text}</b><extra></extra>",
        "texttemplate": "%{text}",
        "textfont": {"size": 11 if here.size <= PRINTED else 9},
    }
    side = {"type": "category", "showgrid": False, "automargin": True}
    margin = {"l": 12, "r": 4, "t": 24, "b": 12}
    bottom, left = axis(theme, **side), axis(theme, **side)
    head = pane_title(f"window {window}", "y", theme) | {"yanchor": "bottom", "bgcolor": "rgba(0,0,0,0)"}
    shown = layout(theme, margin=margin, hovermode="closest", xaxis=bottom, yaxis=left, annotations=[head])
    return {"data": [heat], "layout": shown}


def _ends(known: np.ndarray, metric: str) -> tuple[float, float]:
    """Of the colours: the same on both sides of nothing where a figure may be good or bad."""
    if not known.size:
        return -1.0, 1.0
    if metric not in ("max_drawdown", "trades"):
        most = float(np.abs(known).max()) or 1.0
        return -most, most
    return 0.0, float(known.max()) or 1.0


def _cells(found: GridResult, here: np.ndarray, method: str, window: int, metric: str) -> list[list[str]]:
    """The figure of each cell where there is room, and the marks of the best."""
    write = {"trades": 0, "sharpe": 2, "net": 2}
    room = here.size <= PRINTED

    def text(value: float) -> str:
        if metric == "max_drawdown":
            return formats.percent(value, 2)
        return formats.number(value, write[metric]) if metric in write else formats.significant(value, 2)

    cells = [[text(value) if room else "" for value in row] for row in here.tolist()]
    for best, mark in ((found.best, BEST), (found.best_plateau, BEST_PLATEAU)):
        if best is not None and (best.method, best.window) == (method, window):
            i, j = found.axes.entry_z.index(best.entry_z), found.axes.exit_z.index(best.exit_z)
            cells[i][j] += f" {mark}" if "<br>" in cells[i][j] or not room else f"<br>{mark}"
    return cells


# --- walk-forward -------------------------------------------------------------------------------------


def walk_spec(found: WalkForward, times: np.ndarray, capital: float, yearly: bool, theme: Theme) -> Spec:
    """Sharpe ratios of the chosen in and out of sample, fold by fold; below, equity out of sample.

    times : opens of the bars of the tests, microseconds
    yearly : whether ratios are told of a year, or of a bar
    """
    folds = list(range(1, len(found.folds) + 1))
    year = found.sharpe / found.sharpe_bar if yearly and found.sharpe_bar else 1.0
    parts = (("in sample", "in_sample", theme.muted), ("out of sample", "out_of_sample", theme.accent))
    bars: list[Spec] = [
        {
            "type": "bar",
            "x": folds,
            "y": [_scaled(getattr(fold, field).sharpe_bar, year) for fold in found.folds],
            "name": name,
            "marker": {"color": color},
            "hovertemplate": f"{name} %{{y:.2f}}<extra></extra>",
        }
        for name, field, color in parts
    ]
    at = ms(times)
    equity = _thin(at, found.equity, "y2", "out of sample", theme.accent, width=1.6, hovertemplate="%{y:,.2f}")
    upper, lower, word = *domains((0.45, 0.55)), "year" if yearly else "bar"
    known = [value for bar in bars for value in bar["y"] if value is not None]
    ends = min([0.0, *known]), max([0.0, *known])
    ends = ends if ends[0] < ends[1] else (0.0, 1.0)
    room = 0.12 * (ends[1] - ends[0])
    return {
        "data": [*bars, equity | {"xaxis": "x2"}],
        "layout": layout(
            theme,
            margin=MARGIN,
            barmode="group",
            bargap=0.35,
            xaxis=axis(theme, anchor="y", showgrid=False, tickvals=folds, ticktext=[f"fold {k}" for k in folds]),
            yaxis=axis(theme, domain=[upper[0] + 0.05, 1], nticks=5, range=[ends[0] - room / 3, ends[1] + room]),
            xaxis2=time_axis(theme, "y2"),
            yaxis2=axis(theme, domain=list(lower), nticks=6, tickformat=",.6~g"),
            shapes=[level(0, "y", theme.muted, "dot"), level(capital, "y2", theme.muted, "dot")],
            annotations=[
                pane_title(f"Sharpe of the chosen, {word}: grey in sample, blue out of sample", "y", theme),
                pane_title("equity out of sample, one test after the other", "y2", theme),
            ],
        ),
    }


def _scaled(value: float, by: float) -> float | None:
    found = value * by
    return found if math.isfinite(found) else None


# --- shuffled pairs, saved runs -----------------------------------------------------------------------


def benchmark_spec(found: Benchmark, theme: Theme) -> Spec:
    """How often shuffled pairs earn how much, and what the pair earns."""
    known = found.net[np.isfinite(found.net)]
    return {
        "data": [
            {
                "type": "histogram",
                "x": known.tolist(),
                "nbinsx": 30,
                "marker": {"color": theme.muted},
                "hovertemplate": "%{x}: %{y} pairs<extra></extra>",
            }
        ],
        "layout": layout(
            theme,
            margin={"l": 34, "r": 14, "t": 8, "b": 30},
            hovermode="closest",
            bargap=0.05,
            xaxis=axis(theme, tickformat=",.4~g", nticks=6),
            yaxis=axis(theme, nticks=4),
            shapes=[
                {
                    "type": "line",
                    "x0": found.own_net,
                    "x1": found.own_net,
                    "yref": "paper",
                    "y0": 0,
                    "y1": 1,
                    "line": {"color": theme.accent, "width": 2},
                }
            ],
        ),
    }


def saved_spec(runs: Mapping[str, Mapping[str, Any]], theme: Theme) -> Spec:
    """Equity of saved runs, each in percent of its capital."""
    colors: Sequence[str] = (theme.accent, theme.attention, theme.up, theme.x_leg, theme.down)
    data = []
    for (name, run), color in zip(runs.items(), colors, strict=False):
        capital = float(run["request"]["params"]["capital"])
        curve = run["equity"]
        change = 100 * (np.array(curve["equity"], float) / capital - 1)
        x = ms(np.array(curve["ts_us"], np.int64))
        data.append(line(x, change, "y", name, color, width=1.6, hovertemplate="%{y:+.2f} %"))
    return {
        "data": data,
        "layout": layout(
            theme,
            margin=MARGIN,
            showlegend=True,
            legend={"orientation": "h", "y": 1.08, "x": 0, "font": {"color": theme.muted, "size": 11}},
            xaxis=time_axis(theme, "y"),
            yaxis=axis(theme, ticksuffix=" %", nticks=6),
            shapes=[level(0, "y", theme.muted, "dot")],
        ),
    }
