"""Repair by id: newest first, exactly what is missing, and a reason for what stays open."""

from contextlib import contextmanager

import numpy as np
import pytest

from data import backfill
from data.backfill import Backfill
from data.feeds.binance import Listing
from data.ingestion import Ingestion
from data.storage import TickBuffer
from data.trades import Trades
from tests.waiting import until
from utils.errors import FeedBlocked, FeedError, HistoryTooOld

START_US = 1_700_000_000_000_000


def tape(ids) -> Trades:
    ids = np.asarray(ids, np.int64)
    return Trades.of("T", ids, START_US + ids * 1_000, ids / 8, np.ones(ids.size), np.zeros(ids.size))


class Past:
    """An exchange's history: what it holds, and what it answers before that."""

    reach = "older than the exchange serves"

    def __init__(self, held=range(1, 100_000), oldest: int = 0, errors=()) -> None:
        self.held, self.oldest, self.errors = set(held), oldest, list(errors)
        self.calls: list[tuple[int, int]] = []
        self.closed_s = 0.0

    def wait_s(self) -> float:
        return self.closed_s

    def trades(self, symbol: str, first_id: int, count: int) -> Trades:
        self.calls.append((first_id, count))
        if self.errors:
            raise self.errors.pop(0)
        if first_id < self.oldest:
            raise HistoryTooOld(self.reach)
        ids = [i for i in range(first_id, first_id + 5_000) if i in self.held][:count]
        return tape(ids)

    def listing(self) -> Listing:
        return Listing(frozenset({"T"}), None)

    def hang_up(self) -> None:
        pass


@contextmanager
def repairing(past: Past, *seen, most: int = 1_000_000, page: int = 1_000, symbols=("T",)):
    """A backfill at work on the holes between the ids seen."""
    sink = Ingestion(TickBuffer(100_000), None, contiguous=True, hold_s=0.0)
    for ids in seen:
        sink.offer(tape(ids))
        sink.tick(float("inf"))
    work = Backfill(sink, past, lambda: symbols, most=most, page=page)
    work.start()
    try:
        yield work, sink
    finally:
        work.stop()
        assert not work.alive


def ids_of(sink: Ingestion) -> list[int]:
    return sink._buffer.snapshot("T").trade_id.tolist()


def test_a_gap_is_fetched_by_id_newest_first_and_closed():
    past = Past()
    with repairing(past, [1], [3_502]) as (work, sink):
        until(sink.open_gaps, lambda gaps: not gaps, 5)
        assert past.calls == [(2_502, 1_000), (1_502, 1_000), (502, 1_000), (2, 500)]
        assert ids_of(sink) == list(range(1, 3_503))
        (gap,) = sink.gaps()
        assert (gap.first_id, gap.last_id) == (2, 3_501) and gap.filled_us is not None
        until(lambda: work.state.repaired, lambda repaired: repaired == 3_500, 5)
        counts = sink.counts()["T"]
        assert counts.received == 3_502 and counts.deduped == 0


def test_trades_keep_their_exact_values():
    with repairing(Past(), [1], [50]) as (_, sink):
        until(sink.open_gaps, lambda gaps: not gaps, 5)
        found = sink._buffer.snapshot("T")
        assert found.price.tolist() == [i / 8 for i in range(1, 51)]
        assert found.ts_us.tolist() == [START_US + i * 1_000 for i in range(1, 51)]


@pytest.mark.parametrize("oldest", [2, 3, 700, 1_001, 2_501, 4_999])
def test_what_is_too_old_stays_open_to_the_very_id_with_the_reason(oldest):
    past = Past(oldest=oldest)
    with repairing(past, [1], [5_000]) as (_, sink):
        until(sink.open_gaps, lambda gaps: not gaps or gaps[0].note, 5)
        assert ids_of(sink) == [1, *range(oldest, 5_001)]
        if oldest > 2:
            (gap,) = sink.open_gaps()
            assert (gap.first_id, gap.last_id, gap.note) == (2, oldest - 1, past.reach)
        assert len(past.calls) <= 40


def test_a_limit_keeps_the_newest():
    with repairing(Past(), [1], [5_000], most=1_500) as (_, sink):
        until(sink.open_gaps, lambda gaps: gaps and gaps[0].note, 5)
        assert ids_of(sink) == [1, *range(3_500, 5_001)]
        assert "1500" in sink.open_gaps()[0].note


