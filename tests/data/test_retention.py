"""Old trades go by age or by size, the oldest first, a few at a time, and nothing else goes."""

import logging
import sqlite3
import threading
from contextlib import closing

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.resampling import bars
from data import alert_rows, retention, sqlite
from data.retention import SLICE_US, Retention
from data.storage import Mirror
from data.trades import Trades
from tests.waiting import until
from utils.clock import US_PER_S

NOW_US = 1_790_000_000_000_000
DAY_US = 86_400 * US_PER_S


@pytest.fixture
def path(tmp_path):
    return tmp_path / "tape.db"


@pytest.fixture
def writer(path):
    with closing(sqlite.open_writer(path)) as connection:
        yield connection


@pytest.fixture
def clock_s(monkeypatch):
    """Time of the retention: the wall stands still, and work takes as long as it is told."""
    clock_s = [1_000.0]
    monkeypatch.setattr(retention, "monotonic_s", lambda: clock_s[0])
    monkeypatch.setattr(retention, "now_us", lambda: NOW_US)
    return clock_s


def tape(ids, times_us, symbol="T", exact=()):
    """Trades at given times; those of some ids have prices that no integers hold."""
    ids = np.asarray(ids, np.int64)
    prices = np.where(np.isin(ids, list(exact)), 1 / 3, ids / 8 + 1)
    return Trades.of(symbol, ids, np.asarray(times_us, np.int64), prices, ids % 7 / 4 + 0.25, ids % 2)


def store(connection, *tables):
    for trades in tables:
        with sqlite.transaction(connection):
            sqlite.insert_trades(connection, sqlite.instrument(connection, "v", "s", trades.symbol), trades)


def put_gap(connection, first_id, last_id, found_us, symbol="T", stream="s"):
    row = {"symbol": symbol, "first_id": first_id, "last_id": last_id, "cause": "missed", "found_us": found_us}
    with sqlite.transaction(connection):
        sqlite.put_gap(connection, "v", stream, row | {"filled_us": None})


def ids(path, symbol="T"):
    return sqlite.read_trades(path, "v", "s", symbol).trade_id.tolist()


def plain(path, query):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


# --- what goes --------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(
    st.lists(st.lists(st.integers(0, 100), max_size=12).map(sorted), min_size=1, max_size=4),
    st.sets(st.integers(0, 11)),
    st.integers(0, 101),
    st.integers(1, 7),
)
def test_pruning_ends_with_all_older_trades_gone_and_no_other(tapes, exact, before, rows):
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        sqlite._create(connection)
        for number, times in enumerate(tapes):
            if times:
                store(connection, tape(range(len(times)), [NOW_US + t for t in times], f"S{number}", exact))
        before_us = NOW_US + before
        while sqlite.prune(connection, before_us, rows):
            pass
        kept = connection.execute("select symbol, trade_id from trades order by symbol, trade_id").fetchall()
    assert kept == [(f"S{number}", i) for number, times in enumerate(tapes) for i, t in enumerate(times) if t >= before]


def test_a_batch_takes_the_lowest_ids_and_no_more_than_it_may(path, writer):
    store(writer, tape(range(100), NOW_US + np.arange(100), exact=range(0, 100, 3)))
    for _ in range(3):
        before = ids(path)
        gone = sqlite.prune(writer, NOW_US + 90, 20)
        assert 20 <= gone <= 21  # as many of the exact ones as fit
        assert len(ids(path)) == len(before) - gone
    while sqlite.prune(writer, NOW_US + 90, 20):
        pass
    assert ids(path) == list(range(90, 100))


def test_gaps_before_the_kept_trades_go_with_the_trades_around_them(path, writer):
    store(writer, tape([1, 2, 6, 9, 10], [NOW_US + t for t in (1, 2, 6, 9, 10)]), tape([1], [NOW_US + 50], "U"))
    for first, last in [(3, 5), (7, 8), (11, 12)]:
        put_gap(writer, first, last, NOW_US)
    put_gap(writer, 0, 0, NOW_US, symbol="U")
    put_gap(writer, 0, 0, NOW_US, stream="another")
    sqlite.prune(writer, NOW_US + 6, 100)
    assert ids(path) == [6, 9, 10]
    kept = [("T", "another", 0), ("T", "s", 7), ("T", "s", 11), ("U", "s", 0)]
    assert plain(path, "select symbol, stream, first_id from gaps order by symbol, stream, first_id") == kept


