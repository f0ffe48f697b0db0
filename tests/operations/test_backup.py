"""Backup and restore: the same content comes back, also from under a writer, and nothing is lost on the way."""

import json
import os
import sqlite3
import stat
import threading
import zipfile
from contextlib import closing

import numpy as np
import pytest

from data import sqlite
from data.lock import CaptureLock
from data.trades import Trades
from operations import backup, restore
from operations.bundle import DATABASE, MANIFEST, NAME
from tests.running import ROOT, running
from tests.waiting import until
from utils.errors import BackupError, DatabaseBusy, SchemaTooNew, StorageError

BATCH = 50


def batch(first_id: int, count: int = BATCH) -> Trades:
    ids = np.arange(first_id, first_id + count)
    rng = np.random.default_rng(first_id)
    prices, qty = np.round(rng.uniform(1, 2, count), 2), np.round(rng.uniform(0.1, 1, count), 3)
    return Trades.of("BTCUSDT", ids, 1_791_382_992_338_000 + ids * 1_000, prices, qty, ids % 2 == 0)


def write(connection: sqlite3.Connection, trades: Trades) -> None:
    with sqlite.transaction(connection):
        owner = sqlite.instrument(connection, "binance-um", "aggTrade", trades.symbol)
        sqlite.insert_trades(connection, owner, trades)


@pytest.fixture
def database(tmp_path):
    """A database with some of everything, and files beside it."""
    path = tmp_path / "here" / "tape.db"
    with closing(sqlite.open_writer(path)) as connection:
        write(connection, batch(1, 500))
        with sqlite.transaction(connection):
            sqlite.put_note(connection, "view mine", "{}")
            row = {"symbol": "BTCUSDT", "first_id": 7, "last_id": 9, "cause": "reset", "found_us": 5, "filled_us": None}
            sqlite.put_gap(connection, "binance-um", "aggTrade", row)
    day = path.parent / "archive" / "binance-um" / "aggTrade" / "BTCUSDT" / "2026-11-20.parquet"
    recording = path.parent / "recordings" / "binance-um-20261120T000000Z.gz"
    for file, text in ((day, b"PAR1 a day"), (recording, b"\x1f\x8b a recording")):
        file.parent.mkdir(parents=True)
        file.write_bytes(text)
    (path.parent / ".env").write_text("PAIRSCOPE_API_TOKEN=canary-canary-canary")
    return path


def content(path) -> list[str]:
    """Everything in a database, as SQL."""
    with closing(sqlite3.connect(path)) as file:
        return [*file.iterdump(), str(file.execute("pragma user_version").fetchone())]