def test_ids_that_the_exchange_does_not_hold_are_tried_some_times_and_then_explained(monkeypatch):
    monkeypatch.setattr(backfill, "ABSENT_TRIES", 3)
    monkeypatch.setattr(backfill, "FAILED_S", (0.01, 0.01))
    past = Past(held=set(range(1, 101)) - {40, 41, 60})
    with repairing(past, [1], [100]) as (_, sink):
        until(sink.open_gaps, lambda gaps: all(gap.note for gap in gaps), 5)
        assert [(gap.first_id, gap.last_id, gap.note) for gap in sink.open_gaps()] == [
            (40, 41, "not served by the exchange"),
            (60, 60, "not served by the exchange"),
        ]
        assert past.calls == [(2, 98), *[(40, 21)] * 3]  # both in one page


def test_one_page_repairs_all_gaps_that_it_covers():
    seen = [[i] for i in range(1, 2_400, 2)]
    past = Past()
    with repairing(past, *seen) as (_, sink):
        until(sink.open_gaps, lambda gaps: not gaps, 10)
        assert len(past.calls) <= 4
        assert ids_of(sink) == list(range(1, 2_400))


def test_what_is_not_served_is_split_from_what_is(monkeypatch):
    monkeypatch.setattr(backfill, "ABSENT_TRIES", 2)
    monkeypatch.setattr(backfill, "FAILED_S", (0.01, 0.01))
    with repairing(Past(held=range(1, 4_001)), [1], [5_001]) as (_, sink):
        until(sink.open_gaps, lambda gaps: len(gaps) == 1 and gaps[0].note, 5)
        (gap,) = sink.open_gaps()
        assert (gap.first_id, gap.last_id, gap.note) == (4_001, 5_000, "not served by the exchange")
        assert ids_of(sink) == [*range(1, 4_001), 5_001]


def test_the_listing_is_asked_for_before_any_gap():
    past, order = Past(), []
    trades, listing = past.trades, past.listing
    past.trades = lambda *a: (order.append("trades"), trades(*a))[1]
    past.listing = lambda: (order.append("listing"), listing())[1]
    with repairing(past, [1], [100]) as (_, sink):
        until(sink.open_gaps, lambda gaps: not gaps, 5)
    assert order == ["listing", "trades"]


def test_a_trade_that_rest_learns_of_a_little_later_is_found(monkeypatch):
    monkeypatch.setattr(backfill, "FAILED_S", (0.05, 0.05))
    past = Past(held=set(range(1, 101)) - {60})
    with repairing(past, [1], [100]) as (_, sink):
        until(lambda: past.calls, lambda calls: (60, 1) in calls, 5)
        past.held.add(60)
        until(sink.open_gaps, lambda gaps: not gaps, 5)


def test_failures_are_tried_again_ever_later_and_shown(monkeypatch):
    monkeypatch.setattr(backfill, "FAILED_S", (0.05, 1.0))
    past = Past(errors=[FeedError("no answer")] * 3)
    with repairing(past, [1], [100]) as (work, sink):
        until(lambda: work.state.detail, lambda detail: detail == "no answer", 5)
        until(sink.open_gaps, lambda gaps: not gaps, 5)
        assert len(past.calls) == 4
        until(lambda: work.state.detail, lambda detail: detail == "", 5)


def test_no_request_leaves_while_the_client_is_closed():
    past = Past()
    past.closed_s = 30.0
    with repairing(past, [1], [100]) as (work, sink):
        until(lambda: work.state.retry_at_s, lambda at_s: at_s is not None, 5)
        until(lambda: work.state.missing, lambda missing: missing == 98, 5)
        assert past.calls == [] and sink.open_gaps()
        past.closed_s = 0.0
        until(sink.open_gaps, lambda gaps: not gaps, 5)


def test_a_refusal_keeps_the_gap_exactly_as_it_is():
    past = Past(errors=[FeedBlocked("not served here", 451)] * 1_000)
    with repairing(past, [1], [100]) as (work, sink):
        until(lambda: work.state.detail, lambda detail: "not served here" in detail, 5)
        (gap,) = sink.open_gaps()
        assert (gap.first_id, gap.last_id, gap.note) == (2, 99, "")
        assert ids_of(sink) == [1, 100]


def test_a_bug_of_ours_does_not_end_repairs(monkeypatch):
    monkeypatch.setattr(backfill, "FAILED_S", (0.01, 0.01))
    with repairing(Past(errors=[KeyError("x")]), [1], [100]) as (_, sink):
        until(sink.open_gaps, lambda gaps: not gaps, 5)


def test_symbols_that_the_exchange_does_not_list_are_named():
    with repairing(Past(), [1], symbols=("T", "TYPOUSDT")) as (work, _):
        until(lambda: work.state.unlisted, lambda names: names == ("TYPOUSDT",), 5)
