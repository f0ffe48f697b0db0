"""What speaks against a trade, in plain words, and how far it lowers the score."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from analytics.signals.facts import Facts
from analytics.signals.params import SignalParams


@dataclass(frozen=True, slots=True)
class Reason:
    """Something that speaks against a trade."""

    code: str  # field of `Caps`, or "<term>_unknown"
    text: str
    cap: float  # most that the score may be; 0 voids it, NaN leaves it unknown


def reasons_against(
    zscore: float, facts: Facts, params: SignalParams | None = None, stopped: int = 0
) -> tuple[Reason, ...]:
    """Reasons not to trade the spread at its newest close, strongest first.

    What is not known counts as not shown: a p-value of NaN is "not tested", never "cointegrated". A z of NaN is no
    reason here: it leaves the score unknown.

    Parameters
    ----------
    zscore : newest value of the path
    facts : of the pair at that close
    params : limits and caps; SignalParams() by default
    stopped : side of a stop after which z is not back: `MeanReversion.stopped`
    """
    params = params or SignalParams()
    texts = (*_of_data(facts, params), *_of_pair(facts, params), *_of_place(zscore, facts, params, stopped))
    found = [Reason(code, text, getattr(params.caps, code)) for code, text in texts]
    return tuple(sorted(found, key=lambda reason: reason.cap))


def _of_data(facts: Facts, params: SignalParams) -> Iterator[tuple[str, str]]:
    if facts.n_obs < params.min_bars:
        yield "too_few_bars", f"There are {facts.n_obs} bars; {params.min_bars} are needed."
    if facts.stale:
        yield "stale_leg", f"No fresh trades of {' and '.join(facts.stale)}."
    if facts.open_gaps:
        yield "open_gap", f"{facts.open_gaps} gap{'s are' if facts.open_gaps > 1 else ' is'} open: trades are missing."
    if math.isnan(facts.coverage):
        yield "incomplete_bars", "It is not known how many bars are complete."
    elif facts.coverage < params.min_coverage:
        yield "incomplete_bars", f"{facts.coverage:.1%} of the bars are complete; {params.min_coverage:.1%} are needed."


def _of_pair(facts: Facts, params: SignalParams) -> Iterator[tuple[str, str]]:
    if facts.alarm:
        yield "break_alarm", "The relation calibrated before this session has broken."
    if not math.isfinite(facts.hedge_ratio):
        yield "no_hedge_ratio", "There is no hedge ratio: the size of the second leg is not known."
    if math.isnan(facts.pvalue):
        yield "not_cointegrated", "Cointegration is not tested."
    elif not facts.pvalue < params.alpha:
        yield "not_cointegrated", f"Cointegration is not shown (p {facts.pvalue:.2f})."
    if math.isnan(facts.half_life_bars):
        yield "half_life_unknown", "The half-life is not known."
    elif math.isinf(facts.half_life_bars):
        yield "half_life_unknown", "There is no evidence of reversion: the half-life is infinite."


def _of_place(zscore: float, facts: Facts, params: SignalParams, stopped: int) -> Iterator[tuple[str, str]]:
    """Where z is: on the way, beyond the stop, or not far enough to pay."""
    if stopped:
        yield "stopped", f"The last trade was stopped, and z has not been back inside {params.exit_z:g} since."
    if abs(zscore) > params.stop_z:
        yield "beyond_stop", f"|z| is beyond the stop of {params.stop_z:g}."
    if math.isnan(facts.breakeven_z):
        yield "cost_unknown", "What z pays the costs is not known."
    elif math.isinf(facts.breakeven_z):
        yield "below_cost", "No z pays the costs."
    elif abs(zscore) < facts.breakeven_z:
        yield "below_cost", f"|z| of {abs(zscore):.1f} is below {facts.breakeven_z:.1f}, from where the costs are paid."
