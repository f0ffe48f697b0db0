"""The universe scanner against statsmodels, against the tests of one pair, and against itself."""

import threading
import tracemalloc
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal
from scipy.stats import false_discovery_control
from statsmodels.regression.linear_model import OLS
from statsmodels.tools import add_constant
from statsmodels.tsa.stattools import adfuller, coint

from analytics.cointegration import engle_granger
from analytics.entry import round_trip_cost
from analytics.hedge import ols
from analytics.mean_reversion import half_life, spread
from analytics.scanner import ScanParams, pair_tests, rank, scan, score, spread_paths
from analytics.scanner.chance import COEFFICIENTS, corrected
from analytics.scanner.tiles import TILE_BYTES, WIDEST, tiles
from tests.analytics.universes import awkward, families, walks
from utils.errors import Cancelled, InputError, TooFewObservations

NUMBERS = ["statistic", "pvalue_y_on_x", "other_statistic", "pvalue_x_on_y", "pvalue", "qvalue"]
NUMBERS += [
    "pvalue_corrected",
    "hedge_ratio",
    "hedge_stderr",
    "intercept",
    "ratio_least",
    "ratio_most",
    "half_life",
    "half_life_low",
    "half_life_high",
]
NUMBERS += ["correlation", "spread_std", "zscore", "cost", "edge_bps", "breakeven_z", "stable_share"]


@pytest.mark.parametrize("symbols, bars", [(11, 60), (11, 250), (10, 600), (10, 1_000)])
def test_two_hundred_pairs_agree_with_statsmodels(symbols, bars):
    prices, chosen = awkward(symbols, bars, seed=bars), set()
    found = pair_tests(prices)
    assert len(found) == symbols * (symbols - 1) / 2
    for row in found.itertuples():
        y, x = prices[row.y].to_numpy(), prices[row.x].to_numpy()
        for statistic, pvalue, one, other in (
            (row.statistic, row.pvalue_y_on_x, y, x),
            (row.other_statistic, row.pvalue_x_on_y, x, y),
        ):
            expected = coint(one, other, autolag="aic")
            assert statistic == pytest.approx(expected[0], abs=1e-8), (row.y, row.x)
            assert pvalue == pytest.approx(expected[1], abs=1e-6)
        residual = OLS(y, add_constant(x)).fit().resid
        lags = adfuller(residual, regression="n", autolag="aic", result_object=True).lags
        assert row.lags == lags
        chosen.add(lags)
    most = int(np.ceil(12 * (bars / 100) ** 0.25))
    assert min(chosen) == 0 and max(chosen) >= most - 1  # the lag rule was really put to work


def test_tight_pairs_are_in_the_comparison_and_tested_alone(monkeypatch):
    alone = []
    monkeypatch.setattr("analytics.scanner.tiles._test_alone", lambda tests, pair, *legs: alone.append(legs))
    prices = awkward(10, 600, seed=600)
    pair_tests(prices)
    fit = ols(prices["S04"].to_numpy(), prices["S09"].to_numpy())
    assert len(alone) == 1 and 1.5e-6 < 1 - fit.r_squared < 6e-6  # shared sums lack digits there
    assert np.array_equal(alone[0][0], prices["S09"])


@pytest.mark.parametrize("trend", ["c", "ct"])
@pytest.mark.parametrize("lags", ["aic", "bic", 0, 3])
@pytest.mark.parametrize("log_prices", [False, True])
def test_every_choice_is_that_of_the_test_of_one_pair(trend, lags, log_prices):
    prices = families([3, 2, 1, 1], bars=150, half_life=5, seed=3)
    found = scan(prices, params=ScanParams(trend=trend, lags=lags, log_prices=log_prices))
    for row in found.itertuples():
        y, x = (np.log(prices[name]) if log_prices else prices[name] for name in (row.y, row.x))
        one, other = engle_granger(y, x, trend, lags), engle_granger(x, y, trend, lags)
        assert one.statistic <= other.statistic
        assert (row.lags, row.other_lags) == (one.lags, other.lags)
        expected = (one.statistic, other.statistic, one.pvalue, other.pvalue, one.hedge_ratio)
        ours = (row.statistic, row.other_statistic, row.pvalue_y_on_x, row.pvalue_x_on_y, row.hedge_ratio)
        assert ours == pytest.approx(expected, abs=1e-9)
        assert row.pvalue == pytest.approx(min(1, 2 * min(one.pvalue, other.pvalue)))
        if trend == "c":
            assert row.intercept == pytest.approx(one.intercept)


