"""Hayashi-Yoshida against the plain double sum, and on recorded trades."""

import gzip
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.microstructure import hayashi_yoshida, thinned
from data.feeds.binance import decode
from tests.calibrate.correlation import trades
from tests.market import market
from utils.errors import DegenerateSeries, InputError, TooFewObservations

MS = 1_000


@cache
def recorded(venue: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Times and prices of BTC and ETH of one recording, in order of trade id."""
    columns = []
    for symbol in ("btcusdt", "ethusdt"):
        lines = gzip.decompress(market(f"ws/{venue}_{symbol}_20240808.gz").read_bytes()).splitlines()
        tape = decode([line[line.index(b"{") :] for line in lines if b"{" in line]).trades[0]
        columns += [tape.ts_us, tape.price]
    return columns[0], columns[1], columns[2], columns[3]


def collapsed(ts_us: np.ndarray, price: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The last price of each time, as a log."""
    last = np.append(ts_us[1:] != ts_us[:-1], True)
    return ts_us[last], np.log(price[last])


def naive(tx, px, ty, py) -> tuple[float, float, float, int, int]:
    """The definition: every pair of returns whose half-open intervals overlap."""
    (tx, x), (ty, y) = collapsed(tx, px), collapsed(ty, py)
    rx, ry = np.diff(x), np.diff(y)
    overlap = (tx[:-1, None] < ty[None, 1:]) & (ty[None, :-1] < tx[1:, None])
    return float(rx @ overlap @ ry), float(rx @ rx), float(ry @ ry), rx.size, ry.size


def taken(result) -> tuple[float, float, float, int, int]:
    return result.covariance, result.variance_x, result.variance_y, result.n_x, result.n_y


@given(st.integers(2, 60), st.integers(2, 60), st.integers(4, 90), st.integers(-60, 60), st.integers(0, 10_000))
def test_it_equals_the_double_sum_whatever_the_times(n, m, span, shift, seed):
    """Times repeat, meet, and one leg may begin after the other has ended."""
    rng = np.random.default_rng(seed)
    tx, ty = np.sort(rng.integers(0, span, n)), np.sort(rng.integers(0, span, m)) + shift
    tx[-1] += tx[0] == tx[-1]
    ty[-1] += ty[0] == ty[-1]
    legs = tx, np.exp(rng.standard_normal(n).cumsum()), ty, np.exp(rng.standard_normal(m).cumsum())
    found = hayashi_yoshida(*legs)
    assert taken(found) == pytest.approx(naive(*legs), rel=1e-9, abs=1e-9)
    assert found.correlation == pytest.approx(
        found.covariance / np.sqrt(found.variance_x * found.variance_y), rel=1e-12
    )


@pytest.mark.parametrize("venue", ["usdm", "spot"])
@pytest.mark.parametrize("thin_us", [0, 250 * MS])
def test_it_equals_the_double_sum_on_recorded_trades(venue, thin_us):
    tx, px, ty, py = recorded(venue)
    legs = (*thinned(tx, px, thin_us), *thinned(ty, py, thin_us)) if thin_us else (tx, px, ty, py)
    expected = naive(*legs)
    found = hayashi_yoshida(tx, px, ty, py, thin_us)
    assert taken(found) == pytest.approx(expected, rel=1e-10)


# What the research measured on these recordings: every trade, then the last of each 250, 500 and 1000 ms.
RECORDED = [("usdm", 0, 0.10), ("usdm", 250, 0.67), ("usdm", 500, 0.64), ("usdm", 1_000, 0.69)]
RECORDED += [("spot", 0, 0.14), ("spot", 250, 0.67), ("spot", 500, 0.71), ("spot", 1_000, 0.73)]


@pytest.mark.parametrize("venue, thin_ms, expected", RECORDED)
def test_every_trade_understates_and_a_thinned_series_does_not(venue, thin_ms, expected):
    found = hayashi_yoshida(*recorded(venue), thin_ms * MS)
    assert found.correlation == pytest.approx(expected, abs=0.005)
    assert found.low < found.correlation < found.high
    if thin_ms in (250, 500):
        assert 0.63 <= found.correlation <= 0.72
        assert found.low > 0.4


def test_walks_that_trade_apart_give_back_their_correlation():
    found = hayashi_yoshida(*trades(np.random.default_rng(3), 20_000, (5.0, 1.0), 0.8, 0.0))
    assert found.correlation == pytest.approx(0.8, abs=0.02)
    assert found.low < 0.8 < found.high


@given(st.floats(1e-3, 1e4), st.floats(1e-3, 1e4), st.integers(-(10**15), 10**15))
def test_units_of_price_and_the_start_of_time_cancel(one, two, shift):
    tx, px, ty, py = LEGS
    found = hayashi_yoshida(tx + shift, one * px, ty + shift, two * py)
    assert taken(found) == pytest.approx(taken(hayashi_yoshida(*LEGS)), rel=1e-6, abs=1e-14)


def test_legs_may_change_places():
    tx, px, ty, py = LEGS
    one, two = hayashi_yoshida(tx, px, ty, py), hayashi_yoshida(ty, py, tx, px)
    assert (one.covariance, one.correlation, one.n_x) == pytest.approx((two.covariance, two.correlation, two.n_y))
    assert (one.low, one.high) == pytest.approx((two.low, two.high))


def test_of_trades_at_one_time_the_last_counts():
    ts, px, ty, py = np.array([0, 10, 10, 10, 20]), np.array([1.0, 9.0, 5.0, 2.0, 3.0]), np.array([0, 20]), [1.0, 2.0]
    found = hayashi_yoshida(ts, px, ty, np.array(py))
    assert found.variance_x == pytest.approx(np.log(2) ** 2 + np.log(1.5) ** 2)
    assert found.covariance == pytest.approx(np.log(3) * np.log(2))
    assert found.n_x == 2


def test_thinning_keeps_the_last_trade_of_each_cell_at_its_own_time():
    ts, price = np.array([1, 9, 10, 19, 40]), np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    times, prices = thinned(ts, price, 10)
    assert times.tolist() == [9, 19, 40]
    assert prices.tolist() == [2.0, 4.0, 5.0]


def test_few_returns_give_a_number_without_an_interval():
    found = hayashi_yoshida(np.arange(10), np.exp(np.arange(10) % 3), np.arange(10), np.exp(np.arange(10) % 2))
    assert np.isfinite(found.correlation)
    assert np.isnan(found.low) and np.isnan(found.high)


def test_arguments_stay_as_they_are():
    copies = [column.copy() for column in LEGS]
    hayashi_yoshida(*LEGS, 5)
    assert all((one == two).all() for one, two in zip(LEGS, copies, strict=True))


TEN, RISING = np.arange(10), np.arange(1.0, 11.0)


@pytest.mark.parametrize(
    "ts, price, error, said",
    [
        (TEN[::-1], RISING, InputError, "step back, do at index 1"),
        (TEN, np.where(TEN == 4, np.nan, RISING), InputError, "was nan at index 4"),
        (TEN, np.where(TEN == 0, 0.0, RISING), InputError, "was 0 at index 0"),
        (TEN, np.where(TEN == 9, -1.0, RISING), InputError, "was -1 at index 9"),
        (TEN, np.where(TEN == 9, np.inf, RISING), InputError, "was inf at index 9"),
        (TEN, RISING[:5], InputError, "one length"),
        (TEN * 0, RISING, TooFewObservations, "needs 2"),
        (TEN[:0], RISING[:0], TooFewObservations, "needs 2"),
        (TEN, RISING * 0 + 7, DegenerateSeries, "never moves"),
    ],
)
@pytest.mark.parametrize("thin_us", [0, 2])
def test_what_is_no_tape_is_refused_with_its_place(ts, price, error, said, thin_us):
    for legs in ((ts, price, TEN, RISING), (TEN, RISING, ts, price)):
        with pytest.raises(error, match=said):
            hayashi_yoshida(*legs, thin_us)


LEGS = trades(np.random.default_rng(1), 200, (3.0, 2.0), 0.6, 0.0)
