"""What a backtest says of pairs without reversion, and of one that has it."""

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from scipy.signal import lfilter

from analytics.backtest import BacktestParams, backtest, bands, deflated_sharpe, grid, shuffled, walk_forward
from tests.table import Row, Size, at_least, at_most, shown, within

FREE = BacktestParams(taker_bps=0.0, slippage_y_bps=0.0, slippage_x_bps=0.0)
AXES = {"window": [30, 60, 120, 240], "entry_z": [1.0, 1.5, 2.0, 2.5], "exit_z": [0.0, 0.5]}
SEED, MINUTE_US = 23, 60_000_000


def unrelated_walks_earn_nothing(size: Size) -> Iterator[Row]:
    """400 pairs of independent walks, no costs: t-statistics of the trades and of the bars, by rolling fits."""
    pairs, bars = size.count(40, 400), 5_000
    # The mean of 40 t-statistics has a standard error of 0.16, that of 400 one of 0.05.
    most = size.pick(0.5, 0.2)
    for hedge in ("entry", "rolled"):
        rng = np.random.default_rng(SEED)
        runs = [backtest(*walks(rng, bars), replace(FREE, hedge=hedge)) for _ in range(pairs)]
        by_trade = np.mean([run.metrics.t_stat for run in runs])
        by_bar = np.mean([run.metrics.sharpe_bar * math.sqrt(run.metrics.n_obs) for run in runs])
        gained = 100 * np.mean([run.metrics.net > 0 for run in runs])
        what = f"{pairs} pairs, {bars:,} bars, hedge {hedge}"
        yield within("walks", f"{what}: mean t of the trades", -most, most, float(by_trade))
        yield within("walks", f"{what}: mean t of the bars", -most, most, float(by_bar))
        yield within("walks", f"{what}: profitable", 50 - 40 * most, 50 + 40 * most, float(gained), "%")


def the_best_of_many_is_not_significant(size: Size) -> Iterator[Row]:
    """The best of 32 rules on unrelated walks: as if it were the only one, deflated, and cross-validated."""
    pairs, bars = size.count(40, 400), 3_000
    rng = np.random.default_rng(SEED)
    grids = [grid(*walks(rng, bars), FREE, **AXES) for _ in range(pairs)]
    found = [result.deflated() for result in grids]
    alone = [deflated_sharpe(one.sharpe, one.n_obs, 0.0, 3.0, 1, 0.0).probability for one in found if one]
    deflated = [one.probability for one in found if one]
    overfitted = [result.overfitting() for result in grids]
    what = f"best of {grids[0].trials} rules, {pairs} pairs"
    yield shown("best of many", f"{what}: taken alone, above 95 %", f"{_above(alone):.1f} %")
    # Conservative by design: rules on one pair resemble each other. At 1 % 4 of 40 are seen once in 1,000 short runs.
    yield at_most("best of many", f"{what}: deflated, above 95 %", size.pick(9.0, 5.0), _above(deflated), "%")
    mean = 100 * float(np.mean([one.probability for one in overfitted]))
    # It wanders by 23 % from pair to pair: a standard error of 3.7 % in the short form, 1.2 % in the full one.
    slack = size.pick(12.0, 5.0)
    yield within("best of many", f"{what}: probability of overfitting", 50 - slack, 50 + slack, mean, "%")


def shuffled_pairs_are_a_fair_comparison(size: Size) -> Iterator[Row]:
    """Unrelated walks beat 39 shuffles of themselves as often as the p-value says."""
    pairs, rng = size.count(30, 1_000), np.random.default_rng(SEED)
    found = [shuffled(*walks(rng, 2_000), FREE, runs=39).pvalue for _ in range(pairs)]
    # The short form's standard errors are 4 and 9 %, the full one's 0.7 and 1.6 %.
    yield at_most(
        "shuffled", f"p <= 0.05 on {pairs} walks", size.pick(15.0, 6.5), 100 * np.mean(np.less(found, 0.051)), "%"
    )
    half, slack = 100 * float(np.mean(np.less(found, 0.501))), size.pick(24.0, 5.0)
    yield within("shuffled", f"p <= 0.5 on {pairs} walks", 50 - slack, 50 + slack, half, "%")


def bands_hold_the_truth(size: Size) -> Iterator[Row]:
    """The band of the Sharpe ratio on unrelated walks, whose true one is 0."""
    pairs, rng = size.count(40, 1_000), np.random.default_rng(SEED)
    held = 0
    for _ in range(pairs):
        band = bands(backtest(*walks(rng, 2_000), FREE), resamples=size.count(100, 400)).sharpe_bar
        held += band[0] <= 0 <= band[1]
    # 33 of 40 or fewer would be seen once in 300 short runs at 95 %.
    yield at_least(
        "bands", f"95 % band of {pairs} walks holds 0", size.pick(82.0, 91.0), round(100 * held / pairs, 1), "%"
    )


def a_true_pair_pays(size: Size) -> Iterator[Row]:
    """A spread of 0.5 % with a half-life of 14 bars, at 5.5 bp a fill: profitable by every account."""
    pairs, bars, rng = size.count(6, 100), 5_000, np.random.default_rng(SEED)
    # One window: with more, the cross-validation finds that two that are as good as each other change places.
    params, axes = BacktestParams(window=240), {"entry_z": [1.0, 1.5, 2.0, 2.5], "exit_z": [0.0, 0.5]}
    gained, tested, deflated, forward = 0, 0, 0, 0
    for _ in range(pairs):
        legs, ts_us = true_pair(rng, bars), MINUTE_US * np.arange(bars)
        run = backtest(*legs, params, ts_us=ts_us)
        gained += run.metrics.net > 0 and run.metrics.t_stat > 2
        tested += shuffled(*legs, params, runs=19).pvalue <= 0.05
        best = grid(*legs, params, **axes).deflated()
        deflated += best is not None and best.probability > 0.95
        forward += walk_forward(*legs, params, **axes).net > 0
    what = f"{pairs} pairs, costs paid"
    for name, count in (
        ("net > 0 and t > 2", gained),
        ("beats 19 shuffles", tested),
        ("deflated, above 95 %", deflated),
        ("walk-forward net > 0", forward),
    ):
        yield at_least("true pair", f"{what}: {name}", 95.0, round(100 * count / pairs, 1), "%")


def walks(rng: np.random.Generator, bars: int) -> np.ndarray:
    """Two independent walks that stay far from 0, so that steps of the price have mean 0."""
    return 10_000 + 5 * rng.standard_normal((2, bars)).cumsum(axis=1)


def true_pair(rng: np.random.Generator, bars: int) -> tuple[np.ndarray, np.ndarray]:
    x = 10_000 + 5 * rng.standard_normal(bars).cumsum()
    error = lfilter([1.0], [1.0, -0.95], 50 * math.sqrt(1 - 0.95**2) * rng.standard_normal(bars))
    return x + error, x


def _above(probabilities: list[float]) -> float:
    return 100 * float(np.mean(np.greater(probabilities, 0.95)))


SCENARIOS = (
    unrelated_walks_earn_nothing,
    the_best_of_many_is_not_significant,
    shuffled_pairs_are_a_fair_comparison,
    bands_hold_the_truth,
    a_true_pair_pays,
)
