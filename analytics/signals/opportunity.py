"""The opportunity score: four terms of 0 to 100, weighted, and lowered by what speaks against a trade."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from analytics.signals.params import SignalParams
from analytics.signals.reasons import Reason
from utils.errors import InputError


@dataclass(frozen=True, slots=True)
class Term:
    """One part of the score."""

    name: str
    value: float  # what was measured
    score: float  # 0 to 100; NaN where the value is not known
    weight: float

    @property
    def part(self) -> float:
        """What it adds to the score: weight x score."""
        return self.weight * self.score if self.weight else 0.0


@dataclass(frozen=True, slots=True)
class Opportunity:
    """How good the moment is for a trade on reversion, 0 to 100: a rank, not a chance."""

    score: float  # 0 where a reason voids it; NaN where a term is not known
    terms: tuple[Term, ...]
    reasons: tuple[Reason, ...]  # against the trade, strongest first

    @property
    def uncapped(self) -> float:
        """Sum of the parts, before any reason lowers it; NaN where a term is not known."""
        return _together(self.terms)

    @property
    def void(self) -> bool:
        """Whether a reason rules the trade out."""
        return any(reason.cap == 0 for reason in self.reasons)


def opportunity_score(
    zscore: float,
    volatility: float,
    momentum: float,
    liquidity: float,
    params: SignalParams | None = None,
    reasons: Iterable[Reason] = (),
) -> Opportunity:
    """Opportunity of a trade on reversion, 0 to 100.

    0.30 zscore + 0.25 volatility + 0.25 momentum + 0.20 liquidity (weights are parameters), at most the lowest cap
    among the reasons. Each term rises in a straight line from 0 to 100 and stays there:

        zscore      |z| from exit_z to full_z                                             0.5 to 3
        volatility  from low_volatility to high_volatility                                0.7 to 1.3
        momentum    towards the mean, -sign(z) momentum, from -full_momentum to it        -0.3 to 0.3
        liquidity   as it is                                                              0 to 100

    A term that is not known makes the score NaN and says so among the reasons, unless its weight is 0. A reason with a
    cap of 0 voids the score whatever the terms are, known or not. A mirrored spread, (-z, -momentum), scores alike.

    Parameters
    ----------
    zscore : of the spread
    volatility : of the spread, current over historical, >= 0. Reversion pays more in a busy market (Nagel); that the
        pair has not broken is the business of the reasons
    momentum : strength of `momentum_signal` of the spread or of its z-score, + for a rise
    liquidity : score of the thinner leg, 0 to 100
    reasons : `reasons_against`

    Raises
    ------
    InputError

    References
    ----------
    S. Nagel, Review of Financial Studies 25 (2012): returns to short-term reversal rise with volatility.
    """
    params = params or SignalParams()
    _check(volatility, liquidity)
    terms = _terms(zscore, volatility, momentum, liquidity, params)
    found = (*reasons, *(_unknown(term) for term in terms if math.isnan(term.part)))
    found = tuple(sorted(found, key=_strength))
    return Opportunity(_capped(terms, found), terms, found)


def _terms(
    zscore: float, volatility: float, momentum: float, liquidity: float, params: SignalParams
) -> tuple[Term, ...]:
    def term(name: str, value: float, low: float, high: float) -> Term:
        value = float(value) + 0.0 if math.isfinite(value) else math.nan  # of an infinity a score would be a guess
        return Term(name, value, _share(value, low, high), getattr(params.weights, name))

    return (
        term("zscore", abs(zscore), params.exit_z, params.full_z),
        term("volatility", volatility, params.low_volatility, params.high_volatility),
        term("momentum", -_sign(zscore) * momentum, -params.full_momentum, params.full_momentum),
        term("liquidity", liquidity, 0.0, 100.0),
    )


def _capped(terms: tuple[Term, ...], reasons: tuple[Reason, ...]) -> float:
    caps = [reason.cap for reason in reasons]
    if 0 in caps:
        return 0.0
    if any(map(math.isnan, caps)):
        return math.nan
    return min([_together(terms), *caps])


def _together(terms: tuple[Term, ...]) -> float:
    """Sum of the parts; weights that sum to a little more than 1 add nothing."""
    total = math.fsum(term.part for term in terms)
    return 100.0 if total > 100 else total  # NaN stays NaN


def _strength(reason: Reason) -> tuple[bool, bool, float]:
    """Order of reasons: what voids the score, what leaves it unknown, what caps it, low caps first."""
    return reason.cap != 0, not math.isnan(reason.cap), reason.cap


def _unknown(term: Term) -> Reason:
    return Reason(f"{term.name}_unknown", f"The {term.name} term is not known.", math.nan)


def _share(value: float, low: float, high: float) -> float:
    """100 times how far a value is on the way from low to high; NaN stays NaN."""
    share = (value - low) / (high - low)
    return share if math.isnan(share) else 100 * min(1.0, max(0.0, share))


def _sign(value: float) -> float:
    """-1, 0 or +1; NaN for what is not a number."""
    return math.nan if not math.isfinite(value) else float((value > 0) - (value < 0))


def _check(volatility: float, liquidity: float) -> None:
    if volatility < 0:
        raise InputError(f"volatility must be >= 0, was {volatility:g}", "volatility")
    if not (math.isnan(liquidity) or 0 <= liquidity <= 100):
        raise InputError(f"liquidity must be 0 to 100, was {liquidity:g}", "liquidity")
