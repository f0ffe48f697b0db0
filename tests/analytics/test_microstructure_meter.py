"""The reading of a tape: against sums by hand, however it was fed, and on recorded trades."""

import math
from dataclasses import fields, replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.microstructure import (
    LevelLearner,
    TapeMeter,
    TapeParams,
    TapeReading,
    amihud,
    kyle_lambda,
    liquidity_score,
    meter,
    momentum_quality,
    order_flow_imbalance,
    side_accuracy,
    signature_plot,
    tape_reading,
    tick_rule,
    trade_sizes,
    vpin,
)
from analytics.volatility import YEAR_S
from data.trades import Trades
from tests.analytics.test_microstructure_measures import RECORDINGS, tape
from utils.errors import AnalysisError, InputError, TooFewObservations

S = 1_000_000
START = 1_700_000_000 * S + 400_000
PARAMS = TapeParams(window_s=10, history_s=15, buckets=3, widths_s=(1, 2))
SMALL = settings(max_examples=60)

row = st.tuples(st.sampled_from([0, 1, 90, 700, 2_500, 40_000]), st.integers(-2, 2), st.integers(1, 40), st.booleans())
tapes = st.lists(row, min_size=1, max_size=150)


def trades_of(rows: list[tuple[int, int, int, bool]]) -> Trades:
    """Columns of waits (ms), price steps (ticks of 0.5), quantities (eighths: sums are exact) and sides."""
    wait, step, qty, sold = (np.array(column) for column in zip(*rows, strict=True))
    ts = START + np.cumsum(wait) * 1_000
    return Trades.of("BTCUSDT", np.arange(len(rows)) * 3 + 7, ts, 500 + np.cumsum(step) * 0.5, qty / 8, sold)


def numbers(reading: TapeReading) -> dict[str, object]:
    """All it holds, by name, arrays as lists."""
    found = dict(reading.reading(), missing=dict(reading.missing), history_s=reading.history_s)
    for field in fields(reading):
        value = getattr(reading, field.name)
        if hasattr(value, "__slots__"):
            found |= {f"{field.name}.{name}": np.asarray(getattr(value, name)).tolist() for name in value.__slots__}
    return found


def same(one: TapeReading, two: TapeReading, **tolerance: float) -> None:
    first, second = numbers(one), numbers(two)
    assert first.keys() == second.keys()
    for name, value in first.items():
        if isinstance(value, (float, list)):
            assert value == pytest.approx(second[name], nan_ok=True, **(tolerance or {"rel": 1e-12, "abs": 1e-12})), (
                name
            )
        else:
            assert value == second[name], name


def fed(trades: Trades, cuts: list[int], params: TapeParams = PARAMS) -> TapeMeter:
    """A meter that took the tape in pieces."""
    found = TapeMeter(params)
    edges = [0, *sorted(cuts), len(trades)]
    for start, end in pairwise(edges):
        found.feed(trades[start:end])
    return found


@SMALL
@given(tapes, st.lists(st.integers(0, 150), max_size=6), st.integers(0, 70_000), st.booleans())
def test_a_meter_reads_the_same_however_it_is_fed(rows, cuts, wait_ms, fixed):
    trades, params = trades_of(rows), replace(PARAMS, bucket_volume=4.0 if fixed else None)
    now = int(trades.ts_us[-1]) + wait_ms * 1_000
    cuts = [min(cut, len(trades)) for cut in cuts]
    same(fed(trades, cuts, params).reading(now), tape_reading(trades, now, params))


