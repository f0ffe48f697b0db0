"""Figures of a scan: q-values of every pair, the shortest tree that joins all symbols, and the dendrogram."""

import numpy as np
import pandas as pd

from analytics.scanner import Dendrogram, SpanningTree
from dashboard import formats
from dashboard.charts.base import Spec
from dashboard.theme import Theme, axis, layout, scale

MOST_SYMBOLS = 60  # of the heat map: those of the best pairs
NAMED = 40  # symbols up to which each has its name beside the heat map
TREE_NAMED = 70  # and beyond so many in the tree only those with a found pair
FLOOR = 1e-4  # least q-value that has a colour of its own
TICKS = (1.0, 0.1, 0.05, 0.01, 0.001, FLOOR)
ROW = 15  # pixels of a symbol of the dendrogram
HEIGHT, TREE_HEIGHT = 460, 620  # pixels


def best_symbols(found: pd.DataFrame, order: tuple[str, ...]) -> list[str]:
    """The symbols of the best pairs, at most MOST_SYMBOLS, in an order that has like ones beside each other."""
    legs = found.sort_values("qvalue", kind="stable")[["y", "x"]].to_numpy().ravel()
    best = set(list(dict.fromkeys(legs))[:MOST_SYMBOLS])
    return [symbol for symbol in order if symbol in best] + sorted(best - set(order))


def heat_spec(found: pd.DataFrame, symbols: list[str], theme: Theme) -> Spec:
    """q-values of the pairs of some symbols as a heat map, darker ... lighter by -log10 q."""
    place = {symbol: at for at, symbol in enumerate(symbols)}
    inside = found[found["y"].isin(place) & found["x"].isin(place)]
    i, j = (inside[leg].map(place).to_numpy(np.int64) for leg in "yx")
    values, words = np.full((len(symbols),) * 2, np.nan), np.full((len(symbols),) * 2, "", object)
    values[i, j] = values[j, i] = -np.log10(np.clip(inside["qvalue"].to_numpy(np.float64), FLOOR, 1.0))
    words[i, j] = words[j, i] = [_pair(row) for row in inside.itertuples()]
    names = [formats.base(symbol) for symbol in symbols]
    side = axis(theme, showgrid=False, automargin=True, ticks="", tickmode="array")
    side |= {"tickvals": list(range(len(names))), "ticktext": names} if len(names) <= NAMED else {"tickvals": []}
    heat = {
        "type": "heatmap",
        "z": values,
        "zmin": 0,
        "zmax": -np.log10(FLOOR),
        "colorscale": scale(theme.sequential),
        "text": words,
        "hovertemplate": "%{text}<extra></extra>",
        "hoverongaps": False,
        "xgap": 1,
        "ygap": 1,
        "colorbar": {
            "title": {"text": "q", "font": {"size": 11, "color": theme.muted}},
            "tickvals": [-np.log10(value) for value in TICKS],
            "ticktext": [f"{value:g}" for value in TICKS[:-1]] + [f"≤ {FLOOR:g}"],
            "thickness": 8,
            "outlinewidth": 0,
            "tickfont": {"color": theme.muted, "size": 10},
        },
    }
    return {
        "data": [heat],
        "layout": layout(
            theme,
            height=HEIGHT,
            hovermode="closest",
            margin={"l": 12, "r": 8, "t": 8, "b": 12},
            xaxis=side | {"tickangle": -90},
            yaxis=side | {"autorange": "reversed"},
        ),
    }


def _pair(row: object) -> str:
    y, x = (formats.base(str(getattr(row, leg))) for leg in "yx")
    q, life = float(row.qvalue), float(row.half_life)  # type: ignore[attr-defined]
    if not np.isfinite(q):
        return f"{y}/{x}<br>{row.reason}"  # type: ignore[attr-defined]
    half = "∞" if np.isinf(life) else f"{life:.1f} bars"
    return f"{y}/{x}  <b>q {formats.pvalue(q)}</b><br>half-life {half}"