def test_the_measures_are_those_of_the_pair_page():
    prices = families([3, 2, 1], bars=400, half_life=8, seed=5)
    for row in scan(prices, params=ScanParams(fee_bps=4.0, horizon_bars=20)).itertuples():
        y, x = prices[row.y].to_numpy(), prices[row.x].to_numpy()
        fit = ols(y, x)
        residual = spread(y, x, fit.hedge_ratio, fit.intercept)
        life = half_life(residual, fitted=1)
        assert (row.hedge_ratio, row.hedge_stderr) == pytest.approx((fit.hedge_ratio, fit.stderr))
        assert (row.half_life, row.half_life_low) == pytest.approx((life.bars, life.low), rel=1e-6)
        assert row.half_life_high == pytest.approx(life.high, rel=1e-6)
        assert row.correlation == pytest.approx(np.corrcoef(np.diff(y), np.diff(x))[0, 1])
        assert row.spread_std == pytest.approx(residual.std(ddof=1))
        assert row.zscore == pytest.approx(residual[-1] / residual.std(ddof=1))
        cost = round_trip_cost(y[-1], x[-1], fit.hedge_ratio, 4.0)
        back = abs(residual[-1]) * (1 - 0.5 ** (20 / life.bars))
        notional = y[-1] + abs(fit.hedge_ratio) * x[-1]
        assert row.cost == pytest.approx(cost) and row.breakeven_z == pytest.approx(cost / row.spread_std)
        assert row.edge_bps == pytest.approx(1e4 * (back - cost) / notional, rel=1e-6)
        ratios = [ols(y[k : k + 100], x[k : k + 100]).hedge_ratio for k in range(0, 400, 100)]
        assert (row.ratio_least, row.ratio_most) == pytest.approx((min(ratios), max(ratios)))
        parts = [residual[k : k + 100] for k in range(0, 400, 100)]
        given = [adfuller(part, row.lags, "n", None, result_object=True).statistic for part in parts]
        assert row.stable_share == np.mean(np.array(given) < -1.941)


def test_a_pair_that_held_in_half_of_the_sample_is_not_stable():
    rng = np.random.default_rng(8)
    x, own = rng.standard_normal((2, 800)).cumsum(axis=1)
    held = np.where(np.arange(800) < 400, rng.standard_normal(800), own)
    prices = pd.DataFrame({"Y": 100 + x + held, "Z": 100 + x + rng.standard_normal(800), "X": 100 + x})
    found = scan(prices).set_index(["y", "x"]).sort_index()
    share = {frozenset(pair): row.stable_share for pair, row in found.iterrows()}
    assert share[frozenset("ZX")] == 1.0
    assert share[frozenset("YX")] <= 0.5


def test_missing_bars_are_those_of_the_pair_and_the_overlap_is_told():
    prices = walks(6, 300, seed=11)
    prices.iloc[:120, 1] = np.nan  # listed late
    prices.iloc[:120, 2] = np.nan
    prices.iloc[[5, 130, 131, 299], 3] = np.nan
    prices.iloc[40:, 5] = np.nan  # delisted early
    found = scan(prices)
    assert len(found) == 15
    for row in found.itertuples():
        both = prices[[row.y, row.x]].dropna()
        assert row.n_obs == len(both) and row.coverage == pytest.approx(len(both) / 300)
        if len(both) < 30:
            assert row.reason == f"needs 30 bars that both have, has {len(both)}"
            assert np.isnan([getattr(row, name) for name in NUMBERS]).all() and not row.found and pd.isna(row.lags)
        else:
            alone = scan(both)
            assert row.reason == ""
            pd.testing.assert_series_equal(
                pd.Series(row._asdict())[NUMBERS].drop("qvalue").astype(float),
                alone.loc[0, NUMBERS].drop("qvalue").astype(float),
                check_names=False,
                rtol=1e-7,
            )
    assert (found["reason"] != "").sum() == 2


