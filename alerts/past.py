"""Would it have fired? The bars of the past for a rehearsal, and its result for pages and API."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import takewhile
from typing import Any

from alerts.rehearsal import Rehearsal, rehearse, sweep
from alerts.rules import EXPRESSION, Rule, plan_of
from analytics.pair import PairParams
from analytics.readings import KEPT, Moment, needs_tests, pair_moments, symbol_moments, tape_names
from analytics.resampling import BarColumns, timeframe_us
from utils.errors import InputError

MOST_BARS = 20_000
USUAL_BARS = 3_600  # where no number is asked for
MOST_TESTED = 1_000  # bars where the rule asks for tests of a pair: ten seconds
MOST_THRESHOLDS = 25
BarsOf = Callable[[str, str, int], BarColumns]  # of a symbol and a width, the newest closed ones


@dataclass(frozen=True, slots=True, eq=False)
class Past:
    """Where the bars come from, and how pairs are analysed."""

    bars: BarsOf
    params: PairParams
    held: int  # bars that a live analysis rests on


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """A rehearsal, and the count of firings by threshold; `exact` where live rules are judged at the same moments."""

    rule: Rule
    rehearsal: Rehearsal
    by_threshold: tuple[tuple[float, Rehearsal], ...]
    exact: bool


def would_have_fired(
    rule: Rule,
    past: Past,
    bars: int,
    thresholds: Iterable[float] | None = None,
    go_on: Callable[[int], bool] | None = None,
) -> Found:
    """What a rule would have done over the newest bars, at its own threshold and at others.

    Raises
    ------
    InputError
        More bars are asked for than are rehearsed at once, or the rule watches what no bar holds: trades, quotes or
        the signal.
    """
    _check_has_past(rule)
    levels = None if thresholds is None else list(thresholds)
    if levels is not None and len(levels) > MOST_THRESHOLDS:
        raise InputError(f"at most {MOST_THRESHOLDS} thresholds are tried, were {len(levels)}", "thresholds")
    width_us = timeframe_us(rule.timeframe)
    moments = list(takewhile(_counted(go_on), moments_of(rule, past, bars)))
    has_none = rule.condition == EXPRESSION and levels is None
    tried = () if has_none else tuple(sweep(rule, moments, width_us, levels))
    return Found(rule, rehearse(rule, moments, width_us), tried, exact=not rule.scope.intrabar)


def most_bars(rule: Rule) -> int:
    """Bars over which a rule is rehearsed at once, at most."""
    return MOST_TESTED if rule.symbol_x and needs_tests(_metrics(rule)) else MOST_BARS


def usual_bars(rule: Rule) -> int:
    """Bars over which a rule is rehearsed where no number is asked for."""
    return min(USUAL_BARS, most_bars(rule))


def _metrics(rule: Rule) -> set[str]:
    return {value.metric for value in plan_of(rule).values}


def _check_has_past(rule: Rule) -> None:
    """Refuse a rule of which bars would say that it never fires, as they do not hold what it watches."""
    field = EXPRESSION if rule.expression else "metric"
    live = sorted(_metrics(rule) & tape_names(bool(rule.symbol_x)))
    if live:
        names = ", ".join(live)
        raise InputError(f"{names} cannot be tried on the past: only the live tape, quotes or signal tell it", field)


def moments_of(rule: Rule, past: Past, bars: int) -> Iterator[Moment]:
    """What a rule would have seen at the close of each of the newest bars.

    Raises
    ------
    InputError
    """
    names, most = _metrics(rule), most_bars(rule)
    if not 1 <= bars <= most:
        raise InputError(f"bars must be 1 to {most} for this rule, was {bars}", "bars")
    width_us = timeframe_us(rule.timeframe)
    before = past.held if rule.symbol_x else KEPT
    legs = [past.bars(symbol, rule.timeframe, bars + before) for symbol in (rule.symbol_y, rule.symbol_x) if symbol]
    if not all(map(len, legs)):
        return iter(())
    legs = _on_one_grid(legs)
    after_us = int(legs[0].ts_us[-1]) + width_us - bars * width_us if len(legs[0]) else 0
    if not rule.symbol_x:
        return symbol_moments(legs[0], width_us, after_us)
    return pair_moments(legs[0], legs[1], width_us, past.params, past.held, names, after_us)


def _on_one_grid(legs: list[BarColumns]) -> list[BarColumns]:
    """The bars that both legs have; they are consecutive."""
    first, last = max(int(leg.ts_us[0]) for leg in legs), min(int(leg.ts_us[-1]) for leg in legs)
    return [leg[slice(*leg.ts_us.searchsorted([first, last + 1]).tolist())] for leg in legs]


def _counted(go_on: Callable[[int], bool] | None) -> Callable[[Moment], bool]:
    done = 0

    def count(moment: Moment) -> bool:
        nonlocal done
        done += 1
        return go_on is None or go_on(done)

    return count


def told(found: Found) -> dict[str, Any]:
    """The same as plain values, for JSON and pages."""
    result = found.rehearsal
    log = [
        {
            "at_us": one.at_us,
            "state": one.change.state,
            "value": one.change.value,
            "count": one.change.count,
            "outcome": None if one.outcome is None else asdict(one.outcome),
        }
        for one in result.log
    ]
    numbers = {name: getattr(result, name) for name in Rehearsal.__slots__ if name != "log"}
    tried = [
        {"threshold": level, "firings": one.firings, "reverted": one.reverted, "known": one.known}
        for level, one in found.by_threshold
    ]
    return {"rule": found.rule.what, "exact": found.exact, **numbers, "log": log, "by_threshold": tried}
