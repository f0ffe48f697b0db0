"""The sequencer and its books: order, repeats, holes and late trades, and nothing lost or counted twice."""

import contextlib
import itertools
import json
import sqlite3
import sys
import threading
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data import ingestion
from data.feeds.binance import decode
from data.ingestion import HOLD_S, RATE_S, Gap, Ingestion, still_missing
from data.storage import Mirror, TickBuffer
from data.trades import Trades
from tests.waiting import until

START_US = 1_700_000_040_000_000  # a whole minute
PATIENCE_S = 0.5  # what the tests hold a trade for


def tape(ids, symbol="T"):
    """Trades whose every column follows from their ids."""
    ids = np.asarray(ids, np.int64)
    return Trades.of(symbol, ids, START_US + ids * 1_000, ids / 8 + 1, ids % 7 / 4 + 0.25, ids % 2)


class Disk:
    """A mirror that commits when the test says so."""

    def __init__(self, room=10**9, known=()):
        self.counting, self.on_commit = contextlib.nullcontext(), None
        self.room, self.ids, self.waiting = room, {(symbol, i) for symbol, i in known}, []

    def put(self, trades):
        taken = trades[: self.room - sum(map(len, self.waiting))]
        if len(taken):
            self.waiting.append(taken)
        return len(taken)

    def queued(self, symbol):
        return sum(len(trades) for trades in self.waiting if trades.symbol == symbol)

    def commit(self):
        waiting, self.waiting = self.waiting, []
        for trades in waiting:
            keys = {(trades.symbol, i) for i in trades.trade_id.tolist()}
            new = len(keys - self.ids)
            self.ids |= keys
            self.on_commit(trades.symbol, new, len(trades) - new)


class Line:
    """An ingestion whose clock and disk the test holds; it remembers what was emitted."""

    def __init__(self, *, contiguous=True, disk=None):
        self.now_s = 100.0
        self.disk = Disk() if disk is None else disk
        self.buffer = TickBuffer(100_000)
        self.sink = Ingestion(
            self.buffer, self.disk, contiguous=contiguous, hold_s=PATIENCE_S, clock_s=lambda: self.now_s
        )
        self.batches = []
        self.sink.on_emit.append(self.batches.append)

    def offer(self, *ids, symbol="T"):
        self.sink.offer(tape(ids, symbol))

    def wait(self, seconds):
        self.now_s += seconds
        self.sink.tick(self.now_s)

    def emitted(self, symbol="T"):
        return [i for batch in self.batches if batch.symbol == symbol for i in batch.trade_id.tolist()]

    def counts(self, symbol="T"):
        return self.sink.counts()[symbol]

    def gaps(self, symbol="T"):
        return [(g.first_id, g.last_id, g.filled_us is None) for g in self.sink.gaps() if g.symbol == symbol]


def settled(row):
    """Everything that a row of counts accounts for."""
    return row.stored + row.deduped + sum(row.rejected.values()) + sum(row.dropped.values()) + row.queued


# --- one stream, told by examples -----------------------------------------------------------------


def test_trades_in_order_pass_at_once():
    line = Line()
    line.offer(5, 6, 7)
    line.offer(8)
    assert line.emitted() == [5, 6, 7, 8]
    assert line.buffer.snapshot("T").trade_id.tolist() == [5, 6, 7, 8]
    assert (line.counts().last_trade_id, line.counts().last_trade_us) == (8, START_US + 8_000)


def test_disorder_within_the_patience_is_put_right():
    line = Line()
    line.offer(1, 2)
    line.offer(4)
    line.offer(6, 5)
    assert (line.emitted(), line.counts().held, line.gaps()) == ([1, 2], 3, [])
    line.wait(PATIENCE_S / 2)
    line.offer(3)
    assert (line.emitted(), line.counts().held) == ([1, 2, 3, 4, 5, 6], 0)
    line.wait(10)
    assert line.gaps() == []


