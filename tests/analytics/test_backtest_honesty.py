"""What a good result is worth: deflated Sharpe ratio, overfitting, bands, shuffled pairs."""

import math
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from arch.bootstrap import StationaryBootstrap
from scipy.stats import norm

from analytics.backtest import (
    BacktestParams,
    backtest,
    bands,
    deflated_sharpe,
    grid,
    overfitting,
    shuffled,
    walk_forward,
)
from analytics.backtest.figures import NO_EDGES, NO_SUMS, moments, tally, tally_all
from analytics.backtest.overfitting import sharpe_error
from analytics.backtest.shuffled import in_blocks
from tests.analytics.test_backtest import FREE, minutes, reverting
from utils.errors import DegenerateSeries, InputError, TooFewObservations

NAN = math.nan


# --- deflated Sharpe ratio --------------------------------------------------------------------------------------

# Bailey and Lopez de Prado (2014), section "A numerical example": an annual ratio of 2.5 over 5 years of 250 days, skew
# -3, kurtosis 10, trials whose annual ratios have a variance of 1/2: 100 trials give 0.9004, 46 give 0.9505.
PAPER = [(100, 0.1132, 0.9004), (46, None, 0.9505)]


@pytest.mark.parametrize("trials, expected, probability", PAPER)
def test_the_deflated_ratio_is_that_of_the_paper(trials, expected, probability):
    found = deflated_sharpe(2.5 / math.sqrt(250), 1_250, -3, 10, trials, math.sqrt(1 / 2 / 250))
    assert found.probability == pytest.approx(probability, abs=5e-5)
    assert expected is None or found.expected == pytest.approx(expected, abs=5e-5)


def test_the_best_of_worthless_trials_is_what_it_expects():
    random = np.random.default_rng(1)
    for trials in (5, 50, 500):
        best = random.standard_normal((4_000, trials)).max(axis=1).mean()
        assert deflated_sharpe(0.0, 100, 0.0, 3.0, trials, 1.0).expected == pytest.approx(best, rel=0.06)


def test_one_trial_is_tested_against_nothing():
    found = deflated_sharpe(0.1, 401, 0.0, 3.0, 1, 0.0)
    assert found.expected == 0 and found.probability == pytest.approx(norm.cdf(0.1 * 20 / math.sqrt(1 + 0.005)))


def test_more_trials_never_make_it_more_likely():
    found = [deflated_sharpe(0.1, 500, -1.0, 8.0, trials, 0.04).probability for trials in (1, 2, 10, 100, 1_000)]
    assert found == sorted(found, reverse=True) and found[0] > 0.9 > 0.5 > found[-1]


def test_what_is_not_known_gives_no_probability():
    assert math.isnan(deflated_sharpe(NAN, 500, 0.0, 3.0, 3, 0.1).probability)
    assert math.isnan(deflated_sharpe(0.1, 1, 0.0, 3.0, 3, 0.1).probability)
    with pytest.raises(InputError, match="trials must be >= 1, was 0"):
        deflated_sharpe(0.1, 500, 0.0, 3.0, 0, 0.1)


def test_a_grid_is_deflated_by_its_own_trials():
    y, x = reverting(900)
    found = grid(y, x, FREE, window=[40, 60], entry_z=[1.0, 1.5, 2.0])
    sharpes = found.figures["sharpe_bar"].ravel()
    best = backtest(y[found.start + 1 - found.best.window :], x[found.start + 1 - found.best.window :], found.best)
    told, figures = found.deflated(), best.metrics
    error = sharpe_error(figures.sharpe_bar, figures.n_obs, figures.skew, figures.kurtosis)
    own = deflated_sharpe(
        figures.sharpe_bar, figures.n_obs, figures.skew, figures.kurtosis, 6, min(error, sharpes.std(ddof=1))
    )
    assert told.probability == pytest.approx(own.probability, rel=1e-6) and told.trials == 6
    assert told.probability > 0.99  # it reverts, and nothing is paid
    assert found.deflated(earlier_trials=5_000).probability < told.probability


