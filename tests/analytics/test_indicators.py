"""Indicators against published tables, TA-Lib, the plainest computation, and themselves bar by bar."""

import gzip
import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.indicators import (
    RunningAtr,
    RunningBollinger,
    RunningEma,
    RunningMacd,
    RunningRsi,
    RunningSma,
    RunningVwap,
    atr,
    bollinger,
    ema,
    macd,
    rsi,
    sma,
    vwap,
)
from analytics.resampling import bars
from data.feeds.binance import decode
from data.trades import Trades
from tests.market import market
from utils.errors import InputError

US_PER_DAY = 86_400_000_000
DAY = 20_000 * US_PER_DAY  # a midnight

# StockCharts, ChartSchool, "Relative Strength Index": closes of QQQQ from 2009-12-14 and their 14-day RSI.
RSI_CLOSES = [
    *(44.3389, 44.0902, 44.1497, 43.6124, 44.3278, 44.8264, 45.0955, 45.4245, 45.8433, 46.0826, 45.8931),
    *(46.0328, 45.6140, 46.2820, 46.2820, 46.0028, 46.0328, 46.4116, 46.2222, 45.6439, 46.2122, 46.2521),
    *(45.7137, 46.4515, 45.7835, 45.3548, 44.0288, 44.1783, 44.2181, 44.5672, 43.4205, 42.6628, 43.1314),
]
RSI_14 = [
    *(70.53, 66.32, 66.55, 69.41, 66.36, 57.97, 62.93, 63.26, 56.06, 62.38, 54.71, 50.42, 39.99, 41.46, 41.87),
    *(45.46, 37.30, 33.08, 37.77),
]
# Wilder, New Concepts in Technical Trading Systems (1978): his RSI worksheet. He carries averages of two decimals.
WILDER_CLOSES = [
    *(54.8, 56.8, 57.85, 59.85, 60.57, 61.1, 62.17, 60.6, 62.35, 62.15, 62.35, 61.45, 62.8, 61.37, 62.5, 62.57),
    *(60.8, 59.37, 60.35, 62.35, 62.17, 62.55, 64.55, 64.37, 65.3, 64.42, 62.9, 61.6, 62.05, 60.05, 59.7, 60.9),
    *(60.25, 58.27, 58.7, 57.72, 58.1, 58.2),
]
WILDER_RSI = [
    *(74.36, 74.55, 65.75, 59.68, 61.98, 66.44, 65.75, 67.0, 71.43, 70.5, 72.14, 67.95, 60.78, 55.56, 56.71, 49.49),
    *(48.19, 52.38, 50.0, 43.5, 45.36, 42.53, 44.13, 44.75),
]
# StockCharts, "Moving Averages": INTC from 2010-03-24, 10-day simple and exponential average. Only cents are printed,
# and the published averages rest on prices with more digits.
AVERAGE_CLOSES = [
    *(22.27, 22.19, 22.08, 22.17, 22.18, 22.13, 22.23, 22.43, 22.24, 22.29, 22.15, 22.39, 22.38, 22.61, 23.36),
    *(24.05, 23.75, 23.83, 23.95, 23.63, 23.82, 23.87, 23.65, 23.19, 23.10, 23.33, 22.68, 23.10, 22.40, 22.17),
]
EMA_10 = [
    *(22.22, 22.21, 22.24, 22.27, 22.33, 22.52, 22.80, 22.97, 23.13, 23.28, 23.34, 23.43, 23.51, 23.54, 23.47),
    *(23.40, 23.39, 23.26, 23.23, 23.08, 22.92),
]
# StockCharts, "Bollinger Bands": 20 days, two population standard deviations; closes printed in cents.
BAND_CLOSES = [
    *(86.16, 89.09, 88.78, 90.32, 89.07, 91.15, 89.44, 89.18, 86.93, 87.68, 86.96, 89.43, 89.32, 88.72, 87.45),
    *(87.26, 89.50, 87.90, 89.13, 90.70, 92.90, 92.98, 91.80, 92.66, 92.68, 92.30, 92.77, 92.54, 92.95, 93.20),
    *(91.07, 89.83, 89.74, 90.40, 90.74, 88.02, 88.09, 88.84, 90.78, 90.54, 91.39, 90.65),
]
BANDS = [(19, 88.71, 91.29, 86.12), (22, 89.39, 92.93, 85.85), (30, 90.86, 94.91, 86.82), (41, 91.05, 94.15, 87.95)]