def test_delays_count_from_arrival_to_when_everybody_reads_a_trade():
    line = Line()
    line.sink.on_emit.append(lambda trades: setattr(line, "now_s", line.now_s + 0.02))  # a slow listener
    line.offer(1, 2)
    found = line.sink.readable.lately(line.now_s)
    assert found.count == 2 and found.p99_s == pytest.approx(0.02, rel=0.3)
    line.offer(4)
    line.wait(PATIENCE_S)
    assert line.emitted() == [1, 2, 4]
    found = line.sink.readable.lately(line.now_s)
    assert found.count == 3 and found.p99_s == pytest.approx(PATIENCE_S + 0.02, rel=0.3)  # the held one waited
    line.sink.offer(replace(tape(range(5, 7)), ts_us=START_US + np.array([0, 3_600_000_000])))
    assert line.sink.readable.lately(line.now_s).count == 3  # history that comes at once is no haste


def test_the_lag_is_the_clock_of_the_market_minus_the_time_of_the_newest_trade():
    line = Line()
    line.sink.market_us = lambda: START_US + 250_000
    line.offer(100)
    assert line.counts().lag_s == pytest.approx(0.15)
    line.offer(102, 104)
    assert line.counts().lag_s == pytest.approx(0.15)  # both are held
    line.wait(PATIENCE_S)
    assert line.counts().lag_s == pytest.approx(0.146)
    line.offer(103, 101)  # late ones do not count
    assert line.counts().lag_s == pytest.approx(0.146)


def test_disorder_inside_one_batch_is_put_right_at_once():
    line = Line()
    line.offer(3, 1, 2, 2, 5, 4)
    assert line.emitted() == [1, 2, 3, 4, 5]
    assert line.counts().deduped == 1


def test_repeats_are_counted_wherever_they_come_from():
    line = Line()
    line.offer(1, 2, 3)
    line.offer(2, 3, 3)  # emitted before
    line.offer(6, 6)  # twice in one batch
    line.offer(6)  # held
    assert line.counts().deduped == 5
    line.wait(PATIENCE_S)
    line.offer(6)
    assert (line.counts().deduped, line.emitted()) == (6, [1, 2, 3, 6])


def test_the_first_of_two_trades_with_one_id_counts():
    line = Line()
    line.offer(1)
    other = tape([3, 3, 1])
    other.price[:] = 7.0, 8.0, 9.0
    line.sink.offer(other)
    line.sink.offer(tape([3]))
    line.offer(2)
    assert line.buffer.snapshot("T").price.tolist() == [tape([1]).price[0], tape([2]).price[0], 7.0]


def test_what_precedes_the_first_trade_seen_is_not_wanted():
    line = Line()
    line.offer(7, 6)
    line.offer(5)
    assert (line.emitted(), line.counts().deduped, line.gaps()) == ([6, 7], 1, [])


def test_no_trades_are_no_news():
    line = Line()
    line.offer()
    assert line.sink.counts() == {}


def test_a_hole_becomes_a_gap_when_its_time_is_over_and_not_before():
    line = Line()
    line.offer(1)
    line.offer(4, 5)
    line.wait(PATIENCE_S * 0.99)
    assert (line.emitted(), line.gaps(), line.counts().held) == ([1], [], 2)
    line.wait(PATIENCE_S * 0.02)
    assert (line.emitted(), line.gaps(), line.counts().held) == ([1, 4, 5], [(2, 3, True)], 0)
    assert line.counts().gaps_open == 1


def test_each_trade_waits_its_own_time_whatever_became_of_the_hole_before():
    line = Line()
    line.offer(1)
    line.offer(3)
    line.wait(PATIENCE_S * 0.9)
    line.offer(6)
    line.wait(PATIENCE_S * 0.2)  # the time of 3 is over, that of 6 is not
    assert (line.emitted(), line.gaps(), line.counts().held) == ([1, 3], [(2, 2, True)], 1)
    line.offer(5, 4)
    assert (line.emitted(), line.gaps()) == ([1, 3, 4, 5, 6], [(2, 2, True)])


