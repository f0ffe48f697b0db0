"""The file: every number comes back to the last bit, other files are left alone, and plain SQL reads it all."""

import itertools
import os
import shutil
import sqlite3
import stat
import sys
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from alerts.rules import AlertEvent, Rule
from analytics.resampling import bars
from data import alert_rows, sqlite
from data.ingestion import Gap
from data.trades import Trade, Trades
from utils.errors import DatabaseDamaged, SchemaTooNew, StorageError

START_US = 1_700_000_040_000_000  # a whole minute

# Prices and sizes that are not short decimals, or too small or too large for integers beside others.
AWKWARD = (0.1 + 0.2, 1e-8, 123456.789, 1 / 3, 1e-12, 1e-13, 5e-324, 9e14 + 0.5, 2.0**53, 2.0**53 + 2, 1.7e308)

COLUMNS = {
    "trades": "venue stream symbol trade_id ts_us price qty buyer_is_maker",
    "bars": "venue symbol timeframe ts_us open high low close volume vwap trades taker_buy_volume complete",
    "gaps": "venue stream symbol first_id last_id cause found_us filled_us note",
    "alert_history": "event_id rule_id name metric state severity venue symbol_y symbol_x timeframe at_us value "
    "threshold text number rule_version silenced context outcome",
}
LATER = {"gaps": " note", "alert_history": " rule_version silenced context outcome"}  # columns of later schemas
posix = pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")

