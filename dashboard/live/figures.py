"""The live figures by name: what each depends on and how it is built from the engine, or what stands in its place."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import numpy as np

import config
from analytics.pair import PairAnalysis
from analytics.resampling import timeframe_us
from dashboard import formats
from dashboard.charts.base import Mark, Spec, first_shown, in_zone, spans_of
from dashboard.charts.coverage import MOST_ROWS, coverage_spec
from dashboard.charts.indicators import WARM_UP_BARS
from dashboard.charts.overview import candles_spec
from dashboard.charts.pair import PairChart, pair_spec
from dashboard.charts.signals import signals_spec
from dashboard.charts.tape import sizes_spec, tape_spec
from dashboard.live import advanced
from dashboard.live.files import LIVE_URL
from dashboard.live.hub import Key, Payload
from dashboard.live.library import LIBRARY_URL
from dashboard.theme import THEMES, Theme
from dashboard.view import COVERS, REFRESH_LIMITS_S, View
from engine import Engine, current
from utils.clock import US_PER_S
from utils.errors import AnalysisError, InputError, NotFound, StorageError, TooFewObservations

DAY_BARS = 20_000  # what a VWAP since midnight is made of, where so many are held
SIZES_OF = 5_000  # newest trades whose sizes are drawn
LEGS = ("symbol_y", "symbol_x")
DRAWN = ("span", "zone")
PAIR = (*LEGS, "timeframe", "window", "method", "scale", "log_prices")
SERIES = (*PAIR, "subject")
HEAVY_S = 5.0


@dataclass(frozen=True, slots=True)
class LiveFigure:
    """A figure that moves: the fields of the view that it depends on, the symbols it shows, and its builder."""

    fields: tuple[str, ...]
    legs: tuple[str, ...]
    build: Callable[[Engine, View, Theme], Spec]
    least_s: float = 0.0  # not built anew more often than this, whatever the reader chose


def key_of(name: str, query: Mapping[str, str]) -> Key:
    """The key of a live figure from the address that asks for it.

    Raises
    ------
    NotFound
        No figure of that name.
    InputError
        A value that cannot be used.
    """
    if name not in FIGURES:
        raise NotFound(f"there is no live figure {name[:40]!r}", "figure")
    view, notices = View.from_query(query, current().symbols)
    if notices:
        raise InputError(notices[0])
    theme = query.get("theme", "dark")
    if theme not in THEMES:
        raise InputError(f"theme must be dark or light, was {theme[:20]!r}")
    figure, every_s = FIGURES[name], interval(query.get("every", "1"))
    return Key(name, tuple(view.part(figure.fields).items()), theme, max(every_s, figure.least_s))


def followed(name: str, view: View, height: int) -> dict[str, Any]:
    """What a browser has to know to show a figure live: addresses, and the height in pixels."""
    query = view.part(FIGURES[name].fields) | {"every": f"{view.refresh_s:g}"}
    return {
        "base": "/live",
        "name": name,
        "module": LIVE_URL,
        "query": urlencode(query),
        "library": LIBRARY_URL,
        "height": height,
        "paused": view.paused,
    }


def interval(text: str) -> float:
    """Seconds between two builds, as an address asks for them.

    Raises
    ------
    InputError
        No number, or too small or large a one.
    """
    low, high = REFRESH_LIMITS_S
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise InputError(f"every must be {low:g} to {high:g} seconds, was {text[:20]!r}")
    return value


def build(key: Key) -> Payload:
    """The figure of a key as it is now, with a message where there is something to say."""
    engine, figure = current(), FIGURES[key.name]
    view, notices = View.from_query(dict(key.params), engine.symbols)
    if notices:  # a symbol that is not followed any more
        return {"figure": None, "message": {"state": "error", "text": notices[0]}}
    try:
        spec = figure.build(engine, view, THEMES[key.theme])
    except (AnalysisError, InputError, StorageError) as exc:
        return {"figure": None, "message": explain(exc, view.timeframe)}
    silent = silent_legs(engine, [getattr(view, leg) for leg in figure.legs])
    return {"figure": in_zone(spec, view.zone), "message": silent}


def explain(exc: AnalysisError | InputError | StorageError, timeframe: str) -> dict[str, str]:
    """What is shown in place of a figure that cannot be drawn yet, or at all."""
    if isinstance(exc, TooFewObservations):
        return {
            "state": "collecting",
            "text": f"Collecting {exc.what}: {exc.have} of {exc.need}{_wait(exc, timeframe)}",
        }
    return {"state": "undefined" if isinstance(exc, AnalysisError) else "error", "text": f"{exc}"}


def _wait(exc: TooFewObservations, timeframe: str) -> str:
    """How long it takes to collect what is missing, where that is known; why nothing more comes, where it does not."""
    replay = current().status().replay or {}
    if replay.get("ended"):
        return "; the recording has no more"
    if replay.get("paused"):
        return "; the replay is paused"
    units = {"bars": timeframe_us(timeframe) / US_PER_S, "seconds": 1.0, "minutes": 60.0}
    unit = units.get(exc.what.split()[0])
    return "" if unit is None else f" (about {formats.duration((exc.need - exc.have) * unit)})"


def silent_legs(engine: Engine, symbols: list[str]) -> dict[str, str] | None:
    """A message that names the symbols that have been silent for too long; None while all are fresh."""
    rows = engine.symbol_status()
    stale = [
        f"{symbol} silent for {formats.duration(rows[symbol].last_trade_age_s)}"
        for symbol in symbols
        if symbol in rows and rows[symbol].stale
    ]
    return {"state": "stale", "text": ", ".join(stale)} if stale else None


def warm_up_bars(indicators: Collection[str]) -> int:
    """Bars before the first one drawn that indicators are computed on."""
    return DAY_BARS if "vwap" in indicators else WARM_UP_BARS if indicators else 0


def _candles(engine: Engine, view: View, theme: Theme) -> Spec:
    width_us, chosen = timeframe_us(view.timeframe), view.indicators
    frame = engine.bars(view.symbol, view.timeframe, config.CHART_BARS + warm_up_bars(chosen))
    if not len(frame):
        raise TooFewObservations(0, 1)
    return candles_spec(frame, view.symbol, view.timeframe, width_us, theme, chosen, view.span)


def _pair(engine: Engine, view: View, theme: Theme) -> Spec:
    analysis = engine.analysis(view.symbol_y, view.symbol_x, view.timeframe, view.params)
    chart = PairChart(
        symbol_y=view.symbol_y,
        symbol_x=view.symbol_x,
        timeframe=view.timeframe,
        incomplete=incomplete_spans(analysis, view.timeframe),
        marks=alert_marks(engine, view),
        stop_z=view.stop_z,
        rules=rule_levels(engine, view),
        bars=view.span,
        legs=view.legs,
    )
    return pair_spec(analysis, chart, theme)


def _tape(engine: Engine, view: View, theme: Theme) -> Spec:
    frame = engine.bars(view.symbol, view.timeframe, config.CHART_BARS)
    if not len(frame):
        raise TooFewObservations(0, 1)
    width_us = timeframe_us(view.timeframe)
    frame = frame.iloc[first_shown(frame.index.asi8, width_us, view.span) :]
    normal = engine.tape(view.symbol).normal.trades_per_s
    return tape_spec(frame, view.symbol, view.timeframe, normal, theme, view.zone)


def _sizes(engine: Engine, view: View, theme: Theme) -> Spec:
    found, trades = engine.tape(view.symbol), engine.ticks(view.symbol, SIZES_OF)
    if not len(trades):  # the market began anew between the two
        raise TooFewObservations(0, 1)
    return sizes_spec(trades.qty, found.sizes, found.signature, view.symbol, theme)


def _signals(engine: Engine, view: View, theme: Theme) -> Spec:
    analysis = engine.analysis(view.symbol_y, view.symbol_x, view.timeframe, view.params)
    incomplete = incomplete_spans(analysis, view.timeframe)
    chart = PairChart(view.symbol_y, view.symbol_x, view.timeframe, incomplete, bars=view.span)
    return signals_spec(analysis, view.rule, chart, theme)


def _coverage(engine: Engine, view: View, theme: Theme) -> Spec:
    span, cell = (minutes * 60 * US_PER_S for minutes in COVERS[view.cover])
    found = engine.coverage(engine.symbols[:MOST_ROWS], span, cell)
    if not any(row.expected.any() for row in found.symbols):
        raise TooFewObservations(0, 1, "minutes")
    return coverage_spec(found, theme)


def incomplete_spans(analysis: PairAnalysis, timeframe: str) -> list[tuple[int, int]]:
    """Spans in which a closed bar of either leg misses trades, microseconds."""
    if analysis.ts_us is None:
        return []
    return spans_of(analysis.ts_us, ~analysis.complete, timeframe_us(timeframe))


def rule_levels(engine: Engine, view: View) -> list[float]:
    """Levels at which rules in force on the z-score shown fire."""
    if not judged_alike(view):
        return []
    found: set[float] = set()
    for rule in engine.alerts.rules():
        shown = (rule.symbol_y, rule.symbol_x, rule.timeframe) == (view.symbol_y, view.symbol_x, view.timeframe)
        if rule.enabled and shown and rule.metric == "zscore" and not rule.expression and not rule.change_s:
            both = rule.condition in ("outside", "inside")
            low = -rule.threshold if rule.low is None else rule.low
            found |= {low, rule.threshold} if both else {rule.threshold}
    return sorted(found)


def judged_alike(view: View) -> bool:
    """Whether the z-score of the view is the one that rules are judged by."""
    return (view.method, view.scale, view.log_prices, view.window) == ("ols", "std", False, config.DEFAULT_WINDOW)


def alert_marks(engine: Engine, view: View) -> list[Mark]:
    """Firings of z-score rules on the pair that is shown, where its z-score is the one that rules are judged by."""
    if not judged_alike(view):
        return []
    shown = (view.symbol_y, view.symbol_x, view.timeframe, "zscore", "firing")
    return [
        Mark(event.at_us, float(event.value), event.text)
        for event in engine.alerts.events_of_market()
        if (event.symbol_y, event.symbol_x, event.timeframe, event.metric, event.state) == shown
        and event.value is not None
        and np.isfinite(event.value)
    ]


FIGURES: dict[str, LiveFigure] = {
    "candles": LiveFigure(("symbol", "timeframe", "indicators", *DRAWN), ("symbol",), _candles),
    "pair": LiveFigure((*PAIR, "entry_z", "exit_z", "stop_z", "legs", *DRAWN), LEGS, _pair),
    "tape": LiveFigure(("symbol", "timeframe", *DRAWN), ("symbol",), _tape),
    "sizes": LiveFigure(("symbol",), ("symbol",), _sizes),
    "coverage": LiveFigure(("cover", "zone"), (), _coverage),
    "signals": LiveFigure((*PAIR, "entry_z", "exit_z", "stop_z", "fast", "slow", *DRAWN), LEGS, _signals),
    "matrix": LiveFigure(("timeframe",), (), advanced.matrix, HEAVY_S),
    "surface": LiveFigure((*LEGS, "timeframe"), LEGS, advanced.surface, HEAVY_S),
    "lead-lag": LiveFigure(LEGS, LEGS, advanced.lead_lag, HEAVY_S),
    "widths": LiveFigure(LEGS, LEGS, advanced.widths, HEAVY_S),
    "distribution": LiveFigure(SERIES, LEGS, advanced.distribution, HEAVY_S),
    "quantiles": LiveFigure(SERIES, LEGS, advanced.quantiles, HEAVY_S),
    "memory": LiveFigure(SERIES, LEGS, advanced.memory, HEAVY_S),
    "season": LiveFigure((*SERIES, "season", "zone"), LEGS, advanced.season, HEAVY_S),
}