def test_a_hole_that_shrinks_does_not_make_others_wait_longer():
    line = Line()
    line.offer(1)
    line.offer(5)
    for late in (2, 3):
        line.wait(PATIENCE_S * 0.4)
        line.offer(late)
    line.wait(PATIENCE_S * 0.3)
    assert (line.emitted(), line.gaps()) == ([1, 2, 3, 5], [(4, 4, True)])


def test_several_holes_of_one_time_are_given_up_together():
    line = Line()
    line.offer(1)
    line.offer(3, 6, 8)
    line.wait(PATIENCE_S)
    assert line.emitted() == [1, 3, 6, 8]
    assert line.gaps() == [(2, 2, True), (4, 5, True), (7, 7, True)]


def test_symbols_wait_apart():
    line = Line()
    line.offer(1, symbol="U")
    line.offer(1)
    line.offer(3)
    line.wait(PATIENCE_S * 0.9)
    line.offer(9, symbol="U")
    line.wait(PATIENCE_S * 0.2)
    assert (line.gaps("T"), line.gaps("U")) == ([(2, 2, True)], [])
    assert (line.emitted("T"), line.emitted("U")) == ([1, 3], [1])


def test_a_late_trade_closes_its_gap():
    line = Line()
    line.offer(1)
    line.offer(4)
    line.wait(PATIENCE_S)
    line.offer(3)
    assert line.gaps() == [(2, 2, True)]  # what is missing, to the id
    line.offer(3)
    line.offer(2)
    assert line.gaps() == [(2, 3, False)]
    assert line.buffer.snapshot("T").trade_id.tolist() == [1, 2, 3, 4]
    counts = line.counts()
    assert (counts.deduped, counts.gaps_open, counts.gaps_filled, counts.last_trade_id) == (1, 0, 1, 4)
    assert counts.last_trade_us == START_US + 4_000  # the newest trade is not the latest to come


def test_a_gap_closes_once_and_says_when(monkeypatch):
    times = itertools.count(START_US)
    monkeypatch.setattr(ingestion, "now_us", lambda: next(times))
    line = Line()
    line.offer(1)
    line.offer(3)
    line.wait(PATIENCE_S)
    line.offer(2)
    line.offer(2)
    (gap,) = line.sink.gaps()
    assert (gap.symbol, gap.cause, gap.found_us, gap.filled_us) == ("T", "missed", START_US, START_US + 1)
    assert line.counts().deduped == 1


def test_a_repair_of_many_trades_is_told_as_one_batch():
    line = Line()
    line.offer(1)
    line.offer(5, 500, 900)
    line.wait(PATIENCE_S)
    told = len(line.batches)
    line.offer(*range(1, 901))
    assert line.gaps() == [(2, 4, False), (6, 499, False), (501, 899, False)]
    assert len(line.batches) == told + 1
    assert line.buffer.snapshot("T").trade_id.tolist() == list(range(1, 901))
    assert line.counts().deduped == 4


def test_more_than_may_be_held_gives_the_hole_up_at_once(monkeypatch):
    monkeypatch.setattr(ingestion, "HELD_MOST", 3)
    line = Line()
    line.offer(1)
    line.offer(3, 5, 7)
    assert line.counts().held == 3
    line.offer(9)
    assert (line.emitted(), line.counts().held, line.gaps()) == ([1, 3], 3, [(2, 2, True)])


def test_after_a_restart_the_hole_between_is_recorded():
    line = Line()
    line.sink.resume("T", 7)
    assert line.counts().last_trade_id == 7
    line.offer(7, 11, 14)
    line.wait(PATIENCE_S)
    assert [(gap.first_id, gap.last_id, gap.cause) for gap in line.sink.gaps()] == [
        (8, 10, "offline"),
        (12, 13, "missed"),
    ]
    assert (line.emitted(), line.counts().deduped) == ([11, 14], 1)


