"""Memory and mirror: the newest trades in a bounded buffer, all of them on disk, and nothing lost on the way."""

import itertools
import logging
import shutil
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing, contextmanager
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.rules import Rule
from analytics.resampling import bars
from data import alert_rows, sqlite, storage
from data.feeds.replay import ReplayFeed
from data.ingestion import Gap
from data.storage import FIRST_ROWS, Mirror, TickBuffer
from data.trades import Trade, Trades
from tests.market import market
from tests.running import ROOT
from tests.waiting import until
from utils.errors import DatabaseBusy, SchemaTooNew, StorageError

START_US = 1_700_000_040_000_000  # a whole minute
ROW_BYTES = 33  # id, time, price, quantity, side
AWKWARD = (0.1 + 0.2, 1e-8, 123456.789, 1 / 3, 5e-324, 9e14 + 0.5, 1.7e308)


def tape(ids, symbol="T"):
    """Trades whose every column follows from their ids."""
    ids = np.asarray(ids, np.int64)
    return Trades.of(symbol, ids, START_US + ids // 2, ids / 8 + 1, ids % 7 / 4 + 0.25, ids % 2)


def same(one, other):
    """Whether two tables hold the same rows, to the last bit."""
    return one.symbol == other.symbol and all(map(np.array_equal, one.columns, other.columns))


# --- memory ---------------------------------------------------------------------------------------


@st.composite
def arrivals(draw):
    """Capacity, and batches of increasing ids of which some are late."""
    capacity = draw(st.integers(1, 50))
    ids = draw(st.lists(st.integers(0, 2_000), unique=True, max_size=150))
    at = sorted(range(len(ids)), key=lambda i: ids[i] + (draw(st.integers(0, 300)) if i % 5 == 0 else 0))
    cuts = sorted({0, len(ids), *draw(st.lists(st.integers(0, len(ids)), max_size=12))})
    return capacity, [sorted(ids[i] for i in at[a:b]) for a, b in itertools.pairwise(cuts)]


@given(arrivals(), st.integers(0, 1_000), st.integers(0, 60))
def test_the_buffer_holds_the_newest_trades_by_id(arrived, since, limit):
    capacity, batches = arrived
    buffer, seen = TickBuffer(capacity), []
    for batch in batches:
        buffer.append(tape(batch))
        seen = sorted(seen + batch)[-capacity:]
        model = tape(seen)
        assert same(buffer.snapshot("T"), model)
        assert same(buffer.snapshot("T", limit=limit), model[max(len(seen) - limit, 0) :])
        recent = model[model.ts_us >= START_US + since]
        assert same(buffer.snapshot("T", START_US + since), recent)
        assert same(buffer.snapshot("T", START_US + since, limit), recent[max(len(recent) - limit, 0) :])
        assert buffer.count("T") == len(seen)
        assert (buffer.first("T"), buffer.last("T")) == tuple([*model][i] for i in (0, -1))
        assert len(seen) * ROW_BYTES <= buffer.nbytes() <= (1.25 * capacity + 1) * ROW_BYTES


@given(arrivals())
def test_a_snapshot_stays_what_it_was(arrived):
    capacity, batches = arrived
    buffer, taken = TickBuffer(capacity), []
    for batch in batches:
        given_to = tape(batch)
        buffer.append(given_to)
        for column in given_to.columns:
            column[:] = 0  # the buffer has its own
        shot = buffer.snapshot("T")
        taken.append((shot, Trades("T", *(column.copy() for column in shot.columns))))
    assert all(same(shot, copy) for shot, copy in taken)


def test_a_snapshot_is_read_only():
    buffer = TickBuffer(10)
    buffer.append(tape(range(5)))
    for column in buffer.snapshot("T", START_US, 3).columns:
        with pytest.raises(ValueError, match="read-only"):
            column[0] = 0
    buffer.append(tape(range(5, 7)))
    assert buffer.snapshot("T").trade_id.tolist() == list(range(7))


def test_symbols_are_held_apart():
    buffer = TickBuffer(3)
    buffer.append(tape(range(5)))
    buffer.append(tape(range(7, 9), "U"))
    assert set(buffer.symbols()) == {"T", "U"}
    assert buffer.snapshot("T").trade_id.tolist() == [2, 3, 4]
    assert buffer.snapshot("U").trade_id.tolist() == [7, 8]


def test_nothing_held_is_empty_and_makes_no_symbol():
    buffer = TickBuffer(3)
    buffer.append(Trades.empty("T"))
    assert (buffer.first("T"), buffer.last("T"), buffer.count("T")) == (None, None, 0)
    assert (len(buffer.snapshot("T")), buffer.symbols(), buffer.nbytes()) == (0, (), 0)


def test_memory_is_bounded_by_the_capacity_and_small_for_a_quiet_symbol():
    buffer, capacity = TickBuffer(20_000), 20_000
    buffer.append(tape(range(3)))
    assert buffer.nbytes() <= FIRST_ROWS * ROW_BYTES
    for first in range(3, 100_003, 500):
        buffer.append(tape(range(first, first + 500)))
        assert buffer.nbytes() <= (1.25 * capacity + 1) * ROW_BYTES
    assert same(buffer.snapshot("T"), tape(range(80_003, 100_003)))
    buffer.append(tape(range(200_000, 300_000)))
    assert same(buffer.snapshot("T"), tape(range(280_000, 300_000)))
    assert buffer.nbytes() <= (1.25 * capacity + 1) * ROW_BYTES


@pytest.fixture
def restless():
    """Threads take turns far more often than usual."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def run_beside(work, *others):
    """Run `work` in this thread while others loop until it ends; whatever they raise is raised here."""
    done, errors = threading.Event(), []

    def loop(other):
        try:
            while not done.is_set():
                other()
        except BaseException as exc:  # noqa: BLE001 - handed to the test
            errors.append(exc)

    threads = [threading.Thread(target=loop, args=(other,), name=f"beside-{n}") for n, other in enumerate(others)]
    for thread in threads:
        thread.start()
    try:
        work()
    finally:
        done.set()
        for thread in threads:
            thread.join()
    for error in errors:
        raise error


def test_threads_that_append_and_copy_never_see_a_torn_row_or_lose_one(restless):
    buffer, shots = TickBuffer(700), []

    def write(lane):
        for first in range(0, 6_000, 30):  # three lanes of interleaved ids: many are late
            buffer.append(tape(np.arange(first, first + 30, 3) + lane))

    def write_all():
        lanes = [threading.Thread(target=write, args=(lane,), name=f"lane-{lane}") for lane in range(3)]
        for lane in lanes:
            lane.start()
        for lane in lanes:
            lane.join()

    def read():
        shot = buffer.snapshot("T")
        assert len(shot) <= 700
        assert same(shot, tape(np.unique(shot.trade_id)))
        if len(shots) < 500:
            shots.append((shot, shot.trade_id.sum()))

    run_beside(write_all, read, read)
    assert same(buffer.snapshot("T"), tape(range(5_300, 6_000)))
    assert shots and all(shot.trade_id.sum() == total for shot, total in shots)


# --- the mirror -----------------------------------------------------------------------------------

amounts = (
    st.builds(lambda units, scale: units / 10**scale, st.integers(1, 10**9), st.integers(0, 12))
    | st.sampled_from(AWKWARD)
    | st.floats(1e-9, 1e9)
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "tape.db"


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A path for many examples, each with a symbol of its own."""
    return tmp_path_factory.mktemp("shared") / "tape.db", (f"S{number}" for number in itertools.count())


class Committed:
    """What the mirror said of its commits."""

    def __init__(self, mirror):
        self.new, self.known = {}, {}
        mirror.on_commit = self._note

    def _note(self, symbol, new, known):
        self.new[symbol] = self.new.get(symbol, 0) + new
        self.known[symbol] = self.known.get(symbol, 0) + known

    def rows(self, symbol="T"):
        return self.new.get(symbol, 0) + self.known.get(symbol, 0)


@contextmanager
def mirrored(path, **options):
    """A running mirror, stopped at the end."""
    mirror = Mirror(path, "v", "s", **{"flush_s": 0.01} | options)
    mirror.start()
    try:
        yield mirror
    finally:
        mirror.stop()


def stored(path, symbol="T"):
    """Trades in the file."""
    return sqlite.read_trades(path, "v", "s", symbol)


def plain(path, query, *values):
    """Rows of a query by the plainest means."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query, values).fetchall()


def drained(mirror, symbol="T"):
    """Wait until nothing of a symbol waits any more."""
    until(lambda: mirror.queued(symbol), lambda rows: rows == 0)


@settings(max_examples=40)
@given(st.dictionaries(st.integers(0, 99), st.tuples(amounts, amounts, st.booleans()), min_size=1), st.data())
def test_trades_come_back_to_the_last_bit_and_once(shared, drawn, data):
    path, symbols = shared
    symbol = next(symbols)
    made = {i: Trade(symbol, i, START_US + i, price, qty, maker) for i, (price, qty, maker) in drawn.items()}
    batches = data.draw(st.lists(st.lists(st.sampled_from(sorted(made)), min_size=1), max_size=5))
    with mirrored(path, flush_rows=data.draw(st.integers(1, 50))) as mirror:
        told = Committed(mirror)
        for batch in batches:
            assert mirror.put(Trades.from_rows(symbol, [made[i] for i in batch])) == len(batch)
    seen = sorted({i for batch in batches for i in batch})
    assert list(stored(path, symbol)) == [made[i] for i in seen]
    assert told.new.get(symbol, 0) == len(seen)
    assert told.rows(symbol) == sum(map(len, batches))
    view = "select trade_id, ts_us, price, qty, buyer_is_maker from trades where symbol = ? order by trade_id"
    assert [Trade(symbol, *row[:4], bool(row[4])) for row in plain(path, view, symbol)] == [made[i] for i in seen]


def test_a_batch_is_written_as_soon_as_it_is_large(path):
    with mirrored(path, flush_s=600.0, flush_rows=100) as mirror:
        mirror.put(tape(range(99)))
        mirror.put(tape(range(99, 100)))
        drained(mirror)
        mirror.put(tape(range(100, 150)))
        assert same(stored(path), tape(range(100)))
    assert same(stored(path), tape(range(150)))


def test_what_waits_is_written_at_once_where_it_is_asked_for(path):
    with mirrored(path, flush_s=600.0, flush_rows=100) as mirror:
        mirror.put(tape(range(50)))
        mirror.hurry()
        drained(mirror)
        assert same(stored(path), tape(range(50)))


def test_a_small_batch_is_written_after_its_time(path):
    with mirrored(path, flush_s=0.01, flush_rows=10**9) as mirror:
        mirror.put(tape(range(3)))
        drained(mirror)
        assert same(stored(path), tape(range(3)))


def test_commits_are_timed(path):
    with mirrored(path) as mirror:
        assert np.isnan(mirror.commit_ms()).all()
        mirror.put(tape(range(3)))
        drained(mirror)
        median, high = mirror.commit_ms()
        assert 0 < median <= high


def test_each_trade_is_timed_from_the_queue_to_its_commit(path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(storage, "monotonic_s", lambda: now[0])
    with mirrored(path, flush_s=600.0, flush_rows=10) as mirror:
        mirror.put(tape(range(9)))
        now[0] += 2.0
        mirror.put(tape(range(9, 10)))
        drained(mirror)
        found = mirror.stored.lately(now[0])
    assert found.count == 10
    assert found.p50_s == pytest.approx(2.0, rel=0.3)  # nine waited, the tenth made the batch large enough
    assert mirror.stored.sum_s == pytest.approx(18.0)


def test_rare_rows_are_written_beside_trades(path):
    frame = bars(tape(range(50)), "1s")
    gap = Gap("T", 5, 9, "missed", START_US)
    bodies = [asdict(Rule(name, "zscore", ">", 2.0, "E", "B", "1m")) | {"channels": []} for name in "cab"]
    event = dict.fromkeys(alert_rows.EVENT_COLUMNS, "x") | {
        "at_us": START_US,
        "value": 2.5,
        "threshold": 2.0,
        "rule_version": 1,
    }
    with mirrored(path) as mirror:
        mirror.put(tape(range(50)))
        mirror.put_bars("T", "1s", frame)
        mirror.put_gap(gap)
        for body in bodies:
            mirror.put_rule(body)
        mirror.write(lambda connection: alert_rows.put_event(connection, event))
        mirror.put_gap(replace(gap, filled_us=START_US + 1))
        mirror.drop_rule("a")
        mirror.put_rule(bodies[0] | {"threshold": 3.0})
        mirror.write(lambda connection: alert_rows.put_event(connection, event | {"state": "resolved"}))
    assert plain(path, "select venue, symbol, timeframe, ts_us, close, trades from bars") == [
        ("v", "T", "1s", START_US, frame.close.iloc[0], 50)
    ]
    assert plain(path, "select * from gaps") == [("v", "s", "T", 5, 9, "missed", START_US, START_US + 1, "")]
    assert alert_rows.read_alert_rules(path) == [bodies[0] | {"threshold": 3.0}, bodies[2]]
    assert [row["state"] for row in alert_rows.read_alert_history(path, 9)] == ["resolved", "x"]
    assert same(stored(path), tape(range(50)))


def test_rules_have_a_copy_of_their_own(path):
    copy = path.with_name("tape.db.rules")
    body = {"rule_id": "wide", "threshold": 2.0}
    with mirrored(path) as mirror:
        mirror.put_rule(body)
        mirror.put_rule({"rule_id": "narrow"})
        until(copy.exists, bool)
        mirror.drop_rule("narrow")
    with path.open("r+b") as file:
        file.seek(16)
        file.write(bytes(5_000))
    with mirrored(path) as mirror:
        assert "tape.db was damaged" in mirror.storage_note
    assert alert_rows.read_alert_rules(path) == [body]


# --- nothing is lost ------------------------------------------------------------------------------


@contextmanager
def locked(path):
    """Another connection writes, and does not end."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("begin exclusive")
        yield


@pytest.fixture
def impatient(monkeypatch):
    """A writer that waits 50 ms for a lock, not 2 s."""
    monkeypatch.setattr(sqlite, "BUSY_MS", 50)


def test_rows_leave_the_queue_with_their_commit_only(path):
    with mirrored(path) as mirror:
        told = Committed(mirror)
        with locked(path):
            assert mirror.put(tape(range(30))) == 30
            until(lambda: plain(path, "select count(*) from trades"), lambda rows: rows == [(0,)])
            assert (mirror.queued("T"), told.rows()) == (30, 0)
        drained(mirror)
        until(told.rows, lambda rows: rows == 30)
        assert same(stored(path), tape(range(30)))


def test_a_locked_file_is_told_and_nothing_is_lost(path, impatient):
    with mirrored(path) as mirror:
        told = Committed(mirror)
        mirror.put(tape(range(10)))
        drained(mirror)
        with locked(path):
            mirror.put(tape(range(10, 20)))
            mirror.put(tape(range(5), "U"))
            mirror.put_gap(Gap("T", 5, 9, "missed", START_US))
            assert "locked" in until(lambda: mirror.error, bool)
            mirror.put(tape(range(20, 30)))
            assert (mirror.queued("T"), mirror.queued("U"), told.rows()) == (20, 5, 10)
            assert mirror.alive
        until(lambda: mirror.error, lambda error: error is None)
        drained(mirror)
        assert (told.new, sum(told.known.values())) == ({"T": 30, "U": 5}, 0)
        assert same(stored(path), tape(range(30)))
        assert plain(path, "select first_id, last_id from gaps") == [(5, 9)]


@contextmanager
def no_more_pages(mirror):
    """SQLite itself refuses to let the file grow."""
    connection = mirror._connection
    (pages,) = connection.execute("pragma page_count").fetchone()
    connection.execute(f"pragma max_page_count = {pages + 2}")
    yield "full"
    connection.execute("pragma max_page_count = 1073741823")


@contextmanager
def no_larger_files(mirror):
    """The operating system refuses to let files grow, as a quota does."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = mirror.path.with_name(mirror.path.name + "-wal").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10_000, hard))
    try:
        yield "I/O error"
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("refusing", [no_more_pages, no_larger_files])
def test_a_full_disk_is_told_and_nothing_is_lost(path, refusing):
    with mirrored(path) as mirror:
        told = Committed(mirror)
        mirror.put(tape(range(0, 800, 8)))  # whole prices; the next ones need decimals
        drained(mirror)
        with refusing(mirror) as why:
            mirror.put(tape(range(8_000)))
            assert why in until(lambda: mirror.error, bool)
            mirror.put(tape(range(8_000, 8_100)))
            assert (mirror.queued("T"), told.rows()) == (8_100, 100)
            assert same(stored(path), tape(range(0, 800, 8)))
        until(lambda: mirror.error, lambda error: error is None)
        drained(mirror)
        until(told.rows, lambda rows: rows == 8_200)
        assert (told.new, told.known) == ({"T": 8_100}, {"T": 100})
        assert same(stored(path), tape(range(8_100)))


def test_a_read_only_file_is_told_and_nothing_is_lost(path, monkeypatch):
    open_writer, healthy = sqlite.open_writer, threading.Event()

    def opened(path):
        connection = open_writer(path)
        if not healthy.is_set():
            connection.execute("pragma query_only = 1")  # what SQLite then says is what a read-only disk makes it say
        return connection

    with mirrored(path) as mirror:
        mirror.put(tape(range(10)))
        drained(mirror)
        mirror._connection.execute("pragma query_only = 1")
        monkeypatch.setattr(sqlite, "open_writer", opened)
        mirror.put(tape(range(10, 20)))
        assert "attempt to write a readonly database" in until(lambda: mirror.error, bool)
        assert mirror.queued("T") == 10
        healthy.set()
        drained(mirror)
        until(lambda: mirror.error, lambda error: error is None)
    assert (same(stored(path), tape(range(20))), mirror.storage_note) == (True, None)


def test_a_slow_disk_is_told_while_it_is_slow_and_nothing_is_lost(path, monkeypatch):
    insert, begun, ready = sqlite.insert_trades, threading.Event(), threading.Event()

    def wait(*arguments):
        begun.set()
        ready.wait()
        return insert(*arguments)

    monkeypatch.setattr(sqlite, "insert_trades", wait)
    monkeypatch.setattr(storage, "SLOW_S", 0.05)
    with mirrored(path) as mirror:
        assert mirror.error is None
        mirror.put(tape(range(10)))
        begun.wait()
        assert "the disk is slow: a write has taken" in until(lambda: mirror.error, bool)
        assert mirror.put(tape(range(10, 20))) == 10
        assert mirror.queued("T") == 20
        ready.set()
        until(lambda: mirror.error, lambda error: error is None)
        drained(mirror)
    assert same(stored(path), tape(range(20)))


def test_a_locked_or_read_only_file_is_no_reason_not_to_start(path, impatient):
    with mirrored(path):
        pass
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("begin immediate")
        mirror = Mirror(path, "v", "s", flush_s=0.01)
        mirror.start()
        assert "database is locked" in mirror.error
        mirror.put(tape(range(10)))
        assert mirror.queued("T") == 10
    drained(mirror)
    until(lambda: mirror.error, lambda error: error is None)
    mirror.stop()
    assert same(stored(path), tape(range(10)))


@pytest.mark.parametrize("deleted", ["tape.db*", "."])
def test_a_file_deleted_under_our_feet_is_made_anew_and_what_waits_goes_there(path, deleted):
    path = path.parent / "var" / path.name
    with mirrored(path) as mirror:
        mirror.put(tape(range(10)))
        drained(mirror)
        with mirror.counting:
            if deleted == ".":
                shutil.rmtree(path.parent)
            else:
                for file in path.parent.glob(deleted):
                    file.unlink()
        mirror.put(tape(range(10, 20)))
        drained(mirror)
        assert "tape.db was deleted or replaced while in use" in until(lambda: mirror.storage_note, bool)
        until(lambda: mirror.error, lambda error: error is None)
    assert same(stored(path), tape(range(10, 20)))


def test_a_batch_whose_file_is_deleted_before_its_commit_is_written_to_the_next_one(path, monkeypatch):
    insert = sqlite.insert_trades
    with mirrored(path) as mirror:
        told = Committed(mirror)

        def deleting(connection, owner, trades):
            monkeypatch.setattr(sqlite, "insert_trades", insert)
            path.unlink()
            return insert(connection, owner, trades)

        monkeypatch.setattr(sqlite, "insert_trades", deleting)
        mirror.put(tape(range(10)))
        drained(mirror)
        until(told.rows, lambda rows: rows == 10)
    assert (told.new, told.known) == ({"T": 10}, {"T": 0})
    assert same(stored(path), tape(range(10)))


def overwrite_pages(path):
    """Random bytes over all pages but the first, as a dying disk leaves them."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4_096)
        file.write(np.random.default_rng(3).bytes(size - 4_096))


def overwrite_header(path):
    """Random bytes over the header."""
    with path.open("r+b") as file:
        file.write(np.random.default_rng(3).bytes(100))


@pytest.mark.parametrize("damage", [overwrite_pages, overwrite_header])
def test_damage_that_shows_while_running_costs_no_trade_that_waits(path, damage):
    with mirrored(path, flush_s=0.02) as mirror:
        told = Committed(mirror)
        mirror.put(tape(range(3_000)))
        drained(mirror)
        until(told.rows, lambda rows: rows == 3_000)
        with closing(sqlite3.connect(path)) as other:
            other.execute("pragma wal_checkpoint(truncate)")
        mirror._connection.execute("pragma shrink_memory")  # or it would not look at the disk for a while
        damage(path)
        broken = path.stat().st_size
        mirror.put(tape(range(1_000, 1_010)))
        mirror.put(tape(range(3_100, 3_200)))
        mirror.put(tape(range(5), "U"))
        note = until(lambda: mirror.storage_note, bool)
        drained(mirror)
        drained(mirror, "U")
        until(lambda: mirror.error, lambda error: error is None)
        (kept,) = path.parent.glob("tape.db.corrupt-*Z")
        assert kept.stat().st_size == broken
        assert kept.name in note
        assert same(stored(path), tape([*range(1_000, 1_010), *range(3_100, 3_200)]))
        mirror.put(tape(range(3_200, 3_300)))
        drained(mirror)
        assert mirror.storage_note == note
        mirror.dismiss_note()
        assert mirror.storage_note is None
    assert len(list(path.parent.glob("tape.db.corrupt-*Z"))) == 1
    with mirrored(path) as mirror:
        assert mirror.storage_note is None


def test_what_happened_to_the_file_is_told_by_the_next_run_too(path):
    for found, told in [(b"", False), (sqlite.HEADER + bytes(5_000), True), (None, True)]:
        if found is not None:
            path.write_bytes(found)
        with mirrored(path) as mirror:
            assert ("tape.db was damaged" in (mirror.storage_note or "")) == told
    with mirrored(path) as mirror:
        mirror.dismiss_note()
    with mirrored(path) as mirror:
        assert mirror.storage_note is None


DISK = """
import os
import subprocess
import sys
from pathlib import Path
import numpy as np
from data import sqlite
from data.storage import Mirror
from data.trades import Trades
from tests.waiting import until

disk = Path(sys.argv[1])
path = disk / "tape.db"


def mount(options):
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", disk], check=True)


def tape(first, last):
    ids = np.arange(first, last)
    return Trades.of("T", ids, 1_700_000_040_000_000 + ids, ids / 8 + 1, ids + 1.0, ids % 2)


def count():
    return len(sqlite.read_trades(path, "v", "s", "T"))


def mirror():
    return Mirror(path, "v", "s", flush_s=0.02)


def full_and_back():
    one = mirror()
    one.start()
    one.put(tape(0, 100))
    until(lambda: one.queued("T"), lambda rows: rows == 0)
    filler = open(disk / "filler", "wb", buffering=0)
    try:
        while filler.write(bytes(4096)):
            pass
    except OSError:
        filler.close()
    one.put(tape(100, 20_000))
    assert until(lambda: one.error, bool)
    assert (one.queued("T"), count(), one.alive) == (19_900, 100, True)
    (disk / "filler").unlink()
    until(lambda: one.queued("T"), lambda rows: rows == 0, within_s=10)
    assert until(lambda: one.error, lambda error: error is None) is None
    one.stop()
    assert (count(), one.storage_note) == (20_000, None)


def full_at_the_start():
    mirror_of_before()
    filler = open(disk / "filler", "wb", buffering=0)
    try:
        while filler.write(bytes(4096)):
            pass
    except OSError:
        filler.close()
    one = mirror()
    one.start()
    one.put(tape(100, 20_000))
    assert until(lambda: one.error, bool)
    assert one.queued("T") == 19_900
    (disk / "filler").unlink()
    until(lambda: one.queued("T"), lambda rows: rows == 0, within_s=10)
    one.stop()
    assert (count(), one.storage_note) == (20_000, None)


def mirror_of_before():
    before = mirror()
    before.start()
    before.put(tape(0, 100))
    before.stop()


def read_only_and_back():
    mirror_of_before()
    mount_again("ro")
    one = mirror()
    one.start()
    assert "ead-only" in one.error or "readonly" in one.error, one.error
    one.put(tape(100, 300))
    assert (count(), one.queued("T")) == (100, 200)
    mount_again("rw")
    until(lambda: one.queued("T"), lambda rows: rows == 0, within_s=10)
    assert until(lambda: one.error, lambda error: error is None) is None
    one.stop()
    assert (count(), one.storage_note) == (300, None)


def mount_again(how):
    subprocess.run(["mount", "-o", f"remount,{how}", disk], check=True)


mount("size=3m")
globals()[sys.argv[2]]()
print("done")
"""


def private_mounts():
    """Whether this system lets us mount disks that nobody else sees."""
    try:
        return (
            subprocess.run(["unshare", "-rm", "mount", "-t", "tmpfs", "t", "/mnt"], capture_output=True).returncode == 0
        )
    except OSError:
        return False


@pytest.mark.skipif(not private_mounts(), reason="needs mounts of one's own")
@pytest.mark.parametrize("case", ["full_and_back", "full_at_the_start", "read_only_and_back"])
def test_a_real_disk_may_fail_and_come_back(tmp_path, case):
    command = ["unshare", "-rm", sys.executable, "-c", DISK, str(tmp_path), case]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "done\n", done.stderr


def test_a_bug_is_told_and_does_not_end_the_thread(path, monkeypatch):
    insert = sqlite.insert_trades

    def fail(*_):
        raise ZeroDivisionError("a bug of ours")

    with mirrored(path) as mirror:
        monkeypatch.setattr(sqlite, "insert_trades", fail)
        mirror.put(tape(range(10)))
        assert until(lambda: mirror.error, bool) == "a bug of ours"
        assert mirror.alive
        monkeypatch.setattr(sqlite, "insert_trades", insert)
        until(lambda: mirror.error, lambda error: error is None)
    assert same(stored(path), tape(range(10)))


def test_a_busy_market_does_not_hasten_attempts_that_fail(path, monkeypatch):
    insert, tried = sqlite.insert_trades, threading.Event()

    def fail(*_):
        tried.set()
        raise sqlite3.OperationalError("database or disk is full")

    with mirrored(path, flush_s=600.0, flush_rows=10) as mirror:
        monkeypatch.setattr(sqlite, "insert_trades", fail)
        mirror.put(tape(range(10)))
        until(lambda: mirror.error, bool)
        tried.clear()
        for first in range(10, 1_000, 10):
            mirror.put(tape(range(first, first + 10)))
        assert not tried.wait(0.1)
        monkeypatch.setattr(sqlite, "insert_trades", insert)
    assert same(stored(path), tape(range(1_000)))


def test_more_than_may_wait_is_refused_and_counted(path):
    with mirrored(path, max_queued=100) as mirror:
        told = Committed(mirror)
        with locked(path):
            assert [mirror.put(tape(range(first, first + 40))) for first in (0, 40, 80, 120)] == [40, 40, 20, 0]
            assert mirror.queued("T") == 100
        drained(mirror)
        assert mirror.put(tape(range(120, 160))) == 40
    assert told.new == {"T": 140}
    assert same(stored(path), tape([*range(100), *range(120, 160)]))


def test_whoever_counts_sees_queue_and_commits_of_one_moment(path):
    mirror = Mirror(path, "v", "s", flush_s=0.01)
    told, mirror.counting = Committed(mirror), threading.Lock()
    mirror.start()
    with mirror.counting:
        mirror.put(tape(range(10)))
        until(lambda: len(stored(path)), lambda rows: rows == 10)
        assert (mirror.queued("T"), told.rows()) == (10, 0)
    mirror.stop()
    assert (mirror.queued("T"), told.rows()) == (0, 10)


def test_at_every_moment_everything_put_is_committed_or_waits(path, restless):
    symbols = ("T", "U", "V")
    put = dict.fromkeys(symbols, 0)
    mirror = Mirror(path, "v", "s", flush_s=0.005, flush_rows=300, max_queued=2_000)
    told, mirror.counting = Committed(mirror), threading.RLock()
    mirror.start()

    def feed(symbol):
        while put[symbol] < 6_000:
            with mirror.counting:
                put[symbol] += mirror.put(tape(range(put[symbol], min(put[symbol] + 37, 6_000)), symbol))

    def feed_all():
        threads = [threading.Thread(target=feed, args=(symbol,), name=f"feed-{symbol}") for symbol in symbols]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        mirror.stop()

    def check():
        with mirror.counting:
            books = {symbol: (put[symbol], told.rows(symbol), mirror.queued(symbol)) for symbol in symbols}
        for symbol, (offered, committed, waiting) in books.items():
            assert offered == committed + waiting
            assert len(stored(path, symbol)) >= committed

    run_beside(feed_all, check)
    assert told.new == dict.fromkeys(symbols, 6_000)
    assert all(same(stored(path, symbol), tape(range(6_000), symbol)) for symbol in symbols)


def test_any_tool_may_read_while_the_mirror_writes(path):
    counts = []

    def write():
        for first in range(0, 15_000, 50):
            mirror.put(tape(range(first, first + 50)))
        drained(mirror)

    def read():
        query = "select count(*), max(trade_id), sum(price = trade_id / 8.0 + 1), sum(qty > 0) from trades"
        [(count, last, right, positive)] = plain(path, query)
        if count:
            assert (last, right, positive) == (count - 1, count, count)
        counts.append(count)

    with mirrored(path, flush_rows=200) as mirror:
        run_beside(write, read)
        read()
    assert counts == sorted(counts) and counts[-1] == 15_000 and len(set(counts)) > 2


# --- start and stop -------------------------------------------------------------------------------


def test_stopping_writes_what_waits_and_leaves_one_file(path):
    with mirrored(path, flush_s=600.0) as mirror:
        for first in range(0, 30_000, 100):
            mirror.put(tape(range(first, first + 100)))
        mirror.put_gap(Gap("T", 5, 9, "missed", START_US))
        mirror.stop()
        assert not mirror.alive
        assert (mirror.error, mirror.queued("T")) == (None, 0)
        assert sorted(file.name for file in path.parent.iterdir()) == ["tape.db", "tape.db.lock"]
    assert same(stored(path), tape(range(30_000)))
    assert plain(path, "select count(*) from gaps") == [(1,)]


def test_a_mirror_that_never_started_can_be_stopped(path):
    Mirror(path, "v", "s").stop()
    assert not path.exists()


def test_stopping_before_a_locked_file_ends_in_time_and_says_what_is_lost(path, impatient, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("pairscope"), "propagate", True)
    with mirrored(path) as mirror:
        mirror.put(tape(range(10)))
        drained(mirror)
        with locked(path):
            mirror.put(tape(range(10, 17)))
            mirror.put_gap(Gap("T", 5, 9, "missed", START_US))
            mirror.stop(timeout_s=1.2)
            until(lambda: mirror.alive, lambda alive: not alive)
    assert "8 rows could not be written within 1.2 s: database is locked" in caplog.text
    with mirrored(path) as other:
        other.put(tape(range(10, 12)))
    assert same(stored(path), tape(range(12)))


def test_the_next_mirror_takes_up_the_file(path):
    for first in range(0, 300, 100):
        with mirrored(path) as mirror:
            mirror.put(tape(range(first, first + 100)))
    assert same(stored(path), tape(range(300)))


def test_a_second_mirror_is_refused_while_the_first_one_runs(path):
    with mirrored(path) as mirror:
        with pytest.raises(DatabaseBusy, match=r"tape\.db is in use"):
            Mirror(path, "v", "s").start()
        mirror.put(tape(range(3)))
    assert same(stored(path), tape(range(3)))


@pytest.mark.parametrize("error", [SchemaTooNew, StorageError])
def test_a_mirror_that_cannot_start_gives_the_file_back(path, error):
    with mirrored(path):
        pass
    if error is SchemaTooNew:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("pragma user_version = 99")
    else:
        path.write_text("not a database at all")
    before = path.read_bytes()
    for _ in range(2):
        with pytest.raises(error):
            Mirror(path, "v", "s").start()
    assert path.read_bytes() == before
    path.unlink()
    with mirrored(path) as mirror:
        mirror.put(tape(range(3)))
    assert same(stored(path), tape(range(3)))


# --- real trades, and sudden death ----------------------------------------------------------------


class Sink:
    """A feed's way into a mirror."""

    def __init__(self, mirror):
        self.mirror, self.taken = mirror, 0

    def offer(self, trades):
        self.taken += self.mirror.put(trades)

    def reject(self, symbol, reason, count=1):
        raise AssertionError(f"{count} rows of {symbol} rejected: {reason}")


@pytest.mark.parametrize("exchange, rows", [("usdm", 35_389), ("spot", 15_863)])
def test_recorded_trades_take_32_bytes_each_at_most(path, exchange, rows):
    files = [market(f"ws/{exchange}_{symbol}_20240808.gz") for symbol in ("btcusdt", "ethusdt")]
    feed = ReplayFeed(files, speed=0)
    with mirrored(path) as mirror:
        sink = Sink(mirror)
        feed.start(sink)
        until(lambda: feed.state.mode, lambda mode: mode == "ENDED")
        feed.stop()
    assert plain(path, "select count(*) from trades") == [(rows,)] == [(sink.taken,)]
    sqlite.open_writer(path.with_name("empty.db")).close()
    empty = path.with_name("empty.db").stat().st_size  # a page for each table and index, whatever the trades
    assert (path.stat().st_size - empty) / rows <= 32


WRITER = """
import sys
import threading
from pathlib import Path
import numpy as np
from data.storage import Mirror
from data.trades import Trades


def acknowledge(symbol, new, known):
    print(new, flush=True)
    room.set()


first, symbol, room = int(sys.argv[2]), "T", threading.Event()
mirror = Mirror(Path(sys.argv[1]), "v", "s", flush_s=0.002, flush_rows=500, max_queued=4_000)
mirror.on_commit = acknowledge
mirror.start()
while True:
    while mirror.queued(symbol) > 3_000:
        room.wait()
        room.clear()
    ids = np.arange(first, first + 50)
    first += mirror.put(Trades.of(symbol, ids, START_US + ids // 2, ids / 8 + 1, ids % 7 / 4 + 0.25, ids % 2))
"""


def killed_while_writing(path, first, rows):
    """Rows that a process acknowledged as committed before it was killed; it wrote from id `first` on."""
    code = WRITER.replace("START_US", str(START_US))
    command = [sys.executable, "-c", code, str(path), str(first)]
    acknowledged = 0
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            acknowledged += int(line) if line.endswith("\n") else 0
            if acknowledged >= rows:
                process.kill()
    assert acknowledged >= rows, "the writer ended by itself"
    return acknowledged


def test_what_was_acknowledged_survives_five_sudden_deaths(path):
    count = 0
    for rows in (1, 5_000, 300, 9_000, 2_000):
        acknowledged = count + killed_while_writing(path, max(count - 100, 0), rows)
        with sqlite.reading(path) as connection:  # read-only: the log is left to the next start
            assert connection.execute("pragma integrity_check").fetchall() == [("ok",)]
        kept = stored(path)
        count = len(kept)
        assert count >= acknowledged
        assert same(kept, tape(range(count)))
    with mirrored(path) as mirror:
        mirror.put(tape(range(count - 100, count + 100)))
    assert same(stored(path), tape(range(count + 100)))
    assert plain(path, "pragma integrity_check") == [("ok",)]
