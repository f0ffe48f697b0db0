"""The database file as its one writer has it: opened under the lock, and opened anew when it goes away or breaks."""

import json
import sqlite3
from contextlib import suppress
from pathlib import Path

from data import sqlite
from data.lock import CaptureLock
from utils import logger
from utils.clock import iso_from_us, monotonic_s, now_us
from utils.errors import DatabaseDamaged, StorageError

LOG = logger.get("database")

NEW_FILE_EVERY_S = 600.0  # a disk that breaks every new file gets no more than one of them in this time
LOG_LARGE = 64 << 20  # bytes; a log beyond is cut back by force as soon as no reader needs it
FOLD_EVERY_S = 5.0  # pause between such attempts
NOTE_KEY = "storage"


class Database:
    """One file, its lock and its writing connection; for one thread.

    A file that was deleted or replaced under our feet is opened anew. A damaged one is moved aside, kept, and a new
    one is begun; alert rules and notes go over as far as they can be read. `note` says so until it is dismissed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.note: str | None = None
        self._rules = path.with_name(path.name + ".rules")
        self._lock = CaptureLock(path)
        self._connection: sqlite3.Connection | None = None
        self._identity = _identity(path)  # of file and log behind the connection, whatever their names are now
        self._rescued: sqlite.Rescued = {}
        self._news: str | None = None  # a note that is not in the file yet
        self._began_new_s = -NEW_FILE_EVERY_S
        self._folded_s = 0.0
        self._log_pinned = False

    def connection(self) -> sqlite3.Connection:
        """The writing connection to the file that has our name now.

        Raises
        ------
        StorageError, DatabaseBusy, SchemaTooNew
        """
        if self._connection is not None and self._identity != _identity(self.path):
            self._leave(self._connection)
        self._lock.acquire()
        if self._connection is None:
            self._connect()
        assert self._connection is not None
        return self._connection

    def is_ours(self) -> bool:
        """Whether what was just committed went to the file of our name: one that is deleted still takes rows."""
        return self._lock.held() and self._identity == _identity(self.path)

    def failed(self, exc: sqlite3.Error) -> None:
        """Draw the consequence of an error of the connection; the next call of `connection` tries again.

        Raises
        ------
        StorageError
            The file is damaged and cannot be moved aside.
        """
        if sqlite.is_damage(exc):
            self._give_up(exc)
        elif sqlite.needs_reopening(exc):
            self._disconnect()

    def copy_rules(self) -> None:
        """Write the alert rules to a file of their own: they are few, made by hand, and must survive the database."""
        self._copy_rules(self.connection())

    def dismiss(self) -> None:
        """The note has been read."""
        self.note = self._news = None

    def fold(self) -> None:
        """Cut back a log that somebody's long reading has let grow; SQLite itself does so for shorter ones."""
        if sqlite.log_bytes(self.path) < LOG_LARGE or monotonic_s() - self._folded_s < FOLD_EVERY_S:
            return
        self._folded_s = monotonic_s()
        connection = self.connection()
        connection.execute("pragma busy_timeout = 0")
        try:
            busy = connection.execute("pragma wal_checkpoint(truncate)").fetchone()[0]
        finally:
            connection.execute(f"pragma busy_timeout = {sqlite.BUSY_MS}")
        if busy and not self._log_pinned:
            megabytes = sqlite.log_bytes(self.path) / 1e6
            LOG.warning("somebody reads %s for long: its log has grown to %.0f MB", self.path.name, megabytes)
        self._log_pinned = bool(busy)

    def close(self) -> None:
        """Fold the log into the file, close it, give the lock back."""
        if self._connection is not None:
            with suppress(sqlite3.Error):  # what is committed is in the log and will be found there
                self._connection.execute("pragma wal_checkpoint(truncate)")
            self._disconnect()
        self._lock.release()

    def _connect(self) -> None:
        try:
            self._begin()
        except DatabaseDamaged as exc:
            self._give_up(exc)
            self._begin()

    def _begin(self) -> None:
        connection = sqlite.open_writer(self.path)
        try:
            with sqlite.transaction(connection):
                sqlite.restore(connection, self._rescued)
                if self._news is not None:
                    sqlite.put_note(connection, NOTE_KEY, self._news)
            self.note = sqlite.get_note(connection, NOTE_KEY)
            self._copy_rules(connection)
        except sqlite3.Error as exc:
            connection.close()
            raise sqlite.storage_error(f"{self.path} cannot be written", exc) from exc
        self._connection, self._identity = connection, _identity(self.path)
        self._rescued, self._news = {}, None

    def _disconnect(self) -> None:
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def _leave(self, connection: sqlite3.Connection) -> None:
        """Let go of a file that has lost its name, or its log; what the connection can still read is rescued."""
        (file, log), (file_now, log_now) = self._identity, _identity(self.path)
        if file != file_now:
            self._rescued |= sqlite.rescue(connection)
            if log == log_now is not None:  # it would be played into the new file
                sqlite.set_aside(self.path, _now_name(), ("-wal", "-shm"))
            self._tell(f"{self.path.name} was deleted or replaced while in use: what it held is not in the new one")
        self._disconnect()  # folds the log, though it has no name any more, into a file that still has one

    def _give_up(self, exc: Exception) -> None:
        """Move a damaged file aside, with what can be rescued from it in hand."""
        self._disconnect()
        now_s = monotonic_s()
        if now_s - self._began_new_s < NEW_FILE_EVERY_S:
            raise StorageError(f"{exc}; the file before it broke less than 10 minutes ago: is the disk well?") from exc
        with suppress(StorageError), sqlite.reading(self.path) as broken:
            self._rescued |= sqlite.rescue(broken)
        if sqlite.RULES not in self._rescued:
            self._rescued |= self._copied_rules()
        kept = sqlite.set_aside(self.path, _now_name())
        self._began_new_s = now_s
        self._tell(f"{self.path.name} was damaged ({exc}): it is kept as {kept.name}, and a new one was begun")

    def _copy_rules(self, connection: sqlite3.Connection) -> None:
        part = self._rules.with_name(self._rules.name + ".part")
        rows = connection.execute(f"select * from {sqlite.RULES}").fetchall()
        if not rows and not self._rules.exists():
            return
        try:
            part.touch(mode=0o600)
            part.write_text(json.dumps(rows), "utf-8")
            part.replace(self._rules)
        except OSError as exc:
            LOG.warning("%s cannot be written: %s", self._rules.name, exc)

    def _copied_rules(self) -> sqlite.Rescued:
        try:
            return {sqlite.RULES: [tuple(row) for row in json.loads(self._rules.read_text("utf-8"))]}
        except (OSError, ValueError, TypeError):
            return {}

    def _tell(self, news: str) -> None:
        LOG.error("%s", news)
        self.note = self._news = news


def _now_name() -> str:
    """The time as a part of a file name."""
    return iso_from_us(now_us()).replace(":", "")


Identity = tuple[int, int] | None  # device and number of a file; None for none


def _identity(path: Path) -> tuple[Identity, Identity]:
    """What the names of a database and of its log stand for now."""
    return _number(path), _number(sqlite.log_of(path))


def _number(path: Path) -> Identity:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