def test_after_a_restart_without_loss_there_is_no_gap():
    line = Line()
    line.sink.resume("T", 7)
    line.offer(8, 9)
    line.offer(11)
    line.wait(PATIENCE_S)
    assert (line.emitted(), [gap.cause for gap in line.sink.gaps()]) == ([8, 9, 11], ["missed"])


def test_a_stream_that_runs_cannot_be_resumed():
    line = Line()
    line.offer(1)
    line.sink.resume("T", 7)
    line.offer(2)
    assert (line.emitted(), line.gaps(), line.counts().held) == ([1, 2], [], 0)


def test_without_contiguous_ids_nothing_waits_and_nothing_is_a_gap():
    line = Line(contiguous=False)
    line.sink.resume("T", 4)
    line.offer(9, 3, 5, 9)
    line.offer(40)
    line.offer(30, 40, 41)  # 30 is older than the newest: taken as a repeat
    line.wait(PATIENCE_S * 10)
    counts = line.counts()
    assert (line.emitted(), line.gaps()) == ([5, 9, 40, 41], [])
    assert (counts.received, counts.deduped, counts.held, counts.last_trade_id) == (8, 4, 0, 41)


def test_without_a_mirror_trades_are_dropped_for_the_disk_and_kept_in_memory():
    sink = Ingestion(buffer := TickBuffer(100), None, contiguous=True)
    sink.offer(tape([1, 2, 3]))
    counts = sink.counts()["T"]
    assert (counts.dropped, counts.stored, counts.queued) == ({"memory_only": 3}, 0, 0)
    assert len(buffer.snapshot("T")) == 3


def test_trades_that_a_full_queue_refuses_are_counted():
    line = Line(disk=Disk(room=4))
    line.offer(*range(6))
    line.offer(6)
    counts = line.counts()
    assert (counts.dropped, counts.queued, counts.received) == ({"storage": 3}, 4, 7)
    assert line.buffer.count("T") == 7


def test_what_an_earlier_run_stored_is_a_repeat_at_its_commit():
    line = Line(disk=Disk(known=[("T", 2), ("T", 3), ("U", 1)]))
    line.offer(1, 2, 3, 4)
    assert (line.counts().queued, line.counts().deduped) == (4, 0)
    line.disk.commit()
    counts = line.counts()
    assert (counts.received, counts.stored, counts.deduped, counts.queued) == (4, 2, 2, 0)


def test_rates_count_what_arrives_within_ten_seconds():
    line = Line()
    line.offer(*range(50))
    assert line.counts().trades_per_s == 50 / RATE_S
    line.wait(RATE_S / 2)
    line.offer(*range(45, 55))  # repeats are no trades of the market
    assert line.counts().trades_per_s == 55 / RATE_S
    line.wait(RATE_S * 0.6)
    assert line.counts().trades_per_s == 5 / RATE_S


def test_history_that_is_delivered_at_once_is_no_haste_of_the_market():
    line = Line()
    for first in (0, 60_000):  # two minutes, a trade a millisecond, in two deliveries
        line.offer(*range(first, first + 60_000))
    assert line.counts().trades_per_s == 1_000


def test_the_usual_rate_of_a_young_symbol_is_that_of_its_short_life():
    line = Line()
    for i in range(200):
        line.offer(i)
        line.wait(0.1)
    assert line.counts().usual_trades_per_s == pytest.approx(10, rel=0.05)


def test_a_new_numbering_is_refused_loudly_not_taken_for_repeats():
    line = Line()
    line.offer(*range(1_000, 1_010))
    late = replace(tape([5, 6]), ts_us=np.array([START_US + 3_600 * 1_000_000] * 2))
    line.sink.offer(late)
    counts = line.counts()
    assert (counts.rejected, counts.deduped) == ({"renumbered": 2}, 0)


