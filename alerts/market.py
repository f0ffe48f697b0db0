"""Readings of the open market: what rules are judged by, taken once a round for each scope."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from alerts.alert_engine import TICK, Reading
from alerts.rules import Scope
from analytics.pair import PairAnalysis, PairParams
from analytics.readings import (
    KEPT,
    SIGNAL_METRICS,
    Moment,
    is_known,
    needs_tests,
    only_of_the_feed,
    pair_moments,
    pair_reading,
    symbol_moments,
    symbol_reading,
    tape_names,
)
from analytics.resampling import BarColumns, timeframe_us
from utils.errors import AnalysisError, InputError

PICTURE = 60  # newest points kept with an alert
MISSED_MOST = 2_000  # bars that are judged later where a round came late; tests of a pair cost more
MISSED_TESTED = 50
FORMING = ("zscore", "spread", "hedge_ratio", "spread_mean", "spread_std", "correlation")


@dataclass(frozen=True, slots=True)
class Quiet:
    """How long a symbol has been silent."""

    stale: bool
    age_s: float | None


class Market(Protocol):
    """What is asked of the engine."""

    def columns(self, symbol: str, timeframe: str, limit: int) -> BarColumns:
        """The newest bars, the forming one last."""

    def revised(self, symbol: str, timeframe: str, after_version: int) -> tuple[int, np.ndarray]:
        """Version of the bars, and the opens of those that were changed later than another, after they had closed."""

    def analysis(self, symbol_y: str, symbol_x: str, timeframe: str, params: PairParams) -> PairAnalysis:
        """The one analysis of a pair."""

    def tape_reading(self, symbol: str) -> Mapping[str, float]:
        """Metrics of a symbol's tape and quotes, now; nothing before its first trade."""

    def signal_reading(self, symbol_y: str, symbol_x: str, timeframe: str, params: PairParams) -> Mapping[str, float]:
        """Metrics of a pair's signal, at its newest close."""


