"""Live bars: equal to a recomputation whatever the order of arrival, and honest about what is missing."""

import threading
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.resampling import bars
from data.resampler import Resampler
from data.trades import Trades
from tests.market import market
from utils.errors import InputError, TimeframeError

SECOND = 1_000_000
START = 1_700_000_040 * SECOND  # a whole minute


def at(seconds):
    return START + round(seconds * SECOND)


def tape(*rows):
    """Trades from (id, seconds after START, price)."""
    return Trades.of("T", *zip(*((i, at(s), p, 1.0, 0) for i, s, p in rows), strict=True))


def steady(first, last, price=10.0):
    """One trade a second, at 0.5 s, from second `first` to `last`."""
    return tape(*((i, i + 0.5, price) for i in range(first, last + 1)))


@st.composite
def batches(draw):
    """A tape cut into batches in arbitrary order. Amounts are dyadic: their sums are exact in any order."""
    size = draw(st.integers(1, 60))
    ids = draw(st.lists(st.integers(0, 10_000), min_size=size, max_size=size, unique=True))
    column = lambda values: draw(st.lists(values, min_size=size, max_size=size))  # noqa: E731
    times = column(st.integers(0, 100_000))
    prices = np.array(column(st.integers(1, 10_000))) / 16
    amounts = np.array(column(st.integers(1, 10_000))) / 1024
    trades = Trades.of("T", ids, START + np.array(times) * 1_000, prices, amounts, column(st.booleans()))
    edges = sorted({0, size, *draw(st.lists(st.integers(0, size), max_size=6))})
    return trades, [trades[a:b] for a, b in pairwise(edges)]


def fed(timeframe, parts, **options):
    resampler = Resampler(timeframe, **options)
    for part in parts:
        resampler.update(part)
    return resampler


@given(batches(), st.sampled_from(["1s", "7s", "1m"]))
def test_live_bars_equal_a_recomputation_bar_for_bar(tape_in_batches, timeframe):
    trades, parts = tape_in_batches
    live = fed(timeframe, parts, since_us=0).frame(int(trades.ts_us.max()))
    pd.testing.assert_frame_equal(live, bars(trades, timeframe), check_exact=True)


@given(batches(), st.integers(1, 30))
def test_what_is_kept_equals_the_end_of_a_recomputation(tape_in_batches, keep):
    trades, _ = tape_in_batches
    order = np.argsort(trades.ts_us, kind="stable")
    ordered = Trades.of("T", np.arange(len(trades)), *trades[order].columns[1:])
    live = fed("1s", [ordered[i : i + 1] for i in range(len(ordered))], keep=keep, since_us=0)
    pd.testing.assert_frame_equal(live.frame(0), bars(ordered, "1s").tail(keep), check_exact=True)
    assert live.ignored == 0


@given(batches(), st.integers(1, 30))
def test_every_trade_is_in_a_bar_or_counted_as_ignored(tape_in_batches, keep):
    trades, parts = tape_in_batches
    live = fed("1s", parts, keep=keep)
    visible = trades.ts_us // SECOND > trades.ts_us.max() // SECOND - keep
    assert live.frame(0).trades.sum() == visible.sum()
    assert live.ignored <= (~visible).sum()


@given(batches(), st.integers(0, 120), st.integers(0, 20))
def test_a_limited_frame_is_the_end_of_the_whole_one(tape_in_batches, now_s, limit):
    live = fed("1s", tape_in_batches[1])
    whole = live.frame(at(now_s))
    pd.testing.assert_frame_equal(live.frame(at(now_s), limit), whole.iloc[len(whole) - min(limit, len(whole)) :])


@given(batches(), st.integers(0, 120))
def test_columns_are_the_columns_of_the_frame(tape_in_batches, now_s):
    live = fed("1s", tape_in_batches[1])
    pd.testing.assert_frame_equal(live.columns(at(now_s), 9).frame(), live.frame(at(now_s), 9))


def test_recorded_trades_in_shuffled_batches_give_the_bars_of_a_recomputation():
    table = pd.read_csv(market("trades/spot_btcusdt_trades_20260203.csv.gz"))
    maker = table.IsBuyerMaker == "t"
    trades = Trades.of("BTCUSDT", table.TradeId, table.TradeTime * 1_000, table.Price, table.Quantity, maker)
    shuffled = trades[np.random.default_rng(5).permutation(len(trades))]
    live = fed("1s", [shuffled[row : row + 300] for row in range(0, len(trades), 300)], since_us=0)
    ours, batch = live.frame(int(trades.ts_us.max())), bars(trades, "1s")
    exact = ["open", "high", "low", "close", "trades", "complete"]
    pd.testing.assert_frame_equal(ours[exact], batch[exact], check_exact=True)
    pd.testing.assert_frame_equal(ours, batch, rtol=1e-12, atol=1e-12)