def test_gaps_of_a_symbol_without_any_trade_left_go_by_their_age(path, writer):
    store(writer, tape([1, 2], [NOW_US, NOW_US + 1]))
    put_gap(writer, 3, 5, NOW_US + 2)
    put_gap(writer, 6, 7, NOW_US + 20)
    sqlite.prune(writer, NOW_US + 10, 100)
    assert (ids(path), plain(path, "select first_id from gaps")) == ([], [(6,)])


def test_bars_rules_and_alerts_stay(path, writer):
    trades = tape(range(50), NOW_US + np.arange(50))
    store(writer, trades)
    with sqlite.transaction(writer):
        sqlite.put_bars(writer, "v", "T", "1s", bars(trades, "1s"))
        alert_rows.put_rule(writer, {"rule_id": "r"})
        alert_rows.put_event(writer, dict.fromkeys(alert_rows.EVENT_COLUMNS, "x") | {"at_us": 1, "threshold": 2.0})
    assert sqlite.prune(writer, NOW_US + DAY_US, 1_000) == 50
    counts = [plain(path, f"select count(*) from {table}") for table in ("trades", "bars", "alert_rule", "alert_event")]
    assert counts == [[(0,)], [(1,)], [(1,)], [(1,)]]


# --- when it goes -----------------------------------------------------------------------------------


def test_by_default_everything_is_kept(path, writer, clock_s):
    store(writer, tape(range(10), np.arange(10)))
    Retention().work(writer)
    assert ids(path) == list(range(10))