RECURSIVE = ("ema", "rsi", "atr", "line", "signal", "histogram")  # the same to the last bit, however they are reached


def made(n: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """High, low and close by formula, so that whoever has TA-Lib can repeat the table below."""
    t = np.arange(n)
    close = np.round(100 + 5 * np.sin(t / 7) + 3 * np.sin(t / 31) + (37 * t % 11) / 10, 2)
    return close + (13 * t % 7) / 10, close - (17 * t % 5) / 10, close


# TA-Lib 0.8.2 (library 0.8.1) on `made()`: first value, one of the middle, the last. Its MACD begins the fast average
# late, so line and signal are its EMA(12) - EMA(26) and the EMA(9) of that; MACD() itself agrees with both at the end.
TA_LIB = {
    "sma": [(19, 104.7785), (60, 106.235), (399, 97.745)],
    "ema": [(19, 104.7785), (60, 106.1999044156), (399, 99.274915699)],
    "rsi": [(14, 80.7216494845), (60, 65.1100206523), (399, 75.6626743613)],
    "atr": [(14, 1.0128571429), (60, 0.8502138183), (399, 0.9309492613)],
    "upper": [(19, 108.5034229522), (60, 110.7519436569), (399, 103.3512697045)],
    "lower": [(19, 101.0535770478), (60, 101.7180563431), (399, 92.1387302955)],
    "line": [(25, -1.1630436591), (60, 1.5750397248), (399, 1.1080253577)],
    "signal": [(33, -1.6183758952), (60, 1.5908875823), (399, 0.2616718186)],
}


def everything(high: np.ndarray, low: np.ndarray, close: np.ndarray) -> dict[str, np.ndarray]:
    """Every series of every indicator that reads prices alone."""
    lines, bands = macd(close), bollinger(close)
    return {
        "sma": sma(close, 20),
        "ema": ema(close, 20),
        "rsi": rsi(close),
        "atr": atr(high, low, close),
        "line": lines.line,
        "signal": lines.signal,
        "histogram": lines.histogram,
        "middle": bands.middle,
        "upper": bands.upper,
        "lower": bands.lower,
        "bandwidth": bands.bandwidth,
        "percent_b": bands.percent_b,
    }


def carried(high: np.ndarray, low: np.ndarray, close: np.ndarray, cut: int) -> dict[str, float]:
    """The same at the last bar: `cut` bars at once, then one by one."""
    twins = [RunningSma(20), RunningEma(20), RunningRsi(), RunningMacd(), RunningBollinger()]
    average, ranges = (
        [twin.after(close[:cut]) for twin in twins],
        RunningAtr().after(high[:cut], low[:cut], close[:cut]),
    )
    for bar in zip(high[cut:], low[cut:], close[cut:], strict=True):
        average, ranges = [twin.after(bar[2]) for twin in average], ranges.after(*bar)
    simple, exponential, strength, lines, bands = average
    found = {"sma": simple.value, "ema": exponential.value, "rsi": strength.value, "atr": ranges.value}
    found |= {name: getattr(lines, name) for name in ("line", "signal", "histogram")}
    return found | {name: getattr(bands, name) for name in ("middle", "upper", "lower", "bandwidth", "percent_b")}


def walk(n: int, seed: int, level: float = 1e5, move: float = 0.01) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """High, low and close of a random walk."""
    rng = np.random.default_rng(seed)
    close = level + move * rng.integers(-3, 4, n).cumsum()
    return close + move * rng.integers(0, 4, n), close - move * rng.integers(0, 4, n), close


def test_rsi_is_the_one_of_stockcharts():
    found = rsi(RSI_CLOSES)
    assert np.isnan(found[:14]).all()
    np.testing.assert_allclose(found[14:], RSI_14, atol=0.005)


def test_rsi_follows_the_worksheet_of_wilder_as_far_as_its_roundings_allow():
    np.testing.assert_allclose(rsi(WILDER_CLOSES)[14:], WILDER_RSI, atol=0.53)


def test_averages_are_those_of_stockcharts():
    found = ema(AVERAGE_CLOSES, 10)
    assert np.isnan(found[:9]).all()
    np.testing.assert_allclose(found[9:], EMA_10, atol=0.011)
    assert found[9] == pytest.approx(sma(AVERAGE_CLOSES, 10)[9], abs=1e-13)


@pytest.mark.parametrize("at, middle, upper, lower", BANDS)
def test_bands_are_those_of_stockcharts(at, middle, upper, lower):
    bands = bollinger(BAND_CLOSES)
    assert np.isnan(bands.middle[:19]).all()
    found = bands.middle[at], bands.upper[at], bands.lower[at]
    np.testing.assert_allclose(found, (middle, upper, lower), atol=0.011)
    assert bands.bandwidth[at] == pytest.approx((upper - lower) / middle, abs=3e-4)
    assert bands.percent_b[at] == pytest.approx((BAND_CLOSES[at] - lower) / (upper - lower), abs=3e-3)


@pytest.mark.parametrize("name", TA_LIB)
def test_ta_lib_finds_the_same_from_the_same_bar_on(name):
    found = everything(*made())[name]
    first = TA_LIB[name][0][0]
    assert np.isnan(found[:first]).all() and np.isfinite(found[first:]).all()
    for at, expected in TA_LIB[name]:
        assert found[at] == pytest.approx(expected, abs=2e-10)


def test_the_line_of_macd_is_two_averages_apart():
    close = made()[2]
    lines = macd(close, 5, 13, 4)
    np.testing.assert_allclose(lines.line, ema(close, 5) - ema(close, 13), atol=1e-12)
    np.testing.assert_allclose(lines.signal[12:], ema(lines.line[12:], 4), atol=1e-12)
    np.testing.assert_array_equal(lines.histogram, lines.line - lines.signal)


def test_true_range_reaches_to_the_close_before():
    """A gap up, a gap down, and a bar that holds both: 12 - 9, 10 - 5, 9 - 4."""
    found = atr(high=[10, 12, 6, 9], low=[8, 11, 5, 4], close=[9, 10, 6, 8], window=1)
    np.testing.assert_array_equal(found, [np.nan, 3, 5, 5])


def exact_averages(close: np.ndarray) -> dict[str, list[float]]:
    """EMA, RSI and MACD line by their definitions in long double, on distances from the first close."""
    base = close.astype(np.longdouble) - close[0]

    def smooth(values: np.ndarray, window: int, weight: float) -> list[np.longdouble]:
        out = [values[:window].mean()]
        for value in values[window:]:
            out.append(out[-1] + (value - out[-1]) * weight)
        return out

    slow, fast = (smooth(base, n, np.longdouble(2) / (n + 1)) for n in (26, 12))
    change = np.diff(base)
    gain, loss = (smooth(np.maximum(sign * change, 0), 14, np.longdouble(1) / 14) for sign in (1, -1))
    return {
        "ema": [float(value + close[0]) for value in smooth(base, 20, np.longdouble(2) / 21)],
        "line": [float(a - b) for a, b in zip(fast[14:], slow, strict=True)],
        "rsi": [float(100 * up / (up + down)) for up, down in zip(gain, loss, strict=True)],
    }


def test_digits_survive_a_high_price_level_and_small_moves():
    high, low, close = walk(5_000, seed=1)
    found, expected = everything(high, low, close), exact_averages(close)
    np.testing.assert_allclose(found["ema"][19:], expected["ema"], rtol=2e-16)
    np.testing.assert_allclose(found["line"][25:], expected["line"], rtol=0, atol=1e-13)
    np.testing.assert_allclose(found["rsi"][14:], expected["rsi"], rtol=1e-12)
    windows = np.lib.stride_tricks.sliding_window_view(close.astype(np.longdouble), 20)
    std = windows.std(axis=1)
    reach = (found["upper"] - found["lower"])[19:] / 4
    np.testing.assert_allclose(found["sma"][19:], windows.mean(axis=1).astype(float), rtol=3e-16)
    np.testing.assert_allclose(reach, std.astype(float), rtol=0, atol=1e-11)  # two prices of 1e5 apart
    np.testing.assert_allclose(found["bandwidth"][19:], (4 * std / windows.mean(axis=1)).astype(float), rtol=1e-12)


@given(n=st.integers(0, 90), cut=st.integers(0, 90), hole=st.integers(0, 120), seed=st.integers(0, 1_000))
def test_the_bar_in_progress_has_the_value_that_the_function_gives(n, cut, hole, seed):
    high, low, close = walk(n, seed, level=100.0)
    close[hole : hole + 1] = np.nan
    whole, running = everything(high, low, close), carried(high, low, close, min(cut, n))
    for name, values in whole.items():
        expected = values[-1] if n else math.nan
        tolerance = 0 if name in RECURSIVE else 1e-11
        assert running[name] == pytest.approx(expected, rel=tolerance, abs=0, nan_ok=True)


def test_a_step_leaves_the_closed_bars_as_they_are():
    high, low, close = made()
    twins = RunningSma(20), RunningEma(20), RunningRsi(), RunningMacd(), RunningBollinger()
    closed = [twin.after(close) for twin in twins]
    before = [repr(twin) for twin in closed]
    forming = [[repr(twin.after(price)) for price in (99.0, 105.0, 99.0)] for twin in closed]
    assert [repr(twin) for twin in closed] == before
    assert all(one == three != two for one, two, three in forming)
    assert all(repr(twin.after([])) == repr(twin) for twin in closed)
    assert RunningAtr().after(high, low, close).after([], [], []).value == atr(high, low, close)[-1]


@given(cut=st.integers(0, 120), hole=st.integers(0, 120), seed=st.integers(0, 1_000))
def test_later_bars_change_no_earlier_value(cut, hole, seed):
    legs = walk(120, seed)
    legs[2][hole : hole + 1] = np.nan
    whole, part = everything(*legs), everything(*(leg[:cut] for leg in legs))
    for name, values in whole.items():
        np.testing.assert_array_equal(part[name], values[:cut])


UNITS = {"sma": 1, "ema": 1, "middle": 1, "upper": 1, "lower": 1, "atr": 1, "line": 1, "signal": 1, "histogram": 1}
MOVES = ("atr", "line", "signal", "histogram", "rsi", "percent_b")


@given(scale=st.floats(1e-6, 1e6), shift=st.floats(-50.0, 1e4))
def test_units_and_levels_go_through(scale, shift):
    legs = made(120)
    plain, scaled = everything(*legs), everything(*(scale * leg for leg in legs))
    for name, values in plain.items():
        np.testing.assert_allclose(scaled[name], values * scale ** UNITS.get(name, 0), rtol=1e-8, atol=1e-9 * scale)
    shifted = everything(*(leg + shift for leg in legs))
    for name in MOVES:
        np.testing.assert_allclose(shifted[name], plain[name], rtol=1e-7, atol=1e-8)


@given(st.lists(st.floats(1.0, 1e6), max_size=60), st.integers(2, 9))
def test_values_stay_within_their_limits(prices, window):
    close = np.array(prices)
    strength, bands = rsi(close, window), bollinger(close, window)
    for average in (sma(close, window), ema(close, window)):
        known = average[~np.isnan(average)]
        assert known.size == max(0, close.size - window + 1)
        assert (
            (known >= close.min(initial=np.inf) * (1 - 1e-12)) & (known <= close.max(initial=0) * (1 + 1e-12))
        ).all()
    assert ((strength >= 0) & (strength <= 100) | np.isnan(strength)).all()
    assert ((bands.bandwidth >= 0) | np.isnan(bands.middle)).all()
    reach = (1 + math.sqrt(window - 1) / 2) / 2  # no value lies farther than sqrt(window - 1) deviations from the mean
    assert (np.isnan(bands.percent_b) | (abs(bands.percent_b - 0.5) <= reach)).all()


def test_falls_mirror_rises():
    close = made()[2]
    np.testing.assert_allclose(rsi(200 - close)[14:], 100 - rsi(close)[14:], atol=1e-9)


def test_what_only_rises_is_100_and_what_only_falls_is_0():
    rising = np.linspace(1.0, 2.0, 50)
    assert (rsi(rising)[14:] == 100).all()
    assert (rsi(-rising)[14:] == 0).all()


def test_a_series_that_does_not_move_has_no_strength_and_no_width():
    still = np.full(60, 0.1)
    found = everything(still, still, still)
    for name in ("rsi", "percent_b"):
        assert np.isnan(found[name]).all()
    for name in ("atr", "line", "signal", "histogram", "bandwidth"):
        assert (found[name][np.isfinite(found[name])] == 0).all() and found[name][-1] == 0
    for name in ("sma", "ema", "upper", "lower"):
        assert (found[name][19:] == 0.1).all()


def test_a_price_that_flickers_in_its_last_digit_has_no_place_in_its_bands():
    flicker = np.where(np.arange(40) % 3, 1e5, np.nextafter(1e5, 2e5))
    bands = bollinger(flicker)
    assert (bands.bandwidth[19:] == 0).all() and np.isnan(bands.percent_b).all()


def test_strength_stands_while_the_price_does_and_fades_before_its_digits_do():
    """Both averages halve with each bar: after a thousand nothing is left, and 0 / 0 is not 50."""
    found = rsi([1.0, 2.0, 1.5, *np.full(2_000, 1.5), 1.6, 1.5], window=2)
    assert found[2] == found[900] == pytest.approx(100 * 2 / 3)
    assert np.isnan(found[1_100:2_003]).all()
    assert found[2_003] == 100


@pytest.mark.parametrize("hole", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("leg", [0, 1, 2])
def test_after_a_hole_everything_begins_anew(hole, leg):
    legs = made(150)
    if leg < 2 and hole == (-np.inf, np.inf)[leg]:
        hole = np.nan  # a high of -inf is not a hole but a bar that cannot be
    legs[leg][70] = hole
    legs[2][60] = 1e11  # would leave its rounding in whatever is not forgotten
    found = everything(*legs)
    before, after = (everything(*(values[rows] for values in legs)) for rows in (slice(70), slice(71, None)))
    for name in found if leg == 2 else ("atr",):
        np.testing.assert_array_equal(found[name][:70], before[name])
        assert np.isnan(found[name][70])
        tolerance = 0 if name in RECURSIVE else 1e-11
        np.testing.assert_allclose(found[name][71:], after[name], rtol=tolerance, atol=0)


@pytest.mark.parametrize("size", [0, 1, 13])
def test_too_little_is_nan_throughout(size):
    for values in everything(*made(size)).values():
        assert values.shape == (size,) and np.isnan(values).all()
    assert vwap(np.full(size, np.nan), np.zeros(size), np.arange(size)).shape == (size,)


def test_a_window_of_one_bar_is_that_bar():
    close = np.array([3.0, np.nan, 5.0, np.inf])
    for average in (sma(close, 1), ema(close, 1)):
        np.testing.assert_array_equal(average, [3, np.nan, 5, np.nan])


def test_bands_around_no_positive_price_have_no_bandwidth():
    close = np.linspace(-1.0, 1.0, 40)
    bands = bollinger(close)
    np.testing.assert_array_equal(np.isnan(bands.bandwidth), ~(bands.middle > 0))
    assert np.isfinite(bands.percent_b[19:]).all()


def exact_vwap(price: np.ndarray, volume: np.ndarray) -> float:
    """Without rounding until the end."""
    weights = [Fraction(float(value)) for value in volume]
    paid = sum(Fraction(float(value)) * weight for value, weight in zip(price, weights, strict=True))
    return float(paid / sum(weights))


def tape(n: int, seed: int, start_us: int = DAY - 300_000_000) -> Trades:
    """Trades of ten minutes around a midnight, at 1e5 and moving by cents."""
    rng = np.random.default_rng(seed)
    ts_us = start_us + np.sort(rng.integers(0, 600_000_000, n))
    price = np.round(1e5 + 0.01 * rng.integers(-3, 4, n).cumsum(), 2)
    return Trades.of("BTCUSDT", np.arange(n), ts_us, price, np.round(rng.lognormal(-3, 1, n) + 0.001, 3), np.zeros(n))


def test_vwap_begins_anew_at_midnight_and_keeps_its_digits():
    trades = tape(2_000, seed=2)
    found = vwap(trades.price, trades.qty, trades.ts_us)
    midnight = int(np.searchsorted(trades.ts_us, DAY))
    for end in (1, 700, midnight, midnight + 1, 1_500, 2_000):
        rows = slice(0 if end <= midnight else midnight, end)
        assert found[end - 1] == pytest.approx(exact_vwap(trades.price[rows], trades.qty[rows]), rel=3e-16)


def test_vwap_of_bars_is_that_of_their_trades():
    trades = tape(60, seed=3)
    frame = bars(trades, "1s")
    assert frame["vwap"].isna().any()
    found = vwap(frame["vwap"], frame["volume"], frame.index.as_unit("us").asi8)
    number = np.searchsorted(trades.ts_us, frame.index.as_unit("us").asi8 + 999_999, "right")
    by_trade = vwap(trades.price, trades.qty, trades.ts_us)[number - 1]
    today = frame.index.as_unit("us").asi8 >= DAY
    traded_today = number > np.searchsorted(trades.ts_us, DAY)
    np.testing.assert_allclose(found[~today | traded_today], by_trade[~today | traded_today], rtol=3e-16)
    assert (today & ~traded_today).any() and np.isnan(found[today & ~traded_today]).all()


def test_vwap_of_recorded_trades_across_a_midnight():
    lines = gzip.decompress(market("ws/usdm_ethusdt_20240808.gz").read_bytes()).splitlines()
    (trades,) = decode([line[line.index(b"{") :] for line in lines]).trades
    price, qty, ts_us = trades.price, trades.qty, trades.ts_us
    found, first = vwap(price, qty, ts_us), int(np.argmax(ts_us // US_PER_DAY > ts_us[0] // US_PER_DAY))
    assert 0 < first < price.size - 1
    assert found[first - 1] == pytest.approx(exact_vwap(price[:first], qty[:first]), rel=1e-15)
    assert found[first] == price[first]
    assert found[-1] == pytest.approx(exact_vwap(price[first:], qty[first:]), rel=1e-15)


def test_vwap_may_begin_at_any_time():
    price, volume, ts_us = np.array([1.0, 2.0, 3.0, 4.0, 6.0]), np.ones(5), np.array([0, 10, 20, 30, 40])
    np.testing.assert_array_equal(vwap(price, volume, ts_us, anchors_us=[10]), [np.nan, 2, 2.5, 3, 3.75])
    np.testing.assert_array_equal(vwap(price, volume, ts_us, anchors_us=[0, 15, 31]), [1, 1.5, 3, 3.5, 6])
    assert np.isnan(vwap(price, volume, ts_us, anchors_us=[])).all()


def test_rows_without_volume_add_nothing_and_unknown_ones_silence_their_session():
    ts_us = DAY + np.array([0, 1, 2, 3, US_PER_DAY - 1, US_PER_DAY, US_PER_DAY + 1])
    price = np.array([np.nan, 5.0, np.nan, 7.0, 9.0, np.nan, 3.0])
    volume = np.array([0.0, 1.0, 0.0, 1.0, 2.0, 0.0, 1.0])
    np.testing.assert_array_equal(vwap(price, volume, ts_us), [np.nan, 5, 5, 6, 7.5, np.nan, 3])
    for broken_price, broken_volume in ((np.nan, 1.0), (np.inf, 1.0), (7.0, np.nan), (7.0, np.inf)):
        price[3], volume[3] = broken_price, broken_volume
        np.testing.assert_array_equal(vwap(price, volume, ts_us), [np.nan, 5, 5, *np.full(3, np.nan), 3])


@given(cut=st.integers(0, 80), seed=st.integers(0, 1_000), hours=st.sampled_from([None, 1, 7, 24]))
def test_vwap_is_carried_on_and_never_looks_ahead(cut, seed, hours):
    rng = np.random.default_rng(seed)
    ts_us = DAY + np.sort(rng.integers(0, 2 * US_PER_DAY, 80))
    price, volume = 1e5 + rng.integers(-9, 9, 80) / 100, rng.integers(0, 3, 80).astype(float)
    anchors = None if hours is None else DAY + np.arange(0, 48, hours) * 3_600_000_000 + 1
    whole = vwap(price, volume, ts_us, anchors)
    np.testing.assert_array_equal(vwap(price[:cut], volume[:cut], ts_us[:cut], anchors), whole[:cut])
    running = RunningVwap(anchors).after(price[:cut], volume[:cut], ts_us[:cut])
    assert running.value == pytest.approx(whole[cut - 1] if cut else math.nan, rel=0, abs=0, nan_ok=True)
    for row in range(cut, 80):
        running = running.after(price[row], volume[row], int(ts_us[row]))
        assert running.value == pytest.approx(whole[row], rel=0, abs=0, nan_ok=True)


BARS = np.arange(1.0, 5.0)
TIMES = np.arange(4)
REFUSED: list[tuple[Callable[[], object], str, str]] = [
    (lambda: sma(BARS, 0), "window", "window must be >= 1, was 0"),
    (lambda: ema(BARS, -1), "window", "window must be >= 1, was -1"),
    (lambda: rsi(BARS, 1), "window", "window must be >= 2, was 1"),
    (lambda: atr(BARS, BARS, BARS, 0), "window", "window must be >= 1, was 0"),
    (lambda: bollinger(BARS, 1), "window", "window must be >= 2, was 1"),
    (lambda: bollinger(BARS, 2, 0.0), "width", "width must be a positive number, was 0"),
    (lambda: bollinger(BARS, 2, math.nan), "width", "width must be a positive number, was nan"),
    (lambda: macd(BARS, 26, 12), "fast", "fast must be < slow, was 26 and 12"),
    (lambda: macd(BARS, 12, 12), "fast", "fast must be < slow, was 12 and 12"),
    (lambda: macd(BARS, 1, 2, 0), "signal", "signal must be >= 1, was 0"),
    (lambda: ema(np.ones((2, 2)), 1), "values", "values must have one dimension, had 2"),
    (lambda: atr(BARS, BARS, BARS[:2]), "high", "high, low, close must have one length, had 4, 4, 2"),
    (lambda: atr(BARS, BARS + 1, BARS), "high", "high must be >= low, was 1 below 2 at index 0"),
    (lambda: vwap(BARS, -BARS, TIMES), "volume", "volume must be >= 0, was -1 at index 0"),
    (lambda: vwap(BARS, BARS, TIMES[:2]), "ts_us", "price and ts_us must have one length, had 4 and 2"),
    (lambda: vwap(BARS, BARS, TIMES[::-1]), "ts_us", "ts_us must not decrease"),
    (lambda: vwap(BARS, BARS, BARS), "ts_us", "ts_us must be integers in one dimension, were float64 in 1"),
    (lambda: vwap(BARS, BARS, TIMES, [2, 1]), "anchors_us", "anchors_us must not decrease"),
    (lambda: RunningVwap().after(BARS, BARS, TIMES).after(1.0, 1.0, 2), "ts_us", "ts_us must not decrease"),
    (lambda: RunningRsi(1).after(BARS), "window", "window must be >= 2, was 1"),
    (lambda: RunningSma(0).after(BARS), "window", "window must be >= 1, was 0"),
]


@pytest.mark.parametrize("call, name, said", REFUSED)
def test_what_cannot_be_computed_is_refused_by_name(call, name, said):
    with pytest.raises(InputError) as caught:
        call()
    assert caught.value.field == name
    assert said in str(caught.value)


def test_arguments_stay_as_they_are():
    legs = made(100)
    frozen = [leg.copy() for leg in legs]
    for leg in legs:
        leg.setflags(write=False)  # as a column of a pandas frame is
    everything(*legs)
    vwap(legs[2], legs[0], np.arange(100))
    carried(*legs, 50)
    for leg, before in zip(legs, frozen, strict=True):
        np.testing.assert_array_equal(leg, before)
    np.testing.assert_array_equal(ema(pd.Series(legs[2]), 20), ema(legs[2], 20))