def test_the_bar_of_now_is_forming_and_those_before_are_closed():
    live = fed("1s", [steady(0, 3)], since_us=START)
    assert live.frame(at(3.9)).complete.tolist() == [True, True, True, False]
    assert live.frame(at(4.0)).complete.tolist() == [True, True, True, True, False]
    assert live.closed_through(at(3.9)) == at(2)
    assert live.closed_through(at(4.0)) == at(3)


def test_a_silent_symbol_has_flat_bars_up_to_now():
    table = fed("1s", [tape((1, 0.5, 10.0), (2, 0.6, 11.0))]).frame(at(3))
    assert table.close.tolist() == [11.0] * 4
    assert table.trades.tolist() == [2, 0, 0, 0]
    assert table.vwap.isna().tolist() == [False, True, True, True]


def test_long_silence_leaves_only_flat_bars():
    table = fed("1s", [steady(0, 3)], keep=5).frame(at(1_000))
    assert table.index.asi8.tolist() == [at(s) for s in range(996, 1_001)]
    assert (table.close == 10.0).all()
    assert (table.trades == 0).all()


def test_a_trade_ahead_of_the_clock_closes_the_bars_before_it():
    live = fed("1s", [steady(0, 3)], since_us=START)
    assert live.frame(at(1)).complete.tolist() == [True, True, True, False]
    assert live.closed_through(at(1)) == at(2)


def test_nothing_seen_is_no_bars():
    live = Resampler("1m")
    assert live.frame(at(5)).empty
    assert list(live.frame(at(5)).columns) == list(bars(steady(0, 0), "1m").columns)
    assert live.closed_through(at(125)) == at(60)
    assert live.revised().size == 0


def test_the_first_bar_is_incomplete_where_the_capture_began_inside_it():
    assert fed("1m", [steady(30, 150)]).frame(at(150)).complete.tolist() == [False, True, False]


def test_the_first_bar_is_complete_where_the_capture_began_at_its_open():
    assert fed("1m", [steady(30, 150)], since_us=START).frame(at(150)).complete.tolist() == [True, True, False]
    assert fed("1m", [tape((7, 0, 1.0))]).frame(at(60)).complete.tolist() == [True, False]


def test_older_trades_loaded_later_are_complete_once_said_so():
    live = fed("1m", [steady(130, 150), steady(0, 129)])
    assert live.frame(at(150)).complete.tolist() == [False, False, False]
    live.capture_began(START)
    assert live.frame(at(150)).complete.tolist() == [True, True, False]


def test_a_late_trade_amends_its_closed_bar_and_is_told():
    live = fed("1s", [tape((1, 0.5, 10.0), (3, 1.2, 12.0), (5, 2.5, 11.0))], since_us=START)
    assert live.frame(at(2.6)).close.tolist() == [10.0, 12.0, 11.0]
    seen = live.version
    live.update(tape((4, 1.1, 13.0)))
    table = live.frame(at(2.6))
    assert table.close.tolist() == [10.0, 13.0, 11.0]
    assert table.high.tolist() == [10.0, 13.0, 11.0]
    assert table.trades.tolist() == [1, 2, 1]
    assert live.revised().tolist() == [at(1)]
    assert live.revised(seen).tolist() == [at(1)]
    assert live.revised(live.version).tolist() == []


def test_an_amended_close_goes_on_through_the_empty_bars_behind():
    live = fed("1s", [tape((1, 0.5, 10.0), (9, 4.5, 11.0))])
    live.frame(at(6))
    live.update(tape((2, 0.6, 12.0), (10, 4.6, 13.0)))
    assert live.frame(at(6)).close.tolist() == [12.0, 12.0, 12.0, 12.0, 13.0, 13.0, 13.0]
    assert live.revised().tolist() == [at(s) for s in range(6)]


def test_a_late_trade_fills_an_empty_bar():
    live = fed("1s", [tape((1, 0.5, 10.0), (9, 4.5, 11.0))])
    live.frame(at(4.6))
    live.update(tape((5, 2.5, 12.0)))
    assert live.frame(at(4.6)).close.tolist() == [10.0, 10.0, 12.0, 12.0, 11.0]
    assert live.revised().tolist() == [at(2), at(3)]


def test_a_change_nobody_had_seen_is_no_revision():
    live = fed("1s", [tape((1, 0.5, 10.0), (9, 4.5, 11.0)), tape((5, 2.5, 12.0))])
    live.frame(at(4.6))
    assert live.revised().size == 0


def test_a_trade_older_than_the_bars_kept_is_counted_and_ignored():
    live = fed("1s", [steady(0, 20)], keep=5)
    live.update(tape((100, 15.9, 1.0), (101, 16.9, 2.0)))
    assert live.ignored == 1
    assert live.frame(at(20)).low.tolist() == [2.0, 10.0, 10.0, 10.0, 10.0]


