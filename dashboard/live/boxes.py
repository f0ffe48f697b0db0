"""Builders of the live panels, as markup, and what each depends on."""

import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from analytics.pair import PairAnalysis
from analytics.signals import Signal, mean_reversion_signal
from dashboard import (
    advanced,
    alerts,
    evidence,
    holdings,
    overview,
    pair,
    quotes,
    signal,
    standing,
    studies,
    system,
    tape,
)
from dashboard.charts.overview import step_decimals
from dashboard.live.figures import HEAVY_S, LEGS, PAIR, SERIES
from dashboard.markup import cards
from dashboard.view import View
from engine import Engine
from utils import logger
from utils.clock import zone_name
from utils.errors import TooFewObservations

TAPE_ROWS = 44
RULE_EVENTS = 8
LOG_LINES = 200
ANALYSIS = (*PAIR, "entry_z", "exit_z")
RULE = (*ANALYSIS, "stop_z", "fast", "slow", "weights")


@dataclass(frozen=True, slots=True)
class LivePanel:
    """Text that moves: the fields of the view that it depends on, its builder, and the height it holds while empty."""

    fields: tuple[str, ...]
    build: Callable[[Engine, View], str]
    min_height: int = 96  # pixels
    least_s: float = 0.0  # not built anew more often than this, whatever the reader chose
    news: Callable[[Engine], str] | None = None  # changes when the part of the page around it has to run again


def _analysis(engine: Engine, view: View) -> PairAnalysis:
    return engine.analysis(view.symbol_y, view.symbol_x, view.timeframe, view.params)


def _signal(engine: Engine, view: View) -> Signal:
    return engine.signal(view.symbol_y, view.symbol_x, view.timeframe, view.params, view.rule, view.notional)


# --- pair -------------------------------------------------------------------------------------------


def _pair_readings(engine: Engine, view: View) -> str:
    return cards(pair.reading_cards(_analysis(engine, view), view))


def _pair_tests(engine: Engine, view: View) -> str:
    """Verdict, session, tests and hedge ratio."""
    found = _analysis(engine, view)
    first = evidence.verdict(found) + evidence.watching(found, view)
    return first + evidence.tests(found, view) + evidence.hedge(found, view)


def _reversion(engine: Engine, view: View) -> str:
    """Reversion, and what the spread and the legs are by themselves."""
    found = _analysis(engine, view)
    alone = f"<div>{evidence.together(found, view)}{evidence.legs(found, view)}</div>"
    return (
        f'<div class="ps-columns">{evidence.reversion(found, view)}{evidence.residual_tests(found, view)}{alone}</div>'
    )


# --- microstructure ---------------------------------------------------------------------------------


def _tape_readings(engine: Engine, view: View) -> str:
    return cards(tape.reading_cards(engine.tape(view.symbol), view.symbol))


def _tape(engine: Engine, view: View) -> str:
    large_from = engine.tape(view.symbol).sizes.large_from
    return tape.ribbon(engine.ticks(view.symbol, TAPE_ROWS), large_from, view.symbol, view.zone)


def _flow(engine: Engine, view: View) -> str:
    return tape.flow_table(engine.tape(view.symbol), view.symbol)


def _quotes(engine: Engine, view: View) -> str:
    try:
        found = engine.book(view.symbol)
    except TooFewObservations:
        return quotes.no_quotes()
    return quotes.quotes_table(found, view.symbol, step_decimals(np.array([found.bid, found.ask])))


def _round_trip(engine: Engine, view: View) -> str:
    """What the pair costs to enter and leave; empty without quotes of both legs."""
    ratio = float(_analysis(engine, view).path.hedge_ratio[-1])
    with contextlib.suppress(TooFewObservations):
        found = engine.pair_cost((view.symbol_y, view.symbol_x), ratio, view.log_prices, view.notional)
        return quotes.cost_table(found, view)
    return ""


def _lead_and_lag(engine: Engine, view: View) -> str:
    legs = view.symbol_y, view.symbol_x
    return advanced.lead_lag(engine.lead_lag(*legs), *legs)


# --- signals ----------------------------------------------------------------------------------------


def _signal_readings(engine: Engine, view: View) -> str:
    return cards(signal.cards_of(_signal(engine, view), view))


def _signal_plan(engine: Engine, view: View) -> str:
    """The plan, what speaks against it, and the score."""
    found = _signal(engine, view)
    return signal.plan(found, _analysis(engine, view), view) + signal.reasons(found) + signal.score(found)


def _rule_events(engine: Engine, view: View) -> str:
    """The newest changes of position by the rule."""
    found = _analysis(engine, view)
    events = mean_reversion_signal(found.path.zscore, view.rule).events[::-1][:RULE_EVENTS]
    return signal.history(signal.event_rows(events, found, view.zone), zone_name(engine.now_us(), view.zone))