def test_what_earlier_runs_missed_is_compared_with_what_is_stored():
    known = [Gap("T", 2, 4, "missed", 1), Gap("T", 7, 8, "offline", 2), Gap("T", -9, 0, "missed", 3)]
    missing, filled = still_missing(known, tape([1, 3, 5, 6, 7, 8, 9, 12]))
    assert [(gap.first_id, gap.last_id, gap.found_us) for gap in missing] == [
        (2, 2, 1),
        (4, 4, 1),
        (-9, 0, 3),
        (10, 11, missing[-1].found_us),
    ]
    assert [(gap.first_id, gap.last_id, gap.found_us) for gap in filled] == [(7, 8, 2)]


def test_a_record_that_ran_ahead_of_its_trades_hides_nothing():
    missing, _ = still_missing([Gap("T", 10, 59, "missed", 1)], tape([1, 5, 6, 7, 8, 9, 101]))
    assert [(gap.first_id, gap.last_id, gap.cause) for gap in sorted(missing, key=lambda gap: gap.first_id)] == [
        (2, 4, "offline"),
        (10, 59, "missed"),
        (60, 100, "offline"),
    ]


def test_an_id_far_from_any_other_is_refused_and_blinds_nobody():
    line = Line()
    line.offer(*range(10))
    line.offer(10**15)
    line.offer(*range(10, 20))
    line.wait(PATIENCE_S)
    counts = line.counts()
    assert (counts.rejected, counts.last_trade_id, line.gaps()) == ({"id": 1}, 19, [])


def test_the_age_of_the_last_trade_is_that_of_an_accepted_one():
    line = Line()
    line.offer(1)
    line.wait(3)
    line.offer(1)
    assert line.counts().last_trade_monotonic_s == line.now_s - 3
    line.offer(2)
    assert line.counts().last_trade_monotonic_s == line.now_s


def test_the_usual_hold_is_short():
    sink = Ingestion(TickBuffer(10), None, contiguous=True, clock_s=lambda: 0.0)
    sink.offer(tape([1]))
    sink.offer(tape([3]))
    sink.tick(HOLD_S * 0.99)
    assert sink.gaps() == []
    sink.tick(HOLD_S)
    assert len(sink.gaps()) == 1


# --- any stream, told by invariants ----------------------------------------------------------------

SYMBOLS = ("T", "U", "V")
RESUMED = {"V": 20}  # the newest id that an earlier run stored
RUN = st.tuples(st.just("run"), st.sampled_from(SYMBOLS), st.integers(-25, 6), st.integers(1, 9), st.randoms())
STRAY = st.tuples(st.just("stray"), st.sampled_from(SYMBOLS), st.lists(st.integers(0, 90), min_size=1, max_size=12))
REFUSED = st.tuples(st.just("refused"), st.sampled_from(SYMBOLS), st.integers(1, 3))
PAUSE = st.tuples(st.just("pause"), st.sampled_from([PATIENCE_S * 0.3, PATIENCE_S * 0.7, PATIENCE_S * 2]))
COMMIT = st.tuples(st.just("commit"))
EVENTS = st.lists(st.one_of(RUN, RUN, STRAY, REFUSED, PAUSE, COMMIT), max_size=40)


