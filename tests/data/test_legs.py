"""Two legs on one grid: aligned whatever arrives when, closed bars apart from the forming ones."""

import sys
import threading
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.resampling import bars
from data.legs import closes, legs, trades_of
from data.session import Session
from data.trades import Trades
from tests.fakes.feed import S, ScriptedFeed
from utils.errors import TimeframeError

START = 1_700_000_040 * S  # a whole minute


@pytest.fixture
def market():
    """A session whose mirror does not run: bars in memory, no file, no thread."""
    return idle()


def idle():
    session = Session(ScriptedFeed(), Path("never-made.db"), 10_000)
    session.feed.clock_us = START
    return session


def tape(symbol, seconds, prices=None, first_id=0):
    """A trade at each of some seconds after START."""
    seconds = np.asarray(seconds, float)
    ids = first_id + np.arange(seconds.size)
    prices = 100.0 + ids if prices is None else prices
    return Trades.of(symbol, ids, START + (seconds * S).astype(np.int64), prices, np.ones(ids.size), ids % 2)


def feed(market, *tapes, until_s):
    """Deliver trades; the clock of the market then stands at `until_s`."""
    for trades in tapes:
        market.ingestion.offer(trades)
    market.feed.clock_us = START + round(until_s * S)


def seconds(leg):
    """Times of a leg's rows, seconds after START."""
    return ((leg.ts_us - START) / S).tolist()


def test_both_legs_have_the_closed_bars_that_both_have(market):
    feed(market, tape("Y", [0.5, 1.5, 2.5, 3.5, 4.5]), tape("X", [2.1, 2.9, 4.2], [7.0, 8.0, 9.0]), until_s=5.5)
    y, x = legs(market, "Y", "X", "1s", 100)
    assert seconds(y) == seconds(x) == [2, 3, 4]
    assert y.closes.tolist() == [102, 103, 104]
    assert x.closes.tolist() == [8, 8, 9]
    assert (y.forming, x.forming) == (104, 9)
    assert (y.complete.tolist(), x.complete.tolist()) == ([True] * 3, [False, True, True])


def test_the_newest_rows_are_given(market):
    feed(market, tape("Y", range(50)), tape("X", range(50)), until_s=50)
    y, x = legs(market, "Y", "X", "1s", 7)
    assert seconds(y) == seconds(x) == [43, 44, 45, 46, 47, 48, 49]
    y, x = legs(market, "X", "Y", "5s", 3)
    assert seconds(y) == seconds(x) == [35, 40, 45]


def test_the_forming_bar_moves_and_the_closed_ones_do_not(market):
    feed(market, tape("Y", range(5)), tape("X", range(5)), until_s=5.2)
    before = legs(market, "Y", "X", "1s", 9)
    feed(market, tape("Y", [5.3], [55.0], first_id=5), until_s=5.4)
    after = legs(market, "Y", "X", "1s", 9)
    assert (before[0].forming, after[0].forming) == (104, 55)
    assert [leg.version for leg in before] == [leg.version for leg in after]
    assert before[0].closes.tolist() == after[0].closes.tolist() == [100, 101, 102, 103, 104]


def test_a_bar_that_closes_or_changes_makes_another_version(market):
    feed(market, tape("Y", [0, 1, 2, 3]), tape("X", [0, 1, 2, 3]), until_s=3.9)
    versions = [legs(market, "Y", "X", "1s", 9)[1].version]
    feed(market, until_s=4)  # the bar closes
    versions.append(legs(market, "Y", "X", "1s", 9)[1].version)
    feed(market, tape("X", [2.9], [5.0], first_id=4), until_s=4.5)  # a late trade of a closed bar
    y, x = legs(market, "Y", "X", "1s", 9)
    versions.append(x.version)
    market.resampler("X", "1s").mark_incomplete(START, START)
    versions.append(legs(market, "Y", "X", "1s", 9)[1].version)
    assert len(set(versions)) == 4
    assert (y.closes.tolist(), x.closes.tolist()) == ([100, 101, 102, 103], [100, 101, 5, 103])


def test_a_change_while_legs_are_read_is_seen_the_next_time(market):
    feed(market, tape("Y", range(4)), tape("X", range(4)), until_s=4)
    resampler = market.resampler("X", "1s")
    columns, late = resampler.columns, [tape("X", [2.9], [5.0], first_id=4)]

    def read(*args):
        found = columns(*args)
        if late:
            resampler.update(late.pop())
        return found

    resampler.columns = read
    _, before = legs(market, "Y", "X", "1s", 9)
    _, after = legs(market, "Y", "X", "1s", 9)
    assert (before.closes.tolist(), after.closes.tolist()) == ([100, 101, 102, 103], [100, 101, 5, 103])
    assert before.version != after.version