class Readings:
    """Metrics by name of any scope, at its newest bar; beside it what was missed, or changed, since the last round."""

    def __init__(
        self, market: Market, params: PairParams, held: int, wanted: Callable[[Scope], Collection[str]]
    ) -> None:
        self._market, self._params, self._held, self._wanted = market, params, held, wanted
        self._quiet: Mapping[str, Quiet] = {}
        self._seen_us: dict[Scope, int] = {}  # close of the newest bar read
        self._versions: dict[tuple[str, str], int] = {}
        self._late_us: dict[Scope, int] = {}  # open of the first bar that was changed and is not judged anew yet
        self.skipped = 0  # bars that were too many to be judged later

    def begin(self, quiet: Mapping[str, Quiet]) -> None:
        """A new round."""
        self._quiet = quiet

    def forget(self) -> None:
        """Another market is open: nothing of the last one was missed."""
        self._seen_us, self._versions, self._late_us = {}, {}, {}

    def __call__(self, scope: Scope) -> Reading:
        """Metrics of a scope; while one of its symbols is silent only those that tell of the feed."""
        symbols = [symbol for symbol in (scope.symbol_y, scope.symbol_x) if symbol]
        found = [self._quiet.get(symbol, Quiet(True, None)) for symbol in symbols]
        ages = [one.age_s for one in found if one.age_s is not None]
        age = {"feed_age": max(ages)} if len(ages) == len(found) else {}
        if any(one.stale for one in found):
            return Reading(age)
        try:
            reading = self._pair(scope, age) if scope.symbol_x else self._symbol(scope, age)
            if "price" in reading:  # nothing is told of a bar that misses trades
                reading.update(self._of_the_tape(scope))
        except (AnalysisError, InputError):
            return Reading(age)
        return reading

    def _of_the_tape(self, scope: Scope) -> Mapping[str, float]:
        """What bars do not hold, where a rule asks for it."""
        wanted = tape_names(bool(scope.symbol_x)) & set(self._wanted(scope))
        if not wanted:
            return {}
        if not scope.symbol_x:
            return self._market.tape_reading(scope.symbol_y)
        found: dict[str, float] = {}
        if wanted & set(SIGNAL_METRICS):
            signal = self._market.signal_reading(scope.symbol_y, scope.symbol_x, scope.timeframe, self._params)
            found |= {name: signal[name] for name in SIGNAL_METRICS}
        for leg, symbol in (("y", scope.symbol_y), ("x", scope.symbol_x)):
            if any(name.endswith(f"_{leg}") for name in wanted):
                found |= {f"{name}_{leg}": value for name, value in self._market.tape_reading(symbol).items()}
        return found

    # --- pairs --------------------------------------------------------------------------------------

    def _pair(self, scope: Scope, age: dict[str, float]) -> Reading:
        y, x, timeframe = scope.symbol_y, scope.symbol_x, scope.timeframe
        analysis = self._analysis(scope)
        if timeframe == TICK:
            found = analysis.reading() if analysis is not None else {}
            return Reading(found | age, context=lambda: picture(analysis))
        width_us = timeframe_us(timeframe)
        last_us = self._last_us(scope, analysis)
        legs = [self._closed(symbol, timeframe, KEPT, last_us) for symbol in (y, x)]
        if not all(map(len, legs)):
            return Reading(age)
        values = pair_reading(analysis, legs[0], legs[1], width_us) | age
        if scope.intrabar:
            return Reading(values | _forming(analysis), context=lambda: picture(analysis))
        if not all(is_known(leg, width_us) for leg in legs):
            values = only_of_the_feed(values)
        names = self._wanted(scope)
        most = MISSED_TESTED if needs_tests(names) else MISSED_MOST
        at_us = last_us + width_us

        def between(after_us: int, rows: int) -> Iterator[Moment]:
            held = [self._closed(symbol, timeframe, self._held + rows, last_us) for symbol in (y, x)]
            rows = min(map(len, held))
            ends = [leg[len(leg) - rows :] for leg in held]
            return pair_moments(ends[0], ends[1], width_us, self._params, self._held, names, after_us)

        return self._with_past(scope, values, at_us, width_us, most, between, lambda: picture(analysis))

    def _analysis(self, scope: Scope) -> PairAnalysis | None:
        """The analysis of a pair; None where the data does not support one yet."""
        try:
            return self._market.analysis(scope.symbol_y, scope.symbol_x, scope.timeframe, self._params)
        except AnalysisError:
            return None

    def _last_us(self, scope: Scope, analysis: PairAnalysis | None) -> int:
        """Open of the newest closed bar that both legs have."""
        if analysis is not None and analysis.ts_us is not None:
            return int(analysis.ts_us[-1])
        bars = [self._market.columns(symbol, scope.timeframe, 2)[:-1] for symbol in (scope.symbol_y, scope.symbol_x)]
        return min((int(leg.ts_us[-1]) for leg in bars if len(leg)), default=0)

    # --- symbols ------------------------------------------------------------------------------------

    def _symbol(self, scope: Scope, age: dict[str, float]) -> Reading:
        symbol, timeframe = scope.symbol_y, scope.timeframe
        width_us = timeframe_us(timeframe)
        bars = self._market.columns(symbol, timeframe, KEPT + 1)
        if len(bars) < 2:
            return Reading(age)
        closed, last_us = bars[:-1], int(bars.ts_us[-2])
        values = symbol_reading(closed, width_us) | age
        if scope.intrabar:
            now = {"price": float(bars.close[-1]), "volume": float(bars.volume[-1]), "vwap": float(bars.vwap[-1])}
            return Reading(values | now, context=lambda: closes(closed))
        if not is_known(closed, width_us):
            values = only_of_the_feed(values)

        def between(after_us: int, rows: int) -> Iterator[Moment]:
            return symbol_moments(self._closed(symbol, timeframe, KEPT + rows, last_us), width_us, after_us)

        at_us = last_us + width_us
        return self._with_past(scope, values, at_us, width_us, MISSED_MOST, between, lambda: closes(closed))

    # --- what was missed ----------------------------------------------------------------------------

    def _with_past(
        self,
        scope: Scope,
        values: Mapping[str, float],
        at_us: int,
        width_us: int,
        most: int,
        between: Callable[[int, int], Iterable[Moment]],
        context: Callable[[], Mapping[str, Any]],
    ) -> Reading:
        """The reading of the newest bar with the bars since the last round, and those that were changed after it."""
        before_us = self._seen_us.get(scope, at_us)
        self._seen_us[scope] = at_us
        missed: Iterable[Moment] = ()
        rows = (at_us - before_us) // width_us
        if rows > 1:
            self.skipped += max(rows - most, 0)
            rows = min(rows, most)
            found = between(at_us - rows * width_us, rows)
            missed = [moment for moment in found if moment.at_us < at_us]  # the newest bar is the reading itself
        revised: Iterable[Moment] = ()
        late_us = self._changed_since(scope, before_us, at_us, width_us)
        if late_us is not None:
            rows = min((at_us - late_us) // width_us, most)
            revised = list(between(at_us - rows * width_us, rows))
        return Reading(values, at_us, missed, revised, context)

    def _changed_since(self, scope: Scope, before_us: int, at_us: int, width_us: int) -> int | None:
        """Open of the first bar that was judged, was changed, and misses nothing any more."""
        opens: list[int] = []
        for symbol in (scope.symbol_y, scope.symbol_x):
            if symbol:
                key = symbol, f"{scope}"
                known = self._versions.get(key)
                version, changed = self._market.revised(symbol, scope.timeframe, known or 0)
                self._versions[key] = version
                opens += [] if known is None else [at for at in changed.tolist() if at + width_us <= before_us]
        late_us = min([*opens, *([self._late_us[scope]] if scope in self._late_us else [])], default=None)
        if late_us is None or at_us - late_us > MISSED_MOST * width_us:
            self._late_us.pop(scope, None)
            return None
        bars = [self._market.columns(s, scope.timeframe, MISSED_MOST) for s in (scope.symbol_y, scope.symbol_x) if s]
        if all(leg.complete[leg.ts_us == late_us].all() for leg in bars):
            self._late_us.pop(scope, None)
            return late_us
        self._late_us[scope] = late_us
        return None

    def _closed(self, symbol: str, timeframe: str, limit: int, last_us: int) -> BarColumns:
        """The newest closed bars up to one that opened at a time."""
        bars = self._market.columns(symbol, timeframe, limit + 2)  # the forming one, and one that closed just now
        return bars[: int(np.searchsorted(bars.ts_us, last_us, side="right"))][-limit:]


def _forming(analysis: PairAnalysis | None) -> dict[str, float]:
    """Metrics of the bar in progress; the tests are those of the closed bars."""
    now = None if analysis is None else analysis.provisional
    if now is None:
        return {}
    return {name: getattr(now, name) for name in FORMING} | {"price": now.y, "price_y": now.y, "price_x": now.x}


def picture(analysis: PairAnalysis | None) -> dict[str, Any]:
    """What is kept of a pair with an alert: the newest points of z-score and spread, tests, coverage, verdict."""
    if analysis is None:
        return {}
    rows = analysis.rows(PICTURE)
    columns = {name: [row.get(name) for row in rows] for name in ("ts_us", "zscore", "spread")}
    tests = {
        name: {"statistic": part["statistic"], "pvalue": part["pvalue"]}
        for name, part in analysis.as_dict().items()
        if isinstance(part, dict) and {"statistic", "pvalue"} <= set(part)
    }
    return {"picture": columns, "tests": tests, "coverage": analysis.coverage, "verdict": analysis.verdict}


def closes(bars: BarColumns) -> dict[str, Any]:
    """What is kept of a symbol with an alert: its newest closes."""
    newest = bars[-PICTURE:]
    return {"picture": {"ts_us": newest.ts_us.tolist(), "price": newest.close.tolist()}}