def test_symbols_that_cannot_be_tested_are_named_and_the_others_are():
    prices = walks(4, 200, seed=12)
    prices["FLAT"] = 5.0
    prices["SAME"] = 2 * prices["S00"] + 1
    found = scan(prices).set_index(["y", "x"])
    flat = found[found["reason"] == "FLAT does not move"]
    same = found[found["reason"].str.contains("same up to scale")]
    assert len(flat) == 5 and len(same) == 1
    assert found["pvalue"].notna().sum() == 15 - 6
    line = prices[["S00", "S01"]].assign(LINE=np.arange(200.0))
    assert (scan(line, params=ScanParams(trend="ct"))["reason"] == "LINE does not move").sum() == 2


@pytest.mark.parametrize("method", ["bh", "by"])
def test_q_values_are_those_of_scipy_over_the_pairs_that_were_tested(method):
    prices = families([4, 3, 1, 1, 1], bars=500, half_life=5, seed=13).assign(FLAT=1.0)
    found = scan(prices, alpha=0.1, fdr=method)
    tested = found.dropna(subset="pvalue")
    expected = false_discovery_control(tested["pvalue_corrected"], method=method)
    np.testing.assert_allclose(tested["qvalue"], expected, rtol=1e-12)
    assert (found["found"] == (found["qvalue"] < 0.1)).all() and found["found"].any()
    assert found["qvalue"].is_monotonic_increasing or found["qvalue"].isna().any()


@pytest.mark.parametrize("trend, lags", [*COEFFICIENTS, ("c", 2)])
def test_a_correction_only_raises_keeps_the_order_and_fades_with_length(trend, lags):
    pvalues = np.concatenate((np.geomspace(1e-12, 1e-3, 200), np.linspace(2e-3, 1, 300)))
    found = {n: corrected(pvalues, np.full(500, n), trend, lags) for n in (30, 60, 250, 1_000, 100_000)}
    for n, values in found.items():
        assert (values >= pvalues).all() and (np.diff(values) >= 0).all() and values.max() == 1, n
    assert (found[30] >= found[60]).all() and (found[60][:200] >= found[250][:200]).all()
    assert found[100_000][120:] == pytest.approx(pvalues[120:], rel=0.25)
    assert np.isnan(corrected(np.array([np.nan]), np.array([100]), trend, lags))[0]


@pytest.mark.parametrize(
    "trend, lags, n", [("c", "aic", 60), ("c", "bic", 250), ("ct", "aic", 250), ("c", "aic", 1_000)]
)
def test_corrected_p_values_come_up_as_often_as_they_say(trend, lags, n):
    fresh = [pair_tests(walks(40, n, seed), ScanParams(trend, lags)) for seed in range(40)]
    shares = np.array([[(found["pvalue_corrected"] < at).mean() for at in (0.05, 1e-3)] for found in fresh])
    assert shares[:, 0].mean() == pytest.approx(0.046, abs=0.011)
    assert shares[:, 1].mean() < 2.5e-3  # pairs share walks, so this scatters; uncorrected it is up to 6e-3


@settings(max_examples=20)
@given(data=st.data(), scale=st.floats(1e-3, 1e3), shift=st.floats(-1e3, 1e3))
def test_order_units_and_company_of_symbols_change_nothing(data, scale, shift):
    prices = families([2, 2, 1, 1, 1], bars=120, half_life=6, seed=14)
    before = prices.copy()
    moved = prices[data.draw(st.permutations(list(prices.columns)))] * scale + shift
    assert_frame_equal(prices, before)
    reference = keyed(pair_tests(prices))
    columns = ["statistic", "other_statistic", "pvalue", "hedge_ratio"]
    for found in (keyed(pair_tests(moved)), keyed(pair_tests(moved.iloc[:, :4]))):
        assert_frame_equal(found[columns], reference.loc[found.index, columns], rtol=1e-6, atol=1e-7)


def keyed(found: pd.DataFrame) -> pd.DataFrame:
    """Rows by pair, whichever leg is explained."""
    return found.set_index(pd.Index([min(pair) + max(pair) for pair in zip(found["y"], found["x"], strict=True)]))


def test_the_table_given_is_not_changed_and_rows_to_come_change_nothing():
    prices = families([3, 1, 1], bars=200, half_life=6, seed=15)
    before = prices.copy()
    found = scan(prices)
    assert_frame_equal(prices, before)
    to_come = prices.copy()
    to_come.loc[to_come.index[-1] + pd.Timedelta("1h")] = np.nan
    later = scan(to_come)
    assert_frame_equal(found.drop(columns="coverage"), later.drop(columns="coverage"))
    to_come.iloc[-1] = 1e6
    assert_frame_equal(found, scan(to_come.iloc[:-1]))


