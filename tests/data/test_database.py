"""The file as its writer has it: whatever happens to it is told, kept, and no reason to stop."""

import logging
import shutil
import sqlite3
from contextlib import closing

import numpy as np
import pytest

from data import alert_rows, database, sqlite
from data.database import NOTE_KEY, Database
from data.lock import CaptureLock
from data.trades import Trades
from utils.errors import DatabaseBusy, DatabaseDamaged, SchemaTooNew, StorageError

START_US = 1_700_000_040_000_000
RULE = {"rule_id": "wide", "metric": "zscore", "threshold": 2.0}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "var" / "tape.db"


@pytest.fixture
def opened(path):
    """A database that has been opened, with a rule, a note and some pages of trades in the file."""
    made = Database(path)
    fill(made.connection())
    yield made
    made.close()


def fill(connection):
    ids = np.arange(3_000)
    with sqlite.transaction(connection):
        owner = sqlite.instrument(connection, "v", "s", "T")
        sqlite.insert_trades(connection, owner, Trades.of("T", ids, START_US + ids, ids / 8 + 1, ids + 1.0, ids % 2))
        alert_rows.put_rule(connection, RULE)
        sqlite.put_note(connection, "until", "99")


def count(path):
    """Trades in a file, by the plainest means."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("select count(*) from trades").fetchone()[0]


def overwrite(path, first=16, count=10**9, seed=1):
    """Put random bytes over a part of a file, or all that follows."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(first)
        file.write(np.random.default_rng(seed).bytes(min(count, size - first)))


def kept(path):
    """Files that were moved aside."""
    return sorted(path.parent.glob("tape.db.corrupt-*[0-9]Z"))


def damage_trades(path):
    """Overwrite the last page of the tape, far from rules and notes."""
    overwrite(path, path.stat().st_size - 4_096)


# --- at the start ---------------------------------------------------------------------------------


def test_a_damaged_file_is_kept_as_it_was_and_a_new_one_begins(path, opened, caplog):
    opened.close()
    overwrite(path)
    broken = path.read_bytes()
    connection = opened.connection()
    fill(connection)
    (aside,) = kept(path)
    assert aside.read_bytes() == broken
    assert count(path) == 3_000
    assert opened.note.startswith("tape.db was damaged (")
    assert f"it is kept as {aside.name}, and a new one was begun" in opened.note


def test_rules_and_notes_go_over_to_the_new_file(path, opened):
    opened.close()
    damage_trades(path)
    opened.connection()
    assert alert_rows.read_alert_rules(path) == [RULE]
    assert sqlite.read_note(path, "until") == "99"
    assert count(path) == 0
    assert len(kept(path)) == 1


@pytest.mark.parametrize("copied, rules", [("[]", []), ("{", []), ("no copy", []), ("rules", [RULE])])
def test_rules_that_cannot_be_read_come_from_their_copy(path, opened, copied, rules):
    opened.close()
    opened.connection()
    opened.close()
    if copied == "no copy":
        path.with_name("tape.db.rules").unlink()
    elif copied != "rules":
        path.with_name("tape.db.rules").write_text(copied)
    overwrite(path)
    opened.connection()
    assert alert_rows.read_alert_rules(path) == rules


def test_a_table_that_only_shows_its_damage_when_it_is_read_is_damage_too(path, opened, monkeypatch):
    (page,) = opened.connection().execute("select rootpage from sqlite_master where name = 'alert_rule'").fetchone()
    opened.close()
    monkeypatch.setattr(sqlite, "SEARCHED_CLEAN", 0)
    overwrite(path, (page - 1) * 4_096, 4_096)
    opened.connection()
    assert alert_rows.read_alert_rules(path) == []  # its copy was made before the rule was, and is as old
    assert (len(kept(path)), count(path)) == (1, 0)


def test_the_copy_of_the_rules_is_not_used_where_there_was_no_damage(path, opened):
    opened.copy_rules()
    opened.close()
    path.unlink()
    opened.connection()
    assert alert_rows.read_alert_rules(path) == []
    assert path.with_name("tape.db.rules").read_text() == "[]"


def test_the_log_of_a_damaged_file_is_kept_with_it(path, opened, tmp_path):
    left = tmp_path / "left"
    left.mkdir()
    for name in ("tape.db", "tape.db-wal"):
        shutil.copy(path.with_name(name), left / name)
    other = Database(left / "tape.db")
    log = (left / "tape.db-wal").read_bytes()
    (left / "tape.db").write_bytes(b"")
    other.connection()
    (aside,) = kept(left / "tape.db")
    assert aside.read_bytes() == b""
    assert aside.with_name(aside.name + "-wal").read_bytes() == log
    assert count(left / "tape.db") == 0
    other.close()