@SMALL
@given(tapes, st.lists(st.integers(0, 150), max_size=6), st.integers(0, 70_000))
def test_moving_the_table_changes_nothing(rows, cuts, wait_ms):
    trades = trades_of(rows)
    now = int(trades.ts_us[-1]) + wait_ms * 1_000
    roomy = tape_reading(trades, now, PARAMS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(meter, "SPARE", 3)
        same(fed(trades, [min(cut, len(trades)) for cut in cuts], PARAMS).reading(now), roomy)


def by_second(trades: Trades, first: int, stop: int) -> list[tuple[float, float, float]]:
    """Close, taker buys - sells and notional of each second with trades."""
    found = []
    for second in range(first, stop):
        rows = trades[trades.ts_us // S == second]
        if len(rows):
            signed = float(np.sum(np.where(rows.buyer_is_maker, -rows.qty, rows.qty)))
            found.append((float(rows.price[-1]), signed, float(rows.price @ rows.qty)))
    return found


def carried(trades: Trades, first: int, stop: int) -> np.ndarray:
    """Price at the end of each second since the tape began."""
    ends = np.arange(max(first, int(trades.ts_us[0]) // S), stop) * S + S
    return trades.price[np.searchsorted(trades.ts_us, ends, "left") - 1]


def plain_buckets(trades: Trades, window: int, buckets: int) -> float:
    """VPIN whose buckets are a share of the window before the second in which they began, trade by trade."""
    seconds, volumes = trades.ts_us // S, []
    bought = filled = size = 0.0
    for k in range(len(trades)):
        left = trades.qty[k]
        while left > 1e-12:
            if not size:
                before = (seconds >= seconds[k] - window) & (seconds < seconds[k])
                size = trades.qty[before].sum() / buckets if seconds[k] >= seconds[0] + window else 0.0
                if not size:
                    break
            part = min(left, size - filled)
            left, filled, bought = left - part, filled + part, bought + part * (trades.buyer_is_maker[k] == 0)
            if filled >= size - 1e-12:
                volumes.append((abs(2 * bought - size), size))
                bought = filled = size = 0.0
    if len(volumes) < buckets:
        return math.nan
    imbalance, volume = np.array(volumes[-buckets:]).sum(axis=0)
    return float(imbalance / volume)


def or_nan(compute) -> float:
    try:
        return compute()
    except AnalysisError:
        return math.nan


def close_to(expected: float):
    return pytest.approx(expected, rel=1e-9, abs=1e-9, nan_ok=True)


@SMALL
@given(tapes, st.integers(0, 30_000))
def test_a_reading_is_the_measures_of_its_window(rows, wait_ms):
    trades = trades_of(rows)
    now = int(trades.ts_us[-1]) + wait_ms * 1_000
    found = tape_reading(trades, now, PARAMS)
    second, begun = now // S, int(trades.ts_us[0]) // S
    opens, before = second - 10, second - 25
    window = trades[trades.ts_us // S >= opens]
    seconds = (now - max(opens, begun) * S) / S
    assert found.velocity.trades_per_s == close_to(len(window) / seconds if seconds else math.nan)
    assert found.flow.imbalance == close_to(order_flow_imbalance(window.qty, window.buyer_is_maker))
    assert found.flow.trades == len(window)
    traded = len(window) > 0
    vwap = window.price @ window.qty / window.qty.sum() if traded else math.nan
    assert found.flow.vwap == close_to(vwap)
    assert found.vwap_distance_bp == close_to(1e4 * (trades.price[-1] / vwap - 1))
    signed = np.where(trades.buyer_is_maker, -trades.qty, trades.qty)
    assert found.cumulative_delta == close_to(signed.sum())
    assert numbers(found)["sizes.median"] == close_to(trade_sizes(window.qty).median)
    closes = carried(trades, opens, second)
    assert found.momentum == close_to(momentum_quality(closes))
    cells = by_second(trades, opens, second)
    close, flow, notional = (np.array(column) for column in zip(*cells, strict=True)) if cells else np.zeros((3, 0))
    assert found.kyle.slope == close_to(or_nan(lambda: kyle_lambda(np.diff(close), flow[1:]).slope))
    assert found.amihud == close_to(or_nan(lambda: amihud(np.diff(np.log(close)), notional[1:])))
    assert found.vpin.value == close_to(plain_buckets(trades, 10, 3))
    past = trades[(trades.ts_us // S >= before) & (trades.ts_us // S < opens)]
    history_s = max(0, opens - max(before, begun))
    assert found.history_s == history_s
    if history_s < 15 or not len(past):
        assert math.isnan(found.liquidity)
    else:
        volume_ratio = window.qty.sum() / seconds / (past.qty.sum() / history_s)
        gap_ratio = seconds / len(window) / (history_s / len(past)) if traded else math.inf
        assert found.liquidity == close_to(liquidity_score(volume_ratio, gap_ratio))


@SMALL
@given(tapes)
def test_sides_and_bounce_rest_on_pairs_that_end_in_the_window(rows):
    trades = trades_of(rows)
    now = int(trades.ts_us[-1])
    found = tape_reading(trades, now, PARAMS)
    inside = trades.ts_us // S >= now // S - 10
    sides = np.where(inside, tick_rule(trades.price), 0)
    expected = side_accuracy(sides, trades.buyer_is_maker, trades.qty, trades.price)
    assert found.tick_rule.n_obs == expected.n_obs
    for name in ("by_count", "by_volume", "where_moved"):
        assert getattr(found.tick_rule, name) == close_to(getattr(expected, name)), name
    change = np.diff(trades.price)
    pairs = inside[2:]
    if pairs.sum() < 28:
        assert math.isnan(found.roll_spread)
        return
    early, late = change[:-1][pairs], change[1:][pairs]
    covariance = np.mean(early * late) - early.mean() * late.mean()
    assert found.roll_spread == pytest.approx(
        2 * np.sqrt(-covariance) if covariance < 0 else math.nan, abs=1e-6, nan_ok=True
    )


def steady(seconds: int, per_s: int = 4, seed: int = 1) -> Trades:
    """A tape of a random walk of log prices of 1e-4 a trade."""
    rng = np.random.default_rng(seed)
    ts = START // S * S + np.arange(seconds * per_s) * (S // per_s)
    price = 100 * np.exp(np.cumsum(rng.standard_normal(ts.size)) * 1e-4)
    return Trades.of(
        "A", np.arange(1, ts.size + 1), ts, price, rng.lognormal(0, 1, ts.size), rng.integers(0, 2, ts.size)
    )


def test_a_steady_tape_is_like_it_was():
    trades = steady(4_000)
    found = tape_reading(trades, int(trades.ts_us[-1]), TapeParams(window_s=600, history_s=3_000))
    assert found.liquidity == pytest.approx(50, abs=3)
    assert found.regime.name == "normal"
    assert found.regime.ratio == pytest.approx(1, abs=0.1)
    assert found.volatility == pytest.approx(1e-4 * np.sqrt(4 * YEAR_S), rel=0.1)
    assert found.velocity.trades_per_s == pytest.approx(4, rel=0.01)
    assert found.missing.keys() == {"normal"}


def test_the_signature_of_a_reading_is_that_of_its_seconds():
    trades = steady(700)
    found = tape_reading(trades, int(trades.ts_us[-1]), TapeParams(window_s=100, history_s=1_000, widths_s=(1, 5, 20)))
    expected = signature_plot(trades.ts_us, trades.price, (1, 5, 20))
    assert found.signature.volatility == pytest.approx(expected.volatility, rel=1e-9)
    assert found.signature.n_obs.tolist() == expected.n_obs.tolist()


def test_a_calm_after_a_storm_is_low_and_thin():
    loud, calm = steady(400), steady(100, seed=2)
    calm = Trades.of(
        "A",
        calm.trade_id + 10_000,
        calm.ts_us + 400 * S,
        np.round(loud.price[-1] + (calm.price - 100) / 10, 6),
        calm.qty / 10,
        calm.buyer_is_maker,
    )
    trades = Trades.concat("A", [loud, calm])
    found = tape_reading(trades, int(trades.ts_us[-1]), TapeParams(window_s=90, history_s=300))
    assert found.regime.name == "low"
    assert found.liquidity < 15


def test_trades_to_come_change_nothing():
    trades = steady(300)
    now = int(trades.ts_us[700])
    same(tape_reading(trades, now, PARAMS), tape_reading(trades[:701], now, PARAMS))


@given(st.permutations(range(40)))
@settings(max_examples=20)
def test_a_batch_in_any_order_with_repeats_is_one_tape(order):
    trades = steady(10)
    shuffled = trades[np.array([*order, 3, 3, 17])]
    now = int(trades.ts_us[-1])
    same(tape_reading(shuffled, now, PARAMS), tape_reading(trades, now, PARAMS))


def test_trades_known_or_late_are_left_out_and_counted():
    trades = steady(30)
    found = TapeMeter(PARAMS)
    for rows in (slice(0, 50), slice(40, 60), slice(70, 120), slice(60, 70)):
        found.feed(trades[rows])
    assert found.late == 20
    kept = trades[np.r_[0:60, 70:120]]
    now = int(trades.ts_us[-1])
    same(found.reading(now), tape_reading(kept, now, PARAMS))


def test_a_time_that_steps_back_counts_as_the_latest_so_far():
    trades = steady(30)
    back = trades.ts_us.copy()
    back[60] -= 5 * S
    moved = Trades.of("A", trades.trade_id, back, trades.price, trades.qty, trades.buyer_is_maker)
    flat = back.copy()
    flat[60] = back[59]
    level = Trades.of("A", trades.trade_id, flat, trades.price, trades.qty, trades.buyer_is_maker)
    now = int(trades.ts_us[-1])
    same(fed(moved, [60]).reading(now), tape_reading(level, now, PARAMS))


def test_a_batch_that_is_no_tape_leaves_the_meter_as_it_was():
    trades = steady(30)
    found, now = fed(trades, []), int(trades.ts_us[-1])
    before = found.reading(now)
    bad = Trades.of("A", [10_001, 10_002], [now + 1, now + 2], [100.0, math.nan], [1.0, 1.0], [0, 1])
    with pytest.raises(InputError, match="price must be finite and > 0, was nan at index 1"):
        found.feed(bad)
    same(found.reading(now), before)


def test_a_young_tape_says_what_it_waits_for():
    trades = steady(4)
    found = tape_reading(trades, int(trades.ts_us[-1]))
    assert set(found.missing) == {
        "normal",
        "vpin",
        "sizes",
        "liquidity",
        "volatility",
        "regime",
        "kyle",
        "amihud",
        "roll_spread",
    }
    assert found.missing["liquidity"] == "needs 180 seconds before the window, has 0"
    assert found.missing["sizes"] == "needs 20 trades, has 16"
    silent = [name for name, value in found.reading().items() if math.isnan(value)]
    assert {"liquidity", "volatility_ratio", "vpin", "kyle_lambda", "amihud", "roll_spread", "velocity_ratio"} <= set(
        silent
    )


def test_a_window_without_trades_is_unknown_where_it_must_be():
    trades = steady(60)
    found = tape_reading(trades, int(trades.ts_us[-1]) + 20 * S, PARAMS)
    reading = found.reading()
    assert reading["trades_per_s"] == 0
    assert reading["liquidity"] == 0
    for name in ("ofi", "delta", "taker_buy", "vwap", "vwap_distance_bp", "median_size", "momentum", "kyle_lambda"):
        assert math.isnan(reading[name]), name
    assert reading["price"] == trades.price[-1]


def test_no_trade_at_all_is_an_error():
    with pytest.raises(TooFewObservations):
        tape_reading(Trades.empty("A"), START)
    with pytest.raises(TooFewObservations):
        tape_reading(steady(5), START - 10 * S)
    with pytest.raises(TooFewObservations):
        TapeMeter().reading(START)


def test_a_meter_teaches_its_seconds_and_knows_normal_after_three_days():
    levels, day = LevelLearner(), 86_400 * S
    trades = steady(2_000, per_s=2)
    found = TapeMeter(PARAMS, levels)
    for k in range(4):
        found.feed(Trades.of("A", trades.trade_id + k * 10_000, trades.ts_us + k * day, *trades.columns[2:]))
    now = int(trades.ts_us[-1]) + 3 * day
    normal = found.reading(now).normal
    assert normal.days == 3
    assert normal.trades_per_s == pytest.approx(2, rel=0.01)
    assert found.reading(now).reading()["velocity_ratio"] == pytest.approx(1, abs=0.15)
    assert found.reading(now + 6 * 3_600 * S).normal.days == 0


def test_a_long_silence_teaches_nothing():
    trades = steady(30)
    later = Trades.of("A", trades.trade_id + 1_000, trades.ts_us + 5_400 * S, *trades.columns[2:])
    levels = LevelLearner(half_life_days=1)
    found = TapeMeter(PARAMS, levels)
    found.feed(Trades.concat("A", [trades, later]))
    slots = [levels.normal(int(trades.ts_us[0]) + k * 1_800 * S + 86_400 * S).days for k in range(4)]
    assert slots == [0, 0, 0, 0]


def test_arguments_stay_as_they_are():
    trades = steady(30)
    copies = [column.copy() for column in trades.columns]
    fed(trades, [10]).reading(int(trades.ts_us[-1]))
    assert all((one == two).all() for one, two in zip(trades.columns, copies, strict=True))


@pytest.mark.parametrize(
    "field, value",
    [
        ("window_s", 9),
        ("window_s", 3_601),
        ("history_s", 0),
        ("buckets", 0),
        ("bucket_volume", 0.0),
        ("bucket_volume", math.nan),
        ("fence", 0.0),
        ("widths_s", ()),
        ("widths_s", (0,)),
    ],
)
def test_params_have_limits(field, value):
    with pytest.raises(InputError) as caught:
        TapeParams(**{field: value})
    assert caught.value.field == field


@pytest.mark.parametrize("name", RECORDINGS)
def test_recorded_tapes_are_read_within_bounds(name):
    trades = tape(name)
    params = TapeParams(window_s=30, history_s=60)
    live = TapeMeter(params)
    for start in range(0, len(trades), 997):
        live.feed(trades[start : start + 997])
        found = live.reading(0)
        assert math.isnan(found.vpin.value) or 0 <= found.vpin.value <= 1
        assert math.isnan(found.liquidity) or 0 <= found.liquidity <= 100
        assert -1 <= found.flow.imbalance <= 1
        assert math.isnan(found.momentum) or -1 <= found.momentum <= 1
    now = int(trades.ts_us[-1])
    same(live.reading(now), tape_reading(trades, now, params), rel=1e-9, abs=1e-9)
    assert found.missing.keys() <= {"normal"}
    fixed = tape_reading(trades, now, replace(params, bucket_volume=trades.qty.sum() / 130.5))
    assert fixed.vpin.value == vpin(trades.qty, trades.buyer_is_maker, trades.qty.sum() / 130.5).value