amounts = (
    st.builds(lambda units, scale: units / 10**scale, st.integers(1, 10**9), st.integers(0, 14))
    | st.sampled_from(AWKWARD)
    | st.floats(0, exclude_min=True, allow_nan=False, allow_infinity=False)
)
tapes = st.dictionaries(
    st.integers(0, 40) | st.sampled_from([2**53 + 1, 2**63 - 1]),
    st.tuples(st.integers(0, 10**9), amounts, amounts, st.booleans()),
    min_size=1,
    max_size=15,
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "tape.db"


@pytest.fixture
def writer(path):
    with closing(sqlite.open_writer(path)) as connection:
        yield connection


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One database for many examples, each with a symbol of its own."""
    path = tmp_path_factory.mktemp("shared") / "tape.db"
    with closing(sqlite.open_writer(path)) as connection:
        yield path, connection, (f"S{number}" for number in itertools.count())


def tape(symbol, *rows):
    """Trades from (id, price, qty)."""
    return Trades.from_rows(symbol, [Trade(symbol, i, START_US + i, price, qty, i % 2 == 0) for i, price, qty in rows])


def store(connection, *batches, venue="v", stream="s"):
    """Each batch in a transaction, with an instrument looked up anew; how many were new in each."""
    new = []
    for trades in batches:
        with sqlite.transaction(connection):
            owner = sqlite.instrument(connection, venue, stream, trades.symbol)
            new.append(sqlite.insert_trades(connection, owner, trades))
    return new


def plain(path, query, *values):
    """Rows of a query by the plainest means."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query, values).fetchall()


def in_view(path, symbol):
    """Trades of the view `trades`, by id."""
    rows = plain(path, "select trade_id, ts_us, price, qty, buyer_is_maker from trades where symbol = ?", symbol)
    return [Trade(symbol, i, ts_us, price, qty, bool(maker)) for i, ts_us, price, qty, maker in sorted(rows)]


@pytest.mark.parametrize("parameters", [None, 999, 5])  # 999: of SQLite before 3.32
@pytest.mark.parametrize("rows", [1, 2, 249, 1_023, 1_024, 1_025, 2_500])
def test_batches_of_any_length_are_stored_once_with_as_many_parameters_as_sqlite_takes(path, writer, rows, parameters):
    if parameters is not None:
        writer.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, parameters)
    trades = tape("T", *((i, 100 + i / 4, 1.0) for i in range(rows)))
    assert store(writer, trades[: rows // 2 + 1], trades, trades) == [rows // 2 + 1, rows - rows // 2 - 1, 0]
    assert in_view(path, "T") == list(trades)


def content(folder):
    """Every file of a folder with its bytes."""
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


# --- trades ---------------------------------------------------------------------------------------


@settings(max_examples=300)
@given(tapes, st.data())
def test_trades_come_back_to_the_last_bit_and_once_however_often_they_are_stored(shared, drawn, data):
    path, connection, symbols = shared
    symbol = next(symbols)
    made = {
        i: Trade(symbol, i, START_US + late_us, price, qty, maker) for i, (late_us, price, qty, maker) in drawn.items()
    }
    batches = data.draw(st.lists(st.lists(st.sampled_from(sorted(made)), min_size=1, max_size=10), max_size=6))
    seen: set[int] = set()
    for batch in batches:
        assert store(connection, Trades.from_rows(symbol, [made[i] for i in batch])) == [len(set(batch) - seen)]
        seen |= set(batch)
    expected = [made[i] for i in sorted(seen)]
    assert list(sqlite.read_trades(path, "v", "s", symbol)) == expected
    assert in_view(path, symbol) == expected


@settings(max_examples=100)
@given(st.lists(st.tuples(st.integers(1, 10**7), st.integers(1, 10**7)), min_size=2, max_size=12))
@example([(1, 1)] * 10)
def test_decimals_may_grow_with_every_batch(shared, units):
    path, connection, symbols = shared
    symbol = next(symbols)
    batches = [
        tape(symbol, (n, price / 10 ** min(n, 8), qty / 10 ** min(n, 8))) for n, (price, qty) in enumerate(units)
    ]
    assert store(connection, *batches) == [1] * len(batches)
    expected = [trade for batch in batches for trade in batch]
    assert list(sqlite.read_trades(path, "v", "s", symbol)) == expected
    assert in_view(path, symbol) == expected
    exact = "select count(*) from trade_exact join instrument using (instrument) where symbol = ?"
    assert plain(path, exact, symbol) == [(0,)]


def test_a_trade_kept_as_it_is_stays_one_trade_when_integers_could_hold_it_later(path, writer):
    # Half a unit in 9e14 leaves no room for the decimals of 1e-8; only its odd quantity keeps it out of the integers.
    wide, fine = (1, 900_000_000_000_000.5, 0.1 + 0.2), (2, 1e-8, 1.0)
    assert store(writer, tape("T", wide, fine), tape("T", fine), tape("T", wide, fine)) == [2, 0, 0]
    assert [trade.trade_id for trade in in_view(path, "T")] == [1, 2]
    assert list(sqlite.read_trades(path, "v", "s", "T")) == list(tape("T", wide, fine))


def test_the_first_of_two_trades_of_one_id_stays(path, writer):
    assert store(writer, tape("T", (1, 10.0, 1.0)), tape("T", (1, 11.0, 2.0)), tape("T", (1, 1 / 3, 2.0))) == [1, 0, 0]
    assert in_view(path, "T") == list(tape("T", (1, 10.0, 1.0)))


def test_ids_of_another_venue_stream_or_symbol_are_other_trades(path, writer):
    one = tape("T", (1, 10.0, 1.0))
    assert store(writer, one) == store(writer, one, venue="w") == store(writer, one, stream="r") == [1]
    assert store(writer, tape("U", (1, 0.5, 1.0))) == [1]
    keys = plain(path, "select venue, stream, symbol, price from trades order by symbol, venue, stream")
    assert keys == [("v", "r", "T", 10.0), ("v", "s", "T", 10.0), ("w", "s", "T", 10.0), ("v", "s", "U", 0.5)]
    assert list(sqlite.read_trades(path, "w", "s", "T")) == list(one)


@pytest.mark.parametrize("limit, since, ids", [(3, 0, [6, 8, 9]), (3, 8, [8, 9]), (None, 4, [5, 6, 8, 9]), (0, 0, [])])
def test_a_limited_read_gives_the_newest_whatever_table_they_lie_in(path, writer, limit, since, ids):
    odd = {5, 8}
    store(writer, tape("T", *((i, 1 / 3 if i in odd else 10.5, 1.0) for i in (1, 2, 5, 6, 8, 9))))
    found = sqlite.read_trades(path, "v", "s", "T", limit=limit, since_us=START_US + since if since else 0)
    assert found.trade_id.tolist() == ids
    assert [column.dtype for column in found.columns] == [np.int64, np.int64, np.float64, np.float64, np.uint8]


def test_a_symbol_never_stored_has_no_trades(path, writer):
    assert len(sqlite.read_trades(path, "v", "s", "NONE")) == 0


def test_a_batch_that_fails_leaves_neither_trades_nor_decimals(path, writer):
    store(writer, tape("T", (1, 10.5, 1.0)))
    with pytest.raises(ZeroDivisionError), sqlite.transaction(writer):
        sqlite.insert_trades(writer, sqlite.instrument(writer, "v", "s", "T"), tape("T", (2, 10.12345, 1.0)))
        raise ZeroDivisionError
    assert in_view(path, "T") == list(tape("T", (1, 10.5, 1.0)))
    assert store(writer, tape("T", (2, 10.12345, 1.0))) == [1]
    assert [trade.price for trade in in_view(path, "T")] == [10.5, 10.12345]


def test_a_commit_that_is_refused_does_not_stay_open(path, writer):
    writer.execute("pragma journal_mode = delete")  # as on a network drive, where a reader can hold up a commit
    writer.execute("pragma busy_timeout = 0")
    store(writer, tape("T", (1, 10.5, 1.0)))
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("begin")
        reader.execute("select count(*) from trades").fetchone()
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            store(writer, tape("T", (2, 11.5, 1.0)))
    assert store(writer, tape("T", (2, 11.5, 1.0))) == [1]


# --- views ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("view", COLUMNS)
def test_views_have_the_columns_that_were_promised(path, writer, view):
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute(f"select * from {view}").description
    assert [name for name, *_ in found] == COLUMNS[view].split()


def test_there_are_no_other_views_and_the_schema_has_its_number(path, writer):
    assert {name for (name,) in plain(path, "select name from sqlite_master where type = 'view'")} == set(COLUMNS)
    assert plain(path, "pragma user_version") == [(sqlite.SCHEMA_VERSION,)]


def test_the_view_of_trades_gives_plain_numbers(path, writer):
    store(writer, tape("T", (1, 10.0, 2.0), (2, 1 / 3, 0.1 + 0.2)))
    kinds = ",".join(f"typeof({name})" for name in ("trade_id", "ts_us", "price", "qty", "buyer_is_maker"))
    assert plain(path, f"select distinct {kinds} from trades") == [("integer", "integer", "real", "real", "integer")]
    assert plain(path, "select qty, buyer_is_maker from trades order by trade_id") == [(2.0, 0), (0.1 + 0.2, 1)]


def test_a_reader_sees_the_newest_commit_while_a_transaction_is_open(path, writer):
    store(writer, tape("T", (1, 10.0, 1.0)))
    with sqlite.transaction(writer):
        sqlite.insert_trades(writer, sqlite.instrument(writer, "v", "s", "T"), tape("T", (2, 10.125, 1.0)))
        assert [trade.trade_id for trade in in_view(path, "T")] == [1]
        assert list(sqlite.read_trades(path, "v", "s", "T")) == in_view(path, "T")
    assert [trade.price for trade in in_view(path, "T")] == [10.0, 10.125]


# --- bars, gaps, alerts ---------------------------------------------------------------------------


def test_bars_are_stored_and_replaced(path, writer):
    ids = np.arange(9)
    frame = bars(Trades.of("T", ids, START_US + ids * 500_000, 10 + ids % 3 / 10, 1.5 + ids, ids % 2), "1s")
    with sqlite.transaction(writer):
        sqlite.put_bars(writer, "v", "T", "1s", frame)
    amended = frame.iloc[1:3].assign(close=99.0, complete=True, vwap=np.nan)
    with sqlite.transaction(writer):
        sqlite.put_bars(writer, "v", "T", "1s", amended)
        sqlite.put_bars(writer, "w", "T", "1s", frame.iloc[:1])
        sqlite.put_bars(writer, "v", "T", "5s", frame.iloc[:1])
    stored = plain(path, "select * from bars where (venue, timeframe) = ('v', '1s') order by ts_us")
    names = COLUMNS["bars"].split()
    found = pd.DataFrame(stored, columns=names)
    expected = pd.concat([frame.iloc[:1], amended, frame.iloc[3:]])
    assert found.ts_us.tolist() == frame.index.asi8.tolist()
    for name in names[4:]:
        np.testing.assert_array_equal(found[name].to_numpy(float), expected[name].to_numpy(float), err_msg=name)
    assert plain(path, "select count(*) from bars") == [(len(frame) + 2,)]
    assert plain(path, "select vwap, typeof(trades), typeof(complete) from bars order by ts_us limit 1 offset 3") == [
        (None, "integer", "integer")
    ]


def test_a_silent_bar_has_no_vwap(path, writer):
    frame = bars(Trades.of("T", [1, 2], [START_US, START_US + 2_000_000], [10.0, 11.0], [1.0, 1.0], [0, 0]), "1s")
    with sqlite.transaction(writer):
        sqlite.put_bars(writer, "v", "T", "1s", frame)
    assert plain(path, "select close, volume, vwap from bars order by ts_us") == [
        (10.0, 1.0, 10.0),
        (10.0, 0.0, None),
        (11.0, 1.0, 11.0),
    ]


def test_a_gap_is_recorded_and_closed_in_its_place(path, writer):
    gap = Gap("T", 5, 9, "missed", START_US)
    later = Gap("T", 5, 6, "offline", START_US + 1)
    with sqlite.transaction(writer):
        for row in (gap, later):
            sqlite.put_gap(writer, "v", "s", asdict(row))
    opened = [
        ("v", "s", "T", 5, 9, "missed", START_US, None, ""),
        ("v", "s", "T", 5, 6, "offline", START_US + 1, None, ""),
    ]
    assert plain(path, "select * from gaps order by found_us") == opened
    with sqlite.transaction(writer):
        sqlite.put_gap(writer, "v", "s", asdict(gap) | {"filled_us": START_US + 7})
    assert plain(path, "select * from gaps order by found_us") == [(*opened[0][:-2], START_US + 7, ""), opened[1]]


def test_a_gap_says_why_it_stays_open(path, writer):
    row = asdict(Gap("T", 5, 9, "offline", START_US)) | {"note": "older than the exchange serves"}
    with sqlite.transaction(writer):
        sqlite.put_gap(writer, "v", "s", row)
    assert plain(path, "select first_id, note from gaps") == [(5, "older than the exchange serves")]
    with sqlite.transaction(writer):
        sqlite.put_gap(writer, "v", "s", row | {"note": ""})
    assert plain(path, "select first_id, note from gaps") == [(5, "")]


def test_open_gaps_of_one_symbol_come_back_oldest_first(path, writer):
    gaps = [Gap("T", 30, 31, "missed", 3), Gap("T", 5, 9, "missed", 1), Gap("T", 20, 21, "missed", 2, filled_us=4)]
    with sqlite.transaction(writer):
        for gap in (*gaps, Gap("T", 1, 2, "missed", 3), Gap("U", 1, 2, "missed", 1)):
            sqlite.put_gap(writer, "v", "s", asdict(gap))
        sqlite.put_gap(writer, "v", "r", asdict(gaps[0]))
        sqlite.put_gap(writer, "w", "s", asdict(gaps[0]))
    found = sqlite.read_gaps(path, "v", "s", "T")
    assert [(row["first_id"], row["last_id"], row["found_us"]) for row in found] == [(5, 9, 1), (1, 2, 3), (30, 31, 3)]
    assert list(found[0]) == COLUMNS["gaps"].split()
    assert found[0] == {"venue": "v", "stream": "s", "note": "", **asdict(gaps[1])} | {"note": found[0]["note"]}
    assert sqlite.read_gaps(path, "v", "s", "NONE") == []


def test_a_note_is_kept_replaced_and_dropped(path, writer):
    with sqlite.transaction(writer):
        sqlite.put_note(writer, "until", "1")
        sqlite.put_note(writer, "until", "2")
        sqlite.put_note(writer, "other", "ü")
    assert [sqlite.read_note(path, key) for key in ("until", "other", "none")] == ["2", "ü", None]
    with sqlite.transaction(writer):
        sqlite.drop_note(writer, "until")
        sqlite.drop_note(writer, "none")
    assert [sqlite.read_note(path, key) for key in ("until", "other")] == [None, "ü"]


def event(seq, state="firing", value=2.5):
    """A row of the history."""
    made = AlertEvent(
        seq, f"e{seq}", "r1", "wide", "zscore", state, "warning", "ETHUSDT", "BTCUSDT", "1m", START_US, value, 2.0, "v"
    )
    row = asdict(made) | {"text": made.text}
    return {name: row[name] for name in alert_rows.EVENT_COLUMNS}


def test_alert_events_come_back_newest_first(path, writer):
    rows = [event(1), event(2, "resolved", 1.0), event(3, "nodata", None), event(3, "nodata", None)]
    with sqlite.transaction(writer):
        for row in rows:
            alert_rows.put_event(writer, row)
    listed = [{"number": n} | {k: row[k] for k in alert_rows.LISTED} for n, row in enumerate(rows, 1)][::-1]
    assert alert_rows.read_alert_history(path, 10) == listed
    assert alert_rows.read_alert_history(path, 2) == listed[:2]
    assert alert_rows.read_alert_history(path, 2, "r1", before=3) == listed[2:]
    assert alert_rows.read_alert_history(path, 2, "none") == []
    assert plain(path, "select event_id, state, value, at_us from alert_history order by number") == [
        (row["event_id"], row["state"], row["value"], START_US) for row in rows
    ]


def rule(rule_id, threshold=2.0):
    """The body of a rule."""
    body = asdict(Rule(rule_id, "zscore", "outside", threshold, "ETHUSDT", "BTCUSDT", "1m", name="z “wide”"))
    return body | {"channels": list(body["channels"])}


def edit(connection, *steps):
    """Store a rule (its body) or drop it (its id), each in a transaction."""
    for step in steps:
        with sqlite.transaction(connection):
            alert_rows.drop_rule(connection, step) if isinstance(step, str) else alert_rows.put_rule(connection, step)


def test_rules_come_back_whole_and_in_the_order_they_were_made(path, writer):
    bodies = [rule("b"), rule("a"), rule("c", threshold=1.25)]
    edit(writer, *bodies)
    assert alert_rows.read_alert_rules(path) == bodies


def test_an_edited_rule_keeps_its_place(path, writer):
    edit(writer, rule("b"), rule("a"), rule("c"), rule("a", threshold=3.0))
    assert alert_rows.read_alert_rules(path) == [rule("b"), rule("a", threshold=3.0), rule("c")]


def test_a_dropped_rule_is_gone_and_its_history_stays(path, writer):
    edit(writer, rule("r1"), rule("r2"))
    with sqlite.transaction(writer):
        alert_rows.put_event(writer, event(1))
    edit(writer, "r1", "never-was")
    assert [body["rule_id"] for body in alert_rows.read_alert_rules(path)] == ["r2"]
    assert [row["rule_id"] for row in alert_rows.read_alert_history(path, 10)] == ["r1"]


@settings(max_examples=60)
@given(steps=st.lists(st.tuples(st.sampled_from("abcd"), st.booleans()), max_size=15))
@example([("a", True), ("b", True), ("c", True), ("a", False), ("b", False), ("d", True)])
def test_order_survives_any_sequence_of_edits_and_drops(shared, steps):
    path, connection, _ = shared
    edit(connection, *"abcd")
    model: dict[str, None] = {}
    for rule_id, keep in steps:
        edit(connection, rule(rule_id) if keep else rule_id)
        if keep:
            model.setdefault(rule_id)
        else:
            model.pop(rule_id, None)
    assert [body["rule_id"] for body in alert_rows.read_alert_rules(path)] == list(model)


# --- opening --------------------------------------------------------------------------------------


def test_an_opened_file_keeps_what_it_holds(path):
    for number in (1, 2):
        with closing(sqlite.open_writer(path)) as connection:
            assert store(connection, tape("T", (1, 10.5, 1.0), (number, 10.5, 1.0))) == [1]
    assert [trade.trade_id for trade in in_view(path, "T")] == [1, 2]


def test_the_file_is_kept_in_write_ahead_mode_with_commits_that_survive_the_process(writer):
    assert writer.execute("pragma journal_mode").fetchone() == ("wal",)
    assert writer.execute("pragma synchronous").fetchone() == (1,)


@posix
def test_what_is_made_belongs_to_its_owner_only(tmp_path):
    path = tmp_path / "var" / "tape.db"
    before = os.umask(0)
    try:
        with closing(sqlite.open_writer(path)) as connection:
            store(connection, tape("T", (1, 10.5, 1.0)))
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    finally:
        os.umask(before)
    assert modes == dict.fromkeys(["tape.db", "tape.db-wal", "tape.db-shm"], 0o600)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@posix
def test_a_folder_that_was_there_keeps_its_permissions(tmp_path):
    tmp_path.chmod(0o755)
    sqlite.open_writer(tmp_path / "tape.db").close()
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_every_missing_folder_above_is_made(tmp_path):
    path = tmp_path / "a" / "b" / "tape.db"
    sqlite.open_writer(path).close()
    assert plain(path, "select count(*) from trades") == [(0,)]


def test_a_name_that_an_address_would_misread_is_a_name(tmp_path):
    path = tmp_path / "tape #1?mode=rw&50%25 ü.db"
    with closing(sqlite.open_writer(path)) as connection:
        store(connection, tape("T", (1, 10.5, 1.0)))
        assert len(sqlite.read_trades(path, "v", "s", "T")) == 1
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("made", [b"", None], ids=["an empty file", "a file without tables"])
def test_a_file_that_was_left_before_its_tables_were_made_is_used(path, made):
    if made is None:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("pragma journal_mode = wal")
        assert path.stat().st_size > 0
    else:
        path.write_bytes(made)
    with closing(sqlite.open_writer(path)) as connection:
        assert store(connection, tape("T", (1, 10.5, 1.0))) == [1]


def newer(path, version):
    """A database of a version to come."""
    with closing(sqlite.open_writer(path)) as connection:
        store(connection, tape("T", (1, 10.5, 1.0)))
        connection.execute("create table invented_later (x)")
        connection.execute(f"pragma user_version = {version}")


@pytest.mark.parametrize("version", [sqlite.SCHEMA_VERSION + 1, 2**31 - 1])
def test_a_file_of_a_newer_version_is_refused_untouched(tmp_path, path, version):
    newer(path, version)
    before = content(tmp_path)
    with pytest.raises(SchemaTooNew, match=rf"tape\.db has schema {version}.* up to {sqlite.SCHEMA_VERSION}"):
        sqlite.open_writer(path)
    assert content(tmp_path) == before


def test_a_newer_version_that_was_killed_is_refused_with_its_log_untouched(tmp_path):
    path, left = tmp_path / "tape.db", tmp_path / "left"
    left.mkdir()
    sqlite.open_writer(path).close()
    with closing(sqlite.open_writer(path)) as connection:
        connection.execute(f"pragma user_version = {sqlite.SCHEMA_VERSION + 1}")
        for name in ("tape.db", "tape.db-wal"):
            shutil.copy(tmp_path / name, left / name)
    before = content(left)
    with pytest.raises(SchemaTooNew, match=f"schema {sqlite.SCHEMA_VERSION + 1}"):
        sqlite.open_writer(left / "tape.db")
    after = content(left)
    assert {name: after[name] for name in before} == before


def test_a_file_of_ours_that_was_killed_is_taken_up_with_its_log(tmp_path):
    left = tmp_path / "left"
    left.mkdir()
    with closing(sqlite.open_writer(tmp_path / "tape.db")) as connection:
        store(connection, tape("T", (1, 10.5, 1.0)))
        for name in ("tape.db", "tape.db-wal"):
            shutil.copy(tmp_path / name, left / name)
    with closing(sqlite.open_writer(left / "tape.db")) as connection:
        assert store(connection, tape("T", (1, 10.5, 1.0), (2, 10.5, 1.0))) == [1]


DUMP = b"BEGIN TRANSACTION;\nCREATE TABLE trade_exact (price real);\nCOMMIT;\n"


@pytest.mark.parametrize(
    "text", [b"x\n", b"dear diary\n" * 20, b"time,price\n1,2\n" * 1_000, DUMP, b"PK\3\4" + bytes(500)]
)
def test_a_file_that_is_no_database_is_refused_untouched(tmp_path, path, text):
    path.write_bytes(text)
    with pytest.raises(StorageError, match=r"tape\.db cannot be .*not a database"):
        sqlite.open_writer(path)
    assert content(tmp_path) == {"tape.db": text}


def test_a_directory_is_refused_untouched(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    before = content(tmp_path)
    with pytest.raises(StorageError, match="cannot be"):
        sqlite.open_writer(tmp_path)
    assert content(tmp_path) == before
    assert not list(tmp_path.parent.glob(f"{tmp_path.name}-*"))


def test_a_path_below_a_file_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(StorageError, match=r"notes\.txt"):
        sqlite.open_writer(tmp_path / "notes.txt" / "tape.db")
    assert content(tmp_path) == {"notes.txt": b"mine"}


@pytest.mark.parametrize("version", [0, sqlite.SCHEMA_VERSION, 7])
@pytest.mark.parametrize("tables", [["ticks"], ["instrument", "trade"], list(COLUMNS)], ids=" ".join)
def test_a_database_of_another_program_is_refused_untouched(tmp_path, path, version, tables):
    with closing(sqlite3.connect(path)) as connection:
        for table in tables:
            connection.execute(f"create table {table} (price real)")
        connection.execute(f"pragma user_version = {version}")
        connection.commit()
    before = content(tmp_path)
    with pytest.raises(StorageError, match=r"tape\.db .*another program"):
        sqlite.open_writer(path)
    assert content(tmp_path) == before


# --- older files ----------------------------------------------------------------------------------

FILES = Path(__file__).parent / "files"
OLDER = list(range(1, sqlite.SCHEMA_VERSION))


def older(path, version):
    """A file as the program of that version left it."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("pragma journal_mode = wal")
        connection.executescript((FILES / f"schema_{version}.sql").read_text("utf-8"))


def everything(path):
    """Rows of all views, without the columns that came later."""
    columns = {view: names.removesuffix(LATER.get(view, "")) for view, names in COLUMNS.items()}
    return {view: plain(path, f"select {','.join(names.split())} from {view}") for view, names in columns.items()}


def shape(path):
    """Tables with their columns, and the text of every view."""
    tables = [name for (name,) in plain(path, "select name from sqlite_master where type = 'table' order by name")]
    columns = {
        name: plain(path, f"select name, type, \"notnull\", dflt_value, pk from pragma_table_info('{name}')")
        for name in tables
    }
    return columns, plain(path, "select name, sql from sqlite_master where type = 'view' order by name")


def test_there_is_a_step_to_every_version():
    assert list(sqlite.MIGRATIONS) == [version + 1 for version in OLDER]
    assert [(FILES / f"schema_{version}.sql").exists() for version in OLDER] == [True] * len(OLDER)


@pytest.mark.parametrize("version", OLDER)
def test_an_older_file_is_copied_and_brought_up_to_date(tmp_path, path, version):
    older(path, version)
    before = everything(path)
    assert all(before.values())
    with closing(sqlite.open_writer(path)) as connection:
        assert store(connection, tape("NEW", (1, 10.5, 1.0))) == [1]
        assert plain(path, "select distinct note from gaps") == [("",)]
        connection.execute(
            "delete from trade where instrument = (select instrument from instrument where symbol = 'NEW')"
        )
    assert everything(path) == before
    assert plain(path, "pragma user_version") == [(sqlite.SCHEMA_VERSION,)]
    copy = tmp_path / f"tape.db.v{version}-backup"
    assert {file.name for file in tmp_path.iterdir()} == {"tape.db", copy.name}
    assert everything(copy) == before
    assert plain(copy, "pragma user_version") == [(version,)]
    assert sys.platform == "win32" or stat.S_IMODE(copy.stat().st_mode) == 0o600


@pytest.mark.parametrize("version", OLDER)
def test_a_migrated_file_is_like_a_new_one(tmp_path, path, version):
    older(path, version)
    for name in ("tape.db", "new.db"):
        sqlite.open_writer(tmp_path / name).close()
    assert shape(path) == shape(tmp_path / "new.db")


def test_a_file_of_this_version_is_not_copied(tmp_path, path):
    for _ in range(2):
        sqlite.open_writer(path).close()
    assert [file.name for file in tmp_path.iterdir()] == ["tape.db"]


def test_a_migration_killed_at_any_statement_is_finished_by_the_next_start(tmp_path, path, monkeypatch):
    older(path, 1)
    before = everything(path)
    moments, connect = [], sqlite3.connect

    def snapshot(statement):
        left = tmp_path / f"left-{len(moments)}"
        left.mkdir()
        for file in tmp_path.glob("tape.db*"):
            shutil.copy(file, left / file.name)
        moments.append((statement, left / "tape.db"))

    def watched(*arguments, **options):
        connection = connect(*arguments, **options)
        if not options.get("uri"):
            connection.set_trace_callback(snapshot)
        return connection

    monkeypatch.setattr(sqlite3, "connect", watched)
    with closing(sqlite.open_writer(path)):
        snapshot("after the commit")
    monkeypatch.undo()
    assert sum("CREATE" in statement.upper() or "alter" in statement for statement, _ in moments) >= 6
    versions = []
    for statement, left in moments:
        versions += plain(left, "pragma user_version")
        sqlite.open_writer(left).close()
        assert everything(left) == before, statement
        assert plain(left, "pragma user_version") == [(sqlite.SCHEMA_VERSION,)], statement
        assert everything(left.with_name("tape.db.v1-backup")) == before, statement
    assert set(versions) == {(1,), (sqlite.SCHEMA_VERSION,)}


def test_a_file_that_cannot_be_copied_is_not_migrated(tmp_path, path):
    older(path, 1)
    (tmp_path / "tape.db.v1-backup.part").mkdir()
    before = path.read_bytes()
    with pytest.raises(StorageError, match=r"tape\.db cannot be used as database: .*v1-backup\.part"):
        sqlite.open_writer(path)
    assert path.read_bytes() == before


# --- damaged files --------------------------------------------------------------------------------


def filled(path):
    """A file of ours with some pages of everything."""
    with closing(sqlite.open_writer(path)) as connection:
        ids = np.arange(3_000)
        store(connection, Trades.of("T", ids, START_US + ids, ids / 8 + 1, ids % 7 / 4 + 0.25, ids % 2))
        edit(connection, rule("r1"))


def overwrite(path, first, count, seed=1):
    """Put random bytes over a part of a file."""
    with path.open("r+b") as file:
        file.seek(first)
        file.write(np.random.default_rng(seed).bytes(count))


@pytest.mark.parametrize("page", range(20))
def test_a_page_of_other_bytes_is_found_at_the_start(tmp_path, path, page):
    filled(path)
    assert path.stat().st_size > 20 * 4_096
    overwrite(path, max(page * 4_096, len(sqlite.HEADER)), 4_096 - (0 if page else len(sqlite.HEADER)))
    before = content(tmp_path)
    with pytest.raises(DatabaseDamaged, match=r"tape\.db"):
        sqlite.open_writer(path)
    assert content(tmp_path) == before


@pytest.mark.parametrize("count", [16, 100])
def test_a_header_of_other_bytes_is_damage_where_the_rest_is_ours(tmp_path, path, count):
    filled(path)
    overwrite(path, 0, count)
    before = content(tmp_path)
    with pytest.raises(DatabaseDamaged, match="header is overwritten"):
        sqlite.open_writer(path)
    assert content(tmp_path) == before


def test_half_a_file_is_damage(tmp_path, path):
    filled(path)
    os.truncate(path, path.stat().st_size // 2)
    before = content(tmp_path)
    with pytest.raises(DatabaseDamaged):
        sqlite.open_writer(path)
    assert content(tmp_path) == before


def test_a_header_and_nothing_behind_it_is_damage(tmp_path, path):
    path.write_bytes(sqlite.HEADER + b"??")
    with pytest.raises(DatabaseDamaged, match="not a database"):
        sqlite.open_writer(path)
    assert content(tmp_path) == {"tape.db": sqlite.HEADER + b"??"}


def killed(path, left):
    """A copy of a file as a sudden death leaves it, with its log."""
    left.mkdir()
    with closing(sqlite.open_writer(path)) as connection:
        connection.execute("pragma wal_autocheckpoint = 0")
        store(connection, tape("T", *((i, 10.5, 1.0) for i in range(5_000))))
        for name in ("tape.db", "tape.db-wal"):
            shutil.copy(path.with_name(name), left / name)
    return left / "tape.db"


@pytest.mark.parametrize("gone", [False, True])
def test_a_log_without_its_file_is_damage_since_sqlite_would_delete_it(tmp_path, path, gone):
    left = killed(path, tmp_path / "left")
    left.unlink() if gone else os.truncate(left, 0)
    before = content(left.parent)
    assert len(before["tape.db-wal"]) > 50_000
    with pytest.raises(DatabaseDamaged, match="empty or gone, and its log is not"):
        sqlite.open_writer(left)
    assert content(left.parent) == before


def test_a_log_that_was_cut_short_is_taken_up_to_there(tmp_path, path):
    left = killed(path, tmp_path / "left")
    log = left.with_name("tape.db-wal")
    os.truncate(log, log.stat().st_size - 5_000)
    with closing(sqlite.open_writer(left)) as connection:
        assert in_view(left, "T") == []  # one transaction: all of it or nothing
        assert store(connection, tape("T", (1, 10.5, 1.0))) == [1]


def last_page_overwritten(path):
    overwrite(path, path.stat().st_size - 4_096, 4_096)


def test_only_files_of_a_moderate_size_are_searched_and_larger_ones_after_a_sudden_death(path, monkeypatch):
    filled(path)
    last_page_overwritten(path)
    monkeypatch.setattr(sqlite, "SEARCHED_CLEAN", 10_000)
    sqlite.open_writer(path).close()
    log = path.with_name("tape.db-wal")
    log.write_bytes(b"left behind")
    with pytest.raises(DatabaseDamaged):
        sqlite.open_writer(path)
    monkeypatch.setattr(sqlite, "SEARCHED_UNCLEAN", 10_000)
    sqlite.open_writer(path).close()


def test_a_damaged_file_moves_aside_together_with_its_log(tmp_path, path):
    left = killed(path, tmp_path / "left")
    before = content(left.parent)
    kept = sqlite.set_aside(left, "now")
    assert content(left.parent) == {
        name.replace("tape.db", "tape.db.corrupt-now"): data for name, data in before.items()
    }
    assert len(in_view(kept, "T")) == 5_000


def test_what_can_be_read_of_a_damaged_file_goes_over_to_a_new_one(tmp_path, path, writer):
    edit(writer, rule("r0"), rule("r1"), rule("r2"))
    edit(writer, "r0")
    with sqlite.transaction(writer):
        sqlite.put_note(writer, "until", "99")
        alert_rows.put_state(writer, "r1", "v", {"state": "FIRING"})
        alert_rows.put_message(
            writer, {**dict.fromkeys(("channel", "key", "event_id"), "x"), "attempts": 2, "queued_us": 1}
        )
    writer.execute("drop view trades")
    rescued = sqlite.rescue(writer)
    with closing(sqlite.open_writer(tmp_path / "new.db")) as connection:
        edit(connection, rule("r2", threshold=3.0))
        with sqlite.transaction(connection):
            sqlite.restore(connection, rescued)
    assert alert_rows.read_alert_rules(tmp_path / "new.db") == [rule("r2", threshold=3.0), rule("r1")]
    assert sqlite.read_note(tmp_path / "new.db", "until") == "99"
    assert alert_rows.read_states(tmp_path / "new.db") == [("r1", "v", {"state": "FIRING"})]
    assert [row["attempts"] for row in alert_rows.read_waiting(tmp_path / "new.db")] == [2]
    writer.execute("drop table note")
    assert list(sqlite.rescue(writer)) == ["alert_rule", "alert_state", "alert_outbox"]


# --- reading --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reader, folds", [(sqlite.reading, False), (lambda path: closing(sqlite3.connect(path)), True)]
)
def test_our_readers_never_fold_the_log_into_the_file(tmp_path, path, reader, folds):
    left = killed(path, tmp_path / "left")
    before = content(left.parent)
    with reader(left) as connection:
        assert connection.execute("select count(*) from trades").fetchone() == (5_000,)
        with suppress(sqlite3.Error):
            connection.execute("pragma wal_checkpoint(truncate)")
    after = content(left.parent)
    assert ({name: after.get(name) for name in before} != before) == folds


VERSIONS = [
    ("3.6.23", False), ("3.7.0", True), ("3.40.1", True), ("3.44.5", True), ("3.44.6", False), ("3.45.0", True),
    ("3.50.6", True), ("3.50.7", False), ("3.51.2", True), ("3.51.3", False), ("3.53.0", False),
]  # fmt: skip


@pytest.mark.parametrize("version, breaks", VERSIONS)
def test_versions_that_need_a_single_writer_are_known(version, breaks):
    assert sqlite.breaks_shared_logs(tuple(map(int, version.split(".")))) == breaks


def test_our_readers_leave_the_log_of_a_writer_alone(tmp_path, path, writer):
    store(writer, tape("T", *((i, 10.5, 1.0) for i in range(500))))
    before = content(tmp_path)
    for _ in range(3):
        assert len(sqlite.read_trades(path, "v", "s", "T")) == 500
    after = content(tmp_path)
    assert [after[name] == before[name] for name in ("tape.db", "tape.db-wal")] == [True, True]


def test_a_reader_cannot_write(path, writer):
    store(writer, tape("T", (1, 10.5, 1.0)))
    with pytest.raises(StorageError, match="readonly"), sqlite.reading(path) as connection:
        connection.execute("delete from trade")
    assert len(in_view(path, "T")) == 1


def test_a_file_that_is_not_there_is_not_made_by_reading(path):
    with pytest.raises(StorageError, match=r"tape\.db cannot be read"):
        sqlite.read_trades(path, "v", "s", "T")
    assert not path.exists()


def test_an_error_of_the_reader_is_its_own(path, writer):
    with pytest.raises(KeyError), sqlite.reading(path):
        raise KeyError("mine")


def test_decimals_and_the_prices_that_they_are_of_are_read_together(path, writer, monkeypatch):
    """A writer that widens them in between changes the integers of all rows."""
    store(writer, tape("T", (1, 100.0, 1.0)))
    reading = sqlite.reading

    class Slow:
        def __init__(self, connection):
            self.connection = connection

        def execute(self, query, *values):
            found = self.connection.execute(query, *values)
            if "price_scale" not in query:
                return found
            row = found.fetchone()
            store(writer, tape("T", (2, 100.25, 1.0)))
            return SimpleNamespace(fetchone=lambda: row)

    @contextmanager
    def slowly(file):
        with reading(file) as connection:
            yield Slow(connection)

    monkeypatch.setattr(sqlite, "reading", slowly)
    assert sqlite.read_trades(path, "v", "s", "T").price.tolist() == [100.0]
    monkeypatch.setattr(sqlite, "reading", reading)
    assert sqlite.read_trades(path, "v", "s", "T").price.tolist() == [100.0, 100.25]
