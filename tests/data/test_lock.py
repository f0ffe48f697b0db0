"""One process captures into a file, and a dead one stands in nobody's way."""

import os
import stat
import subprocess
import sys
from contextlib import contextmanager

import pytest

from data.lock import CaptureLock
from tests.running import ROOT
from utils.errors import DatabaseBusy, StorageError

HOLDER = """
import sys
from pathlib import Path
from data.lock import CaptureLock
CaptureLock(Path(sys.argv[1])).acquire()
print("held", flush=True)
sys.stdin.read()
"""
posix = pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")


@contextmanager
def holder(database):
    """Another process that holds the lock until its input ends."""
    command = [sys.executable, "-c", HOLDER, str(database)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


@pytest.fixture
def database(tmp_path):
    return tmp_path / "tape.db"


@pytest.fixture
def lock(database):
    lock = CaptureLock(database)
    yield lock
    lock.release()


def test_a_second_process_is_told_which_one_captures(database, lock):
    with holder(database) as process:
        with pytest.raises(DatabaseBusy, match=rf"tape\.db is in use by another Pairscope \(process {process.pid}\)"):
            lock.acquire()
        assert process.poll() is None


def test_a_second_instance_of_one_process_is_refused_too(database, lock):
    lock.acquire()
    with pytest.raises(DatabaseBusy, match=f"process {os.getpid()}"):
        CaptureLock(database).acquire()


def test_the_refused_one_changes_nothing(database, lock):
    lock.acquire()
    other = CaptureLock(database)
    for _ in range(2):
        with pytest.raises(DatabaseBusy):
            other.acquire()
        other.release()
    assert (database.parent / "tape.db.lock").read_text() == f"{os.getpid()}\n"


def test_the_lock_is_free_after_its_holder_is_killed(database, lock):
    with holder(database) as process:
        process.kill()
        process.wait()
        lock.acquire()
    assert (database.parent / "tape.db.lock").read_text() == f"{os.getpid()}\n"


def test_a_released_lock_can_be_taken_by_anyone_and_again(database, lock):
    for _ in range(2):
        lock.acquire()
        lock.release()
        lock.release()
    with holder(database), pytest.raises(DatabaseBusy):
        lock.acquire()


def test_a_shorter_process_id_leaves_nothing_of_a_longer_one(database, lock):
    (database.parent / "tape.db.lock").write_text("1234567890123\n")
    lock.acquire()
    assert (database.parent / "tape.db.lock").read_text() == f"{os.getpid()}\n"


def test_databases_beside_each_other_are_locked_apart(database, lock):
    lock.acquire()
    with holder(database.with_name("other.db")):
        assert sorted(path.name for path in database.parent.iterdir()) == ["other.db.lock", "tape.db.lock"]


@posix
def test_a_link_to_a_database_is_locked_as_that_database(database, lock):
    lock.acquire()
    database.with_name("link.db").symlink_to(database)
    with pytest.raises(DatabaseBusy, match=r"^tape\.db is in use"):
        CaptureLock(database.with_name("link.db")).acquire()


def test_a_child_started_while_the_lock_is_held_does_not_inherit_it(database, lock):
    lock.acquire()
    idle = [sys.executable, "-c", "import sys; print('up', flush=True); sys.stdin.read()"]
    with subprocess.Popen(idle, stdin=subprocess.PIPE, stdout=subprocess.PIPE, close_fds=False) as child:
        assert child.stdout.readline() == b"up\n"
        lock.release()
        CaptureLock(database).acquire()
        child.kill()


@posix
def test_folder_and_lock_are_made_for_their_owner_only(tmp_path):
    lock = CaptureLock(tmp_path / "var" / "tape.db")
    lock.acquire()
    lock.release()
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "var", tmp_path / "var" / "tape.db.lock")]
    assert modes == [0o700, 0o600]


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path):
    (tmp_path / "notes.txt").write_text("not a folder")
    with pytest.raises(StorageError, match=r"notes\.txt"):
        CaptureLock(tmp_path / "notes.txt" / "tape.db").acquire()


def test_a_lock_file_that_cannot_be_opened_is_a_clear_error(database, lock):
    (database.parent / "tape.db.lock").mkdir()
    with pytest.raises(StorageError, match=r"tape\.db\.lock"):
        lock.acquire()


def test_a_lock_whose_file_was_deleted_is_not_held_and_can_be_taken_again(database, lock):
    assert not lock.held()
    lock.acquire()
    assert lock.held()
    (database.parent / "tape.db.lock").unlink()
    assert not lock.held()
    lock.acquire()
    assert lock.held()
    with pytest.raises(DatabaseBusy):
        CaptureLock(database).acquire()


def test_a_lock_whose_file_was_deleted_may_be_lost_to_another_process(database, lock):
    lock.acquire()
    (database.parent / "tape.db.lock").unlink()
    with holder(database) as process:
        assert not lock.held()
        with pytest.raises(DatabaseBusy, match=f"process {process.pid}"):
            lock.acquire()
        assert not lock.held()


def test_taking_a_lock_twice_is_taking_it_once(database, lock):
    lock.acquire()
    lock.acquire()
    lock.release()
    assert not lock.held()
    CaptureLock(database).acquire()
