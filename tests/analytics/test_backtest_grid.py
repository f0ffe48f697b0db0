"""Many parameters on the same bars, walk-forward, and threads that report and stop."""

import math
import threading
from dataclasses import replace

import numpy as np
import pytest

from analytics.backtest import BacktestParams, backtest, grid, run, walk_forward
from analytics.backtest.bars import bars_of
from analytics.backtest.grid import plateau
from analytics.backtest.life import NOTHING
from analytics.backtest.loop import COLUMNS, WHY, trade
from analytics.backtest.parallel import in_threads
from analytics.backtest.run import money_of, path_of, rule_of
from tests.analytics.test_backtest import leaking, minutes, one_bar_early, reverting
from utils.errors import DegenerateSeries, InputError, TooFewObservations

BARS = 900
Y, X = reverting(BARS)
AXES = {"window": [40, 60, 80], "entry_z": [1.0, 1.5, 2.0], "exit_z": [0.0, 0.5]}


def tried(**more):
    return grid(Y, X, ts_us=minutes(BARS), **(AXES | more))


# --- grid -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "params", [BacktestParams(), BacktestParams(time_stop=2.0, half_life_bars=30, latency_bars=1, compound=True)]
)
def test_each_trial_is_the_backtest_of_its_parameters(params):
    found = grid(Y, X, params, ts_us=minutes(BARS), **(AXES | {"method": ["ols", "tls"]}))
    assert found.trials == 2 * 3 * 3 * 2 and found.start == 79 and not found.missing and found.look_ahead.clean
    for row in found.frame().itertuples():
        one = replace(params, method=row.method, window=row.window, entry_z=row.entry_z, exit_z=row.exit_z)
        some = slice(found.start + 1 - row.window, None)  # its own path then begins where all trials do
        own = backtest(Y[some], X[some], one, ts_us=minutes(BARS)[some]).metrics
        for name in ("net", "trades", "sharpe", "max_drawdown", "win_rate", "profit_factor", "exposure", "turnover"):
            assert getattr(row, name) == pytest.approx(getattr(own, name), rel=1e-6, nan_ok=True), name


def test_a_trial_that_makes_no_rule_is_none():
    found = tried(entry_z=[0.5, 2.0, 5.0], exit_z=[0.5, 1.0])
    assert found.trials == 3 * 2  # 2.0 with both exits; 0.5 is no entry above them, 5.0 is beyond the stop of 4
    assert np.isnan(found.figures["net"][:, :, [0, 2]]).all()
    assert len(found.frame()) == 6


def test_the_order_and_the_number_of_threads_do_not_matter():
    one, other = tried(threads=1), tried(threads=3, window=[80, 40, 60, 60], exit_z=[0.5, 0.0])
    for name, values in one.figures.items():
        np.testing.assert_array_equal(values, other.figures[name])
    np.testing.assert_array_equal(one.sums, other.sums)
    assert one.best == other.best


def test_the_best_is_the_highest_sharpe_ratio_and_its_parameters_repeat_it():
    found = tried()
    sharpes = found.figures["sharpe_bar"]
    table = found.frame()
    row = table.loc[table["sharpe_bar"].idxmax()]
    best = found.best
    assert (best.window, best.entry_z, best.exit_z) == (row["window"], row["entry_z"], row["exit_z"])
    assert row["sharpe_bar"] == np.nanmax(sharpes)
    assert found.best_plateau is not None


def test_sums_over_blocks_add_up_to_the_trial():
    found = tried()
    n = found.n_obs - 1 - found.start
    assert found.block_bars.sum() == n and found.block_bars.size == 16
    mean = found.sums[..., 0].sum(axis=-1) / n
    variance = (found.sums[..., 1].sum(axis=-1) - n * mean**2) / (n - 1)
    np.testing.assert_allclose(mean / np.sqrt(variance), found.figures["sharpe_bar"], rtol=1e-9)
    np.testing.assert_allclose(10_000 * found.sums[..., 0].sum(axis=-1), found.figures["net"], rtol=1e-9, atol=1e-6)


def test_what_cannot_be_run_is_missing_with_its_reason():
    few = grid(Y[:280], X[:280], method=["ols", "kalman"], window=[40, 60])  # Kalman learns for 250 bars and a session
    assert set(few.missing) == {("kalman", 40), ("kalman", 60)} and few.trials == 2
    assert all("needs" in reason for reason in few.missing.values())
    assert np.isnan(few.figures["net"][1]).all()
    with pytest.raises(DegenerateSeries, match="no bar has a z-score"):
        grid(2 * X, X, window=[30, 60])
    with pytest.raises(TooFewObservations):
        grid(Y[:20], X[:20], window=[30, 60])


