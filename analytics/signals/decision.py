"""What a signal says of a pair now: side, legs and sizes, what z pays the costs, and what speaks against it."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from analytics.indicators.columns import column
from analytics.signals.facts import Facts
from analytics.signals.momentum import momentum_signal
from analytics.signals.opportunity import Opportunity, opportunity_score
from analytics.signals.params import SignalParams
from analytics.signals.reasons import Reason, reasons_against
from analytics.signals.reversion import mean_reversion_signal
from utils.errors import InputError, TooFewObservations

Action = Literal["buy", "sell", "none"]
ACTION: dict[int, Action] = {1: "buy", 0: "none", -1: "sell"}


@dataclass(frozen=True, slots=True)
class Leg:
    """What is done with one leg; its size is told where nothing is done as well."""

    action: Action
    units: float  # >= 0; NaN where the hedge ratio is not known
    notional: float  # units x price

    @property
    def exposure(self) -> float:
        """Notional with its sign: + bought, - sold."""
        return {"buy": self.notional, "sell": -self.notional, "none": 0.0}[self.action]


@dataclass(frozen=True, slots=True)
class Signal:
    """An entry or none, decided at the newest close and in force from the next bar on."""

    entry: Action  # buy or sell the spread y - hedge_ratio x
    leg_y: Leg
    leg_x: Leg
    zscore: float
    breakeven_z: float  # |z| from which the way to the exit pays the costs; NaN where not known
    cost: float  # of a round trip, units of the spread
    cost_measured: bool  # by the best quotes of both legs, not by fees alone
    position: int  # what the rule on z holds by itself, reasons aside: -1, 0, +1
    momentum: float  # strength, + where z rises
    opportunity: Opportunity

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """Against the trade, strongest first."""
        return self.opportunity.reasons

    @property
    def pays(self) -> bool:
        """Whether z is far enough to pay the costs, as far as that is known."""
        return abs(self.zscore) >= self.breakeven_z

    def reading(self) -> dict[str, float]:
        """Values by metric name, NaN where undefined."""
        terms = {f"opportunity_{term.name}": term.score for term in self.opportunity.terms}
        return {
            "opportunity": self.opportunity.score,
            **terms,
            "signal": float({"buy": 1, "none": 0, "sell": -1}[self.entry]),
            "signal_position": float(self.position),
            "momentum": self.momentum,
        }


def signal(zscore: np.ndarray, facts: Facts, params: SignalParams | None = None, units_y: float = 1.0) -> Signal:
    """The signal at the newest close of a pair.

    An entry stands while |z| is beyond entry_z, the rule of `mean_reversion_signal` holds that side, and no reason
    voids it; one that is only capped is stated with its reasons. z > 0 sells the spread: sell y, buy hedge_ratio units
    of x for each unit of y (sell them too where the ratio is negative). The momentum is that of the path of z.

    Parameters
    ----------
    zscore : float array, shape (n,), of closed bars, oldest first; may hold NaN
    facts : of the pair at the newest of them
    params : SignalParams() by default
    units_y : units of y to be traded, > 0

    Raises
    ------
    InputError, TooFewObservations
    """
    params, path = params or SignalParams(), column(zscore, "zscore")
    if not path.size:
        raise TooFewObservations(have=0, need=1, what="bars")
    if not 0 < units_y < math.inf:
        raise InputError(f"units_y must be > 0 and finite, was {units_y:g}", "units_y")
    rule, z = mean_reversion_signal(path, params), float(path[-1])
    momentum, held = float(momentum_signal(path, params).strength[-1]), int(rule.position[-1])
    against = reasons_against(z, facts, params, rule.stopped)
    found = opportunity_score(z, facts.volatility, momentum, facts.liquidity, params, against)
    side = held if abs(z) > params.entry_z and not found.void else 0
    return Signal(
        entry=ACTION[side],
        leg_y=_leg(side, units_y, facts.price_y),
        leg_x=_leg(-side, units_y * facts.hedge_ratio, facts.price_x),
        zscore=z,
        breakeven_z=facts.breakeven_z,
        cost=facts.cost,
        cost_measured=facts.cost_measured,
        position=held,
        momentum=momentum,
        opportunity=found,
    )


def _leg(side: int, units: float, price: float) -> Leg:
    """A leg of so many units, where negative ones turn its side round."""
    turned = side * ((units > 0) - (units < 0))
    return Leg(ACTION[turned], abs(units), abs(units) * price)
