"""Would it have fired? The same rule, stepped by the same function, over the bars of the past."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from alerts.outcome import Followed, Outcome, follow, followed
from alerts.rules import EXPRESSION, Change, Rule, RuleState, step
from analytics.readings import Moment
from utils.clock import US_PER_S
from utils.errors import InputError

STEPS = tuple(round(0.5 + 0.125 * step, 3) for step in range(9))  # of the threshold, for a sweep
US_PER_DAY = 86_400 * US_PER_S


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """One change of state, as the live log has it, and what came of a firing."""

    at_us: int
    change: Change
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What a rule would have done."""

    log: tuple[Rehearsed, ...]
    bars: int
    first_us: int | None  # closes of the first and last bar
    last_us: int | None
    blind_bars: int  # without the data that the rule asks for
    firing_s: float  # seconds in all
    firings: int
    firings_per_day: float | None
    reverted: int  # of the firings whose outcome is known
    known: int


def rehearse(rule: Rule, moments: Iterable[Moment], width_us: int) -> Rehearsal:
    """Step a rule, which begins anew, over moments in order of time. Silences are not part of it."""
    state, log = RuleState(), list[Rehearsed]()
    open_ones: dict[int, Followed] = {}  # index in the log -> what is followed
    first_us = last_us = None
    bars = blind = firing_us = 0
    for moment in moments:
        for index, start in list(open_ones.items()):
            open_ones[index], outcome = follow(start, moment.values, moment.at_us, width_us)
            if outcome is not None:
                log[index] = replace(log[index], outcome=outcome)
                del open_ones[index]
        if state.state == "FIRING" and last_us is not None:
            firing_us += moment.at_us - last_us
        state, change = step(rule, state, moment.values, moment.at_us)
        if change is not None:
            log.append(Rehearsed(moment.at_us, change))
            start_of = followed(moment.whole, moment.at_us) if change.state == "firing" else None
            if start_of is not None:
                open_ones[len(log) - 1] = start_of
        bars, blind = bars + 1, blind + (state.state == "NODATA" or state.blind_us is not None)
        first_us, last_us = first_us or moment.at_us, moment.at_us
    return _summed(tuple(log), bars, blind, firing_us / US_PER_S, first_us, last_us)


def _summed(
    log: tuple[Rehearsed, ...], bars: int, blind: int, firing_s: float, first_us: int | None, last_us: int | None
) -> Rehearsal:
    firings = sum(1 for one in log if one.change.state == "firing")
    span_us = 0 if first_us is None or last_us is None else last_us - first_us
    outcomes = [one.outcome for one in log if one.outcome is not None]
    return Rehearsal(
        log=log,
        bars=bars,
        first_us=first_us,
        last_us=last_us,
        blind_bars=blind,
        firing_s=firing_s,
        firings=firings,
        firings_per_day=firings * US_PER_DAY / span_us if span_us else None,
        reverted=sum(outcome.reverted for outcome in outcomes),
        known=len(outcomes),
    )


def sweep(
    rule: Rule, moments: Sequence[Moment], width_us: int, thresholds: Iterable[float] | None = None
) -> list[tuple[float, Rehearsal]]:
    """How the firings move with the threshold: by default from half of it to one and a half.

    A recovery level moves in the same proportion, or stays as far from a threshold that changes its sign; so does the
    lower end of a band.

    Raises
    ------
    InputError
        The rule has an expression, whose levels are its own.
    """
    if rule.condition == EXPRESSION:
        raise InputError("a sweep needs a rule of one condition", EXPRESSION)
    levels = [rule.threshold * step for step in STEPS] if thresholds is None else list(thresholds)
    return [(level, rehearse(_at_level(rule, level), moments, width_us)) for level in levels]


def _at_level(rule: Rule, level: float) -> Rule:
    share = level / rule.threshold if rule.threshold else 1.0
    recovery = rule.recovery
    if recovery is not None:  # in proportion it would change sides with the threshold's sign: then by its distance
        recovery = recovery * share if rule.threshold and share > 0 else level + recovery - rule.threshold
    return replace(rule, threshold=level, recovery=recovery, low=None if rule.low is None else rule.low * share)