@pytest.mark.parametrize(
    "given, field",
    [
        ({"window": []}, "window"),
        ({"method": ["lasso"]}, "method"),
        ({"method": ["huber"], "window": [5]}, "window"),
        ({"entry_z": [1.0], "exit_z": [1.0, 2.0]}, "entry_z"),
    ],
)
def test_axes_out_of_their_limits_are_named(given, field):
    with pytest.raises(InputError) as caught:
        tried(**given)
    assert caught.value.field == field


def test_a_leak_in_a_path_is_seen_by_the_grid_and_the_walk(monkeypatch):
    monkeypatch.setattr(run, "scored_path", leaking(one_bar_early))
    assert not tried().look_ahead.clean
    assert not walk_forward(Y, X, **AXES).look_ahead.clean


# --- plateaus ---------------------------------------------------------------------------------------------------


def test_a_plateau_is_the_median_of_a_trial_and_its_neighbours():
    values = np.zeros((1, 3, 3, 3))
    values[0, 1, 1, 1] = 100.0  # luck
    assert plateau(values)[0, 1, 1, 1] == 0
    values = np.arange(27.0).reshape(1, 3, 3, 3)
    assert plateau(values)[0, 1, 1, 1] == 13  # of all 27
    assert plateau(values)[0, 0, 0, 0] == np.median(values[0, :2, :2, :2])
    both = np.stack((values[0], 1_000 + values[0]))
    np.testing.assert_array_equal(plateau(both)[0], plateau(values)[0])  # methods are no neighbours


def test_a_plateau_asks_for_half_of_its_neighbours():
    values = np.full((1, 3, 3, 1), np.nan)
    values[0, 1, 1, 0] = 1.0
    assert np.isnan(plateau(values)).all()
    values[0, 0, :, 0], values[0, 1, 0, 0] = 3.0, 2.0
    assert plateau(values)[0, 1, 1, 0] == 3.0  # 5 of 9
    assert np.isnan(plateau(values)[0, 2, 2, 0])  # not tried itself


# --- walk-forward -----------------------------------------------------------------------------------------------


def test_folds_do_not_overlap_and_follow_each_other():
    found = walk_forward(Y, X, ts_us=minutes(BARS), folds=4, train_parts=2, **AXES)
    assert len(found.folds) == 4 and found.trials == 4 * 18
    for fold, after in zip(found.folds, found.folds[1:], strict=False):
        assert fold.train[0] < fold.train[1] == fold.test[0] < fold.test[1] == after.test[0]
        assert after.train[0] > fold.train[0]
    assert found.folds[0].train[0] == 79 and found.folds[-1].test[1] == BARS
    np.testing.assert_array_equal(found.bars, np.arange(found.folds[0].test[0], BARS))
    assert found.equity.size == found.bars.size and found.look_ahead.clean
    assert found.equity[-1] - 10_000 == pytest.approx(found.net)
    assert found.net == pytest.approx(sum(fold.out_of_sample.net for fold in found.folds))
    assert len(found.frame()) == 4 and {"in_sharpe_bar", "out_sharpe_bar"} <= set(found.frame())


def test_an_anchored_walk_trains_on_all_before():
    found = walk_forward(Y, X, folds=3, anchored=True, **AXES)
    assert {fold.train[0] for fold in found.folds} == {79}


def test_a_fold_is_the_best_of_its_training_traded_on_its_test():
    found = walk_forward(Y, X, folds=3, ts_us=minutes(BARS), **AXES)
    for fold in found.folds:
        # A backtest that begins as the test does; at the last bar the fold leaves, the backtest may not.
        some = slice(fold.test[0] + 1 - fold.params.window, fold.test[1])
        own = backtest(Y[some], X[some], fold.params).equity[fold.params.window - 1 : -1]
        here = slice(fold.test[0] - found.bars[0], fold.test[1] - found.bars[0] - 1)
        np.testing.assert_allclose(np.diff(found.equity[here]), np.diff(own), rtol=1e-6, atol=1e-6)
        assert fold.in_sample.sharpe_bar > 0 and fold.trials == 18


