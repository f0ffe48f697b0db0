"""Quotes as they count: in order, each once, newest kept, everything that arrived accounted for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.quotes import Quote, QuoteBook, Quotes
from utils.errors import InputError

S = 1_000_000
T0 = 1_700_000_000 * S


def quotes(ids: list[int], times_s: list[float] | None = None, symbol: str = "BTCUSDT") -> Quotes:
    """Quotes of these ids, one each millisecond where no times are given; the bid tells the id."""
    when = [k / 1_000 for k in range(len(ids))] if times_s is None else times_s
    rows = (Quote(symbol, i, T0 + round(s * S), float(i), 1.0, i + 1.0, 1.0) for i, s in zip(ids, when, strict=True))
    return Quotes.from_rows(symbol, rows)


@pytest.mark.parametrize(
    "field, value, name",
    [
        ("symbol", "", "symbol"),
        ("update_id", -1, "id"),
        ("update_id", 2**63, "id"),
        ("ts_us", 0, "time"),
        ("bid", -1.0, "bid"),
        ("ask", float("nan"), "ask"),
        ("bid_qty", float("inf"), "bid_qty"),
    ],
)
def test_a_quote_checks_itself(field, value, name):
    good = {"symbol": "BTCUSDT", "update_id": 1, "ts_us": T0, "bid": 0.0, "bid_qty": 0.0, "ask": 2.0, "ask_qty": 1.0}
    with pytest.raises(InputError) as caught:
        Quote(**good | {field: value})
    assert caught.value.field == name


def test_repeats_and_older_quotes_are_dropped_and_counted():
    book = QuoteBook()
    book.offer(quotes([5, 6, 6, 4, 8]))
    book.offer(quotes([8, 7, 9]))
    book.reject("BTCUSDT", "bid", 2)
    book.reject(None, "frame")
    counts = book.counts()["BTCUSDT"]
    assert book.snapshot("BTCUSDT").update_id.tolist() == [5, 6, 8, 9]
    assert (counts.received, counts.kept, counts.deduped, counts.older) == (10, 4, 2, 2)
    assert (counts.rejected, book.unattributed) == ({"bid": 2}, {"frame": 1})
    assert counts.last == Quote("BTCUSDT", 9, T0 + 4_000, 9.0, 1.0, 10.0, 1.0)
    assert counts.quotes_per_s == pytest.approx(0.8) and counts.last_monotonic_s is not None


@given(st.lists(st.lists(st.integers(0, 30), max_size=12), max_size=6))
def test_what_is_kept_has_increasing_ids_and_nothing_is_unaccounted_for(batches):
    book = QuoteBook()
    for batch in batches:
        book.offer(quotes(batch))
    arrived = [i for batch in batches for i in batch]
    newest, expected = -1, []
    for i in arrived:
        if i > newest:
            newest = i
            expected.append(i)
    held = book.snapshot("BTCUSDT")
    assert held.update_id.tolist() == expected
    assert (np.diff(held.ts_us) >= 0).all()
    for counts in book.counts().values():
        assert counts.received == counts.kept + counts.deduped + counts.older == len(arrived)


def test_time_never_steps_back():
    book = QuoteBook()
    book.offer(quotes([1, 2, 3], [1.0, 0.5, 2.0]))
    book.offer(quotes([4], [1.5]))
    assert (book.snapshot("BTCUSDT").ts_us - T0).tolist() == [S, S, 2 * S, 2 * S]


def test_a_book_that_is_numbered_anew_begins_anew():
    book = QuoteBook()
    book.offer(quotes([1_000, 1_001, 5, 6], [0, 0.5, 1.4, 2.0]))  # 5 is less than a second ahead: an old one
    assert book.snapshot("BTCUSDT").update_id.tolist() == [6]
    book.offer(quotes([3, 4], [9, 9.1]))
    counts = book.counts()["BTCUSDT"]
    assert book.snapshot("BTCUSDT").update_id.tolist() == [3, 4]
    assert (counts.renumbered, counts.received, counts.kept, counts.older) == (2, 6, 5, 1)


def test_only_the_newest_are_held_and_each_symbol_apart():
    book = QuoteBook(capacity=50)
    for start in range(0, 300, 7):
        book.offer(quotes(list(range(start, start + 7))))
    book.offer(quotes([1, 2], symbol="ETHUSDT"))
    held = book.snapshot("BTCUSDT")
    assert held.update_id.tolist() == list(range(251, 301))
    assert book.snapshot("BTCUSDT", limit=3).update_id.tolist() == [298, 299, 300]
    assert book.snapshot("ETHUSDT", since_us=T0 + 1_000).update_id.tolist() == [2]
    assert len(book.snapshot("XRPUSDT")) == 0
    with pytest.raises(ValueError, match="read-only"):
        held.bid[0] = 1.0