class Capture:
    """A line, and what the test knows was sent into it."""

    def __init__(self, contiguous, room):
        self.line = Line(contiguous=contiguous, disk=Disk(room))
        self.sent = {symbol: [] for symbol in SYMBOLS}
        self.refused = dict.fromkeys(SYMBOLS, 0)
        self.base = {symbol: last + 1 for symbol, last in RESUMED.items()}  # where each stream begins
        for symbol, last in RESUMED.items():
            self.line.sink.resume(symbol, last)

    def happen(self, kind, *what):
        if kind == "pause":
            self.line.wait(*what)
        elif kind == "commit":
            self.line.disk.commit()
        elif kind == "refused":
            self.line.sink.reject(what[0], "price", what[1])
            self.refused[what[0]] += what[1]
        else:
            self._send(what[0], self._ids(*what))

    def _ids(self, symbol, what, length=0, order=None):
        if order is None:
            return what
        first = max(max(self.sent[symbol], default=30) + what, 0)
        return order.sample(range(first, first + length), length)

    def _send(self, symbol, ids):
        self.base.setdefault(symbol, min(ids))
        self.sent[symbol] += ids
        self.line.offer(*ids, symbol=symbol)

    def missing(self, symbol):
        """Ids that were passed over and have not come since."""
        last = self.line.counts(symbol).last_trade_id
        return set(range(self.base.get(symbol, 0), (-1 if last is None else last) + 1)) - set(self.line.emitted(symbol))

    def assert_books_balance(self):
        for symbol, row in self.line.sink.counts().items():
            assert row.received == len(self.sent[symbol]) + self.refused[symbol] == settled(row)
            assert sum(row.rejected.values()) == self.refused[symbol]
            assert row.deduped == len(self.sent[symbol]) - len(self.line.emitted(symbol)) - row.held

    def assert_nothing_twice_nothing_lost(self, symbol):
        row, emitted = self.line.counts(symbol), self.line.emitted(symbol)
        assert len(set(emitted)) == len(emitted)
        assert self.line.buffer.snapshot(symbol).trade_id.tolist() == sorted(emitted)
        held = set() if row.last_trade_id is None else {i for i in self.sent[symbol] if i > row.last_trade_id}
        assert row.held == len(held)
        wanted = {i for i in self.sent[symbol] if i >= self.base[symbol]}
        assert set(emitted) | held == wanted

    def assert_gaps_are_what_is_missing(self, symbol):
        gaps = self.line.gaps(symbol)
        covered = [i for first, last, _ in gaps for i in range(first, last + 1)]
        assert len(set(covered)) == len(covered)
        missing = self.missing(symbol)
        assert missing <= set(covered)
        for first, last, is_open in gaps:
            assert is_open == bool(missing & set(range(first, last + 1)))
        row = self.line.counts(symbol)
        assert (row.gaps_open, row.gaps_filled) == (sum(g[2] for g in gaps), sum(not g[2] for g in gaps))


def assert_in_order(batches, newest, missing):
    """Each batch is increasing, and follows what was emitted or fills what was missing."""
    for batch in batches:
        ids = batch.trade_id.tolist()
        assert ids == sorted(ids)
        if ids[0] > newest:
            newest = ids[-1]
        else:
            assert set(ids) <= missing


@settings(max_examples=150)
@given(EVENTS, st.sampled_from([10**9, 15]), st.sampled_from([200_000, 4]))
def test_whatever_arrives_is_accounted_for_once_and_gaps_are_what_is_missing(events, room, held_most):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ingestion, "HELD_MOST", held_most)
        capture = Capture(contiguous=True, room=room)
        line = capture.line
        for event in (*events, ("pause", 100.0), ("commit",)):
            before = {s: (capture.missing(s), max(line.emitted(s), default=-1)) for s in capture.base}
            done = len(line.batches)
            capture.happen(*event)
            capture.assert_books_balance()
            for symbol in capture.base:
                missing, newest = before.get(symbol, (set(), -1))
                fresh = [batch for batch in line.batches[done:] if batch.symbol == symbol]
                assert_in_order(fresh, newest, missing)
                capture.assert_nothing_twice_nothing_lost(symbol)
                capture.assert_gaps_are_what_is_missing(symbol)
        for symbol, row in line.sink.counts().items():
            assert (row.held, row.queued) == (0, 0)
            assert row.stored + row.dropped.get("storage", 0) == len(line.emitted(symbol))
            sent = {i for i in capture.sent[symbol] if i >= capture.base[symbol]}
            if sent:
                assert capture.missing(symbol) == set(range(capture.base[symbol], max(sent))) - sent


@settings(max_examples=80)
@given(EVENTS)
def test_a_stream_with_legitimate_holes_never_waits_and_never_has_a_gap(events):
    capture = Capture(contiguous=False, room=10**9)
    line = capture.line
    for event in events:
        newest = {symbol: max(line.emitted(symbol), default=RESUMED.get(symbol, -1)) for symbol in SYMBOLS}
        done, sent = len(line.batches), {symbol: len(capture.sent[symbol]) for symbol in SYMBOLS}
        capture.happen(*event)
        capture.assert_books_balance()
        for symbol in SYMBOLS:
            fresh = [i for batch in line.batches[done:] if batch.symbol == symbol for i in batch.trade_id.tolist()]
            assert fresh == sorted({i for i in capture.sent[symbol][sent[symbol] :] if i > newest[symbol]})
    assert line.sink.gaps() == []
    assert all(row.held == row.gaps_open == 0 for row in line.sink.counts().values())