# --- advanced ---------------------------------------------------------------------------------------


def _pairs(engine: Engine, view: View) -> str:
    return advanced.pairs(studies.matrix(engine, view))


def _ridge(engine: Engine, view: View) -> str:
    return advanced.ridge(studies.surface(engine, view))


def _widths(engine: Engine, view: View) -> str:
    return advanced.widths(engine.correlation_by_width(view.symbol_y, view.symbol_x))


def _numbers(engine: Engine, view: View) -> str:
    subject = studies.subject_of(engine, view)
    return advanced.numbers(studies.distribution(subject).summary, subject)


def _strengths(engine: Engine, view: View) -> str:
    subject, season = studies.subject_of(engine, view), studies.season_of(view)
    found = studies.decomposition(subject, studies.season_period(view, season))
    return advanced.season(found, subject, season)


# --- data, alerts, system ---------------------------------------------------------------------------


def _gaps(engine: Engine, view: View) -> str:
    return holdings.gap_table(engine.gaps(), view.zone)


def _stored(engine: Engine, view: View) -> str:
    found = engine.holdings()
    return holdings.stored_trades(found, view.zone) + holdings.stored_bars(found, view.zone)


def _channels(engine: Engine, view: View) -> str:
    return alerts.channels(engine)


def _outcomes(engine: Engine, view: View) -> str:
    return alerts.statistics(engine)


def _health(engine: Engine, view: View) -> str:
    return system.health_cards(engine.system())


def _feed(engine: Engine, view: View) -> str:
    return system.feed_table(engine.system())


def _parts(engine: Engine, view: View) -> str:
    """Connections, threads, storage, delays and versions."""
    found = engine.system()
    boxes = (
        system.connections(found) + system.threads(found),
        system.disk(found, view.zone) + system.delays(found),
        system.running(found),
    )
    return f'<div class="ps-columns">{"".join(f"<div>{box}</div>" for box in boxes)}</div>'


def _log(engine: Engine, view: View) -> str:
    return system.log(logger.TAIL.newest(logging.getLevelNamesMapping()[view.level], LOG_LINES))


def _nothing(engine: Engine, view: View) -> str:
    return ""


PANELS: dict[str, LivePanel] = {
    "strip": LivePanel(("zone",), standing.strip, 28, news=standing.news),
    "banner-live": LivePanel((), standing.not_live, 28),
    "banner-note": LivePanel((), standing.storage_note, 28),
    "rules": LivePanel((), _nothing, news=standing.rule_news),  # these stand among buttons
    "tiles": LivePanel(("timeframe",), overview.tiles),
    "statistics": LivePanel(("timeframe",), overview.statistics_table),
    "pair-readings": LivePanel(ANALYSIS, _pair_readings, 70),
    "pair-tests": LivePanel((*ANALYSIS, "zone"), _pair_tests),
    "pair-events": LivePanel((*LEGS, "zone"), pair.events),
    "pair-reversion": LivePanel(ANALYSIS, _reversion),
    "tape-readings": LivePanel(("symbol",), _tape_readings, 140),
    "tape": LivePanel(("symbol", "zone"), _tape),
    "flow": LivePanel(("symbol",), _flow),
    "quotes": LivePanel(("symbol",), _quotes),
    "round-trip": LivePanel((*ANALYSIS, "notional"), _round_trip),
    "lead-and-lag": LivePanel(LEGS, _lead_and_lag, least_s=HEAVY_S),
    "signal-readings": LivePanel((*RULE, "notional"), _signal_readings, 70),
    "signal-plan": LivePanel((*RULE, "notional"), _signal_plan),
    "rule-events": LivePanel((*RULE, "zone"), _rule_events),
    "pairs": LivePanel(("timeframe",), _pairs, least_s=HEAVY_S),
    "ridge": LivePanel((*LEGS, "timeframe"), _ridge, least_s=HEAVY_S),
    "widths": LivePanel(LEGS, _widths, least_s=HEAVY_S),
    "numbers": LivePanel(SERIES, _numbers, least_s=HEAVY_S),
    "strengths": LivePanel((*SERIES, "season"), _strengths, least_s=HEAVY_S),
    "gaps": LivePanel(("zone",), _gaps),
    "stored": LivePanel(("zone",), _stored),
    "channels": LivePanel((), _channels),
    "outcomes": LivePanel((), _outcomes),
    "health": LivePanel((), _health, 140),
    "feed": LivePanel((), _feed),
    "parts": LivePanel(("zone",), _parts),
    "log": LivePanel(("level",), _log),
}