def test_later_bars_change_no_earlier_fold():
    """Three folds of 900 bars are the first three of four folds of as many more."""
    first = walk_forward(Y, X, folds=3, train_parts=1, window=[61], entry_z=[1.0, 1.5], ts_us=minutes(BARS))
    assert first.folds[0].train[0] == 60 and (BARS - 60) % 4 == 0
    part = (BARS - 60) // 4
    random = np.random.default_rng(1)
    more = X[-1] + random.standard_normal(part).cumsum()
    legs = np.r_[Y, 1.5 * more + 50], np.r_[X, more]
    times = minutes(BARS + part)
    longer = walk_forward(*legs, folds=4, train_parts=1, window=[61], entry_z=[1.0, 1.5], ts_us=times)
    assert longer.frame().head(3).equals(first.frame())
    np.testing.assert_array_equal(longer.equity[: first.equity.size], first.equity)


@pytest.mark.parametrize("latency", [0, 2])
def test_nothing_is_held_at_the_end_of_a_fold(latency):
    params = BacktestParams(exit_z=0.0, entry_z=1.0, latency_bars=latency)
    bars = bars_of(Y, X, params, None, None, None)
    path, ended = path_of(bars, params), 0
    for end in range(600, 630):
        some, position, equity = bars.between(0, end), np.empty(end, np.int8), np.empty(end)
        rule = rule_of(params, end - 2 - latency)
        given = some.y, some.x, path.units[:end], some.rates, path.zscore[:end], NOTHING, path.start
        rows, _ = trade(*given, rule, money_of(params), position, equity)
        assert (rows[:, COLUMNS.index("exit_bar")] >= 0).all() and not position[end - 2 - latency :].any()
        ended += WHY[int(rows[-1, COLUMNS.index("why")])] == "end"
    assert 0 < ended <= 30


def test_a_training_without_a_trade_is_followed_by_none():
    found = walk_forward(Y, X, BacktestParams(stop_z=99.0), folds=2, entry_z=[50.0])
    assert [fold.params for fold in found.folds] == [None, None]
    assert found.net == 0 and math.isnan(found.sharpe_bar) and math.isnan(found.efficiency)
    assert (found.equity == 10_000).all()


def test_a_plateau_may_choose():
    found = walk_forward(Y, X, folds=2, choose="plateau", **AXES)
    assert all(fold.params is not None for fold in found.folds)


def test_a_walk_out_of_its_limits_is_named():
    for given in ({"folds": 0}, {"train_parts": 0}, {"choose": "luck"}):
        with pytest.raises(InputError) as caught:
            walk_forward(Y, X, **AXES, **given)
        assert caught.value.field == next(iter(given))
    with pytest.raises(TooFewObservations, match="bars with a z-score"):
        walk_forward(Y[:150], X[:150], folds=5, **AXES)


# --- threads ----------------------------------------------------------------------------------------------------


def test_jobs_come_back_in_order_with_progress():
    told = []
    found = in_threads([lambda k=k: k * k for k in range(7)], 3, lambda done, of: told.append((done, of)))
    assert found == [k * k for k in range(7)]
    assert told == [(done, 7) for done in range(1, 8)]


def test_a_cancel_leaves_what_has_not_begun():
    begun, stop = [], threading.Event()

    def job(k):
        begun.append(k)
        stop.set()
        return k

    found = in_threads([lambda k=k: job(k) for k in range(50)], 1, cancel=stop.is_set)
    assert begun == [0] and found == [0] + 49 * [None]
    assert in_threads([lambda: 1], 1, cancel=lambda: True) == [None]


def test_an_error_of_a_job_is_raised():
    def bad():
        raise DegenerateSeries("no")

    with pytest.raises(DegenerateSeries, match="no"):
        in_threads([lambda: 1, bad, lambda: 2], 2)
    with pytest.raises(InputError, match="threads must be >= 1, was 0"):
        in_threads([], 0)


def test_a_grid_reports_and_stops():
    told = []
    tried(progress=lambda done, of: told.append((done, of)))
    assert told == [(6, 18), (12, 18), (18, 18)]
    stopped = tried(cancel=lambda: True)
    assert stopped.cancelled and stopped.trials == 0 and stopped.best is None and stopped.deflated() is None
    assert stopped.frame().empty
    walk = walk_forward(Y, X, cancel=lambda: True, **AXES)
    assert walk.cancelled and walk.folds == () and walk.equity.size == 0 and math.isnan(walk.sharpe)