@settings(max_examples=60)
@given(st.integers(1, 60), st.randoms(), st.integers(1, 20))
def test_any_order_within_the_patience_ends_as_the_stream_that_was_sent(size, order, lot):
    line = Line()
    line.offer(0)
    ids = order.sample(range(1, size + 1), size)
    for row in range(0, size, lot):
        line.offer(*ids[row : row + lot])
        line.wait(PATIENCE_S / 100)
    assert line.emitted() == list(range(size + 1))
    assert line.gaps() == []


@settings(max_examples=60)
@given(st.sets(st.integers(1, 50), min_size=1), st.randoms(), st.data())
def test_gaps_close_one_by_one_as_their_ids_come(absent, order, data):
    line = Line()
    line.offer(*(i for i in range(52) if i not in absent))
    line.wait(PATIENCE_S)
    runs = [(first, last) for first, last, _ in line.gaps()]
    assert {i for first, last in runs for i in range(first, last + 1)} == absent
    assert all(a[1] + 1 < b[0] for a, b in itertools.pairwise(runs))  # each run is one gap
    came = order.sample(sorted(absent), data.draw(st.integers(0, len(absent))))
    for i in came:
        line.offer(i)
    left = absent - set(came)
    still = [(a, b) for a, b, is_open in line.gaps() if is_open]
    assert {i for a, b in still for i in range(a, b + 1)} == left
    assert all(a[1] + 1 < b[0] for a, b in itertools.pairwise(still))  # each run of ids is one gap
    closed = [(a, b) for a, b, is_open in line.gaps() if not is_open]

    if not left:
        assert {i for a, b in closed for i in range(a, b + 1)} == absent
    assert sorted(line.emitted()) == sorted(set(range(52)) - left)


# --- rows that are no trades -----------------------------------------------------------------------