def tree_spec(tree: SpanningTree, clusters: dict[str, int], found: pd.DataFrame, theme: Theme) -> Spec:
    """The spanning tree: symbols with a found pair stand out, edges are the wider the more alike the two move."""
    place = {symbol: at for at, symbol in enumerate(tree.symbols)}
    lines = [_edges(tree, place, low, high, width, theme) for low, high, width in _WIDTHS]
    legs = found.loc[found["found"], ["y", "x"]].to_numpy().ravel().tolist()
    counts = np.array([legs.count(symbol) for symbol in tree.symbols])
    words = [
        f"<b>{formats.base(symbol)}</b><br>{counts[at]} found pairs<br>cluster {clusters.get(symbol, -1) + 1}"
        for symbol, at in place.items()
    ]
    few = len(place) <= TREE_NAMED
    nodes = {
        "type": "scatter",
        "mode": "markers+text",
        "x": tree.x,
        "y": tree.y,
        "text": [formats.base(symbol) if few or counts[at] else "" for symbol, at in place.items()],
        "textposition": "top center",
        "textfont": {"size": 10, "color": theme.muted},
        "hovertext": words,
        "hovertemplate": "%{hovertext}<extra></extra>",
        "marker": {
            "size": np.clip(7 + 2 * counts, 7, 17),
            "color": [theme.accent if count else theme.muted for count in counts],
            "line": {"width": 1, "color": theme.ground},
        },
    }
    hidden = {"visible": False, "fixedrange": False}
    return {
        "data": [*lines, nodes],
        "layout": layout(
            theme,
            height=TREE_HEIGHT,
            hovermode="closest",
            dragmode="pan",
            margin={"l": 8, "r": 8, "t": 12, "b": 8},
            xaxis=hidden,
            yaxis=hidden | {"scaleanchor": "x"},
        ),
    }


_WIDTHS = ((-1.01, 0.5, 0.7), (0.5, 0.8, 1.6), (0.8, 1.01, 3.0))  # correlations above, up to, and their width


def _edges(tree: SpanningTree, place: dict[str, int], low: float, high: float, width: float, theme: Theme) -> Spec:
    """All edges of some correlations as one broken line."""
    ends = [(place[edge.one], place[edge.other]) for edge in tree.edges if low < edge.correlation <= high]
    gap = [None]
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [at for one, other in ends for at in [float(tree.x[one]), float(tree.x[other]), *gap]],
        "y": [at for one, other in ends for at in [float(tree.y[one]), float(tree.y[other]), *gap]],
        "line": {"width": width, "color": theme.x_leg},
        "opacity": 0.6,
        "hoverinfo": "skip",
    }


def dendrogram_spec(found: Dendrogram, theme: Theme) -> Spec:
    """Symbols on the left, joined the farther to the right the less alike they move; the cut as a dashed line."""
    inside = found.height.max(axis=1) <= found.cut
    arches = [_arches(found, chosen, color) for chosen, color in ((inside, theme.accent), (~inside, theme.muted))]
    names = [formats.base(symbol) for symbol in found.symbols]
    cut = {
        "type": "line",
        "x0": found.cut,
        "x1": found.cut,
        "y0": 0,
        "y1": 1,
        "yref": "paper",
        "line": {"color": theme.attention, "width": 1, "dash": "dash"},
    }
    return {
        "data": arches,
        "layout": layout(
            theme,
            height=max(260, ROW * len(names) + 60),
            hovermode=False,
            margin={"l": 12, "r": 12, "t": 8, "b": 40},
            shapes=[cut],
            xaxis=axis(
                theme,
                rangemode="tozero",
                title={"text": "distance √(2 (1 − correlation))", "font": {"size": 11, "color": theme.muted}},
            ),
            yaxis=axis(
                theme,
                showgrid=False,
                automargin=True,
                tickvals=list(range(len(names))),
                ticktext=names,
                range=[len(names) - 0.5, -0.5],
            ),
        ),
    }


def _arches(found: Dendrogram, chosen: np.ndarray, color: str) -> Spec:
    """Some of the joins as one broken line."""
    gap = np.full((int(chosen.sum()), 1), np.nan)
    heights, places = (np.hstack([part[chosen], gap]).ravel() for part in (found.height, found.x))
    line = {"color": color, "width": 1.3}
    return {"type": "scatter", "mode": "lines", "x": heights, "y": places, "line": line, "hoverinfo": "skip"}