def test_only_the_pairs_asked_for_are_tested_and_counted():
    prices = families([3, 2, 1, 1], bars=200, half_life=6, seed=15)
    pairs = [("S00", "S03"), ("S04", "S00"), ("S05", "S01"), ("S01", "S05")]
    found, every = keyed(scan(prices, pairs=pairs)), keyed(scan(prices))
    assert set(found.index) == {"S00S03", "S00S04", "S01S05"}
    names = ["statistic", "other_statistic", "pvalue", "half_life", "edge_bps"]
    assert_frame_equal(found[names], every.loc[found.index, names], rtol=1e-7)
    assert (found["qvalue"] <= every.loc[found.index, "qvalue"]).all()
    for wrong in ([("S00", "S09")], [("S00", "S00")]):
        with pytest.raises(InputError, match="two columns of prices"):
            scan(prices, pairs=wrong)
    with pytest.raises(TooFewObservations, match="needs 1 pairs"):
        scan(prices, pairs=[])


def small_tiles(monkeypatch):
    monkeypatch.setattr("analytics.scanner.tiles.WIDEST", 3)


def test_any_executor_gives_the_same_table(monkeypatch):
    small_tiles(monkeypatch)
    prices = families([4, 3, 1, 1, 1], bars=150, half_life=8, seed=16)
    prices.iloc[:30, 2] = np.nan
    here = scan(prices)
    with ThreadPoolExecutor(3) as threads:
        assert_frame_equal(scan(prices, executor=threads), here)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as processes:
        assert_frame_equal(scan(prices, executor=processes), here)


def test_progress_is_told_by_tile_up_to_the_whole(monkeypatch):
    small_tiles(monkeypatch)
    for executor in (None, ThreadPoolExecutor(2)):
        told = []
        scan(walks(8, 60, seed=17), executor=executor, progress=lambda done, total: told.append((done, total)))  # noqa: B023
        assert [total for _, total in told] == [28] * len(told) and len(told) == 6
        assert [done for done, _ in told] == sorted({done for done, _ in told}) and told[-1] == (28, 28)
        if executor:
            executor.shutdown()


def test_a_scan_that_is_cancelled_stops(monkeypatch):
    small_tiles(monkeypatch)
    stop = threading.Event()
    with pytest.raises(Cancelled, match="cancelled after 12 of 28") as caught:
        scan(walks(8, 60, seed=18), cancelled=stop.is_set, progress=lambda done, _: done >= 9 and stop.set())
    assert (caught.value.done, caught.value.total) == (12, 28)


def test_a_cancelled_scan_leaves_nothing_to_its_executor(monkeypatch):
    small_tiles(monkeypatch)
    begun, go = [], threading.Event()

    def held(tile):
        begun.append(tile)
        go.wait(20)

    monkeypatch.setattr("analytics.scanner.work.scan_tile", held)
    with ThreadPoolExecutor(1) as executor:
        asked = iter([False, True])
        with pytest.raises(Cancelled, match="after 0 of 28"):
            scan(walks(8, 60, seed=18), executor=executor, cancelled=lambda: next(asked))
        go.set()
    assert len(begun) <= 1


def test_what_fails_in_a_tile_is_raised(monkeypatch):
    def broken(tile):
        raise ZeroDivisionError("planted")

    monkeypatch.setattr("analytics.scanner.work.scan_tile", broken)
    with ThreadPoolExecutor(1) as executor, pytest.raises(ZeroDivisionError, match="planted"):
        scan(walks(4, 60, seed=18), executor=executor)


def test_memory_is_that_of_a_tile_however_large_the_universe():
    def peak(symbols: int) -> int:
        prices = walks(symbols, 800, seed=19)
        pair_tests(prices)
        tracemalloc.start()
        try:
            pair_tests(prices)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    few, many = peak(64), peak(192)
    pairs = 192 * 191 / 2
    shared = 192 * 192 * 22 * 8  # bytes of all cross moments at once
    assert many - few < 192 * 800 * 8 + 400 * pairs + shared / 8
    long = next(tiles(np.zeros((64, 200_000)), ScanParams(), True))
    assert len(long.one) * 9 * 8 * 200_000 <= TILE_BYTES < WIDEST * 9 * 8 * 200_000


