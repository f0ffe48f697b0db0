"""One open market: bars that say what they miss, in memory and in the file, over runs and reconnections."""

import json
import sqlite3
import sys
import threading
from contextlib import closing, contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.resampling import bars
from data import session as session_module
from data.feeds.binance import USDM
from data.feeds.feed import FeedState
from data.feeds.socket import SocketFeed
from data.session import Session
from data.trades import Trades
from tests.fakes.exchange import FakeExchange
from tests.fakes.feed import S, ScriptedFeed
from tests.fakes.script import Stay
from tests.waiting import until
from utils.errors import TimeframeError

START = 1_700_000_040 * S  # a whole minute
MINUTE = 60 * S
NUMBERS = ["open", "high", "low", "close", "volume", "vwap", "trades", "taker_buy_volume"]


def tape(ids, step_s=1.0, symbol="T"):
    """One trade every `step_s`, half a step after the time that its id says; prices and amounts follow the id."""
    ids = np.asarray(ids, np.int64)
    times = START + ((ids + 0.5) * step_s * S).astype(np.int64)
    return Trades.of(symbol, ids, times, 100 + ids % 13 / 4, 1 + ids % 5 / 8, ids % 2)


def at_once(ids, second):
    """Trades that all happened within one second."""
    return replace(tape(ids), ts_us=np.full(len(ids), START + second * S + 1))


def moment(second):
    """A second after START as an index of bars has it."""
    return pd.Timestamp(START + second * S, unit="us", tz="UTC")