def files_of(folder) -> dict[str, bytes]:
    """The files beside a database that belong to it."""
    found = (path for part in ("archive", "recordings") for path in (folder / part).rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def test_what_comes_back_is_what_was_there(database, tmp_path):
    made = backup.back_up(database, tmp_path / "b.zip")
    fresh = tmp_path / "there" / "other.db"
    manifest, kept = restore.restore(tmp_path / "b.zip", fresh)
    assert kept is None and manifest == made
    assert content(fresh) == content(database)
    assert files_of(fresh.parent) == files_of(database.parent) and len(files_of(fresh.parent)) == 2
    assert manifest.rows["trade"] == 500 and manifest.schema == sqlite.SCHEMA_VERSION
    with closing(sqlite.open_writer(fresh)) as connection:  # Pairscope can go on in it
        write(connection, batch(501))
    assert len(sqlite.read_trades(fresh, "binance-um", "aggTrade", "BTCUSDT")) == 550


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_backup_and_restored_files_are_for_this_user_alone(database, tmp_path):
    backup.back_up(database, tmp_path / "b.zip")
    restore.restore(tmp_path / "b.zip", tmp_path / "there" / "tape.db")
    there = tmp_path / "there"
    paths = [tmp_path / "b.zip", there, *(path for path in there.rglob("*") if path.is_file())]
    assert [path for path in paths if stat.S_IMODE(path.stat().st_mode) & 0o077] == []


def test_no_secret_and_nothing_else_of_the_folder_is_taken_along(database, tmp_path):
    (database.parent / "archive" / "notes.txt").write_text("mine")
    (database.parent / "recordings" / "link.gz").symlink_to(database.parent / ".env")
    backup.back_up(database, tmp_path / "b.zip")
    with zipfile.ZipFile(tmp_path / "b.zip") as bundle:
        names = set(bundle.namelist())
        assert all(b"canary" not in bundle.read(name) for name in names)
    assert names == {DATABASE, MANIFEST, *(name for name in files_of(database.parent) if NAME.fullmatch(name))} - {
        "recordings/link.gz"
    }


def test_recordings_can_be_left_out(database, tmp_path):
    made = backup.back_up(database, tmp_path / "b.zip", recordings=False)
    assert [member.name.split("/")[0] for member in made.files] == [DATABASE, "archive"]


def test_a_backup_under_a_writer_is_of_one_moment(database, tmp_path):
    """Batches of a transaction are in it whole or not at all, and without a hole."""
    stop, written = threading.Event(), []

    def keep_writing() -> None:
        with closing(sqlite.open_writer(database)) as connection:
            while not stop.is_set():
                write(connection, batch(501 + BATCH * len(written)))
                written.append(1)

    writer = threading.Thread(target=keep_writing)
    writer.start()
    try:
        sizes = []
        for number in range(4):
            before = until(lambda: len(written), lambda count, number=number: count > 20 * number)
            made = backup.back_up(database, tmp_path / f"{number}.zip")
            sizes.append((before, made.rows["trade"], len(written)))
    finally:
        stop.set()
        writer.join()
    for number, (before, trades, after) in enumerate(sizes):
        assert 500 + before * BATCH <= trades <= 500 + (after + 1) * BATCH and (trades - 500) % BATCH == 0
        fresh = tmp_path / f"fresh-{number}" / "tape.db"
        restore.restore(tmp_path / f"{number}.zip", fresh)
        found = sqlite.read_trades(fresh, "binance-um", "aggTrade", "BTCUSDT")
        assert found.trade_id.tolist() == list(range(1, trades + 1))
        live = sqlite.read_ids(database, "binance-um", "aggTrade", "BTCUSDT", 1, trades)
        assert np.array_equal(found.price, live.price) and np.array_equal(found.ts_us, live.ts_us)


def test_the_commands_work_beside_a_running_capture(tmp_path, capsys):
    database, fresh = tmp_path / "tape.db", tmp_path / "fresh" / "tape.db"
    with running("--capture", source="demo", demo_rate=2_000, database=database) as app:
        until(app.status, lambda status: sum(row["stored"] for row in status["symbols"].values()) > 1_000)
        assert backup.main(["b.zip", "--from", str(tmp_path), "--database", "tape.db"]) == 0
        assert restore.main([str(tmp_path / "b.zip"), "--database", str(database), "--force"]) == 1
        assert f"process {app.process.pid}" in capsys.readouterr().err
        assert app.get("/healthz") == {"status": "ok"}
    assert restore.main([str(tmp_path / "b.zip"), "--database", str(fresh)]) == 0
    assert " trades, 0 day files, 0 recordings, " in capsys.readouterr().out
    query = "select trade_id, ts_us, price, qty, buyer_is_maker from trades where symbol = 'BTCUSDT' order by 1"
    with closing(sqlite3.connect(fresh)) as copy, closing(sqlite3.connect(database)) as live:
        rows = copy.execute(query).fetchall()
        assert len(rows) > 100 and rows == live.execute(query).fetchall()[: len(rows)]


# --- what is refused ----------------------------------------------------------------------------------


def test_nothing_is_replaced_without_being_told(database, tmp_path):
    backup.back_up(database, tmp_path / "b.zip")
    size = (tmp_path / "b.zip").stat().st_size
    with pytest.raises(BackupError, match="is there already"):
        backup.back_up(database, tmp_path / "b.zip")
    before = content(database)
    with pytest.raises(BackupError, match=r"and 2 more would be replaced: .*--force"):
        restore.restore(tmp_path / "b.zip", database)
    assert content(database) == before and (tmp_path / "b.zip").stat().st_size == size


def test_by_force_the_old_database_is_kept_under_another_name(database, tmp_path):
    backup.back_up(database, tmp_path / "b.zip")
    was = content(database)
    with closing(sqlite.open_writer(database)) as connection:
        write(connection, batch(501))
    later = content(database)
    _, kept = restore.restore(tmp_path / "b.zip", database, force=True)
    assert kept is not None and "before-restore-" in kept.name
    assert content(database) == was and content(kept) == later != was


def test_a_file_that_is_captured_into_is_left_alone(database, tmp_path):
    backup.back_up(database, tmp_path / "b.zip")
    lock = CaptureLock(database)
    lock.acquire()
    with pytest.raises(DatabaseBusy, match="in use"):
        restore.restore(tmp_path / "b.zip", database, force=True)
    lock.release()


def rewritten(source, target, change) -> None:
    """A copy of a zip file, with some of its members changed."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            data = change(name, old.read(name))
            if data is not None:
                new.writestr(name, data)


def manifest_with(**changes):
    def change(name: str, data: bytes) -> bytes:
        return json.dumps(json.loads(data) | changes).encode() if name == MANIFEST else data

    return change


def with_file(name: str):
    row = {"name": name, "bytes": 1, "sha256": "00"}

    def change(member: str, data: bytes) -> bytes:
        if member != MANIFEST:
            return data
        told = json.loads(data)
        return json.dumps(told | {"files": [*told["files"], row]}).encode()

    return change


def flipped(name: str, data: bytes) -> bytes:
    return data[:600] + bytes([data[600] ^ 1]) + data[601:] if name == DATABASE else data


REFUSED = [
    (flipped, BackupError, "is not what the manifest says"),
    (lambda name, data: data + b"x" if name == DATABASE else data, BackupError, "is not what the manifest says"),
    (lambda name, data: data[:-1] if name.endswith(".gz") else data, BackupError, "is not what the manifest says"),
    (lambda name, data: None if name.endswith(".parquet") else data, BackupError, "is missing"),
    (lambda name, data: None if name == MANIFEST else data, BackupError, "is no backup of Pairscope"),
    (lambda name, data: b"{" if name == MANIFEST else data, BackupError, "cannot be read"),
    (manifest_with(format=2), BackupError, "has format 2"),
    (manifest_with(schema=99), SchemaTooNew, "has schema 99"),
    (manifest_with(rows={"trade": 499}), BackupError, "does not hold what the manifest says"),
    (manifest_with(files=[]), BackupError, "names no database"),
    (with_file("../../etc/cron.d/x"), BackupError, "has no place in a backup"),
    (with_file("archive/../a/b/2026-11-20.parquet"), BackupError, "has no place in a backup"),
    (with_file("/recordings/a.gz"), BackupError, "has no place in a backup"),
    (with_file("recordings/..\\a.gz"), BackupError, "has no place in a backup"),
    (with_file("recordings/.a.gz"), BackupError, "has no place in a backup"),
]


@pytest.mark.parametrize("change, error, words", REFUSED)
def test_a_backup_that_is_not_whole_or_not_ours_changes_nothing(database, tmp_path, change, error, words):
    backup.back_up(database, tmp_path / "b.zip")
    rewritten(tmp_path / "b.zip", tmp_path / "bad.zip", change)
    before = content(database)
    with pytest.raises(error, match=words):
        restore.restore(tmp_path / "bad.zip", database, force=True)
    assert content(database) == before
    assert {path.name for path in database.parent.iterdir()} - {"tape.db.lock"} == {
        "tape.db",
        "archive",
        "recordings",
        ".env",
    }


@pytest.mark.parametrize("data", [b"", b"no zip at all", None])
def test_a_file_that_is_no_zip_is_refused(database, tmp_path, data):
    bad = tmp_path / "bad.zip"
    if data is not None:
        bad.write_bytes(data)
    with pytest.raises(BackupError, match=r"bad\.zip cannot be restored"):
        restore.restore(bad, database, force=True)


def test_a_backup_cut_short_is_refused(database, tmp_path):
    backup.back_up(database, tmp_path / "b.zip")
    whole = (tmp_path / "b.zip").read_bytes()
    for share in (0.3, 0.6, 0.99):
        (tmp_path / "cut.zip").write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(BackupError):
            restore.restore(tmp_path / "cut.zip", tmp_path / "new" / "tape.db")
        assert not (tmp_path / "new" / "tape.db").exists()


def test_there_must_be_a_database_room_and_a_folder(tmp_path, database, monkeypatch):
    with pytest.raises(BackupError, match="there is no database"):
        backup.back_up(tmp_path / "none.db", tmp_path / "b.zip")
    with pytest.raises(BackupError, match="there is no folder"):
        backup.back_up(database, tmp_path / "none" / "b.zip")
    monkeypatch.setattr(backup.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1_000}))
    with pytest.raises(BackupError, match=r"0\.00 GB free"):
        backup.back_up(database, tmp_path / "b.zip")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here"]


def test_a_damaged_database_is_no_backup(database, tmp_path):
    with database.open("r+b") as file:
        file.seek(4_096)
        file.write(os.urandom(8_192))
    with pytest.raises(StorageError, match=r"damaged|malformed"):
        backup.back_up(database, tmp_path / "b.zip")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here"]


def test_an_older_database_is_restored_as_it_is_and_migrated_by_the_next_start(database, tmp_path):
    old = tmp_path / "old" / "tape.db"
    old.parent.mkdir()
    with closing(sqlite3.connect(old)) as file:
        file.executescript((ROOT / "tests" / "data" / "files" / "schema_1.sql").read_text("utf-8"))
    backup.back_up(old, tmp_path / "b.zip")
    fresh = tmp_path / "there" / "tape.db"
    manifest, _ = restore.restore(tmp_path / "b.zip", fresh)
    assert manifest.schema == sqlite.look(fresh) == 1
    sqlite.open_writer(fresh).close()
    assert sqlite.look(fresh) == sqlite.SCHEMA_VERSION
    assert fresh.with_name("tape.db.v1-backup").exists()


@pytest.mark.parametrize("part, words", [(backup, "there is no database"), (restore, "cannot be restored")])
def test_an_error_is_one_line_and_a_status(tmp_path, capsys, part, words):
    assert part.main([str(tmp_path / "x.zip"), "--database", str(tmp_path / "none.db")]) == 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and words in told