@pytest.mark.parametrize("made", [False, True], ids=["absent", "empty"])
def test_an_empty_file_is_a_new_one(path, made):
    if made:
        path.parent.mkdir()
        path.touch()
    new = Database(path)
    fill(new.connection())
    new.close()
    assert (new.note, kept(path), count(path)) == (None, [], 3_000)


def test_what_happened_is_told_until_it_is_dismissed(path, opened):
    opened.close()
    overwrite(path)
    opened.connection()
    note = opened.note
    opened.close()
    again = Database(path)
    assert again.note is None
    connection = again.connection()
    assert again.note == note != None  # noqa: E711 - a chain
    again.dismiss()
    sqlite.drop_note(connection, NOTE_KEY)
    again.close()
    again.connection()
    assert again.note is None
    again.close()


def test_a_disk_that_breaks_every_file_gets_one_new_file_in_ten_minutes(path, opened, monkeypatch):
    clock_s = [1_000.0]
    monkeypatch.setattr(database, "monotonic_s", lambda: clock_s[0])
    for files, later_s, fails in [(1, 0.0, False), (1, 599.0, True), (2, 2.0, False), (2, 1.0, True)]:
        clock_s[0] += later_s
        opened.close()
        overwrite(path)
        if fails:
            for _ in range(3):
                with pytest.raises(StorageError, match="is the disk well"):
                    opened.connection()
        else:
            opened.connection()
        assert len(kept(path)) == files


def test_a_damaged_file_that_cannot_be_moved_is_left_and_tried_again(path, opened, monkeypatch):
    opened.close()
    overwrite(path)

    def refuse(self, target):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(type(path), "rename", refuse)
        for _ in range(2):
            with pytest.raises(StorageError, match=r"is damaged and cannot be moved aside: .*Permission denied"):
                opened.connection()
    opened.connection()
    assert len(kept(path)) == 1


def newer(path):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("pragma user_version = 99")


def foreign(path):
    path.write_text("dear diary")


@pytest.mark.parametrize("made, error", [(newer, SchemaTooNew), (foreign, StorageError)])
def test_what_is_not_ours_to_change_is_refused_untouched(path, opened, made, error):
    opened.close()
    made(path)
    before = path.read_bytes()
    for _ in range(2):
        with pytest.raises(error) as raised:
            opened.connection()
        assert not isinstance(raised.value, DatabaseDamaged)
    assert (path.read_bytes(), kept(path), opened.note) == (before, [], None)


# --- while it is open -----------------------------------------------------------------------------


def test_one_connection_is_used_as_long_as_the_file_is_the_same(opened):
    assert opened.connection() is opened.connection()
    assert opened.is_ours()


def delete(path):
    path.unlink()


def delete_all(path):
    for file in path.parent.glob("tape.db*"):
        file.unlink()


def delete_folder(path):
    shutil.rmtree(path.parent)


def replace(path):
    other = path.with_name("other.db")
    sqlite.open_writer(other).close()
    other.replace(path)


def test_the_log_of_a_replaced_file_is_not_played_into_the_new_one(path, opened):
    assert sqlite.log_bytes(path) > 0
    replace(path)
    opened.connection()
    assert (count(path), opened.connection().execute("pragma integrity_check").fetchall()) == (0, [("ok",)])
    assert len(list(path.parent.glob("tape.db.corrupt-*-wal"))) == 1


def test_a_file_that_is_replaced_with_its_log_is_used_with_it(path, opened, tmp_path):
    other = tmp_path / "other.db"
    with closing(sqlite.open_writer(other)) as connection:
        fill(connection)
        connection.execute("delete from trade where trade_id >= 10")
        for name in ("-wal", ""):
            shutil.copy(f"{other}{name}", f"{path}-new{name}")
        for name in ("-wal", ""):
            path.with_name(f"tape.db-new{name}").replace(path.with_name(f"tape.db{name}"))
    opened.connection()
    assert count(path) == 10


def test_a_log_that_was_deleted_costs_nothing(path, opened):
    before = opened.connection()
    for name in ("tape.db-wal", "tape.db-shm"):
        path.with_name(name).unlink()
    assert not opened.is_ours()
    assert opened.connection() is not before
    assert (count(path), alert_rows.read_alert_rules(path), opened.note) == (3_000, [RULE], None)


@pytest.mark.parametrize("vanish", [delete, delete_all, delete_folder, replace])
def test_a_file_that_vanishes_is_made_anew_with_its_rules(path, opened, vanish):
    before = opened.connection()
    vanish(path)
    assert not opened.is_ours()
    connection = opened.connection()
    assert connection is not before
    assert opened.is_ours()
    fill(connection)
    assert count(path) == 3_000
    assert alert_rows.read_alert_rules(path) == [RULE]
    assert sqlite.read_note(path, "until") == "99"
    assert opened.note == "tape.db was deleted or replaced while in use: what it held is not in the new one"
    with pytest.raises(DatabaseBusy):
        CaptureLock(path).acquire()