@pytest.fixture
def restless():
    """Threads take turns far more often than usual."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@contextmanager
def opened(folder, venue="demo", contiguous=True, capacity=10_000, symbols=("T",)):
    """A running session on a feed that the test holds."""
    market = Session(ScriptedFeed(venue, contiguous), folder / "tape.db", capacity)
    market.feed.clock_us = START
    market.start(symbols)
    try:
        yield market
    finally:
        market.stop()


def idle(venue="demo", capacity=1_000):
    """A session whose mirror does not run: bars in memory, no file, no thread."""
    return Session(ScriptedFeed(venue), Path("never-made.db"), capacity)


def watch_writes(market):
    """What a session hands to its mirror as bars: symbol, width and times of each call."""
    written = []
    market.mirror.put_bars = lambda symbol, timeframe, frame: written.append(
        (symbol, timeframe, frame.index.asi8.tolist())
    )
    return written


def feed(market, trades, until_s=None):
    """Deliver trades; the clock of the market stands at `until_s`, or at the newest of them."""
    market.ingestion.offer(trades)
    reached_us = int(trades.ts_us.max()) if until_s is None else START + round(until_s * S)
    market.feed.clock_us = max(market.feed.clock_us, reached_us)


def give_up(market):
    """Let the time of every hole pass."""
    market.ingestion.tick(float("inf"))
    market.housekeep()


def stored(folder, timeframe="1m", symbol="T", venue=None):
    """Bars in the file of a session that has stopped."""
    with closing(sqlite3.connect(folder / "tape.db")) as file:
        query = "select * from bars where symbol = ? and timeframe = ? and venue = ifnull(?, venue) order by ts_us"
        return pd.read_sql_query(query, file, params=(symbol, timeframe, venue))


def minutes(table):
    """Which minutes after START a table of stored bars holds, and whether each is complete."""
    return list(zip(((table.ts_us - START) // MINUTE).tolist(), table.complete.astype(bool).tolist(), strict=True))


# --- bars in memory --------------------------------------------------------------------------------


@settings(max_examples=60)
@given(st.integers(1, 300), st.randoms(), st.integers(1, 40), st.sampled_from([0.01, 0.3, 7.0]), st.data())
def test_live_bars_are_the_batch_bars_of_the_same_trades(size, order, lot, step_s, data):
    market = idle()
    ids = sorted(range(size), key=lambda i: i + order.random() * 30)
    at = data.draw(st.integers(0, size // lot))  # from here on somebody watches
    for number, row in enumerate(range(0, size, lot)):
        if number == at:
            market.bars("T", "1s", 5)
        feed(market, tape([0, *ids[row : row + lot]], step_s))
    batch = bars(tape(range(size), step_s), "1s")
    live = market.bars("T", "1s", 10_000)
    pd.testing.assert_frame_equal(live[NUMBERS], batch[NUMBERS], rtol=1e-12)
    assert market.bars("T", "1s", 3).equals(live.tail(3))


def test_each_width_and_symbol_has_bars_of_its_own(tmp_path):
    with opened(tmp_path, symbols=("T", "U")) as market:
        feed(market, tape(range(130)))
        feed(market, tape(range(65), step_s=2, symbol="U"))
        assert market.bars("T", "1s", 500).trades.sum() == 130
        assert market.bars("T", "1m", 500).trades.tolist() == [60, 60, 10]
        assert market.bars("U", "1m", 500).trades.tolist() == [30, 30, 5]
        assert market.bars("T", "1m", 2).trades.tolist() == [60, 10]
        with pytest.raises(TimeframeError):
            market.bars("T", "fortnight", 1)


def test_the_first_bar_is_complete_only_where_the_capture_began_at_its_open(tmp_path):
    with opened(tmp_path) as market:
        feed(market, tape(range(30, 150)))
        assert market.bars("T", "1m", 9).complete.tolist() == [False, True, False]
        market.ingestion.offer(replace(tape(range(150), symbol="U"), ts_us=START + np.arange(150) * S))
        assert market.bars("U", "1m", 9).complete.tolist() == [True, True, False]


def test_bars_that_touch_a_gap_are_incomplete_until_it_is_filled(tmp_path):
    with opened(tmp_path) as market:
        feed(market, tape(range(10)))
        assert market.bars("T", "1s", 99).complete.sum() == 8
        feed(market, tape(range(14, 20)))
        give_up(market)
        watched, fresh = market.bars("T", "1s", 99).complete, market.bars("T", "2s", 99).complete
        assert np.flatnonzero(~watched).tolist() == [0, *range(9, 15), 19]
        assert np.flatnonzero(~fresh).tolist() == [0, 4, 5, 6, 7, 9]
        feed(market, tape([12, 10]))
        market.housekeep()
        assert np.flatnonzero(~market.bars("T", "1s", 99).complete).tolist() == [0, *range(10, 15), 19]
        feed(market, tape([13, 11]))
        market.housekeep()
        assert np.flatnonzero(~market.bars("T", "1s", 99).complete).tolist() == [0, 19]
        assert np.flatnonzero(~market.bars("T", "2s", 99).complete).tolist() == [0, 9]


def test_holes_of_a_stream_with_legitimate_holes_leave_bars_complete(tmp_path):
    with opened(tmp_path, contiguous=False) as market:
        feed(market, tape([0, 1, 5, 6, 9]))
        give_up(market)
        assert market.bars("T", "1s", 99).complete.tolist() == [False] + [True] * 8 + [False]


def test_while_the_exchange_is_out_of_reach_bars_after_the_last_trade_are_incomplete(tmp_path):
    with opened(tmp_path, "binance-um") as market:
        feed(market, tape(range(6)), until_s=9)
        assert market.bars("T", "1s", 99).complete.tolist() == [False] + [True] * 8 + [False]
        market.feed.state = FeedState("RECONNECTING")
        assert market.bars("T", "1s", 99).complete.tolist() == [False] + [True] * 4 + [False] * 5
        market.feed.state = FeedState("LIVE")
        assert market.bars("T", "1s", 99).complete.sum() == 8


@pytest.mark.parametrize("venue, mode", [("replay", "ENDED"), ("replay", "PAUSED"), ("demo", "ENDED")])
def test_a_market_that_stands_still_misses_nothing(tmp_path, venue, mode):
    with opened(tmp_path, venue) as market:
        feed(market, tape(range(200)), until_s=240)
        market.feed.state = FeedState(mode)
        assert market.bars("T", "1m", 9).complete.tolist() == [False, True, True, True, False]
    assert minutes(stored(tmp_path)) == [(0, False), (1, True), (2, True), (3, True)]


def test_before_the_first_connection_bars_of_the_last_run_are_what_they_were(tmp_path):
    with opened(tmp_path, "binance-um") as market:
        feed(market, tape(range(6)))
    with opened(tmp_path, "binance-um") as market:
        market.feed.state = FeedState("CONNECTING")
        market.feed.clock_us = START + 9 * S
        assert market.bars("T", "1s", 99).complete.tolist() == [False] + [True] * 4 + [False] * 5


def test_trades_of_one_moment_around_two_gaps_keep_the_open_one_marked(tmp_path):
    with opened(tmp_path) as market:
        feed(market, tape(range(10)))
        feed(market, at_once([10, 12, 14], 20))
        give_up(market)
        market.bars("T", "1s", 99)
        feed(market, at_once([13], 20))
        feed(market, at_once([15], 30))
        market.housekeep()
        for timeframe in ("1s", "2s"):  # watched before, and since
            assert not market.bars("T", timeframe, 99).complete[moment(20)]
        feed(market, at_once([11], 20))
        market.housekeep()
        for timeframe in ("1s", "2s", "5s"):
            assert market.bars("T", timeframe, 99).complete[moment(20)]


def test_a_gap_found_before_a_width_is_watched_is_forgotten_when_filled(tmp_path):
    with opened(tmp_path) as market:
        feed(market, tape(range(10)))
        feed(market, tape(range(12, 20)))
        market.ingestion.tick(float("inf"))  # found, and not yet passed on
        assert not market.bars("T", "1s", 99).complete[9:13].any()
        market.housekeep()
        feed(market, tape([10, 11]))
        market.housekeep()
        assert market.bars("T", "1s", 99).complete[1:-1].all()


def test_a_gap_between_trades_whose_times_step_back_is_marked(tmp_path):
    with opened(tmp_path) as market:
        feed(market, tape(range(10)))
        feed(market, at_once([12], 7))
        feed(market, at_once([13], 15))
        give_up(market)
        complete = market.bars("T", "1s", 99).complete
        assert [second for second in range(1, 15) if not complete[moment(second)]] == [7, 8, 9]


# --- bars and gaps in the file ----------------------------------------------------------------------


@pytest.mark.parametrize("venue", ["demo", "replay", "binance-um"])
def test_minute_bars_of_every_symbol_are_stored_and_others_where_watched(tmp_path, venue):
    with opened(tmp_path, venue, symbols=(symbol for symbol in "TU")) as market:
        market.bars("T", "5s", 1)
        for symbol in "TU":
            feed(market, tape(range(185), symbol=symbol))
            market.housekeep()
        frame = market.bars("T", "1m", 9)
    for symbol in "TU":
        assert minutes(stored(tmp_path, symbol=symbol)) == [(0, False), (1, True), (2, True)]
    pd.testing.assert_frame_equal(
        stored(tmp_path)[NUMBERS], frame[NUMBERS][:-1].reset_index(drop=True), check_exact=True
    )
    assert stored(tmp_path, "5s").trades.tolist() == [5] * 36
    assert stored(tmp_path, "5s", "U").empty
    assert (stored(tmp_path).venue == venue).all()


def test_each_closed_bar_is_written_once():
    market = idle()
    market.resampler("T", "1m")
    written = watch_writes(market)
    for first in range(0, 300, 20):
        feed(market, tape(range(first, first + 20)))
        market.housekeep()
        market.bars("T", "1m", 9)
        market.housekeep()
    market.housekeep(final=True)
    assert [("T", "1m", [START + i * MINUTE]) for i in range(4)] == written


def test_the_forming_bar_is_not_stored_by_a_stop(tmp_path):
    with opened(tmp_path) as market:
        feed(market, tape(range(90)), until_s=119)
    assert minutes(stored(tmp_path)) == [(0, False)]


def test_a_trade_that_comes_after_its_bar_was_stored_is_in_the_stored_bar(tmp_path):
    with opened(tmp_path, "binance-um") as market:
        feed(market, tape(range(119)), until_s=120)  # the last trade of the minute is on its way
        market.housekeep()
        feed(market, tape(range(119, 130)))
        market.housekeep()
        frame = market.bars("T", "1m", 9)
    assert stored(tmp_path).trades.tolist() == [60, 60]
    assert stored(tmp_path).close.tolist() == frame.close.tolist()[:-1]


def test_bars_stored_before_their_gap_was_found_are_incomplete_in_the_file(tmp_path):
    with opened(tmp_path) as market:
        feed(market, tape(range(90)), until_s=90)
        for minute in range(2, 6):  # silence, as far as anybody knows
            market.feed.clock_us = START + minute * MINUTE
            market.housekeep()
        feed(market, tape([301, *range(302, 430)]))
        give_up(market)
    assert minutes(stored(tmp_path)) == [(0, False), *((i, False) for i in range(1, 6)), (6, True)]


def test_bars_of_a_filled_gap_are_whole_and_complete_in_the_file(tmp_path):
    with opened(tmp_path) as market:
        feed(market, tape(range(120)))
        feed(market, tape(range(185, 310)))
        give_up(market)
        feed(market, tape(range(120, 185)))  # none of them in the first bar that the gap touches
        market.housekeep()
    table = stored(tmp_path)
    assert minutes(table) == [(0, False), (1, True), (2, True), (3, True), (4, True)]
    assert table.trades.tolist() == [60] * 5


def test_a_long_backlog_is_written_over_several_rounds_and_whole_at_the_end(monkeypatch):
    monkeypatch.setattr(session_module, "MAX_STORED_AT_ONCE", 50)
    market = idle()
    market.resampler("T", "1s")
    written = watch_writes(market)
    feed(market, tape(range(131)))
    for _ in range(4):
        market.housekeep()
    assert [len(times) for _, _, times in written] == [50, 50, 30]
    feed(market, tape(range(131, 300)))
    market.housekeep(final=True)
    assert [ts_us for _, _, times in written for ts_us in times] == [START + i * S for i in range(299)]


def test_bars_of_an_outage_are_not_stored_as_if_nothing_was_missing(tmp_path):
    with opened(tmp_path, "binance-um") as market:
        feed(market, tape(range(90)))
        market.feed.state = FeedState("RECONNECTING")
        market.feed.clock_us = START + 5 * MINUTE
        market.housekeep()
        market.bars("T", "1m", 9)
    assert minutes(stored(tmp_path)) == [(0, False)]


def test_bars_of_an_outage_are_stored_once_the_exchange_is_back(tmp_path):
    with opened(tmp_path, "binance-um") as market:
        feed(market, tape(range(90)))
        market.feed.state = FeedState("RECONNECTING")
        market.feed.clock_us = START + 3 * MINUTE
        market.housekeep()
        market.feed.state = FeedState("LIVE")
        feed(market, replace(tape([90]), ts_us=np.array([START + 3 * MINUTE + S])))
        market.housekeep()
    assert minutes(stored(tmp_path)) == [(0, False), (1, True), (2, True)]


def test_gaps_and_what_became_of_them_are_in_the_file(tmp_path):
    with opened(tmp_path) as market:
        put, told = market.mirror.put_gap, []
        market.mirror.put_gap = lambda gap: (told.append(gap.first_id), put(gap))
        feed(market, tape([0, 1, 5, 6, 9]))
        give_up(market)
        feed(market, tape([7, 8]))
        market.housekeep()
        market.housekeep()
        shown = market.ingestion.gaps()
    assert told == [2, 7, 7]
    with closing(sqlite3.connect(tmp_path / "tape.db")) as file:
        columns = "symbol, first_id, last_id, cause, found_us, filled_us"
        rows = file.execute(f"select {columns} from gaps order by first_id").fetchall()
    expected = [(g.symbol, g.first_id, g.last_id, g.cause, g.found_us, g.filled_us) for g in shown]
    assert rows == expected
    assert [(row[1], row[2], row[5] is None) for row in rows] == [(2, 4, True), (7, 8, False)]


def test_trades_held_at_the_stop_are_stored_with_the_gap_before_them(tmp_path):
    with opened(tmp_path) as market:
        feed(market, tape([0, 1, 5]))
        market.stop()
        assert market.feed.stopped
        row = market.ingestion.counts()["T"]
        assert (row.received, row.stored, row.queued, row.gaps_open) == (3, 3, 0, 1)
    with closing(sqlite3.connect(tmp_path / "tape.db")) as file:
        assert [row[0] for row in file.execute("select trade_id from trades")] == [0, 1, 5]
        assert file.execute("select first_id, last_id from gaps").fetchall() == [(2, 4)]


# --- over several runs ------------------------------------------------------------------------------


def test_a_live_session_goes_on_where_the_last_one_ended(tmp_path):
    with opened(tmp_path, "binance-um") as market:
        feed(market, tape(range(90)))
    with opened(tmp_path, "binance-um") as market:
        assert market.buffer.snapshot("T").trade_id.tolist() == list(range(90))
        feed(market, tape(range(80, 190)))
        market.housekeep()
        assert market.ingestion.gaps() == []
        assert market.ingestion.counts()["T"].deduped == 10
        assert market.bars("T", "1m", 9).trades.tolist() == [60, 60, 60, 10]
    assert minutes(stored(tmp_path)) == [(0, False), (1, True), (2, True)]
    assert stored(tmp_path).trades.tolist() == [60] * 3


@pytest.mark.parametrize("venue", ["demo", "replay"])
def test_other_sessions_begin_anew(tmp_path, venue):
    for _ in range(2):
        with opened(tmp_path, venue) as market:
            assert market.buffer.count("T") == 0
            feed(market, tape(range(5, 9)))
            assert market.buffer.count("T") == 4
            assert market.ingestion.gaps() == []
    counts = market.ingestion.counts()["T"]
    assert (counts.received, counts.stored, counts.deduped) == (4, 0, 4)  # the file has them from the first time


def test_markets_do_not_resume_each_other(tmp_path):
    with opened(tmp_path, "binance-um") as market:
        feed(market, tape(range(5)))
    with opened(tmp_path, "binance-spot") as market:
        assert market.buffer.count("T") == 0


def test_what_was_missed_between_two_runs_is_a_gap_and_its_bars_are_incomplete(tmp_path):
    with opened(tmp_path, "binance-um") as market:
        feed(market, tape(range(150)))
    with opened(tmp_path, "binance-um") as market:
        feed(market, tape(range(290, 430)))
        give_up(market)
        (gap,) = market.ingestion.gaps()
        assert (gap.first_id, gap.last_id, gap.cause) == (150, 289, "offline")
        assert market.bars("T", "1m", 9).complete.tolist() == [False, True, False, False, False, True, True, False]
    assert minutes(stored(tmp_path)) == [(i, i in (1, 5, 6)) for i in range(7)]


def test_gaps_of_an_earlier_run_leave_their_bars_incomplete(tmp_path):
    with opened(tmp_path, "binance-um") as market:
        feed(market, tape(range(70)))
        feed(market, tape(range(130, 200)))
        give_up(market)
    with opened(tmp_path, "binance-um") as market:
        feed(market, tape(range(200, 310)))
        market.housekeep()
        (gap,) = market.ingestion.gaps()  # as the file keeps it
        assert (gap.first_id, gap.last_id, gap.cause) == (70, 129, "missed")
        assert market.bars("T", "1m", 9).complete.tolist() == [False, False, False, True, True, False]
        assert np.flatnonzero(~market.bars("T", "10s", 99).complete).tolist() == [0, *range(6, 14), 30]
    assert minutes(stored(tmp_path)) == [(0, False), (1, False), (2, False), (3, True), (4, True)]


def test_holes_that_are_legitimate_are_so_in_the_next_run_as_well(tmp_path):
    for ids in (range(0, 100, 3), range(102, 190, 3)):
        with opened(tmp_path, "binance-um", contiguous=False) as market:
            feed(market, tape(ids))
            market.housekeep()
    assert minutes(stored(tmp_path)) == [(0, False), (1, True), (2, True)]


@pytest.mark.parametrize("capacity, resumed", [(100, 10_000), (10_000, 100)])
def test_memory_that_holds_a_part_of_a_stored_bar_does_not_replace_it(tmp_path, monkeypatch, capacity, resumed):
    with opened(tmp_path, "binance-um") as market:
        feed(market, tape(range(250)))
    before = stored(tmp_path)
    assert before.trades.tolist() == [60] * 4
    monkeypatch.setattr(session_module, "RESUME_TRADES", resumed)
    with opened(tmp_path, "binance-um", capacity=capacity) as market:
        feed(market, tape(range(250, 310)))
        market.housekeep()
        assert market.bars("T", "1m", 9).complete.tolist()[-2:] == [True, False]
    after = stored(tmp_path)
    pd.testing.assert_frame_equal(after[:4], before)
    assert minutes(after)[4:] == [(4, True)]


def test_a_symbol_that_is_followed_again_is_in_memory_once(tmp_path):
    with opened(tmp_path, "binance-um") as market:
        feed(market, tape(range(5)))
        until(market.ingestion.counts, lambda counts: counts["T"].queued == 0)
        market.follow(["T"])
        feed(market, tape(range(5, 7)))
        assert market.buffer.snapshot("T").trade_id.tolist() == list(range(7))


def test_a_symbol_that_is_added_later_has_stored_minute_bars(tmp_path):
    with opened(tmp_path, "binance-um") as market:
        feed(market, tape(range(200)))
        market.follow(["T", "U"])
        feed(market, tape(range(200), symbol="U"))
    assert minutes(stored(tmp_path, symbol="U")) == [(0, False), (1, True), (2, True)]


# --- all together -----------------------------------------------------------------------------------


def beside(work, *others):
    """Run `work` in threads beside others that loop until it ends."""
    done = threading.Event()

    def loop(other):
        while not done.is_set():
            other()

    first = threading.Thread(target=work, name="work")
    threads = [threading.Thread(target=loop, args=(other,), name=f"beside-{i}") for i, other in enumerate(others)]
    for thread in (first, *threads):
        thread.start()
    first.join()
    done.set()
    for thread in threads:
        thread.join()


def test_widths_watched_while_trades_flow_count_each_trade_once(restless):
    market, sent, seen = idle(capacity=200_000), count(0, 5), set()
    widths, together = [f"{n}s" for n in range(1, 120)], threading.Barrier(3)

    def watch():
        for timeframe in widths:
            together.wait(10)
            seen.add(market.resampler("T", timeframe))

    def pages():
        threads = [threading.Thread(target=watch, name=f"page-{i}") for i in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def print_trades():
        first = next(sent)
        feed(market, tape(range(first, first + 5), 0.1))

    beside(pages, print_trades)
    total = next(sent)
    assert {market.bars("T", timeframe, 20_000).trades.sum() for timeframe in widths} == {total}
    assert len(seen) == len(widths)


def test_no_bar_is_left_out_of_the_file_when_a_page_looks_in_between():
    market = idle()
    resampler, written = market.resampler("T", "1s"), watch_writes(market)
    closed_through = resampler.closed_through
    page = threading.Thread(target=market.bars, args=("T", "1s", 1), name="page")

    def interrupted(now_us):
        resampler.closed_through = closed_through
        found = closed_through(now_us)
        market.ingestion.offer(tape(range(5, 9)))
        page.start()
        page.join(0.05)  # held back until the bars are read, or they would be other ones
        return found

    feed(market, tape(range(3)))
    market.housekeep()
    feed(market, tape(range(3, 5)))
    resampler.closed_through = interrupted
    market.housekeep()
    page.join()
    market.housekeep()
    assert [ts_us for _, _, times in written for ts_us in times] == [START + i * S for i in range(8)]


def frame(trade_id, **fields):
    """A trade as the exchange pushes it, with some fields of the test's own."""
    event = {"e": "aggTrade", "E": START // 1_000, "s": "BTCUSDT", "a": trade_id, "p": "100.5", "q": "1", "f": 1}
    event |= {"l": 1, "T": START // 1_000, "m": False, **fields}
    return json.dumps({"stream": f"{event['s'].lower()}@aggTrade", "data": event})


BAD = [("price", "p", "NaN"), ("price", "p", "0"), ("price", "p", "-3"), ("qty", "q", "0.000"), ("qty", "q", "-1")]
BAD += [("qty", "q", "Infinity"), ("time", "T", 1_000), ("time", "T", 9_999_999_999_999)]


def test_what_the_exchange_prints_wrongly_is_counted_and_never_stored(tmp_path):
    reasons = [reason for reason, _, _ in BAD]
    bad = [frame(3 + number, **{name: value}) for number, (_, name, value) in enumerate(BAD)]
    script = [frame(1), *bad, frame(4, s="DOGEUSDT"), frame(2), Stay()]
    with FakeExchange(script) as exchange:
        market = Session(SocketFeed(USDM, exchange.ws_url, ["BTCUSDT"]), tmp_path / "tape.db", 100)
        market.start(["BTCUSDT"])
        row = until(lambda: market.ingestion.counts().get("BTCUSDT"), lambda row: row and row.last_trade_id == 2)
        market.stop()
    assert row.rejected == {reason: reasons.count(reason) for reason in reasons}
    assert (row.received, row.gaps_open) == (2 + len(bad), 0)
    assert list(market.ingestion.counts()) == ["BTCUSDT"]
    with closing(sqlite3.connect(tmp_path / "tape.db")) as file:
        rows = file.execute("select symbol, trade_id, price, qty from trades").fetchall()
    assert rows == [("BTCUSDT", 1, 100.5, 1.0), ("BTCUSDT", 2, 100.5, 1.0)]


def test_versions_go_on_where_bars_are_made_anew_after_an_import(tmp_path):
    """Else a reader that knows a version is told of no change until the count has passed it."""
    with opened(tmp_path, "binance-um") as market:
        for ids in range(20):
            feed(market, tape([ids]))
            market.bars("T", "1s", 10)
        known = market.resampler("T", "1s").version
        market.take_up_history(["T"])
        assert market.resampler("T", "1s").version > known
