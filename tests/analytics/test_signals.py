"""When a spread is entered, left and stopped, which way it moves, and what a signal says of both legs."""

import math
from dataclasses import FrozenInstanceError, replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.indicators import ema
from analytics.pair import PairParams, analyse_pair
from analytics.signals import (
    Caps,
    Event,
    SignalParams,
    Weights,
    facts_of,
    mean_reversion_signal,
    momentum_signal,
    signal,
    spread_volatility,
)
from tests.analytics.facts import GOOD
from utils.errors import InputError, TooFewObservations

NAN = math.nan
LEVELS = [0.0, 0.2, 0.5, 1.0, 2.0, 2.5, 3.5, 4.0, 4.5]
PATHS = st.lists(st.sampled_from([*LEVELS, *(-level for level in LEVELS), NAN]), max_size=60).map(np.array)
RULES = st.sampled_from(
    [SignalParams(), SignalParams(exit_z=0.0), SignalParams(stop_z=math.inf), SignalParams(1.0, 0.5, 2.0)]
)


def walk(n: int = 400, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(n).cumsum()


def reverting(n: int = 600, seed: int = 5) -> np.ndarray:
    """A path of z that comes back with a half-life of some ten bars."""
    shocks, z = np.random.default_rng(seed).standard_normal(n), np.zeros(n)
    for t in range(1, n):
        z[t] = 0.93 * z[t - 1] + 0.6 * shocks[t]
    return z


# By hand with entry 2, exit 0.5, stop 4: path, position decided at each close, events (kind, bar, side).
BY_HAND = {
    "sold high, left below the exit": (
        [0, 2.1, 1.0, 0.5, 0.4, 0],
        [0, -1, -1, -1, 0, 0],
        [("entry", 1, -1), ("exit", 4, -1)],
    ),
    "bought low, left above the exit": ([-2.1, -1.0, -0.4], [1, 1, 0], [("entry", 0, 1), ("exit", 2, 1)]),
    "limits themselves are not passed": ([2.0, -2.0, 2.5, 4.0, 0.5], [0, 0, -1, -1, -1], [("entry", 2, -1)]),
    "stopped, and not entered again before it came back": (
        [2.5, 4.1, 3.0, 1.0, 3.0, 0.4, 2.5],
        [-1, 0, 0, 0, 0, 0, -1],
        [("entry", 0, -1), ("stop", 1, -1), ("entry", 6, -1)],
    ),
    "a stop is over on the other side as well": (
        [2.5, 4.1, -2.5],
        [-1, 0, 1],
        [("entry", 0, -1), ("stop", 1, -1), ("entry", 2, 1)],
    ),
    "turned round at one close": (
        [2.5, -2.5, 0],
        [-1, 1, 0],
        [("entry", 0, -1), ("exit", 1, -1), ("entry", 1, 1), ("exit", 2, 1)],
    ),
    "through the mean and beyond the other stop": ([2.5, -4.5], [-1, 0], [("entry", 0, -1), ("exit", 1, -1)]),
    "nothing is entered beyond the stop": ([5.0, 3.0], [0, -1], [("entry", 1, -1)]),
    "an unknown z holds nothing": (
        [2.5, NAN, 2.5],
        [-1, 0, -1],
        [("entry", 0, -1), ("exit", 1, -1), ("entry", 2, -1)],
    ),
    "nor does it hold it for later": ([2.5, NAN, 1.0], [-1, 0, 0], [("entry", 0, -1), ("exit", 1, -1)]),
    "an unknown z is not back inside the exit": (
        [2.5, 4.5, NAN, 2.5],
        [-1, 0, 0, 0],
        [("entry", 0, -1), ("stop", 1, -1)],
    ),
}


@pytest.mark.parametrize("path, position, events", BY_HAND.values(), ids=BY_HAND)
def test_the_rule_by_hand(path, position, events):
    found = mean_reversion_signal(path)
    assert found.position.tolist() == position
    assert [(event.kind, event.bar, event.side) for event in found.events] == events
    np.testing.assert_array_equal([event.zscore for event in found.events], [path[bar] for _, bar, _ in events])


def test_a_position_is_in_force_from_the_bar_after_its_close():
    found = mean_reversion_signal([0, 2.5, 1.0, 0.0, 0.0])
    assert found.position.tolist() == [0, -1, -1, 0, 0]
    assert found.in_force.tolist() == [0, 0, -1, -1, 0]


def test_an_exit_at_the_mean_waits_for_its_crossing():
    found = mean_reversion_signal([2.5, 0.0, -0.1, 2.5, 5.0, 0.0, 2.5, -0.1, 2.5], SignalParams(exit_z=0.0))
    assert found.position.tolist() == [-1, -1, 0, -1, 0, 0, 0, 0, -1]


def test_the_side_of_a_stop_is_told_until_it_is_over():
    path = [2.5, 4.5, 1.0, 0.4]
    assert [mean_reversion_signal(path[:n]).stopped for n in (1, 2, 3, 4)] == [0, -1, -1, 0]


def oracle(path: np.ndarray, params: SignalParams) -> list[int]:
    """The rule again, told by what happened since: slow, and without a state carried along."""
    held: list[int] = []
    for t, z in enumerate(path):
        before = held[-1] if held else 0
        side = int(np.sign(z)) if np.isfinite(z) else 0
        if not np.isfinite(z):
            held.append(0)
            continue
        keeps = before and params.exit_z <= -before * z <= params.stop_z
        stops = [s for s in range(1, t + 1) if held_at(held, s - 1) and -held_at(held, s - 1) * path[s] > params.stop_z]
        waits = bool(stops) and not any(
            -held[stops[-1] - 1] * later < params.exit_z for later in path[stops[-1] + 1 : t + 1] if np.isfinite(later)
        )
        enters = not waits and params.entry_z < abs(z) <= params.stop_z
        held.append(before if keeps else -side if enters else 0)
    return held


def held_at(held: list[int], bar: int) -> int:
    return held[bar] if bar < len(held) else 0


@settings(max_examples=200)
@given(path=PATHS, params=RULES)
def test_the_rule_is_that_of_a_slow_telling(path, params):
    assert mean_reversion_signal(path, params).position.tolist() == oracle(path, params)


@settings(max_examples=100)
@given(path=PATHS, params=RULES, cut=st.integers(0, 60))
def test_later_bars_change_no_earlier_position(path, params, cut):
    whole, part = mean_reversion_signal(path, params), mean_reversion_signal(path[:cut], params)
    np.testing.assert_array_equal(whole.position[:cut], part.position)
    np.testing.assert_array_equal(whole.in_force[: cut + 1][: path.size], part_in_force(part.position, path.size))
    assert repr([event for event in whole.events if event.bar < cut]) == repr(list(part.events))


def part_in_force(position: np.ndarray, n: int) -> np.ndarray:
    """What positions decided up to a bar say of it and the next one."""
    return np.concatenate(([0], position))[: min(position.size + 1, n)]


@settings(max_examples=100)
@given(path=PATHS, params=RULES)
def test_a_mirrored_spread_is_traded_the_other_way(path, params):
    found, mirrored = mean_reversion_signal(path, params), mean_reversion_signal(-path, params)
    np.testing.assert_array_equal(mirrored.position, -found.position)
    turned = [Event(event.kind, event.bar, -event.side, -event.zscore) for event in found.events]
    assert repr(turned) == repr(list(mirrored.events))


@settings(max_examples=100)
@given(path=PATHS, params=RULES)
def test_events_add_up_to_the_positions(path, params):
    found, moves = mean_reversion_signal(path, params), np.zeros(path.size, int)
    for event in found.events:
        moves[event.bar] += event.side if event.kind == "entry" else -event.side
    np.testing.assert_array_equal(np.cumsum(moves), found.position)


def test_a_path_without_values_holds_nothing():
    assert mean_reversion_signal([]).position.size == mean_reversion_signal([]).in_force.size == 0
    found = mean_reversion_signal([NAN, NAN, math.inf, -math.inf])
    assert found.position.tolist() == [0, 0, 0, 0] and found.events == ()
    assert momentum_signal([]).strength.size == 0
    with pytest.raises(InputError, match="one dimension"):
        mean_reversion_signal(np.zeros((2, 2)))


def test_momentum_by_hand():
    # fast 1, slow 3: averages of 1, 2, 4, 8 are 8 and (7 / 3 -> 31 / 6); changes 1, 2, 4 are 7 / 3 on average
    found = momentum_signal([1, 2, 4, 8], SignalParams(fast=1, slow=3))
    assert np.isnan(found.strength[:3]).all()
    assert found.strength[3] == pytest.approx(2 * (8 - 31 / 6) / (2 * 7 / 3))
    assert found.position.tolist() == [0, 0, 0, 1]
    assert [(cross.bar, cross.side) for cross in found.crossovers] == [(3, 1)]


def test_strength_is_the_distance_of_the_averages_in_usual_changes():
    values = walk()
    usual = ema(np.abs(np.diff(values)), 26)
    expected = (ema(values, 12) - ema(values, 26))[1:] / (7 * usual)
    np.testing.assert_allclose(momentum_signal(values).strength[1:], expected, rtol=1e-9)


def test_a_steady_trend_has_a_strength_of_one():
    line = 1e6 + 0.01 * np.arange(200)
    np.testing.assert_allclose(momentum_signal(line).strength[26:], 1, rtol=1e-6)
    np.testing.assert_allclose(momentum_signal(-line).strength[26:], -1, rtol=1e-6)


def test_hysteresis_keeps_the_last_side_between_its_limits():
    values = walk(3_000)
    strength, position = momentum_signal(values).strength, momentum_signal(values).position
    held = 0
    for t, value in enumerate(strength):
        held = 0 if np.isnan(value) else 1 if value > 0.1 else -1 if value < -0.1 else held
        assert position[t] == held
    turns = [len(momentum_signal(values, SignalParams(hysteresis=band)).crossovers) for band in (0.0, 0.1, 0.3)]
    assert turns[0] > 1.5 * turns[1] > 1.5 * turns[2] > 0
    assert (np.abs(strength[26:]) < 0.1).any()


def test_crossovers_are_the_turns_of_the_position():
    found = momentum_signal(walk(2_000))
    sides = [cross.side for cross in found.crossovers]
    assert len(sides) > 10 and all(a != b for a, b in pairwise(sides))
    for cross in found.crossovers:
        assert found.position[cross.bar] == cross.side != found.position[cross.bar - 1]
        assert cross.strength == found.strength[cross.bar]


@settings(max_examples=30)
@given(scale=st.floats(1e-3, 1e3), shift=st.floats(-1e3, 1e3), cut=st.integers(0, 400))
def test_momentum_has_no_units_and_does_not_look_ahead(scale, shift, cut):
    values = walk()
    found = momentum_signal(values)
    np.testing.assert_allclose(momentum_signal(scale * values + shift).strength, found.strength, atol=1e-6)
    np.testing.assert_array_equal(momentum_signal(-values).strength, -found.strength)
    np.testing.assert_array_equal(momentum_signal(-values).position, -found.position)
    np.testing.assert_array_equal(momentum_signal(values[:cut]).strength, found.strength[:cut])
    np.testing.assert_array_equal(momentum_signal(values[:cut]).position, found.position[:cut])


def test_a_hole_is_forgotten_only_once_both_averages_are_full():
    values = walk(100)
    values[60] = NAN
    found = momentum_signal(values)
    assert (found.position[60:87] == 0).all() and np.isnan(found.strength[60:87]).all()
    assert np.isfinite(found.strength[87:]).all()
    assert all(cross.side != 0 for cross in found.crossovers)
    np.testing.assert_allclose(found.strength[61:], momentum_signal(values[61:]).strength)


def test_what_does_not_move_has_no_momentum():
    assert np.isnan(momentum_signal(np.full(100, 7.3)).strength).all()
    stood_still = np.concatenate((walk(100), np.full(2_000, 5.1)))
    found = momentum_signal(stood_still)
    assert np.isnan(found.strength[-500:]).all() and (found.position[-500:] == 0).all()
    assert np.nanmax(np.abs(found.strength)) < 2


def test_a_high_spread_is_sold_with_its_legs():
    found = signal([0.0, 2.5], GOOD)
    assert (found.entry, found.position, found.zscore) == ("sell", -1, 2.5)
    assert (found.leg_y.action, found.leg_y.units, found.leg_y.notional) == ("sell", 1.0, 100.0)
    assert (found.leg_x.action, found.leg_x.units, found.leg_x.notional) == ("buy", 1.5, 60.0)
    assert found.leg_y.exposure + found.leg_x.exposure == -40
    assert found.breakeven_z == 1.2 and found.pays


def test_a_low_spread_is_bought_in_the_size_asked_for():
    found = signal([-2.5], GOOD, units_y=3.0)
    assert (found.entry, found.leg_y.action, found.leg_x.action) == ("buy", "buy", "sell")
    assert (found.leg_y.units, found.leg_x.units, found.leg_x.notional) == (3.0, 4.5, 180.0)


def test_a_negative_ratio_takes_both_legs_the_same_way():
    found = signal([2.5], replace(GOOD, hedge_ratio=-0.5))
    assert (found.leg_y.action, found.leg_x.action, found.leg_x.units) == ("sell", "sell", 0.5)
    assert signal([2.5], replace(GOOD, hedge_ratio=0.0)).leg_x.action == "none"


def test_no_ratio_is_no_entry_and_no_size():
    found = signal([2.5], replace(GOOD, hedge_ratio=NAN))
    assert (found.entry, found.leg_x.action, found.opportunity.score) == ("none", "none", 0.0)
    assert math.isnan(found.leg_x.units) and math.isnan(found.leg_x.notional)
    assert found.reasons[0].code == "no_hedge_ratio"


def test_an_entry_stands_only_while_z_is_beyond_it():
    assert signal([2.5, 1.8], GOOD).position == -1
    assert signal([2.5, 1.8], GOOD).entry == "none"
    assert signal([2.5, 2.2], GOOD).entry == "sell"
    assert signal([2.5, 4.5, 3.0], GOOD).entry == "none"
    assert signal([2.5, 4.5, 3.0], GOOD).reasons[0].code == "stopped"


def test_a_reason_that_voids_leaves_no_entry_and_one_that_caps_does():
    void = signal(reverting_to(2.5), replace(GOOD, alarm=True))
    assert (void.entry, void.position, void.opportunity.score) == ("none", -1, 0.0)
    assert (void.leg_y.action, void.leg_x.action, void.leg_x.units) == ("none", "none", 1.5)
    capped = signal(reverting_to(2.5), replace(GOOD, pvalue=0.4))
    assert capped.entry == "sell" and capped.opportunity.score == 25
    assert [reason.code for reason in capped.reasons] == ["not_cointegrated"]


def reverting_to(z: float) -> np.ndarray:
    """A path whose newest value is z, and whose momentum is known."""
    return np.concatenate((reverting(100) / 3, [z]))


def test_what_z_pays_decides_and_unknown_never_pays():
    dear = signal(reverting_to(2.5), replace(GOOD, breakeven_z=2.6))
    assert not dear.pays and dear.entry == "none" and dear.opportunity.score == 0
    unknown = signal(reverting_to(2.5), replace(GOOD, breakeven_z=NAN))
    assert not unknown.pays and unknown.opportunity.score == 25
    assert [reason.code for reason in unknown.reasons] == ["cost_unknown"]
    assert signal(reverting_to(2.5), replace(GOOD, breakeven_z=math.inf)).entry == "none"


def test_the_momentum_of_a_signal_is_that_of_its_path():
    path = reverting()
    found = signal(path, GOOD)
    assert found.momentum == momentum_signal(path).strength[-1]
    assert found.opportunity.terms[2].value == -np.sign(path[-1]) * found.momentum


def test_a_reading_names_every_number():
    reading = signal(reverting_to(2.5), GOOD).reading()
    assert reading["signal"] == reading["signal_position"] == -1
    assert reading["opportunity_zscore"] == 80 and reading["opportunity_volatility"] == 50
    assert reading["opportunity"] == signal(reverting_to(2.5), GOOD).opportunity.score
    assert signal([NAN], GOOD).reading()["signal"] == 0 and math.isnan(signal([NAN], GOOD).reading()["opportunity"])


@settings(max_examples=60)
@given(path=PATHS.filter(lambda path: path.size > 0))
def test_a_mirrored_signal_scores_alike(path):
    found, mirrored = signal(path, GOOD), signal(-path, GOOD)
    assert repr(found.opportunity) == repr(mirrored.opportunity)
    assert found.position == -mirrored.position
    assert found.leg_y.exposure == -mirrored.leg_y.exposure and found.leg_x.exposure == -mirrored.leg_x.exposure


def cointegrated(n: int = 700) -> tuple[np.ndarray, np.ndarray]:
    x = 100 + 0.2 * walk(n, 11)
    return 1.5 * x + 20 + 0.5 * reverting(n, 12), x


def test_an_analysis_gives_its_facts():
    y, x = cointegrated()
    analysis = analyse_pair(y, x, PairParams(fee_bps=1.0))
    facts = facts_of(analysis, 1.1, 60.0, ("XUSDT",), 2)
    assert (facts.price_y, facts.price_x, facts.n_obs) == (y[-1], x[-1], 700)
    assert facts.hedge_ratio == analysis.path.hedge_ratio[-1]
    assert (facts.pvalue, facts.coverage) == (analysis.cointegration_pvalue, analysis.coverage)
    assert (facts.stale, facts.open_gaps, facts.volatility, facts.liquidity) == (("XUSDT",), 2, 1.1, 60.0)
    entry = analysis.evidence.entry
    assert facts.breakeven_z == pytest.approx(0.5 + entry.cost / analysis.path.spread_std[-1])
    assert facts_of(analysis, 1.1, 60.0, params=SignalParams(exit_z=0.0)).breakeven_z == pytest.approx(
        entry.cost / analysis.path.spread_std[-1]
    )
    found = signal(analysis.path.zscore, facts)
    assert [reason.code for reason in found.reasons][:2] == ["stale_leg", "open_gap"]


def test_the_volatility_of_a_spread_is_that_of_its_hedged_changes():
    y, x = cointegrated()
    y = y.copy()
    livelier = np.random.default_rng(9).standard_normal(700)
    y[-60:] += 3 * livelier[-60:]
    analysis = analyse_pair(y, x, PairParams(window=60))
    hedged = np.diff(y) - analysis.path.hedge_ratio[:-1] * np.diff(x)
    now, before = hedged[-60:], hedged[np.isfinite(hedged)][:-60][-500:]
    found = spread_volatility(analysis)
    assert found.ratio == pytest.approx(np.sqrt(np.mean(now**2) / np.mean(before**2)))
    assert found.name == "high"
    logs = analyse_pair(y, x, PairParams(window=60, log_prices=True))
    assert spread_volatility(logs).ratio == pytest.approx(found.ratio, rel=0.2)


def test_a_young_spread_has_no_usual_volatility():
    y, x = cointegrated(270)
    assert spread_volatility(analyse_pair(y[:239], x[:239], PairParams(window=60))).name == "unknown"
    assert spread_volatility(analyse_pair(y, x, PairParams(window=50))).name != "unknown"


def test_a_pair_that_broke_in_its_session_is_told():
    y, x = cointegrated(788)
    steady = analyse_pair(y, x, PairParams(), ts_us=np.arange(76, 864))
    broken = analyse_pair(np.where(np.arange(788) < 600, y, y + 30), x, PairParams(), ts_us=np.arange(76, 864))
    assert not facts_of(steady, 1.0, 50.0).alarm and facts_of(broken, 1.0, 50.0).alarm
    assert signal(broken.path.zscore, facts_of(broken, 1.0, 50.0)).entry == "none"


def test_an_elasticity_becomes_units():
    y, x = cointegrated()
    analysis = analyse_pair(y, x, PairParams(log_prices=True))
    facts = facts_of(analysis, 1.0, 50.0)
    leg = signal(analysis.path.zscore, facts).leg_x
    assert leg.notional / facts.price_y == pytest.approx(abs(analysis.path.hedge_ratio[-1]))


def test_an_analysis_of_few_bars_leaves_facts_unknown():
    y, x = cointegrated(70)
    facts = facts_of(analyse_pair(y, x), 1.0, 50.0)
    assert math.isnan(facts.pvalue) and facts.n_obs == 70 and not facts.alarm
    found = signal(analyse_pair(y, x).path.zscore, facts)
    assert found.entry == "none" and found.opportunity.score == 0
    assert found.reasons[0].code == "too_few_bars"
    short = facts_of(analyse_pair(y[:25], x[:25], PairParams(window=20)), 1.0, 50.0)
    assert math.isnan(short.breakeven_z) and math.isnan(short.half_life_bars)


WRONG = [
    ("exit_z", {"exit_z": -0.1}),
    ("entry_z", {"entry_z": 0.5}),
    ("entry_z", {"entry_z": math.inf, "stop_z": math.inf}),
    ("stop_z", {"stop_z": 2.0}),
    ("stop_z", {"stop_z": NAN}),
    ("full_z", {"full_z": 0.4}),
    ("fast", {"fast": 0}),
    ("slow", {"slow": 12}),
    ("hysteresis", {"hysteresis": -0.1}),
    ("full_momentum", {"full_momentum": 0.0}),
    ("low_volatility", {"low_volatility": -1.0}),
    ("high_volatility", {"high_volatility": 0.7}),
    ("alpha", {"alpha": 2.0}),
    ("min_bars", {"min_bars": 1}),
    ("min_coverage", {"min_coverage": NAN}),
]


@pytest.mark.parametrize("field, values", WRONG)
def test_a_parameter_beyond_its_limits_is_named(field, values):
    with pytest.raises(InputError, match=field) as caught:
        SignalParams(**values)
    assert caught.value.field == field


def test_weights_sum_to_one_and_caps_are_scores():
    assert SignalParams(weights=Weights(0.1, 0.2, 0.3, 0.4)).weights.liquidity == 0.4
    for weights, field in (
        ((0.3, 0.3, 0.3, 0.3), "weights"),
        ((-0.1, 0.5, 0.3, 0.3), "zscore"),
        ((NAN, 0, 0, 1), "zscore"),
    ):
        with pytest.raises(InputError) as caught:
            Weights(*weights)
        assert caught.value.field == field
    for value in (-1.0, 100.1, NAN):
        with pytest.raises(InputError) as caught:
            Caps(stale_leg=value)
        assert caught.value.field == "stale_leg"


def test_facts_that_cannot_be_are_refused():
    for field, value in (("price_y", 0.0), ("price_x", NAN), ("n_obs", -1), ("open_gaps", -1), ("pvalue", -0.1)):
        with pytest.raises(InputError) as caught:
            replace(GOOD, **{field: value})
        assert caught.value.field == field
    with pytest.raises(TooFewObservations):
        signal([], GOOD)
    for units in (0.0, -1.0, NAN):
        with pytest.raises(InputError, match="units_y"):
            signal([2.5], GOOD, units_y=units)


def test_the_arguments_are_left_as_they_were_and_the_results_stand():
    path = reverting()
    kept = path.copy()
    path.flags.writeable = False
    found = signal(path, GOOD)
    np.testing.assert_array_equal(path, kept)
    with pytest.raises(FrozenInstanceError):
        found.entry = "buy"