@pytest.mark.parametrize("ahead", ["Y", "X"])
def test_a_trade_ahead_of_the_clock_closes_the_bars_of_both_legs(market, ahead):
    feed(market, tape("Y", range(5)), tape("X", range(5)), until_s=4.9)
    assert seconds(legs(market, "Y", "X", "1s", 3)[0]) == [1, 2, 3]
    feed(market, tape(ahead, [5.1], [9.0], first_id=5), until_s=4.95)
    y, x = legs(market, "Y", "X", "1s", 3)
    assert seconds(y) == seconds(x) == [2, 3, 4]
    assert y.closes.tolist() == x.closes.tolist() == [102, 103, 104]
    assert {"Y": y.forming, "X": x.forming} == {"Y": 104, "X": 104, ahead: 9}


@pytest.mark.parametrize("timeframe", ["1s", "tick"])
@pytest.mark.parametrize("traded", [(), ("Y",), ("X",)])
def test_a_leg_without_trades_leaves_nothing(market, timeframe, traded):
    feed(market, *(tape(symbol, range(5)) for symbol in traded), until_s=5)
    for leg in legs(market, "Y", "X", timeframe, 9):
        assert (leg.ts_us.size, leg.closes.size, leg.complete.size, leg.forming) == (0, 0, 0, None)
        assert (leg.ts_us.dtype, leg.closes.dtype, leg.complete.dtype) == (np.int64, np.float64, np.bool_)


def test_before_the_first_close_there_is_only_a_forming_bar(market):
    feed(market, tape("Y", [0.1, 0.2]), tape("X", [0.3]), until_s=0.9)
    y, x = legs(market, "Y", "X", "1s", 9)
    assert (y.ts_us.size, x.ts_us.size) == (0, 0)
    assert (y.forming, x.forming) == (101, 100)
    feed(market, until_s=1)
    assert [leg.closes.tolist() for leg in legs(market, "Y", "X", "1s", 9)] == [[101], [100]]


def test_a_width_that_cannot_be_is_refused(market):
    with pytest.raises(TimeframeError):
        legs(market, "Y", "X", "2w", 9)


def test_bars_of_a_gap_are_incomplete_in_their_leg_alone(market):
    feed(market, tape("Y", range(9)), tape("X", range(4)), tape("X", range(6, 9), first_id=6), until_s=9)
    market.ingestion.tick(float("inf"))
    y, x = legs(market, "Y", "X", "1s", 9)
    assert y.complete.tolist() == [True] * 9
    assert x.complete.tolist() == [True] * 3 + [False] * 4 + [True] * 2


TRADED = st.lists(st.integers(0, 600), min_size=1, max_size=60).map(lambda tenths: np.sort(tenths) / 10)


@settings(max_examples=80)
@given(TRADED, TRADED, st.integers(0, 70), st.sampled_from(["1s", "3s", "1m"]), st.integers(1, 30))
def test_legs_are_the_end_of_the_batch_bars_whatever_the_clock_says(at_y, at_x, now_s, timeframe, rows):
    market, tapes = idle(), (tape("Y", at_y), tape("X", at_x))
    feed(market, *tapes, until_s=now_s)
    found = legs(market, "Y", "X", timeframe, rows)
    # One trade more in both, now or at the newest trade of either, ends their bars there.
    end_s = max(now_s, at_y[-1], at_x[-1])
    whole = [bars(Trades.concat("T", [t, tape("T", [end_s], first_id=99)]), timeframe) for t in tapes]
    count = min(rows, *(len(frame) - 1 for frame in whole))
    assert found[0].ts_us.tolist() == found[1].ts_us.tolist()
    for leg, frame in zip(found, whole, strict=True):
        closed = frame[len(frame) - 1 - count : -1]
        assert leg.ts_us.tolist() == closed.index.asi8.tolist()
        assert leg.closes.tolist() == closed.close.tolist()


# --- at trade times ---------------------------------------------------------------------------------


def test_at_trade_times_each_leg_has_its_last_price(market):
    feed(market, tape("Y", [0, 1, 3, 3, 6]), tape("X", [2, 3, 4], [7.0, 8.0, 9.0]), until_s=9)
    y, x = legs(market, "Y", "X", "tick", 99)
    assert seconds(y) == seconds(x) == [2, 3, 4, 6]
    assert y.closes.tolist() == [101, 103, 103, 104]
    assert x.closes.tolist() == [7, 8, 9, 9]
    assert (y.forming, x.forming) == (None, None)
    assert y.complete.all()
    assert x.complete.all()


