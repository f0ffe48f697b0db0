"""The one palette: every colour of pages and charts, dark and light, and the chart template made of it."""

from dataclasses import dataclass
from typing import Any

FONT = '"Source Sans", "Source Sans Pro", "Helvetica Neue", Arial, sans-serif'


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours of one ground. Green and red mean up and down only, amber means attention."""

    name: str
    ground: str
    panel: str  # cards and the sidebar
    border: str
    grid: str
    text: str  # also the main line of a chart
    muted: str
    accent: str
    y_leg: str
    x_leg: str
    up: str
    down: str
    attention: str
    band: str  # fill between two lines
    gap: str  # shading where trades are missing
    tag: str  # ground of a last value at the right edge
    veil: str  # behind a title that lines may cross
    diverging: tuple[str, ...]  # from -1 over nothing to +1: orange and blue, which no colour blindness confuses
    sequential: tuple[str, ...]  # from little to much, by lightness alone


DARK = Theme(
    name="dark",
    ground="#0c0f16",
    panel="#10141d",
    border="#222836",
    grid="#1c2230",
    text="#dfe5ee",
    muted="#8a94a6",
    accent="#5b9dff",
    y_leg="#5b9dff",
    x_leg="#b69cff",
    up="#2bb3a3",
    down="#f0635c",
    attention="#e0a526",
    band="rgba(91,157,255,0.12)",
    gap="rgba(224,165,38,0.13)",
    tag="#1b2230",
    veil="rgba(12,15,22,0.88)",
    diverging=("#f5ad6b", "#a8622a", "#181d29", "#2f6bb8", "#8fc2ff"),
    sequential=("#16233f", "#1f4478", "#2f6bb8", "#5b9dff", "#bcdcff"),
)
LIGHT = Theme(
    name="light",
    ground="#ffffff",
    panel="#f6f8fb",
    border="#e1e6ee",
    grid="#e9edf3",
    text="#1b2432",
    muted="#667085",
    accent="#1f6feb",
    y_leg="#1f6feb",
    x_leg="#7a4fe0",
    up="#0f8f80",
    down="#d1443c",
    attention="#a86f10",
    band="rgba(31,111,235,0.09)",
    gap="rgba(168,111,16,0.11)",
    tag="#eaeef5",
    veil="rgba(255,255,255,0.88)",
    diverging=("#9c4a06", "#e89b56", "#f4f6fa", "#6ea4ea", "#0f4fa8"),
    sequential=("#e6effb", "#b5d1f5", "#6ea4ea", "#1f6feb", "#0d3c80"),
)
THEMES = {theme.name: theme for theme in (DARK, LIGHT)}


def layout(theme: Theme, **more: Any) -> dict[str, Any]:
    """The part of a figure's layout that all figures share."""
    return {
        "paper_bgcolor": theme.ground,
        "plot_bgcolor": theme.ground,
        "font": {"family": FONT, "size": 11, "color": theme.muted},
        "autosize": True,
        "showlegend": False,
        "uirevision": "keep",
        "hovermode": "x unified",
        "hoverlabel": {
            "bgcolor": theme.panel,
            "bordercolor": theme.border,
            "font": {"color": theme.text, "size": 11, "family": FONT},
        },
        "dragmode": "zoom",
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": theme.muted, "activecolor": theme.accent},
        **more,
    }


def axis(theme: Theme, **more: Any) -> dict[str, Any]:
    """One axis with the shared look."""
    return {
        "gridcolor": theme.grid,
        "linecolor": theme.grid,
        "zeroline": False,
        "tickfont": {"color": theme.muted, "size": 11},
        "automargin": False,
        **more,
    }


def scale(colors: tuple[str, ...]) -> list[list[float | str]]:
    """Colours as Plotly's scale, evenly spaced from 0 to 1."""
    return [[at / (len(colors) - 1), color] for at, color in enumerate(colors)]


def css() -> str:
    """The palette as CSS variables that follow the theme in force."""
    pairs = {
        name: (getattr(DARK, name), getattr(LIGHT, name))
        for name in ("ground", "panel", "border", "text", "muted", "accent", "up", "down", "attention", "tag")
    }
    body = "".join(f"--ps-{name}:light-dark({light},{dark});" for name, (dark, light) in pairs.items())
    return f".stApp{{{body}}}"