def frame(**fields):
    """An aggregate trade as the exchange pushes it, with some fields of the test's own."""
    usual = {"e": "aggTrade", "E": START_US // 1_000, "s": "T", "a": 1, "p": "100.5", "q": "0.25", "f": 1, "l": 1}
    return json.dumps({**usual, "T": START_US // 1_000, "m": False, **fields}).encode()


def take(sink, frames, wanted=("T",)):
    """Hand frames over as a feed does."""
    batch = decode(frames, "aggTrade")
    for (symbol, reason), count in batch.rejected.items():
        sink.reject(symbol if symbol in wanted else None, reason, count)
    for trades in batch.trades:
        if trades.symbol in wanted:
            sink.offer(trades)


BAD = [
    *(("p", value, "price") for value in ("NaN", "Infinity", "0", "0.00", "-1", "1e400", "", "١٢", None, 5.0)),
    *(("q", value, "qty") for value in ("NaN", "inf", "0", "-0.1", "1e5", "", None)),
    *(("T", value, "time") for value in (0, -1, 1_000, 10**19, "1700000000000", None)),
    *(("a", value, "id") for value in (-1, 2**63, "7", None, True)),
    ("m", "false", "maker"),
]


@pytest.mark.parametrize("name, value, reason", BAD)
def test_a_row_that_is_no_trade_is_counted_and_goes_nowhere(name, value, reason):
    line = Line()
    take(line.sink, [frame(a=1), frame(a=2, **{name: value}) if name != "a" else frame(a=value), frame(a=2)])
    line.disk.commit()
    row = line.counts()
    assert (row.rejected, row.received, row.stored) == ({reason: 1}, 3, 2)
    assert settled(row) == row.received
    assert line.emitted() == [1, 2]
    assert sorted(i for _, i in line.disk.ids) == [1, 2]


def test_rows_without_a_symbol_of_ours_are_counted_apart():
    line = Line()
    take(line.sink, [frame(), frame(s=""), frame(s="btc"), frame(s="U"), frame(s="U", p="0"), b"{", b"\xff"])
    assert line.sink.unattributed == {"symbol": 2, "price": 1, "frame": 2}
    assert list(line.sink.counts()) == ["T"]
    assert line.counts().received == 1


def test_a_refused_row_does_not_hide_that_its_id_is_missing():
    line = Line()
    take(line.sink, [frame(a=1), frame(a=2, p="0"), frame(a=3)])
    line.wait(PATIENCE_S)
    assert (line.emitted(), line.gaps()) == ([1, 3], [(2, 2, True)])


# --- threads ---------------------------------------------------------------------------------------


@pytest.fixture
def restless():
    """Threads take turns far more often than usual."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


SIZE = 2_000  # ids of one symbol
NEVER = set(range(50, SIZE, 97))  # these are never sent


def offer_shuffled(sink, seed):
    """Every id but those that never come, to two symbols, in batches of much disorder; some rows are refused."""
    rng = np.random.default_rng(seed)
    ids = np.array([i for i in range(SIZE) if i not in NEVER])
    for symbol in ("T", "U"):
        order = ids[np.argsort(ids + rng.integers(0, 120, ids.size))]
        for row in range(0, order.size, 23):
            sink.offer(tape(order[row : row + 23], symbol))
            sink.reject(symbol, "price")


def test_threads_that_offer_never_show_books_that_do_not_balance(tmp_path, restless):
    mirror = Mirror(tmp_path / "tape.db", "v", "aggTrade", flush_s=0.002, flush_rows=200)
    sink = Ingestion(TickBuffer(500), mirror, contiguous=True, hold_s=0.002)
    emitted, wrong, done = {"T": [], "U": []}, [], threading.Event()
    sink.on_emit.append(lambda trades: emitted[trades.symbol].extend(trades.trade_id.tolist()))
    mirror.start()
    for symbol in emitted:
        sink.offer(tape([0], symbol))

    def read():
        newest = dict.fromkeys(emitted, (0, 0))
        while not done.is_set():
            for symbol, row in sink.counts().items():
                if settled(row) != row.received or row.queued < row.held or (row.received, row.stored) < newest[symbol]:
                    wrong.append(row)
                newest[symbol] = row.received, row.stored

    def tick():
        while not done.is_set():
            sink.tick(ingestion.monotonic_s())

    beside = [threading.Thread(target=work, name=f"beside-{i}") for i, work in enumerate((read, read, tick))]
    lanes = [threading.Thread(target=offer_shuffled, args=(sink, seed), name=f"lane-{seed}") for seed in range(4)]
    for thread in (*beside, *lanes):
        thread.start()
    for thread in lanes:
        thread.join()
    sink.tick(float("inf"))
    until(sink.counts, lambda counts: all(row.queued == 0 for row in counts.values()))
    done.set()
    for thread in beside:
        thread.join()
    mirror.stop()
    assert wrong == []
    kept = SIZE - len(NEVER)
    for symbol, row in sink.counts().items():
        assert sorted(emitted[symbol]) == [i for i in range(SIZE) if i not in NEVER]
        assert (row.received, row.stored) == (1 + 4 * (kept + -(-kept // 23)), kept)
        assert settled(row) == row.received
        open_ids = {
            i
            for gap in sink.gaps()
            if gap.symbol == symbol and gap.filled_us is None
            for i in range(gap.first_id, gap.last_id + 1)
        }
        assert open_ids - set(emitted[symbol]) == {i for i in NEVER if i < max(emitted[symbol])}
    with closing(sqlite3.connect(tmp_path / "tape.db")) as file:
        rows = file.execute("select symbol, count(*) from trades group by symbol").fetchall()
    assert rows == [("T", kept), ("U", kept)]