def test_a_leap_ahead_leaves_the_past_behind():
    live = fed("1s", [steady(0, 20), tape((100, 5_000_000, 7.0))], keep=4)
    table = live.frame(at(5_000_000))
    assert table.close.tolist() == [10.0, 10.0, 10.0, 7.0]
    assert table.trades.tolist() == [0, 0, 0, 1]


def test_memory_stays_bounded_by_the_bars_kept():
    live = Resampler("1s", keep=100)
    for first in range(0, 20_000, 50):
        live.update(steady(first, first + 49))
        live.frame(at(first + 50))
    assert len(live._kept._table) < 1_000
    assert live.frame(at(19_999)).index.asi8.tolist() == [at(s) for s in range(19_900, 20_000)]


def test_a_gap_makes_its_bars_incomplete_until_it_is_filled():
    live = fed("1s", [steady(0, 9)], since_us=START)
    live.mark_incomplete(at(2.5), at(4.5))
    assert np.flatnonzero(~live.frame(at(9)).complete).tolist() == [2, 3, 4, 9]
    live.mark_complete(at(2.5), at(4.5))
    assert np.flatnonzero(~live.frame(at(9)).complete).tolist() == [9]


def test_two_gaps_in_one_bar_both_have_to_be_filled():
    live = fed("1s", [steady(0, 3)], since_us=START)
    for _ in range(2):
        live.mark_incomplete(at(1.2), at(1.4))
    live.mark_complete(at(1.2), at(1.4))
    assert live.frame(at(3)).complete.tolist() == [True, False, True, False]
    live.mark_complete(at(1.2), at(1.4))
    assert live.frame(at(3)).complete.tolist() == [True, True, True, False]


def test_a_gap_filled_in_part_leaves_its_ends():
    live = fed("1s", [steady(0, 9)], since_us=START)
    live.mark_incomplete(at(1.5), at(7.5))
    live.mark_complete(at(3.5), at(5.5))
    assert np.flatnonzero(~live.frame(at(9)).complete).tolist() == [1, 2, 3, 5, 6, 7, 9]


def test_a_gap_may_be_marked_before_its_bars_are_there():
    live = Resampler("1s", since_us=START)
    live.mark_incomplete(at(2.5), at(2.5))
    live.update(steady(0, 4))
    assert live.frame(at(4), 3).complete.tolist() == [False, True, False]


def test_a_gap_must_not_end_before_it_begins():
    with pytest.raises(InputError, match="before it begins"):
        Resampler("1s").mark_incomplete(at(2), at(1))


def test_the_version_grows_with_each_change_only():
    live = Resampler("1s", keep=5)
    versions = [live.version]
    for change in (
        lambda: live.update(steady(0, 20)),
        lambda: live.mark_incomplete(at(18), at(19)),
        lambda: live.mark_complete(at(18), at(19)),
        lambda: live.capture_began(START),
    ):
        change()
        versions.append(live.version)
    assert versions == sorted(set(versions))
    live.update(Trades.empty("T"))
    live.update(tape((99, 1, 1.0)))  # older than the bars kept
    live.frame(at(30))
    assert live.version == versions[-1]


def test_a_frame_belongs_to_its_reader():
    live = fed("1s", [steady(0, 5)])
    table = live.frame(at(5))
    before = table.copy(deep=True)
    live.update(tape((50, 2.9, 99.0), (51, 6.5, 98.0)))
    pd.testing.assert_frame_equal(table, before)
    table["close"] = 0.0
    assert live.frame(at(5)).close.iloc[2] == 99.0


@pytest.mark.parametrize("timeframe, keep, error", [("tick", 10, TimeframeError), ("1s", 0, InputError)])
def test_a_width_or_size_that_cannot_be_is_refused(timeframe, keep, error):
    with pytest.raises(error, match="was"):
        Resampler(timeframe, keep)


@settings(max_examples=20)
@given(batches())
def test_a_random_stream_with_readers_in_between_ends_the_same(tape_in_batches):
    trades, parts = tape_in_batches
    read, unread = Resampler("1s"), Resampler("1s")
    for part in parts:
        read.update(part)
        read.frame(int(part.ts_us.max()), 3)
        unread.update(part)
    now_us = int(trades.ts_us.max())
    pd.testing.assert_frame_equal(read.frame(now_us), unread.frame(now_us), check_exact=True)


def test_readers_beside_a_writer_never_see_half_a_batch():
    live, torn, done = Resampler("1s", keep=50), [], threading.Event()

    def read():
        while not done.is_set():
            table = live.columns(0)
            # Each batch is four trades of one second, at prices 1 to 4.
            torn.extend(table.trades[(table.trades % 4 != 0) | ((table.trades > 0) & (table.high != 4.0))].tolist())

    readers = [threading.Thread(target=read, name=f"reader-{i}") for i in range(2)]
    for reader in readers:
        reader.start()
    for second in range(2_000):
        live.update(tape(*((second * 4 + i, second + i / 10, 1.0 + i) for i in range(4))))
    done.set()
    for reader in readers:
        reader.join()
    assert torn == []
