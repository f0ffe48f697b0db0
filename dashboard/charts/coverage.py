"""The coverage map of the Data page: for each symbol and stretch of time whether every minute is stored and whole."""

import numpy as np

from dashboard import formats
from dashboard.charts.base import Spec, ms
from dashboard.theme import Theme, axis, layout
from engine import Coverage
from utils.clock import US_PER_MS

MOST_ROWS = 40  # symbols drawn
ROW_HEIGHT, LEAST_ROWS, FRAME_HEIGHT = 30, 2, 44  # pixels
MISSING, INCOMPLETE, COMPLETE = 0, 1, 2


def coverage_height(symbols: int) -> int:
    """Pixels that the map of so many symbols needs."""
    return FRAME_HEIGHT + ROW_HEIGHT * min(max(symbols, LEAST_ROWS), MOST_ROWS)


def coverage_spec(found: Coverage, theme: Theme) -> Spec:
    """One row a symbol, the first on top; a cell is amber if any of its minutes is missing or misses trades."""
    opens_us = found.first_us + found.cell_us * np.arange(found.cells)
    rows = found.symbols[::-1]  # the axis counts upwards
    data = {
        "type": "heatmap",
        "x": ms(opens_us),
        "xperiod": found.cell_us / US_PER_MS,
        "xperiod0": float(opens_us[0] / US_PER_MS),
        "y": [row.symbol for row in rows],
        "z": np.array([states(row.expected, row.stored, row.complete) for row in rows]),
        "customdata": [np.stack((row.complete, row.expected, row.stored), axis=1) for row in rows],
        "hovertemplate": "%{y}, from %{x}<br>%{customdata[0]} of %{customdata[1]} minutes complete, "
        "%{customdata[2]} stored<extra></extra>",
        "name": "coverage",
        "zmin": MISSING - 0.5,
        "zmax": COMPLETE + 0.5,
        "colorscale": _steps((theme.muted, theme.attention, theme.accent)),
        "showscale": False,
        "ygap": 5,
    }
    return {"data": [data], "layout": _layout(found, theme)}


def states(expected: np.ndarray, stored: np.ndarray, complete: np.ndarray) -> np.ndarray:
    """MISSING, INCOMPLETE or COMPLETE of each cell by its minutes; NaN where none was to be expected."""
    found = np.where(complete >= expected, COMPLETE, np.where(stored > 0, INCOMPLETE, MISSING))
    return np.where(expected > 0, found, np.nan)


def _steps(colors: tuple[str, ...]) -> list[list[object]]:
    """A scale of as many plain colours as given."""
    edges = np.linspace(0, 1, len(colors) + 1).tolist()
    return [[edge, color] for i, color in enumerate(colors) for edge in edges[i : i + 2]]


def _layout(found: Coverage, theme: Theme) -> Spec:
    shares = [
        {
            "text": share_text(row.share),
            "xref": "paper",
            "x": 1.006,
            "xanchor": "left",
            "yref": "y",
            "y": row.symbol,
            "showarrow": False,
            "font": {"size": 11, "color": theme.muted},
        }
        for row in found.symbols
    ]
    return layout(
        theme,
        margin={"l": 12, "r": 62, "t": 6, "b": 36},
        hovermode="closest",
        uirevision=f"coverage {found.cell_us}",
        xaxis=axis(theme, type="date", nticks=7, tickangle=0, showgrid=False, hoverformat="%Y-%m-%d %H:%M UTC"),
        yaxis=axis(theme, type="category", showgrid=False, fixedrange=True, automargin=True),
        annotations=shares,
    )


def share_text(share: float) -> str:
    """A share of complete minutes; 100 % only where none is missing."""
    if not formats.exists(share):
        return formats.NONE
    return "100 %" if share == 1 else f"{min(100 * share, 99.99):.2f} %"