def test_pairs_are_ranked_by_what_the_user_asks_for():
    found = scan(families([3, 2, 1, 1], bars=300, half_life=6, seed=20).assign(FLAT=1.0))
    for by, rising in (("half_life", True), ("edge_bps", False), ("stable_share", False)):
        ordered = rank(found, by)[by].dropna()
        assert ordered.is_monotonic_increasing if rising else ordered.is_monotonic_decreasing, by
    assert rank(found, "zscore")["zscore"].abs().dropna().is_monotonic_decreasing
    assert (rank(found, "edge_bps")["reason"].iloc[-7:] != "").all()  # no number: last
    weights = {"qvalue": 2.0, "edge_bps": 1.0}
    scores = pd.Series(score(rank(found, weights), weights))
    assert scores.dropna().is_monotonic_decreasing and scores.max() <= 1 and scores.min() >= 0
    assert score(found, {"qvalue": 0, "correlation": 3}) == pytest.approx(score(found, {"correlation": 1}), nan_ok=True)
    assert_frame_equal(rank(found), found)


def test_what_cannot_be_scanned_is_named():
    prices = walks(3, 100, seed=21)
    for table, message in (
        (prices.rename(columns={"S01": "S00"}), "S00 has 2"),
        (prices.iloc[::-1], "oldest first"),
        (prices.replace(prices.iloc[4, 1], np.inf), "S01 was inf in row 4"),
        (prices.astype(object).assign(S00="x"), "must be numbers"),
    ):
        with pytest.raises(InputError, match=message):
            scan(table)
    with pytest.raises(InputError, match="finite and > 0, S02 was -1 in row 0"):
        scan(prices.assign(S02=-1.0), params=ScanParams(log_prices=True))
    with pytest.raises(TooFewObservations, match="needs 30 bars, has 29"):
        scan(prices.iloc[:29])
    with pytest.raises(TooFewObservations, match="needs 2 symbols, has 1"):
        scan(prices[["S00"]])
    for wrong in ({"alpha": 0.0}, {"alpha": 1.5}, {"fdr": "holm"}):
        with pytest.raises(InputError):
            scan(prices, **wrong)
    for wrong in ({"trend": "n"}, {"lags": "t-stat"}, {"lags": -1}, {"min_bars": 29}, {"windows": 1}, {"fee_bps": -1}):
        with pytest.raises(InputError):
            ScanParams(**wrong)
    with pytest.raises(InputError, match="not by 'name'"):
        rank(scan(prices), "name")
    for weights in ({"qvalue": -1}, {"qvalue": 0.0}, {"nothing": 1}):
        with pytest.raises(InputError):
            rank(scan(prices), weights)


def test_more_lags_than_a_pair_has_bars_for_is_a_reason():
    prices = walks(3, 100, seed=22)
    prices.iloc[:50, 0] = np.nan
    found = scan(prices, params=ScanParams(lags=30))
    assert found["reason"].str.contains("needs 62 bars that both have, has 50").sum() == 2
    assert found["lags"].dropna().tolist() == [30]


@pytest.mark.parametrize("log_prices", [False, True])
def test_small_pictures_are_the_spreads_of_their_rows(log_prices):
    prices = families([3, 1], bars=150, half_life=6, seed=3)
    prices.iloc[:20, 1] = np.nan
    prices.iloc[70:75, 2] = np.nan
    found = scan(prices, params=ScanParams(log_prices=log_prices))
    paths = spread_paths(prices, found, log_prices, points=50)
    assert paths.shape == (6, 50)
    np.testing.assert_allclose(paths[:, -1], found["zscore"], rtol=1e-9)
    row = next(at for at in range(6) if {found["y"][at], found["x"][at]} == set(prices.columns[[0, 3]]))
    y, x = (np.log(prices[found[leg][row]]) if log_prices else prices[found[leg][row]] for leg in "yx")
    spread = y - found["hedge_ratio"][row] * x
    whole = (spread - spread.mean()) / spread.std()
    np.testing.assert_allclose(paths[row], whole.to_numpy()[np.linspace(0, 149, 50).round().astype(int)], rtol=1e-6)
    late = found[["y", "x"]].eq(prices.columns[1]).any(axis=1).to_numpy()
    assert np.isnan(paths[late, 0]).all() and np.isfinite(paths[:, 10:]).all()
