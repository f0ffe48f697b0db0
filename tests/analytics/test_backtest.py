"""What a backtest holds, earns and pays, by hand, by another telling, and cut short."""

import json
import math
from dataclasses import FrozenInstanceError, asdict, replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from analytics.backtest import BacktestParams, backtest, run
from analytics.backtest.bars import bars_of
from analytics.backtest.figures import YEAR_US
from analytics.backtest.guard import cuts_after, look_ahead
from analytics.backtest.life import NOTHING, half_lives
from analytics.backtest.loop import COLUMNS, OPEN, WHY
from analytics.backtest.run import Path, traded
from analytics.hedge import ols
from analytics.mean_reversion import half_life
from analytics.pair import METHODS, PairParams, analyse_pair
from analytics.signals import SignalParams, mean_reversion_signal
from utils.errors import DegenerateSeries, InputError, TooFewObservations

NAN = math.nan
MINUTE_US = 60_000_000
START_US = 1_700_006_400_000_000  # 2023-11-15 00:00 UTC
FREE = BacktestParams(taker_bps=0.0, slippage_y_bps=0.0, slippage_x_bps=0.0)


def reverting(n: int = 900, seed: int = 5, keep: float = 0.9, shock: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """A pair whose spread comes back with a half-life of some seven bars."""
    random = np.random.default_rng(seed)
    x = 500 + 0.5 * random.standard_normal(n).cumsum()
    error, steps = np.zeros(n), shock * random.standard_normal(n)
    for t in range(1, n):
        error[t] = keep * error[t - 1] + steps[t]
    return 1.5 * x + 50 + error, x


def minutes(n: int) -> np.ndarray:
    return START_US + MINUTE_US * np.arange(n)


def by_path(zscore, ratio, y, x, params=FREE, **known):
    """The loop on a given path of z, as `backtest` calls it."""
    y, x = np.array(y, float), np.array(x, float)
    bars = bars_of(y, x, replace(params, window=3), known.get("ts_us"), None, known.get("funding"))
    path = Path(np.array(ratio, float), np.array(zscore, float), np.array(ratio, float), 0)
    return traded(bars, params, path, known.get("life", NOTHING), 0)


def column(made, name):
    return made.rows[:, COLUMNS.index(name)].tolist()


def net(made) -> np.ndarray:
    paid = sum(made.rows[:, COLUMNS.index(name)] for name in ("fees", "slippage", "funding"))
    return made.rows[:, COLUMNS.index("gross_y")] + made.rows[:, COLUMNS.index("gross_x")] - paid


# --- by hand ----------------------------------------------------------------------------------------------------

# Capital 10,000, both legs together worth it at the decision; lots of 1 y, 0.5 x; a fill pays 10 bp, in y 5 more.
#   long, decided at 1: 10,000 / (98 + 50) = 67.6 -> 67 y, -67 x, filled at 2 (99, 50.5); left at 3, out at 4 (102, 51)
#   short, decided at 5: 10,000 / (105 + 2 x 51) = 48.3 -> -48 y, 96 x, at 6 (107, 51.5); stopped at 6, at 7 (104, 51)
#   long, decided at 9: 10,000 / (96 + 49 / 2) = 82.99 -> 82 y, -41 x, at 10 (97, 48); left at 11, at 12 (101, 49.5)
ZSCORE = [0, -2.5, -1, -0.2, 0, 2.5, 4.5, 1, 0.1, -2.2, -1, 0, 0]
RATIO = [1, 1, 1, 1, 1, 2, 2, 2, 0.5, 0.5, 0.5, 0.5, 0.5]
Y = [100, 98, 99, 101, 102, 105, 107, 104, 103, 96, 97, 100, 101]
X = [50, 50, 50.5, 51, 51, 51, 51.5, 51, 50, 49, 48, 49, 49.5]
COSTLY = BacktestParams(taker_bps=10.0, slippage_y_bps=5.0, slippage_x_bps=0.0, lot_y=1.0, lot_x=0.5)


def test_three_trades_by_hand_to_the_cent():
    made = by_path(ZSCORE, RATIO, Y, X, COSTLY)
    assert [WHY[int(code)] for code in column(made, "why")] == ["exit", "stop", "exit"]
    assert column(made, "side") == [1, -1, 1]
    assert column(made, "entry_bar") == [2, 6, 10] and column(made, "exit_bar") == [4, 7, 12]
    assert column(made, "units_y") == [67, -48, 82] and column(made, "units_x") == [-67, 96, -41]
    assert column(made, "gross_y") == pytest.approx([67 * 3, -48 * -3, 82 * 4], abs=1e-9)
    assert column(made, "gross_x") == pytest.approx([-67 * 0.5, 96 * -0.5, -41 * 1.5], abs=1e-9)
    # 0.1 % of 67 (99 + 102) + 67 (50.5 + 51), and so on; 0.05 % of the same in y alone.
    assert column(made, "fees") == pytest.approx([20.2675, 19.968, 20.2335], abs=1e-9)
    assert column(made, "slippage") == pytest.approx([6.7335, 5.064, 8.118], abs=1e-9)
    assert net(made) == pytest.approx([140.499, 70.968, 238.1485], abs=1e-9)
    assert made.equity[-1] == pytest.approx(10_449.6155, abs=1e-9)
    # At the close of 3: 67 x 2 in y and -67 x 0.5 in x, less the fills of 2: 10.0165 fees and 3.3165 slippage.
    assert made.equity[3] == pytest.approx(10_000 + 134 - 33.5 - 10.0165 - 3.3165, abs=1e-9)
    assert made.position.tolist() == [0, 1, 1, 0, 0, -1, 0, 0, 0, 1, 1, 0, 0]
    assert column(made, "mae") == [0, 0, 0] and column(made, "mfe") == pytest.approx([167.5, 96, 266.5])
    assert made.use.market_bars == 2 + 1 + 2


def test_a_second_leg_that_comes_late_by_hand():
    made = by_path(ZSCORE, RATIO, Y, X, replace(COSTLY, latency_bars=1))
    # x is filled at 3 and 5 (51, 51), at 7 and 8 (51, 50), at 11 and never: the last trade is still open.
    assert column(made, "entry_x") == [51, 51, 49] and column(made, "exit_x")[:2] == [51, 50]
    assert column(made, "gross_x") == pytest.approx([0, 96 * -1, -41 * 0.5], abs=1e-9)
    assert column(made, "why")[2] == OPEN and column(made, "exit_bar") == [4, 7, -1]
    assert made.equity[-1] - 10_000 == pytest.approx(net(made).sum(), abs=1e-9)


def test_funding_is_paid_every_eight_hours_on_what_is_held():
    # Bars of four hours from midnight: due at bars 2, 4, 6, ... Long y pays, short x is paid.
    ts_us = START_US + 4 * 3_600 * 1_000_000 * np.arange(13)
    made = by_path(ZSCORE, RATIO, Y, X, replace(FREE, lot_y=1.0, lot_x=0.5), ts_us=ts_us, funding=(0.01, 0.002))
    # The first trade holds 67 y and -67 x from the close of 2 to that of 4: due at the open of 4, at 101 and 51.
    first = 0.01 * 67 * 101 - 0.002 * 67 * 51
    # The third holds 82 y and -41 x from 10 to 12: due at 12, at 100 and 49. The second holds none at a due time.
    third = 0.01 * 82 * 100 - 0.002 * 41 * 49
    assert column(made, "funding") == pytest.approx([first, 0, third])
    assert made.equity[-1] - 10_000 == pytest.approx(net(made).sum(), abs=1e-9)


def test_funding_by_bar_equals_one_rate_and_needs_times():
    y, x = reverting(400)
    ts_us = minutes(400) * 10
    one = backtest(y, x, ts_us=ts_us, funding=(1e-4, -2e-4))
    many = backtest(y, x, ts_us=ts_us, funding=(np.full(400, 1e-4), np.full(400, -2e-4)))
    assert one.metrics.funding == many.metrics.funding != 0
    assert math.isnan(backtest(y, x, ts_us=ts_us).metrics.funding)
    with pytest.raises(InputError, match="needs ts_us"):
        backtest(y, x, funding=(1e-4, 0.0))
    with pytest.raises(InputError, match="finite"):
        backtest(y, x, ts_us=ts_us, funding=(NAN, 0.0))
    with pytest.raises(InputError, match="one a bar"):
        backtest(y, x, ts_us=ts_us, funding=(np.zeros(3), 0.0))


# --- the rule ---------------------------------------------------------------------------------------------------

LEVELS = [0.0, 0.2, 0.5, 1.0, 2.0, 2.5, 3.5, 4.0, 4.5]
PATHS = st.lists(st.sampled_from([*LEVELS, *(-level for level in LEVELS), NAN]), min_size=12, max_size=60).map(np.array)


@given(PATHS)
def test_positions_on_a_path_are_those_of_the_signal(zscore):
    n = zscore.size
    made = by_path(zscore, np.ones(n), np.full(n, 100.0) + np.arange(n) % 2, np.full(n, 50.0) + np.arange(n) % 3)
    rule = mean_reversion_signal(zscore, SignalParams())
    np.testing.assert_array_equal(made.position, rule.position)
    entries = [event for event in rule.events if event.kind == "entry" and event.bar + 1 < n]
    assert column(made, "entry_decided") == [event.bar for event in entries]
    leaves = [event for event in rule.events if event.kind != "entry" and event.bar + 1 < n]
    closed = [int(bar) for bar in column(made, "exit_decided") if bar >= 0]
    assert closed == [event.bar for event in leaves]
    assert [WHY[int(code)] for code in column(made, "why") if code != OPEN] == [event.kind for event in leaves]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("log_prices", [False, True])
def test_page_signal_and_backtest_agree(method, log_prices):
    y, x = reverting(700)
    params = BacktestParams(method=method, log_prices=log_prices, scale="ewm" if method == "tls" else "std")
    found = backtest(y, x, params, ts_us=minutes(700))
    page = analyse_pair(y, x, PairParams(method=method, log_prices=log_prices, scale=params.scale), ts_us=minutes(700))
    np.testing.assert_array_equal(found.zscore, page.path.zscore)
    np.testing.assert_array_equal(found.hedge_ratio, page.path.hedge_ratio)
    np.testing.assert_array_equal(found.position, mean_reversion_signal(page.path.zscore, SignalParams()).position)
    assert found.metrics.trades > 3 and found.look_ahead.clean


def test_a_time_stop_counts_half_lives_of_the_entry_and_waits_for_z_to_come_back():
    zscore = [2.5, 2.2, 2.2, 2.2, 2.2, 0.1, 2.5, 2.5]
    legs = np.ones(8), [100, 101, 100, 101, 100, 101, 100, 101], [50, 51, 50, 51, 50, 51, 50, 51]
    life = np.full(8, 1.5)
    made = by_path(zscore, *legs, replace(FREE, time_stop=2.0), life=life)
    assert made.position.tolist() == [-1, -1, -1, 0, 0, 0, -1, -1]  # three bars of two half-lives
    assert WHY[int(column(made, "why")[0])] == "time"
    again = by_path(zscore, *legs, replace(FREE, time_stop=2.0, reentry="free"), life=life)
    assert again.position.tolist() == [-1, -1, -1, 0, -1, 0, -1, -1]
    endless = by_path(zscore, *legs, replace(FREE, time_stop=2.0), life=np.full(8, math.inf))
    unknown = by_path(zscore, *legs, replace(FREE, time_stop=2.0), life=np.full(8, NAN))
    for held in (endless, unknown):
        assert held.position.tolist() == [-1, -1, -1, -1, -1, 0, -1, -1]


def test_a_stop_is_followed_at_once_where_that_is_asked_for():
    zscore = [2.5, 4.5, 3.0, 3.0, 0.1]
    legs = np.ones(5), [100, 101, 100, 101, 100], [50, 51, 50, 51, 50]
    assert by_path(zscore, *legs).position.tolist() == [-1, 0, 0, 0, 0]
    assert by_path(zscore, *legs, replace(FREE, reentry="free")).position.tolist() == [-1, 0, -1, -1, 0]


def test_the_half_life_of_an_entry_is_that_of_the_residual_before_it():
    y, x = reverting(600)
    ends = np.array([100, 239, 400, 599])
    found = half_lives(y, x, ends, 240)
    assert math.isnan(found[0])  # fewer bars than it rests on
    for end, bars in zip(ends[1:], found[1:], strict=True):
        some = slice(end - 239, end + 1)
        fit = ols(y[some], x[some])
        assert bars == pytest.approx(half_life(y[some] - fit.hedge_ratio * x[some], fitted=1).bars, rel=1e-9)


# --- money ------------------------------------------------------------------------------------------------------

PARAMS = st.builds(
    BacktestParams,
    window=st.sampled_from([20, 60]),
    entry_z=st.sampled_from([1.0, 2.0]),
    exit_z=st.sampled_from([0.0, 0.5]),
    stop_z=st.sampled_from([2.5, math.inf]),
    time_stop=st.sampled_from([1.0, math.inf]),
    half_life_bars=st.just(60),
    reentry=st.sampled_from(["reset", "free"]),
    hedge=st.sampled_from(["entry", "rolled"]),
    roll_share=st.sampled_from([0.0, 0.05]),
    leverage=st.sampled_from([0.5, 3.0]),
    compound=st.booleans(),
    lot_y=st.sampled_from([0.0, 0.1, 3.0]),
    lot_x=st.sampled_from([0.0, 0.01, 2.0]),
    fill=st.sampled_from(["taker", "maker"]),
    maker_bps=st.sampled_from([-1.0, 2.0]),
    latency_bars=st.integers(0, 3),
    log_prices=st.booleans(),
)
RUNS = st.tuples(PARAMS, st.integers(0, 50), st.booleans())


def ran(case, n=400, **known):
    params, seed, funded = case
    y, x = reverting(n, seed=seed)
    funding = (1e-4, -2e-4) if funded else None
    return backtest(y, x, params, ts_us=START_US + 3_600 * 1_000_000 * np.arange(n), funding=funding, **known)


@given(RUNS)
@settings(max_examples=80)
def test_net_is_what_the_legs_earn_less_what_they_cost(case):
    found = ran(case)
    table, metrics = found.trades, found.metrics
    scale = 1e-9 * (abs(found.equity).max() + table["traded"].sum())
    assert found.equity[-1] - found.params.capital == pytest.approx(table["net"].sum(), abs=scale)
    np.testing.assert_allclose(table["gross_y"] + table["gross_x"], table["gross"], rtol=0, atol=scale)
    np.testing.assert_allclose(table["fees"] + table["slippage"] + table["funding"], table["costs"], rtol=0, atol=scale)
    np.testing.assert_allclose(table["gross"] - table["costs"], table["net"], rtol=0, atol=scale)
    np.testing.assert_allclose(table["fees"], found.params.fee_bps / 10_000 * table["traded"], rtol=1e-9, atol=scale)
    paid = 0.0 if math.isnan(metrics.funding) else metrics.funding
    assert metrics.net == pytest.approx(metrics.gross - metrics.fees - metrics.slippage - paid, abs=scale)
    assert (table["mae"] <= 0).all() and (table["mfe"] >= 0).all()
    assert (table["mae"] <= table["gross"] + scale).all() and (table["gross"] <= table["mfe"] + scale).all()


@given(RUNS)
@settings(max_examples=40)
def test_equity_is_that_of_a_slow_telling(case):
    """Orders in a list, each leg by itself; equity = capital + what every fill has earned since, less what it cost."""
    found = ran(case)
    params, y, x = found.params, found.y, found.x
    if (found.equity <= 0).any():
        return  # what is ruined is told elsewhere
    slip = dict(zip("yx", params.slippage_bps, strict=True))
    fills: list[tuple[int, str, float]] = []
    for trade in found.trades.itertuples():
        at, leave = trade.entry_decided, trade.exit_decided
        until = leave if leave >= 0 else found.n_obs + 9
        held = -trade.units_x
        fills += [(at + 1, "y", trade.units_y), (until + 1, "y", -trade.units_y)]
        fills += [(at + 1 + params.latency_bars, "x", trade.units_x)]
        for t in range(at + 1, min(until, found.n_obs)) if params.hedge == "rolled" else ():
            units = found.hedge_ratio[t] * (y[t] / x[t] if params.log_prices else 1.0) * trade.units_y
            units = round(units / params.lot_x) * params.lot_x if params.lot_x else units
            if abs(units - held) > params.roll_share * abs(held):
                fills.append((t + 1 + params.latency_bars, "x", held - units))
                held = units
        fills.append((until + 1 + params.latency_bars, "x", held))
    equity = np.full(found.n_obs, params.capital)
    for bar, leg, change in fills:
        if bar < found.n_obs:
            price = y if leg == "y" else x
            cost = abs(change) * price[bar] * (params.fee_bps + slip[leg]) / 10_000
            equity[bar:] += change * (price[bar:] - price[bar]) - cost
            if case[2]:  # funded at the open of every eighth bar: on what was held at the close before
                rate = 1e-4 if leg == "y" else -2e-4
                for due in range((bar // 8 + 1) * 8, found.n_obs, 8):
                    equity[due:] -= rate * change * price[due - 1]
    open_rows = found.trades["exit_bar"] < 0
    if not (open_rows.any() and params.latency_bars):  # the table does not say what an open trade has already ordered
        np.testing.assert_allclose(found.equity, equity, rtol=1e-9, atol=1e-6)


def left(found, number):
    """Close at which a trade is left; beyond the run where it is not."""
    trade = found.trades.iloc[number]
    if trade.exit_decided >= 0:
        return int(trade.exit_decided)
    later = range(int(trade.entry_decided) + 1, found.n_obs)
    again = found.trades["entry_decided"].to_numpy()[number + 1 :]
    return next((t for t in later if found.position[t] != trade.side or t in again), found.n_obs + 9)


def held_units(found):
    """Units of y and x at each close, of all trades together: each leg is held from its own first fill to its last."""
    params, n = found.params, found.n_obs
    units_y, units_x = [0.0] * n, [0.0] * n
    for number, trade in enumerate(found.trades.itertuples()):
        at, until, aim = trade.entry_decided, left(found, number), trade.units_x
        for t in range(at, min(until, n)):
            if t > at and params.hedge == "rolled":
                ratio = found.hedge_ratio[t] * (found.y[t] / found.x[t] if params.log_prices else 1.0)
                fresh = -ratio * trade.units_y
                fresh = round(fresh / params.lot_x) * params.lot_x if params.lot_x else fresh
                aim = fresh if abs(fresh - aim) > params.roll_share * abs(aim) else aim
            if t + 1 < n:
                units_y[t + 1] += trade.units_y
            if t + 1 + params.latency_bars < n:
                units_x[t + 1 + params.latency_bars] += aim
    return units_y, units_x


@given(RUNS)
@example((BacktestParams(window=20, entry_z=1.0, stop_z=2.5, reentry="free", latency_bars=3), 0, False))
@settings(max_examples=60)
def test_leverage_and_exposure_are_those_of_what_is_held_at_each_close(case):
    found = ran(case)
    if found.metrics.skipped or (found.equity <= 0).any():
        return
    shares = []
    for units_y, units_x, y, x, equity in zip(*held_units(found), found.y, found.x, found.equity, strict=True):
        if units_y or units_x:
            shares.append((abs(units_y) * y + abs(units_x) * x) / equity)
    told = found.metrics
    assert told.exposure == pytest.approx(len(shares) / told.n_obs)
    if shares:
        assert told.mean_leverage == pytest.approx(sum(shares) / len(shares), rel=1e-9)
        assert told.most_leverage == pytest.approx(max(shares), rel=1e-9)


@given(RUNS, st.integers(150, 399))
@settings(max_examples=40)
def test_later_bars_change_nothing_that_was(case, end):
    params, seed, funded = case
    full = ran(case)
    y, x = reverting(400, seed=seed)
    funding = (1e-4, -2e-4) if funded else None
    ts_us = START_US + 3_600 * 1_000_000 * np.arange(end)
    cut = backtest(y[:end], x[:end], params, ts_us=ts_us, funding=funding)
    for name in ("hedge_ratio", "zscore", "position", "equity"):
        np.testing.assert_array_equal(getattr(cut, name), getattr(full, name)[:end], err_msg=name)
    done = cut.trades[cut.trades["exit_bar"] >= 0]
    assert done.equals(full.trades.loc[done.index])
    assert full.look_ahead.clean and cut.look_ahead.clean


def test_a_common_shock_moves_only_what_the_hedge_leaves():
    """Both legs move as the ratio says after the entry: the trade earns nothing, whatever its side."""
    y, x = np.full(12, 100.0), np.full(12, 50.0)
    x[5:], y[5:] = 60.0, 115.0  # ratio 1.5
    for sign in (1, -1):
        zscore = sign * np.array([0, 2.5, 2, 2, 2, 2, 2, 2, 2, 0, 0, 0])
        made = by_path(zscore, np.full(12, 1.5), y, x)
        assert net(made) == pytest.approx([0.0], abs=1e-9) and abs(column(made, "gross_y")[0]) > 100


def test_a_negative_ratio_takes_both_legs_the_same_way():
    made = by_path(ZSCORE, [-1] * 13, Y, X)
    assert np.sign(column(made, "units_y")).tolist() == np.sign(column(made, "units_x")).tolist() == [1, -1, 1]


def test_sizes_are_lots_within_the_capital_or_nothing():
    y, x = reverting(500)
    found = backtest(y, x, replace(FREE, lot_y=0.5, lot_x=0.25, leverage=2.0))
    units = found.trades[["units_y", "units_x"]].to_numpy()
    assert found.metrics.trades > 5
    assert (units[:, 0] / 0.5 % 1 == 0).all() and (units[:, 1] / 0.25 % 1 == 0).all()
    at = found.trades["entry_decided"].to_numpy()
    worth = np.abs(units[:, 0]) * (y[at] + np.abs(found.hedge_ratio[at]) * x[at])
    assert (worth <= 20_000 * (1 + 1e-9)).all() and (worth > 0.9 * 20_000).all()
    nothing = backtest(y, x, replace(FREE, lot_y=1_000.0))
    assert nothing.metrics.skipped == found.metrics.trades + found.metrics.open_trades
    assert nothing.trades.empty and (nothing.equity == 10_000).all()
    np.testing.assert_array_equal(nothing.position, found.position)  # what the rule holds does not hang on the purse


def test_more_leverage_earns_in_proportion_and_compounding_grows():
    y, x = reverting(900)
    one, two = backtest(y, x, FREE), backtest(y, x, replace(FREE, leverage=2.0))
    np.testing.assert_allclose(two.equity - 10_000, 2 * (one.equity - 10_000), rtol=1e-9, atol=1e-6)
    grown = backtest(y, x, replace(FREE, compound=True))
    assert one.metrics.net > 0 and grown.metrics.net > one.metrics.net
    second = grown.trades.iloc[1]
    at = int(second["entry_decided"])
    ratio = abs(second["units_y"] / one.trades.iloc[1]["units_y"])
    assert ratio == pytest.approx(grown.equity[at] / 10_000)


def test_what_is_ruined_trades_no_more():
    n = 40
    zscore = np.array([2.5, 2, 2, 2, 2, 0, 0, 0] * 5)
    y = np.full(n, 100.0) + np.arange(n) % 2
    y[3:] *= 3  # against the short
    made = by_path(zscore, np.full(n, 0.1), y, np.full(n, 50.0) + np.arange(n) % 2)
    assert [WHY[int(code)] for code in column(made, "why")] == ["ruin"]
    assert column(made, "exit_decided") == [3] and column(made, "exit_bar") == [4]
    assert (made.equity[3:] < 0).all() and not made.position[3:].any()
    assert made.use.ruined == 3


def test_a_rolled_hedge_follows_the_ratio_and_pays_for_it():
    ratio = [1, 1, 1, 2, 2, 2.04, 2.04, 2, 2]
    zscore = [0, 2.5, 2, 2, 2, 2, 0, 0, 0]
    legs = [100, 100, 101, 100, 101, 100, 101, 100, 101], [50, 50, 51, 50, 51, 50, 51, 50, 51]
    params = replace(FREE, hedge="rolled", taker_bps=10.0, lot_y=1.0)
    made, kept = by_path(zscore, ratio, *legs, params), by_path(zscore, ratio, *legs, replace(params, hedge="entry"))
    # 66 y sold; 66 x bought at 2 (51), 66 more at 4 (51) as the ratio is 2 at the close of 3; 2.04 is within 5 %.
    assert column(made, "units_y") == [-66] and column(made, "units_x") == [66]
    traded_x = 66 * 51 + 66 * 51 + 132 * 50
    assert column(made, "traded") == pytest.approx([66 * (101 + 100) + traded_x])
    assert column(made, "gross_x") == pytest.approx([66 * (50 - 51) + 66 * (50 - 51)])
    assert column(kept, "traded") == pytest.approx([66 * (101 + 100) + 66 * (51 + 50)])
    np.testing.assert_array_equal(made.position, kept.position)


def test_a_maker_pays_his_fee_and_no_slippage():
    y, x = reverting(500)
    taker, maker = backtest(y, x), backtest(y, x, BacktestParams(fill="maker"))
    assert maker.metrics.slippage == 0 < taker.metrics.slippage
    assert maker.metrics.fees == pytest.approx(taker.metrics.fees * 2 / 5)
    assert taker.metrics.slippage == pytest.approx(0.5 / 5 * taker.metrics.fees)


# --- figures ----------------------------------------------------------------------------------------------------


def test_figures_are_those_of_the_equity_and_the_trades():
    y, x = reverting(900)
    found = backtest(y, x, ts_us=minutes(900))
    metrics, returns, closed = found.metrics, found.returns, found.trades[found.trades["exit_bar"] >= 0]
    np.testing.assert_allclose(returns, np.diff(found.equity[found.start :]) / 10_000)
    a_year = math.sqrt(365 * 24 * 60)
    assert metrics.sharpe == pytest.approx(returns.mean() / returns.std(ddof=1) * a_year, rel=1e-9)
    below = math.sqrt((np.minimum(returns, 0) ** 2).mean())
    assert metrics.sortino == pytest.approx(returns.mean() / below * a_year, rel=1e-9)
    centred = (returns - returns.mean()) / returns.std()
    assert metrics.skew == pytest.approx((centred**3).mean(), rel=1e-9)
    assert metrics.kurtosis == pytest.approx((centred**4).mean(), rel=1e-9)
    assert metrics.n_obs == returns.size == 900 - 1 - found.start and found.start == 59
    assert metrics.max_drawdown == pytest.approx(found.drawdown.max())
    fallen = "".join("1" if drop > 0 else "0" for drop in found.drawdown)
    assert metrics.drawdown_bars == max(map(len, fallen.split("0"))) > 10
    assert metrics.net == pytest.approx(found.equity[-1] - 10_000)
    gains = closed["net"].to_numpy()
    assert metrics.win_rate == (gains > 0).mean() and metrics.trades == len(gains)
    assert metrics.profit_factor == pytest.approx(gains[gains > 0].sum() / -gains[gains < 0].sum())
    assert metrics.t_stat == pytest.approx(gains.mean() / gains.std(ddof=1) * math.sqrt(gains.size))
    assert metrics.turnover == pytest.approx(found.trades["traded"].sum() / 10_000)
    held = np.zeros(900, bool)
    for row in found.trades.itertuples():
        held[row.entry_bar : row.exit_bar if row.exit_bar >= 0 else None] = True
    assert metrics.exposure == pytest.approx(held.sum() / metrics.n_obs)
    assert metrics.mean_bars == closed["bars"].mean()
    assert metrics.mean_half_lives == pytest.approx(closed["half_lives"].dropna().mean())
    assert 0.8 < metrics.mean_leverage <= metrics.most_leverage < 1.5


def test_a_year_is_365_days_of_24_hours_whatever_the_bars():
    """The same returns in bars of an hour are worth sqrt(60) times fewer years than in bars of a minute."""
    y, x = reverting(500)
    minute, hour = backtest(y, x, ts_us=minutes(500)), backtest(y, x, ts_us=60 * minutes(500))
    assert minute.metrics.sharpe_bar == hour.metrics.sharpe_bar
    assert minute.metrics.sharpe == pytest.approx(hour.metrics.sharpe * math.sqrt(60))
    assert minute.metrics.sharpe == pytest.approx(minute.metrics.sharpe_bar * math.sqrt(YEAR_US / MINUTE_US))


def test_what_there_is_not_enough_of_is_not_a_number():
    y, x = reverting(300)
    silent = backtest(y, x, BacktestParams(entry_z=30.0, stop_z=40.0), ts_us=minutes(300)).metrics
    unknown = {"win_rate", "profit_factor", "mean_net", "t_stat", "mean_bars", "mean_half_lives", "sharpe", "sortino"}
    unknown |= {"sharpe_bar", "skew", "kurtosis", "mean_leverage", "most_leverage", "funding"}
    assert {name for name, value in asdict(silent).items() if math.isnan(value)} == unknown
    assert silent.net == silent.trades == silent.exposure == silent.turnover == 0
    timeless = backtest(y, x).metrics
    assert math.isnan(timeless.sharpe) and math.isnan(timeless.sortino) and not math.isnan(timeless.sharpe_bar)
    # One trade: it has a net, but no spread of nets, and nothing lost.
    made = backtest(y[:90], x[:90], replace(FREE, entry_z=1.5))
    assert made.metrics.trades == 1 and made.metrics.net > 0
    assert math.isnan(made.metrics.t_stat) and math.isnan(made.metrics.profit_factor)


def test_a_result_is_frozen_and_goes_to_json_without_nan():
    y, x = reverting(300)
    found = backtest(y, x)
    with pytest.raises(FrozenInstanceError):
        found.start = 3
    told = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert told["metrics"]["sharpe"] is None and told["params"]["time_stop"] is None
    assert told["look_ahead"]["clean"] is True and told["bars"]["n_obs"] == 300
    assert list(found.frame()["equity"]) == found.equity.tolist()


def test_the_arguments_stay_as_they_were():
    y, x = reverting(300)
    kept = y.copy(), x.copy()
    for leg in (y, x):
        leg.flags.writeable = False
    backtest(y, x, BacktestParams(time_stop=2.0, hedge="rolled"))
    np.testing.assert_array_equal((y, x), kept)


# --- incomplete bars --------------------------------------------------------------------------------------------


def test_incomplete_bars_are_marked_or_left_out():
    y, x = reverting(600)
    complete = np.ones(600, bool)
    complete[[200, 201, 350]] = False
    marked = backtest(y, x, ts_us=minutes(600), complete=complete)
    assert marked.n_obs == 600 and marked.coverage == pytest.approx(597 / 600)
    for row in marked.trades.itertuples():
        last = row.exit_bar if row.exit_bar >= 0 else 599
        assert row.incomplete_bars == (~complete[row.entry_decided : last + 1]).sum()
    assert marked.trades["incomplete_bars"].sum() > 0
    left = backtest(y, x, BacktestParams(incomplete="exclude"), ts_us=minutes(600), complete=complete)
    kept = backtest(y[complete], x[complete], ts_us=minutes(600)[complete])
    np.testing.assert_array_equal(left.equity, kept.equity)
    np.testing.assert_array_equal(left.index, np.flatnonzero(complete))
    assert left.coverage == 1 and (left.ts_us == minutes(600)[complete]).all()


@pytest.mark.parametrize("latency", [0, 1, 3])
def test_an_incomplete_bar_marks_a_trade_up_to_its_last_fill(latency):
    y, x = reverting(600)
    params = BacktestParams(latency_bars=latency)
    trade = backtest(y, x, params).trades.iloc[3]
    for late, marks in ((latency, 1), (latency + 1, 0)):
        complete = np.ones(600, bool)
        complete[trade.exit_bar + late] = False
        assert backtest(y, x, params, complete=complete).trades.iloc[3].incomplete_bars == marks


def test_leading_bars_without_a_price_are_left_out():
    y, x = reverting(400)
    found = backtest(np.r_[NAN, NAN, y], np.r_[1.0, NAN, x])
    np.testing.assert_array_equal(found.equity, backtest(y, x).equity)
    assert found.index[0] == 2


# --- looking ahead ----------------------------------------------------------------------------------------------


def leaking(change):
    """`scored_path` with a z-score that was changed."""
    honest = run.scored_path

    def planted(*given):
        fits, (mean, width, zscore), state = honest(*given)
        return fits, (mean, width, change(zscore.copy())), state

    return planted


def one_bar_early(zscore):
    zscore[:-1] = zscore[1:]
    return zscore


def by_the_whole_sample(zscore):
    return (zscore - np.nanmean(zscore)) / np.nanstd(zscore)


def early_at_entries_only(zscore):
    """The next value where it is extreme, else the bar's own: a single bar of a trade looks ahead."""
    later = np.append(zscore[1:], zscore[-1:])
    return np.where(np.abs(later) > 2, later, zscore)


@pytest.mark.parametrize("leak", [one_bar_early, by_the_whole_sample, early_at_entries_only])
def test_a_planted_leak_is_caught(leak, monkeypatch):
    y, x = reverting(900)
    assert backtest(y, x).look_ahead.clean
    monkeypatch.setattr(run, "scored_path", leaking(leak))
    found = backtest(y, x).look_ahead
    assert not found.clean and "zscore at bar" in found.what and len(found.cuts) == 2


def test_a_leak_of_one_bar_in_the_decisions_alone_is_caught():
    y, x = reverting(900)
    honest = backtest(y, x)

    def early(n):
        z = honest.zscore[:n]
        return {"position": mean_reversion_signal(np.append(z[1:], z[-1:])).position}

    full = early(900)
    decisions = np.flatnonzero(np.diff(full["position"]) != 0) + 1
    assert not look_ahead(early, full, cuts_after(decisions, honest.start, 900)).clean


def test_the_check_runs_where_nothing_was_traded():
    y, x = reverting(300)
    found = backtest(y, x, BacktestParams(entry_z=30.0, stop_z=40.0)).look_ahead
    assert found.clean and len(found.cuts) == 2


# --- wrong input ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given, field",
    [
        ({"exit_z": 2.0}, "entry_z"),
        ({"stop_z": 2.0}, "stop_z"),
        ({"window": 2}, "window"),
        ({"method": "lasso"}, "method"),
        ({"time_stop": 0.0}, "time_stop"),
        ({"time_stop": NAN}, "time_stop"),
        ({"half_life_bars": 19}, "half_life_bars"),
        ({"reentry": "never"}, "reentry"),
        ({"hedge": "none"}, "hedge"),
        ({"roll_share": -0.1}, "roll_share"),
        ({"capital": 0.0}, "capital"),
        ({"capital": math.inf}, "capital"),
        ({"leverage": -1.0}, "leverage"),
        ({"leverage": 125.5}, "leverage"),
        ({"lot_x": math.inf}, "lot_x"),
        ({"fill": "both"}, "fill"),
        ({"taker_bps": -1.0}, "taker_bps"),
        ({"maker_bps": 2_000.0}, "maker_bps"),
        ({"slippage_x_bps": NAN}, "slippage_x_bps"),
        ({"latency_bars": 1.5}, "latency_bars"),
        ({"latency_bars": -1}, "latency_bars"),
        ({"incomplete": "hide"}, "incomplete"),
    ],
)
def test_parameters_out_of_their_limits_are_named(given, field):
    with pytest.raises(InputError) as caught:
        BacktestParams(**given)
    assert caught.value.field == field and field in str(caught.value)


def test_bars_that_cannot_be_traded_are_named():
    y, x = reverting(100)
    with pytest.raises(TooFewObservations, match="needs 60 bars, has 59"):
        backtest(y[:59], x[:59])
    with pytest.raises(TooFewObservations, match="needs 60 bars, has 0"):
        backtest([], [])
    with pytest.raises(InputError, match=r"finite.*at index 70"):
        backtest(np.r_[y[:70], NAN, y[71:]], x)
    with pytest.raises(InputError, match=r"x must be > 0 and at most 1e.100 to be traded, was -1"):
        backtest(y, np.r_[x[:-1], -1.0])
    with pytest.raises(InputError, match="shape"):
        backtest(y, x[:-1])
    with pytest.raises(DegenerateSeries, match="same series"):
        backtest(y, y)
    with pytest.raises(DegenerateSeries, match="constant"):
        backtest(y, np.full(100, 5.0))
    with pytest.raises(DegenerateSeries, match="no bar has a z-score"):
        backtest(2 * x, x)
    with pytest.raises(TooFewObservations):
        backtest(y, x, BacktestParams(method="kalman"))