def test_trades_go_at_their_age(path, writer, clock_s):
    store(writer, tape(range(10), NOW_US - 5 * DAY_US + np.arange(10) * DAY_US // 2 - 1))
    Retention(days=2).work(writer)
    assert ids(path) == [7, 8, 9]  # 1.5 days old, 1 day, half a day


def test_a_look_is_taken_once_a_minute(path, writer, clock_s):
    keeper = Retention(days=1)
    for at_s, left in [(0, 0), (59, 1), (1, 0), (59.9, 1)]:
        clock_s[0] += at_s
        with sqlite.transaction(writer):
            writer.execute("delete from trade")
        store(writer, tape([1], [NOW_US - 2 * DAY_US]))
        keeper.work(writer)
        assert len(ids(path)) == left


def test_work_pauses_after_its_time_and_goes_on_at_the_next_call(path, writer, clock_s, monkeypatch):
    monkeypatch.setattr(retention, "BATCH_ROWS", 10)
    prune, batches = sqlite.prune, []

    def slow(connection, before_us, rows):
        clock_s[0] += 0.4 * retention.WORK_S
        batches.append(prune(connection, before_us, rows))
        return batches[-1]

    monkeypatch.setattr(sqlite, "prune", slow)
    store(writer, tape(range(55), NOW_US - 2 * DAY_US + np.arange(55)))
    keeper = Retention(days=1)
    keeper.work(writer)
    assert (batches, ids(path)) == ([10, 10, 10], list(range(30, 55)))
    keeper.work(writer)
    assert (batches, ids(path)) == ([10, 10, 10, 10, 10, 5], [])
    keeper.work(writer)
    keeper.work(writer)
    assert len(batches) == 6


def test_a_failure_waits_for_the_next_look(path, writer, clock_s, monkeypatch):
    store(writer, tape([1], [NOW_US - 2 * DAY_US]))
    keeper = Retention(days=1)
    writer.execute("pragma query_only = 1")
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        keeper.work(writer)
    keeper.work(writer)
    writer.execute("pragma query_only = 0")
    clock_s[0] += retention.LOOK_EVERY_S
    keeper.work(writer)
    assert ids(path) == []


def kilobytes(path):
    return path.stat().st_size / 1e3


def test_by_size_the_oldest_of_all_symbols_go_and_the_file_stays_at_its_size(path, writer, clock_s):
    keeper = Retention(gigabytes=500e3 / 1e9)
    rows, sizes, symbols = 2_000, [], ("T", "U", "V")
    for round_ in range(60):
        first = round_ * rows
        times = NOW_US + (first + np.arange(rows)) * US_PER_S
        store(writer, *(tape(range(first, first + rows), times, symbol) for symbol in symbols))
        clock_s[0] += retention.LOOK_EVERY_S
        keeper.work(writer)
        writer.execute("pragma wal_checkpoint(truncate)")
        sizes.append(kilobytes(path))
    assert sizes[-1] > 400
    assert max(sizes) < 500 + 3 * rows * 32 / 1e3  # one round above the limit
    kept = {symbol: ids(path, symbol) for symbol in symbols}
    firsts = [kept[symbol][0] for symbol in symbols]
    assert all(kept[symbol] == list(range(kept[symbol][0], 60 * rows)) for symbol in symbols)
    assert min(firsts) > 50 * rows
    assert max(firsts) - min(firsts) <= SLICE_US // US_PER_S


def test_a_quiet_symbol_keeps_what_is_as_young_as_the_rest(path, writer, clock_s):
    busy = NOW_US + np.arange(40_000) * US_PER_S // 2
    quiet = NOW_US + np.arange(200) * 100 * US_PER_S
    store(writer, tape(range(40_000), busy), tape(range(200), quiet, "QUIET"))
    keeper = Retention(gigabytes=600e3 / 1e9)
    keeper.work(writer)
    first_us = {s: int(sqlite.read_trades(path, "v", "s", s).ts_us[0]) for s in ("T", "QUIET")}
    assert first_us["T"] > NOW_US + SLICE_US
    assert abs(first_us["QUIET"] - first_us["T"]) <= SLICE_US


# --- beside the capture -----------------------------------------------------------------------------


def test_the_tape_goes_on_while_old_trades_go(path, monkeypatch):
    monkeypatch.setattr(retention, "BATCH_ROWS", 500)
    monkeypatch.setattr(retention, "WORK_S", 0.0)
    monkeypatch.setattr(retention, "now_us", lambda: NOW_US)
    pruned = threading.Event()
    with closing(sqlite.open_writer(path)) as connection:
        store(connection, tape(range(60_000), NOW_US - 2 * DAY_US + np.arange(60_000)))
    mirror = Mirror(path, "v", "s", flush_s=0.005)
    mirror.retention = Retention(days=1)
    prune, batches = sqlite.prune, []

    def counted(*arguments):
        batches.append(arguments)
        if len(batches) > 50:
            pruned.set()
        return prune(*arguments)

    monkeypatch.setattr(sqlite, "prune", counted)
    mirror.start()
    first = 60_000
    while not pruned.is_set() and first < 10**6:
        mirror.put(tape(range(first, first + 10), NOW_US + np.arange(10)))
        first += 10
        until(lambda: mirror.queued("T"), lambda rows: rows < 1_000)
    until(lambda: ids(path)[0], lambda oldest: oldest == 60_000)
    mirror.stop()
    assert ids(path) == list(range(60_000, first))
    assert mirror.error is None


def test_a_full_disk_while_old_trades_go_stops_no_capture(path, monkeypatch, caplog):
    monkeypatch.setattr(logging.getLogger("pairscope"), "propagate", True)
    failed = threading.Event()

    def full(*arguments):
        failed.set()
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(sqlite, "prune", full)
    mirror = Mirror(path, "v", "s", flush_s=0.005)
    mirror.retention = Retention(days=1)
    mirror.start()
    mirror.put(tape(range(10), np.arange(10)))
    failed.wait(20)
    mirror.put(tape(range(10, 20), np.arange(10, 20)))
    until(lambda: mirror.queued("T"), lambda rows: rows == 0)
    mirror.stop()
    assert ids(path) == list(range(20))
    assert [record.getMessage() for record in caplog.records] == ["tape.db cannot be tidied: database or disk is full"]
