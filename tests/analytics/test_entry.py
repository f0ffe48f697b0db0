"""Which entry pays its round trip, and which pays best."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import erfi

from analytics.entry import cost_aware_entry, round_trip_cost
from utils.compiled import compiled
from utils.errors import InputError

THETA = np.log(2) / 10


@compiled
def traded(phi: float, entry: float, leave: float, cost: float, bars: int, seed: int) -> tuple[float, float, float]:
    """Profit a bar, profit a trip and bars a trip of the rule, on a simulated spread that is seen once a bar."""
    np.random.seed(seed)
    z = profit = entered = 0.0
    side, trips = 0, 0
    for _ in range(bars):
        z = phi * z + np.sqrt(1 - phi * phi) * np.random.standard_normal()
        if side != 0 and side * z <= leave:
            profit += side * (entered - z) - cost
            trips += 1
            side = 0
        if side == 0 and abs(z) >= entry:
            side, entered = (1 if z > 0 else -1), z
    return profit / bars, profit / trips, bars / trips


def test_the_cost_is_four_fills():
    # 10 bps of 100 and of 2 x 40 at entry and again at exit; half-spreads of 0.02 and 2 x 0.01 twice
    assert round_trip_cost(100, 40, 2, 10, 0.02, 0.01) == pytest.approx(2 * (0.1 + 0.08) + 2 * (0.02 + 0.02))
    assert round_trip_cost(100, 40, -2, 10) == pytest.approx(0.36) and round_trip_cost(100, 40, 2, 0) == 0
    for name in ("fee_bps", "half_spread_y", "half_spread_x"):
        with pytest.raises(InputError, match=name):
            round_trip_cost(100, 40, 2, **({"fee_bps": 1.0} | {name: -1.0}))


# Bertram (2010): alpha 180.9670, eta 0.1538, c 0.001; the values are those of arbitragelab's own tests for them
BERTRAM = {"trade_length": 0.017122, "expected_return": 0.492358}


def test_bertrams_optimum_is_the_symmetric_one():
    alpha, std, cost = 180.9670, 0.1538 / np.sqrt(2 * 180.9670), 0.001

    def bertram_rate(z: float) -> float:
        return (2 * z * std - cost) * alpha / (2 * np.pi * erfi(z / np.sqrt(2)))

    best = minimize_scalar(lambda z: -bertram_rate(z), bounds=(0.1, 3), method="bounded", options={"xatol": 1e-9}).x
    found = cost_aware_entry(alpha, std, cost, exit_z=-best, continuous=True)
    assert found.optimal_z == pytest.approx(best, abs=1e-6)
    # He waits for the way back to his one side; entering there too makes two trips of it.
    assert 2 * found.expected_bars == pytest.approx(BERTRAM["trade_length"], abs=1e-6)
    assert found.profit_per_bar / 2 == pytest.approx(BERTRAM["expected_return"], abs=1e-6)
    assert found.holding_bars == pytest.approx(found.expected_bars, rel=1e-6)


@pytest.mark.parametrize("exit_z", [0.5, 0.0, -0.6])
@pytest.mark.parametrize("cost", [0.3, 1.0])
def test_the_numbers_are_those_of_simulated_trading(exit_z, cost):
    phi, found = np.exp(-THETA), cost_aware_entry(THETA, 1.0, cost, exit_z)
    rate, profit, bars = traded(phi, found.optimal_z, exit_z, cost, 1_500_000, 61)
    assert found.profit_per_bar == pytest.approx(rate, rel=0.03)
    assert found.expected_profit == pytest.approx(profit, rel=0.03)
    assert found.expected_bars == pytest.approx(bars, rel=0.03)


@pytest.mark.parametrize("exit_z, cost", [(0.5, 0.5), (0.0, 1.5)])
def test_no_other_entry_earns_more(exit_z, cost):
    phi, found = np.exp(-THETA), cost_aware_entry(THETA, 1.0, cost, exit_z)
    entries = np.arange(exit_z + 0.1, 3.5, 0.2)
    rates = [traded(phi, entry, exit_z, cost, 400_000, 62)[0] for entry in entries]
    assert traded(phi, found.optimal_z, exit_z, cost, 400_000, 62)[0] >= 0.97 * max(rates)
    assert abs(entries[np.argmax(rates)] - found.optimal_z) <= 0.3


@given(cost=st.floats(0.01, 3), exit_z=st.floats(-0.5, 1), std=st.floats(1e-3, 1e4))
def test_price_units_and_speed_do_not_move_the_levels(cost, exit_z, std):
    plain, scaled = cost_aware_entry(THETA, 1.0, cost, exit_z), cost_aware_entry(THETA, std, cost * std, exit_z)
    assert scaled.optimal_z == pytest.approx(plain.optimal_z, rel=1e-6)
    assert scaled.breakeven_z == pytest.approx(plain.breakeven_z, rel=1e-9)
    assert scaled.expected_profit == pytest.approx(std * plain.expected_profit, rel=1e-5)
    slow = [cost_aware_entry(speed, 1.0, cost, exit_z, continuous=True) for speed in (0.01, 0.1)]
    assert slow[0].optimal_z == slow[1].optimal_z
    assert slow[0].expected_bars == pytest.approx(10 * slow[1].expected_bars)


@given(cost=st.floats(0.0, 3), more=st.floats(0.01, 2), exit_z=st.floats(-0.5, 1))
def test_a_dearer_trip_asks_for_more_and_pays_less(cost, more, exit_z):
    cheap, dear = cost_aware_entry(THETA, 1.0, cost, exit_z), cost_aware_entry(THETA, 1.0, cost + more, exit_z)
    assert dear.optimal_z >= cheap.optimal_z and dear.breakeven_z > cheap.breakeven_z
    assert dear.profit_per_bar < cheap.profit_per_bar


def test_breakeven_is_the_way_that_pays_the_cost():
    found = cost_aware_entry(THETA, 2.0, 1.0, exit_z=0.5, margin=1.5)
    assert (found.breakeven_z - 0.5) * 2.0 == pytest.approx(1.5)


def test_a_cost_out_of_reach_has_no_entry():
    found = cost_aware_entry(THETA, 1.0, 9.0)
    assert found.optimal_z == found.expected_bars == np.inf
    assert found.expected_profit == found.profit_per_bar == 0


@pytest.mark.parametrize("name, value", [("theta", 0), ("std", 0), ("cost", -1), ("margin", np.nan), ("exit_z", 9)])
def test_limits_are_named(name, value):
    with pytest.raises(InputError, match=name):
        cost_aware_entry(**({"theta": 0.1, "std": 1.0, "cost": 1.0} | {name: value}))


def test_a_result_is_a_value():
    found = cost_aware_entry(THETA, 1.0, 0.5)
    assert replace(found) == found