def test_at_trade_times_the_newest_rows_are_given(market):
    feed(market, tape("Y", range(0, 40, 2)), tape("X", range(1, 41, 2)), until_s=41)
    y, x = legs(market, "Y", "X", "tick", 5)
    assert seconds(y) == seconds(x) == [35, 36, 37, 38, 39]
    assert y.closes.tolist() == [117, 118, 118, 119, 119]


def test_at_trade_times_every_new_trade_makes_another_version(market):
    feed(market, tape("Y", range(9)), tape("X", range(9)), until_s=9)
    versions = [[leg.version for leg in legs(market, "Y", "X", "tick", 4)]]
    assert [leg.version for leg in legs(market, "Y", "X", "tick", 4)] == versions[0]
    feed(market, tape("X", [9, 12], first_id=10), until_s=13)  # 9 is missing
    market.ingestion.tick(float("inf"))
    versions.append([leg.version for leg in legs(market, "Y", "X", "tick", 4)])
    feed(market, tape("X", [8.5], [1.0], first_id=9), until_s=13)
    y, x = legs(market, "Y", "X", "tick", 4)
    assert (seconds(x), x.closes.tolist()) == ([8, 8.5, 9, 12], [108, 1, 110, 111])
    versions.append([y.version, x.version])
    assert all(one != other for one, other in pairwise(versions))


@settings(max_examples=80)
@given(TRADED, TRADED, st.integers(1, 100))
def test_at_trade_times_no_leg_looks_ahead(at_y, at_x, rows):
    market, tapes = idle(), (tape("Y", at_y), tape("X", at_x))
    feed(market, *tapes, until_s=70)
    found = legs(market, "Y", "X", "tick", rows)
    held = [trades[-rows:] for trades in tapes]
    assert found[0].ts_us.size <= rows
    for leg, trades in zip(found, held, strict=True):
        assert (np.diff(leg.ts_us) > 0).all()
        expected = [trades.price[trades.ts_us <= at][-1] for at in leg.ts_us]
        assert leg.closes.tolist() == expected
    newest = max(int(trades.ts_us[-1]) for trades in tapes)
    assert found[0].ts_us[-1] == newest


# --- threads ----------------------------------------------------------------------------------------


@pytest.fixture
def restless():
    """Threads take turns far more often than usual."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def test_legs_are_on_one_grid_while_trades_flow(market, restless):
    feed(market, tape("Y", [0]), tape("X", [0]), until_s=0)
    done, apart = threading.Event(), []

    def write():
        for i in range(1, 1_500):  # the clock stands still: each trade is ahead of it
            market.ingestion.offer(tape("YX"[i % 2], [i], first_id=(i + 1) // 2))
        done.set()

    def look():
        while not done.is_set():
            market.bars("Y", "1s", 1)
            market.bars("X", "1s", 1)

    def read():
        while not done.is_set():
            y, x = legs(market, "Y", "X", "1s", 20)
            if y.ts_us.tolist() != x.ts_us.tolist():
                apart.append((y.ts_us, x.ts_us))

    threads = [threading.Thread(target=work, name=work.__name__) for work in (write, look, read)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert apart == []


def test_closes_of_many_symbols_end_at_one_closed_bar_and_begin_where_each_does(market):
    feed(market, tape("Y", [0.5, 1.5, 2.5, 3.5, 4.5]), tape("X", [2.1, 2.9, 5.2], [7.0, 8.0, 9.0]), until_s=4.8)
    found = closes(market, ("Y", "X", "Z"), "1s", 100)
    assert ((found.index.asi8 - START) / S).tolist() == [0, 1, 2, 3, 4]  # the trade ahead of the clock moved all on
    np.testing.assert_array_equal(found["Y"], [100, 101, 102, 103, 104])
    np.testing.assert_array_equal(found["X"], [np.nan, np.nan, 8, 8, 8])
    assert found["Z"].isna().all()
    assert closes(market, ("Y", "X"), "1s", 2).index.equals(found.index[-2:])
    assert closes(idle(), ("Y",), "1s", 5).shape == (0, 1)


def test_trades_of_two_legs_cover_one_stretch_of_time(market):
    feed(market, tape("Y", [0.5, 1.5, 2.5, 3.5]), tape("X", [2.1, 2.9, 2.8, 4.2]), until_s=5)
    y, x = trades_of(market, "Y", "X", START, 100)
    assert (seconds(y), seconds(x)) == ([2.5, 3.5], [2.1, 2.9, 2.9, 4.2])  # no time steps back
    y, x = trades_of(market, "Y", "X", START + 3 * S, 100)
    assert (seconds(y), seconds(x)) == ([], [4.2])
    y, x = trades_of(market, "Y", "X", START, 2)
    assert (seconds(y), seconds(x)) == ([3.5], [2.8, 4.2])
    assert [len(leg) for leg in trades_of(market, "Y", "Z", START, 2)] == [2, 0]
