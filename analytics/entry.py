"""Where a reverting spread pays its round trip: the entry that breaks even, and the one that earns most per bar."""

import math
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from scipy.optimize import brentq
from scipy.special import dawsn, erfi

from analytics.ornstein_uhlenbeck import exit_bars, overshoot, step_variance
from utils.errors import InputError

FARTHEST = 8.0  # stationary standard deviations; nobody waits for more

Amount = TypeVar("Amount", float, np.ndarray)


@dataclass(frozen=True, slots=True)
class CostAwareEntry:
    """Entries at |z| = entry, exits at exit_z on the same side; z in stationary standard deviations of the spread."""

    breakeven_z: float  # least |z| at which the way to the exit pays the cost with its margin
    optimal_z: float  # |z| that earns most per bar; inf where it would be beyond 8
    expected_profit: float  # of one round trip from optimal_z, net of cost, price units of y
    expected_bars: float  # from one entry at optimal_z to the next
    holding_bars: float  # of them in the position
    profit_per_bar: float  # expected_profit / expected_bars
    cost: float  # of the round trip, price units of y
    exit_z: float


def round_trip_cost(
    y: Amount, x: Amount, hedge_ratio: Amount, fee_bps: float, half_spread_y: float = 0.0, half_spread_x: float = 0.0
) -> Amount:
    """Cost of entering and leaving one unit of spread by four fills, price units of y.

    2 (fee (|y| + |hedge_ratio x|) + half_spread_y + |hedge_ratio| half_spread_x), fee = fee_bps / 10,000.

    Parameters
    ----------
    y, x : prices of the legs
    fee_bps : of one fill, hundredths of a percent of its notional
    half_spread_y, half_spread_x : half of the gap between bid and ask, price units of the leg

    Raises
    ------
    InputError
    """
    for name, value in (("fee_bps", fee_bps), ("half_spread_y", half_spread_y), ("half_spread_x", half_spread_x)):
        if not value >= 0:
            raise InputError(f"{name} must be >= 0, was {value:g}", name)
    fees = fee_bps / 10_000 * (abs(y) + abs(hedge_ratio * x))
    return 2 * (fees + half_spread_y + abs(hedge_ratio) * half_spread_x)


def cost_aware_entry(
    theta: float, std: float, cost: float, exit_z: float = 0.5, margin: float = 1.0, continuous: bool = False
) -> CostAwareEntry:
    """The entry that pays a round trip, and the one that maximises expected profit per bar net of cost.

    An Ornstein-Uhlenbeck spread is sold at +entry or bought at -entry, closed at exit_z on that side, and awaited again
    on either: one cycle takes pi / (2 theta) (erfi(entry / sqrt 2) - erfi(exit_z / sqrt 2)) bars and earns
    (entry - exit_z) std - cost. Their ratio is largest where its derivative is zero, which has one root. At bar closes
    both levels are passed by `overshoot`, which lengthens the way and its time alike. Fills are at those closes.

    Parameters
    ----------
    theta : per bar, > 0
    std : stationary standard deviation of the spread, price units of y, > 0
    cost : of the round trip, price units of y: `round_trip_cost`
    exit_z : on the side of the entry; below 0 beyond the mean
    margin : of breakeven_z, how many times the cost the way must pay
    continuous : watched at every instant rather than at the close of bars

    Raises
    ------
    InputError

    References
    ----------
    W. K. Bertram, Physica A 389 (2010): with exit_z = -optimal_z this is his optimum; Z. Zeng and C.-G. Lee,
    Quantitative Finance 14 (2014), for entries on both sides.
    """
    _check(theta, std, cost, exit_z, margin)
    leave = exit_z if continuous else exit_z - overshoot(theta, exit_z)
    entry_z = max(_before(_optimum(cost / std, leave), theta, continuous), abs(exit_z))
    breakeven_z = exit_z + margin * cost / std
    if entry_z > FARTHEST:
        return CostAwareEntry(breakeven_z, math.inf, 0.0, math.inf, math.inf, 0.0, cost, exit_z)
    enter = entry_z if continuous else entry_z + overshoot(theta, -entry_z)
    scatter = 0.0 if continuous else step_variance(theta) / 8
    profit, bars = (enter - leave) * std - cost, (_climb(enter, scatter) - _climb(leave, scatter)) / theta
    return CostAwareEntry(
        breakeven_z=breakeven_z,
        optimal_z=entry_z,
        expected_profit=profit,
        expected_bars=bars,
        holding_bars=exit_bars(enter, exit_z, theta, continuous),
        profit_per_bar=profit / bars if bars > 0 else 0.0,
        cost=cost,
        exit_z=exit_z,
    )


def _before(enter: float, theta: float, continuous: bool) -> float:
    """The level that is left behind by its overshoot when a close first shows the spread at `enter`."""
    if continuous:
        return enter
    return (enter - overshoot(theta, 0.0)) / (1 + math.expm1(-theta) / 4)


def _climb(z: float, scatter: float) -> float:
    """Mean time of a cycle up to z, in units of 1 / theta, with the second-order part of the overshoot's variance."""
    growth = math.sqrt(math.pi / 2) * math.exp(z * z / 2)
    return math.pi / 2 * float(erfi(z / math.sqrt(2))) + scatter * z * growth


def _optimum(cost: float, leave: float) -> float:
    """Entry at which profit / time is largest; lengths in standard deviations.

    time' profit = time profit', divided by exp(entry^2 / 2), so that nothing overflows: dawsn is erfi without its
    growth.
    """

    def surplus(enter: float) -> float:
        drop = math.exp((leave * leave - enter * enter) / 2)  # never above 1: enter >= |leave|
        return enter - leave - cost - math.sqrt(2) * float(_dawsn(enter) - drop * _dawsn(leave))

    least = max(leave + cost, abs(leave))
    if surplus(least) >= 0:  # the levels are crossed by chance often enough to pay as near as they can be
        return least
    return float(brentq(surplus, least, least + 4))


def _dawsn(z: float) -> float:
    return float(dawsn(z / math.sqrt(2)))


def _check(theta: float, std: float, cost: float, exit_z: float, margin: float) -> None:
    for name, value in (("theta", theta), ("std", std)):
        if not 0 < value < math.inf:
            raise InputError(f"{name} must be > 0 and finite, was {value:g}", name)
    for name, value in (("cost", cost), ("margin", margin)):
        if not 0 <= value < math.inf:
            raise InputError(f"{name} must be >= 0 and finite, was {value:g}", name)
    if not abs(exit_z) < FARTHEST:
        raise InputError(f"exit_z must lie within -{FARTHEST:g} and {FARTHEST:g}, was {exit_z:g}", "exit_z")