def test_trials_that_are_truly_worse_do_not_speak_against_the_best():
    """Costs make the short windows lose for sure: their ratios lie far apart, which is no luck of the best."""
    y, x = reverting(3_000, shock=4.0)
    found = grid(y, x, window=[10, 60], entry_z=[0.5, 1.0, 2.0], exit_z=[0.0])
    told = found.deflated()
    spread = float(np.nanstd(found.figures["sharpe_bar"], ddof=1))
    assert told.trials_std < spread and told.probability > 0.99
    bare = deflated_sharpe(told.sharpe, told.n_obs, 0.0, 3.0, told.trials, spread)
    assert bare.probability < told.probability


# --- probability of overfitting ---------------------------------------------------------------------------------


def in_sums(returns: np.ndarray, blocks: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns of trials, shape (trials, bars), as sums over blocks."""
    parts = np.array_split(returns, blocks, axis=1)
    sums = np.stack([np.stack((part.sum(axis=1), (part**2).sum(axis=1)), axis=1) for part in parts], axis=1)
    return sums, np.array([part.shape[1] for part in parts])


def told_slowly(returns: np.ndarray, blocks: int) -> list[float]:
    parts, logits = np.array_split(returns, blocks, axis=1), []
    for chosen in combinations(range(blocks), blocks // 2):
        inside = np.concatenate([parts[k] for k in chosen], axis=1)
        outside = np.concatenate([parts[k] for k in range(blocks) if k not in chosen], axis=1)
        best = int(np.argmax(inside.mean(axis=1) / inside.std(axis=1)))
        judged = outside.mean(axis=1) / outside.std(axis=1)
        w = (judged <= judged[best]).sum() / (len(returns) + 1)
        logits.append(math.log(w / (1 - w)))
    return logits


def test_overfitting_is_that_of_a_slow_telling():
    returns = np.random.default_rng(3).standard_normal((7, 103)) + 0.1
    found = overfitting(*in_sums(returns, 6))
    np.testing.assert_allclose(found.logits, told_slowly(returns, 6), atol=1e-9)
    assert found.probability == np.mean(found.logits <= 0) and found.trials == 7 and found.blocks == 6


def test_noise_is_overfitted_half_of_the_time_and_skill_is_not():
    random = np.random.default_rng(4)
    noise = [overfitting(*in_sums(random.standard_normal((20, 400)), 8)).probability for _ in range(60)]
    assert np.mean(noise) == pytest.approx(0.5, abs=0.08)
    skill = random.standard_normal((20, 400))
    skill[3] += 0.5
    found = overfitting(*in_sums(skill, 8))
    assert found.probability == 0 and found.loss_probability == 0


def test_trials_that_are_alike_share_their_rank():
    one = np.random.default_rng(5).standard_normal((1, 200))
    found = overfitting(*in_sums(np.repeat(one, 4, axis=0), 4))
    np.testing.assert_allclose(found.logits, 0.0, atol=1e-12)  # the middle of four


def test_trials_without_a_trade_are_left_out_and_two_are_needed():
    returns = np.random.default_rng(6).standard_normal((3, 200))
    idle = np.concatenate((returns, np.zeros((5, 200))))
    np.testing.assert_array_equal(overfitting(*in_sums(idle, 4)).logits, overfitting(*in_sums(returns, 4)).logits)
    with pytest.raises(TooFewObservations, match="needs 2 trials with a trade, has 1"):
        overfitting(*in_sums(np.concatenate((returns[:1], np.zeros((5, 200)))), 4))
    with pytest.raises(InputError, match="even"):
        overfitting(*in_sums(returns, 5))


def test_sums_over_blocks_are_those_of_the_returns():
    y, x = reverting(500)
    for compound in (False, True):
        found = backtest(y, x, replace(FREE, compound=compound))
        edges = np.linspace(0, found.returns.size, 5).astype(np.int64)
        sums, spans = np.zeros((4, 2)), np.array([[1, found.returns.size]])
        tally(found.equity[found.start :], 0, spans, 10_000.0, compound, edges, sums)
        parts = np.split(found.returns, edges[1:-1])
        np.testing.assert_allclose(sums, [[part.sum(), (part**2).sum()] for part in parts], atol=1e-15)


def test_a_tally_may_pass_over_bars_without_a_change():
    """Two stretches that overlap, flat bars before, between and after, below the peak and at it."""
    for last in (104.0, 95.0):
        equity = np.r_[[100.0] * 4, 103, 99, [99] * 5, 98, 101, 104, [104] * 3, 97, last, [last] * 9]
        spans = np.array([[4, 5], [11, 13], [12, 14], [17, 18]])
        assert tally(equity, 1, spans, 100.0, False, NO_EDGES, NO_SUMS) == tally_all(equity, 1, 100.0, False)


def test_moments_of_too_little_are_not_known():
    assert math.isnan(moments(tally_all(np.array([1.0]), 0, 1.0, False)).mean)
    flat = moments(tally_all(np.linspace(1, 2, 9), 0, 1.0, False))  # one return again and again
    assert math.isnan(flat.std) and math.isnan(flat.sharpe) and flat.mean == pytest.approx(1 / 8)


# --- bands ------------------------------------------------------------------------------------------------------


def run_of(compound: bool = False, n: int = 900):
    y, x = reverting(n)
    return backtest(y, x, replace(BacktestParams(), compound=compound), ts_us=minutes(n))


@pytest.mark.parametrize("compound", [False, True])
def test_bands_hold_the_run_they_are_of(compound):
    found = run_of(compound)
    told, metrics = bands(found), found.metrics
    assert told.net[0] < metrics.net < told.net[1] and told.sharpe[0] < metrics.sharpe < told.sharpe[1]
    assert told.sharpe_bar[0] < metrics.sharpe_bar < told.sharpe_bar[1]
    assert 0 <= told.max_drawdown[0] < told.max_drawdown[1] <= 1
    inside = (told.equity_low <= found.equity[told.bars]) & (found.equity[told.bars] <= told.equity_high)
    assert inside.mean() > 0.9 and told.bars[-1] == 899 and told.bars[0] > found.start
    assert told.block_bars >= 2 * metrics.mean_bars * 0.9


def test_bands_are_those_of_arch_on_the_returns():
    """Below a thousand bars nothing is summed into pieces: the same draws give the same ratio and net."""
    found = run_of()
    told = bands(found, block_bars=20.0, resamples=200, seed=3)
    drawn = StationaryBootstrap(20, found.returns, seed=np.random.default_rng(3))
    samples = np.array([sample[0][0] for sample in drawn.bootstrap(200)])
    sharpe = samples.mean(axis=1) / samples.std(axis=1, ddof=1)
    assert told.sharpe_bar == pytest.approx(np.quantile(sharpe, [0.025, 0.975]), rel=1e-9)
    assert told.net == pytest.approx(np.quantile(10_000 * samples.sum(axis=1), [0.025, 0.975]), rel=1e-9)


def test_bands_are_the_same_each_time_and_wider_at_a_higher_level():
    found = run_of()
    assert bands(found).net == bands(found).net != bands(found, seed=2).net
    narrow, wide = bands(found, level=0.5), bands(found, level=0.99)
    assert wide.net[0] < narrow.net[0] < narrow.net[1] < wide.net[1]


def test_long_runs_are_resampled_in_pieces():
    found = run_of(n=5_000)
    told = bands(found, resamples=200)
    assert 800 < told.bars.size <= 1_000 and told.bars[-1] == 4_999 and told.net[0] < found.metrics.net < told.net[1]


@pytest.mark.parametrize("latency", [0, 2])
def test_a_ruinous_run_lies_in_its_bands_with_what_it_owes(latency):
    y, x = reverting(900, shock=0.2)
    found = backtest(y, x, BacktestParams(leverage=100.0, entry_z=1.0, latency_bars=latency))
    told = bands(found)
    assert told.net[0] < found.metrics.net < -10_000 < told.net[1]
    assert found.equity[-1] < 0 and told.equity_low[-1] == pytest.approx(10_000 + told.net[0])
    assert found.metrics.max_drawdown == found.drawdown.max() == told.max_drawdown[1] == 1


def test_a_debt_is_told_alike_by_run_grid_and_walk():
    y, x = reverting(900, shock=0.2)
    params = BacktestParams(leverage=125.0, entry_z=1.0)
    run = backtest(y, x, params)
    figures = grid(y, x, params).figures
    assert figures["net"].item() == pytest.approx(run.metrics.net) and run.metrics.net < -10_000
    assert figures["max_drawdown"].item() == run.metrics.max_drawdown == 1
    for fold in walk_forward(y, x, params, folds=3).folds:
        for part in (fold.in_sample, fold.out_of_sample):
            assert part.net < -10_000 and part.max_drawdown == 1


def test_bands_ask_for_a_run_with_trades():
    y, x = reverting(300)
    with pytest.raises(DegenerateSeries, match="nothing was traded"):
        bands(backtest(y, x, BacktestParams(entry_z=30.0, stop_z=40.0)))
    with pytest.raises(TooFewObservations, match="needs 50 bars"):
        bands(backtest(y[:80], x[:80]))
    for given in ({"level": 1.0}, {"resamples": 99}, {"block_bars": 0.0}):
        with pytest.raises(InputError) as caught:
            bands(run_of(), **given)
        assert caught.value.field == next(iter(given))


# --- shuffled pairs ---------------------------------------------------------------------------------------------


def test_shuffled_legs_have_the_same_returns_in_blocks():
    y, x = reverting(302)
    one, other = in_blocks(np.stack((y, x)), 7, np.random.default_rng(1))
    steps, shuffled_steps = np.diff(np.log((y, x))), np.diff(np.log((one, other)))
    np.testing.assert_allclose(np.sort(shuffled_steps), np.sort(steps), atol=1e-12)
    assert one[0] == y[0] and one[-1] == pytest.approx(y[-1]) and other[-1] == pytest.approx(x[-1])
    place = np.array([np.abs(steps[0] - step).argmin() for step in shuffled_steps[0]])
    assert (np.diff(place) == 1).sum() == pytest.approx(300 * 6 / 7, abs=3)  # within blocks the order stays
    np.testing.assert_allclose(np.corrcoef(shuffled_steps), np.corrcoef(steps), atol=1e-9)  # both legs alike


def test_a_pair_that_reverts_beats_its_shuffles_and_walks_do_not():
    y, x = reverting(900)
    found = shuffled(y, x, FREE, runs=60)
    assert found.own_net == pytest.approx(backtest(y, x, FREE).metrics.net)
    assert found.own_sharpe == backtest(y, x, FREE).metrics.sharpe_bar
    assert found.pvalue == 1 / 61 and found.net.size == 60 and not found.cancelled
    walks = 500 + np.random.default_rng(1).standard_normal((2, 900)).cumsum(axis=1)
    assert shuffled(*walks, FREE, runs=60).pvalue > 0.05


def test_shuffles_are_the_same_each_time_and_can_be_stopped():
    y, x = reverting(400)
    one, two = shuffled(y, x, runs=8, threads=1), shuffled(y, x, runs=8, threads=3)
    np.testing.assert_array_equal(one.net, two.net)
    assert (shuffled(y, x, runs=8, seed=2).net != one.net).any()
    told = []
    stopped = shuffled(
        y, x, runs=5, progress=lambda done, of: told.append((done, of)), cancel=lambda: len(told) > 1, threads=1
    )
    assert stopped.cancelled or np.isfinite(stopped.net).all()
    assert told[0] == (1, 5)


def test_a_rule_that_does_not_trade_has_no_pvalue():
    y, x = reverting(400)
    assert math.isnan(shuffled(y, x, BacktestParams(entry_z=30.0, stop_z=40.0), runs=5).pvalue)
    for given in ({"runs": 0}, {"block_bars": 0}):
        with pytest.raises(InputError) as caught:
            shuffled(y, x, **given)
        assert caught.value.field == next(iter(given))