def test_what_was_rescued_waits_until_there_is_a_file_for_it(path, opened):
    delete_folder(path)
    path.parent.write_text("in the way")
    for _ in range(3):
        with pytest.raises(StorageError):
            opened.connection()
    path.parent.unlink()
    opened.connection()
    assert alert_rows.read_alert_rules(path) == [RULE]
    assert "was deleted" in opened.note


def test_a_lock_that_was_deleted_is_taken_again(path, opened):
    before = opened.connection()
    path.with_name("tape.db.lock").unlink()
    assert not opened.is_ours()
    assert opened.connection() is before
    assert opened.is_ours()


def test_a_file_that_another_one_took_meanwhile_is_left_to_it(path, opened):
    before = opened.connection()
    path.with_name("tape.db.lock").unlink()
    other = CaptureLock(path)
    other.acquire()
    for _ in range(2):
        with pytest.raises(DatabaseBusy):
            opened.connection()
    assert not opened.is_ours()
    other.release()
    assert opened.connection() is before


def test_damage_that_shows_while_it_is_open_is_treated_as_at_the_start(path, opened):
    connection = opened.connection()
    connection.execute("pragma wal_checkpoint(truncate)")
    damage_trades(path)
    connection.execute("pragma shrink_memory")
    with pytest.raises(sqlite3.DatabaseError) as raised:
        connection.execute("select sum(price) from trade").fetchone()
    opened.failed(raised.value)
    fill(opened.connection())
    assert len(kept(path)) == 1
    assert "database disk image is malformed" in opened.note
    assert (count(path), alert_rows.read_alert_rules(path)) == (3_000, [RULE])


def test_an_error_of_the_file_system_closes_the_connection_and_a_full_disk_does_not(opened):
    def error(code):
        exc = sqlite3.OperationalError("as ordered")
        exc.sqlite_errorcode = code
        return exc

    before = opened.connection()
    for code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        opened.failed(error(code))
        assert opened.connection() is before
    for code in (sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_READONLY_DBMOVED, sqlite3.SQLITE_CANTOPEN):
        before = opened.connection()
        opened.failed(error(code))
        assert opened.connection() is not before
    assert opened.note is None


# --- the log --------------------------------------------------------------------------------------


def put_notes(connection, rows):
    """Commits that change one row again and again."""
    for number in range(rows):
        with sqlite.transaction(connection):
            sqlite.put_note(connection, "long", f"{number} " + "x" * 4_000)


def test_the_log_stays_small_without_a_reader(path, opened):
    largest = 0
    for _ in range(30):
        put_notes(opened.connection(), 100)
        largest = max(largest, sqlite.log_bytes(path))
    assert 0 < largest < 6 << 20


def test_a_log_that_a_long_reading_let_grow_shrinks_after_it(path, opened, monkeypatch):
    monkeypatch.setattr(sqlite, "LOG_LIMIT", 100_000)
    opened.close()
    connection = opened.connection()
    with sqlite.reading(path) as reader:
        assert reader.execute("select count(*) from trades").fetchone() == (3_000,)
        put_notes(connection, 2_000)
        assert sqlite.log_bytes(path) > 10 << 20
        assert reader.execute("select count(*) from trades").fetchone() == (3_000,)
    put_notes(connection, 2)
    assert sqlite.log_bytes(path) <= 100_000


def test_a_large_log_is_folded_by_force_between_two_readings(path, opened, monkeypatch, caplog):
    monkeypatch.setattr(logging.getLogger("pairscope"), "propagate", True)
    clock_s = [1_000.0]
    monkeypatch.setattr(database, "monotonic_s", lambda: clock_s[0])
    monkeypatch.setattr(database, "LOG_LARGE", 1 << 20)
    with sqlite.reading(path) as reader:
        reader.execute("select count(*) from trades").fetchone()
        put_notes(opened.connection(), 500)
        for _ in range(3):
            opened.fold()
            clock_s[0] += database.FOLD_EVERY_S
            opened.fold()
        assert sqlite.log_bytes(path) > 1 << 20
        assert [record.getMessage() for record in caplog.records] == [
            "somebody reads tape.db for long: its log has grown to 4 MB"
        ]
    opened.fold()  # too soon after the last attempt
    assert sqlite.log_bytes(path) > 1 << 20
    clock_s[0] += database.FOLD_EVERY_S
    opened.fold()
    assert sqlite.log_bytes(path) == 0
    assert opened.connection().execute("pragma busy_timeout").fetchone() == (sqlite.BUSY_MS,)
