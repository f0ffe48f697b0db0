"""What the file holds: spans, counts under a limit, coverage, and pages of a span that leave nothing out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.resampling import bars
from data import sqlite, stored
from data.stored import (
    SLACK_US,
    Span,
    alert_columns,
    alert_pages,
    bar_pages,
    id_at,
    last_id,
    read_bar_spans,
    read_coverage,
    read_trade_spans,
    trade_pages,
)
from data.trades import Trades

START_US = 1_700_000_040_000_000  # a whole minute
S, MINUTE = 1_000_000, 60_000_000
OWNER = ("v", "s", "T")


def tape(ids, step_s=1.0, symbol="T"):
    """One trade every `step_s`; amounts that integers hold."""
    ids = np.asarray(ids, np.int64)
    return Trades.of(symbol, ids, START_US + (ids * step_s * S).astype(np.int64), ids % 9 + 1, ids % 7 + 1, ids % 2)


def write(path, *parts, timeframes=(), events=()):
    """A file with trades, bars of all of them by width, and events of rules."""
    connection = sqlite.open_writer(path)
    with sqlite.transaction(connection):
        for part in parts:
            owner = sqlite.instrument(connection, "v", "s", part.symbol)
            sqlite.insert_trades(connection, owner, part)
            for width in timeframes:
                sqlite.put_bars(connection, "v", part.symbol, width, bars(part, width))
        for event in events:
            marks = ", ".join(f":{name}" for name in event)
            connection.execute(f"insert into alert_event ({', '.join(event)}) values ({marks})", event)
    connection.close()
    return path


def event(at_us, **more):
    """One change of state of a rule."""
    names = ("event_id", "rule_id", "name", "metric", "state", "severity", "venue", "symbol_y", "symbol_x", "timeframe")
    return dict.fromkeys((*names, "text"), "x") | {"at_us": at_us, "value": 1.5, "threshold": 2.0} | more


def ids_of(pages):
    return [i for page in pages for i in page.trade_id.tolist()]


@pytest.fixture
def small_pages(monkeypatch):
    monkeypatch.setattr(stored, "PAGE_ROWS", 7)


def test_spans_tell_rows_and_ends_of_each_instrument(tmp_path):
    odd = Trades.of("ODD", [5, 9], [START_US, START_US + S], [1e-20, 1.5], [1.0, 1.0], [0, 1])
    path = write(tmp_path / "a.db", tape(range(100)), tape(range(50, 60), symbol="U"), odd, timeframes=("1s", "1m"))
    found = {row.symbol: row for row in read_trade_spans(path, 5.0)}
    assert (found["T"].rows, found["T"].most_rows) == (100, 100)
    assert (found["ODD"].rows, found["ODD"].most_rows) == (2, 5)  # one of them is not held by integers
    assert (found["U"].first_us, found["U"].last_us) == (START_US + 50 * S, START_US + 59 * S)
    kept = {(row.symbol, row.timeframe): row for row in read_bar_spans(path, 5.0)}
    assert list(kept) == sorted(kept)
    assert (kept["T", "1s"].rows, kept["T", "1m"].rows) == (100, 2)
    assert kept["T", "1m"].complete == int(bars(tape(range(100)), "1m")["complete"].sum())
    assert kept["U", "1s"].first_us == START_US + 50 * S


def test_what_takes_too_long_to_count_is_told_as_unknown_with_its_bound(tmp_path, monkeypatch):
    monkeypatch.setattr(stored, "STEPS", 1)
    path = write(tmp_path / "a.db", tape(range(0, 400, 2)), timeframes=("1s",))
    (row,) = read_trade_spans(path, -1.0)
    assert (row.rows, row.most_rows) == (None, 399)
    (kept,) = read_bar_spans(path, -1.0)
    assert kept.rows is None and kept.complete is None
    assert kept.last_us == START_US + 398 * S


def test_coverage_counts_stored_and_complete_minutes_by_cell(tmp_path):
    path = write(tmp_path / "a.db", tape(range(60 * 10)), timeframes=("1m",))
    with_gap = bars(tape(range(60 * 10)), "1m").iloc[4:6].assign(complete=False)
    connection = sqlite.open_writer(path)
    with sqlite.transaction(connection):
        sqlite.put_bars(connection, "v", "T", "1m", with_gap)
        connection.execute("delete from bar where ts_us = ?", (START_US + 8 * MINUTE,))
    connection.close()
    since_us, found, complete = read_coverage(path, "v", "T", START_US - 2 * MINUTE, 2 * MINUTE, 7)
    assert since_us == START_US
    assert found.tolist() == [0, 2, 2, 2, 2, 1, 0]
    whole = bars(tape(range(60 * 10)), "1m")["complete"].to_numpy().astype(int)
    assert complete.tolist() == [0, whole[0] + whole[1], 2, 0, 2, whole[9], 0]
    assert read_coverage(path, "v", "NONE", START_US, MINUTE, 3)[0] is None


@settings(max_examples=60)
@given(
    st.lists(st.integers(0, 300), min_size=1, max_size=60, unique=True),
    st.integers(-5, 320),
    st.integers(-5, 320),
    st.one_of(st.none(), st.integers(1, 70)),
)
def test_pages_of_a_span_are_exactly_its_newest_trades(tmp_path_factory, drawn, since, until, limit):
    path = write(tmp_path_factory.mktemp("span") / "a.db", tape(sorted(drawn)))
    span = Span(START_US + since * S, START_US + until * S, limit)
    rows = stored.PAGE_ROWS
    stored.PAGE_ROWS = 7
    try:
        found = ids_of(trade_pages(path, OWNER, span))
    finally:
        stored.PAGE_ROWS = rows
    wanted = [i for i in sorted(drawn) if since <= i < until]
    assert found == (wanted if limit is None else wanted[-limit:])


def test_trades_whose_times_go_back_a_little_are_not_left_out(tmp_path, small_pages):
    trades = tape(range(100))
    trades.ts_us[::5] += SLACK_US // 2  # every fifth is stamped half a minute late
    path = write(tmp_path / "a.db", trades)
    span = Span(START_US + 30 * S, START_US + 60 * S)
    assert ids_of(trade_pages(path, OWNER, span)) == trades.trade_id[span.inside(trades.ts_us)].tolist()
    newest = Span(span.since_us, span.until_us, 4)
    assert ids_of(trade_pages(path, OWNER, newest)) == trades.trade_id[span.inside(trades.ts_us)].tolist()[-4:]


def test_ids_are_found_by_time_and_pages_end_at_an_id(tmp_path, small_pages):
    path = write(tmp_path / "a.db", tape(range(10, 60, 2)))
    assert last_id(path, OWNER) == 58
    for second in (0, 10, 11, 12, 37, 58, 59, 99):
        parting = id_at(path, OWNER, START_US + second * S)
        assert [i for i in range(10, 60, 2) if i >= parting] == [i for i in range(10, 60, 2) if i >= second]
    assert (last_id(path, ("v", "s", "NONE")), id_at(path, ("v", "s", "NONE"), 0)) == (-1, 0)
    assert ids_of(trade_pages(path, OWNER, Span(), up_to_id=20)) == [10, 12, 14, 16, 18, 20]
    assert ids_of(trade_pages(path, OWNER, Span(limit=2), up_to_id=20)) == [18, 20]
    assert ids_of(trade_pages(path, ("v", "s", "NONE"), Span())) == []


def test_bars_come_in_pages_by_time(tmp_path, small_pages):
    path = write(tmp_path / "a.db", tape(range(40)), timeframes=("1s",))
    whole = bars(tape(range(40)), "1s")

    def opens(span):
        return [ts for page in bar_pages(path, "v", "T", "1s", span) for ts in page["ts_us"].tolist()]

    assert opens(Span()) == whole.index.asi8.tolist()
    assert opens(Span(START_US + 5 * S, START_US + 25 * S)) == whole.index.asi8[5:25].tolist()
    assert opens(Span(START_US + 5 * S, START_US + 25 * S, 9)) == whole.index.asi8[16:25].tolist()
    assert opens(Span(limit=1_000)) == whole.index.asi8.tolist()
    first = next(iter(bar_pages(path, "v", "T", "1s", Span())))
    np.testing.assert_array_equal(first["close"], whole["close"][:7])
    assert first["complete"].dtype == bool


def test_alerts_come_in_the_order_they_were_made(tmp_path, small_pages):
    path = write(tmp_path / "a.db", events=[event(START_US + i * S, event_id=str(i)) for i in range(20)])
    place = list(alert_columns(path)).index("event_id")

    def found(span):
        return [row[place] for page in alert_pages(path, span) for row in page]

    assert found(Span()) == [str(i) for i in range(20)]
    assert found(Span(START_US + 3 * S, START_US + 12 * S, 4)) == ["8", "9", "10", "11"]
    assert found(Span(limit=50)) == [str(i) for i in range(20)]
    assert found(Span(START_US - 9, START_US)) == []
    assert alert_columns(path)["at_us"] == "INTEGER" and alert_columns(path)["value"] == "REAL"
