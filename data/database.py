"""The database file as its one writer has it: opened under the lock, and opened anew when it goes away or breaks."""

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
        self._lock = CaptureLock(path)
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None  # of the file behind the connection, whatever its name is now
        self._rescued: sqlite.Rescued = {}
        self._news: str | None = None  # a note that is not in the file yet
        self._began_new_s = -NEW_FILE_EVERY_S
        self._folded_s = 0.0

    def connection(self) -> sqlite3.Connection:
        """The writing connection to the file that has our name now.

        Raises
        ------
        StorageError, DatabaseBusy, SchemaTooNew
        """
        if self._connection is not None and self._identity != _identity(self.path):
            self._rescued |= sqlite.rescue(self._connection)
            self._tell(f"{self.path.name} was deleted or replaced while in use, what it held is not in the new one")
            self._disconnect()
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
            busy, pages, folded = connection.execute("pragma wal_checkpoint(truncate)").fetchone()
        finally:
            connection.execute(f"pragma busy_timeout = {sqlite.BUSY_MS}")
        if busy:
            LOG.warning("a long reading keeps the log of %s at %d pages, %d folded", self.path.name, pages, folded)

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
        except sqlite3.Error as exc:
            connection.close()
            raise sqlite.storage_error(f"{self.path} cannot be written", exc) from exc
        self._connection, self._identity = connection, _identity(self.path)
        self._rescued, self._news = {}, None

    def _disconnect(self) -> None:
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
            self._connection = self._identity = None

    def _give_up(self, exc: Exception) -> None:
        """Move a damaged file aside, with what can be rescued from it in hand."""
        self._disconnect()
        now_s = monotonic_s()
        if now_s - self._began_new_s < NEW_FILE_EVERY_S:
            raise StorageError(f"{exc}; the file before it broke less than 10 minutes ago: is the disk well?") from exc
        with suppress(StorageError), sqlite.reading(self.path) as broken:
            self._rescued |= sqlite.rescue(broken)
        kept = sqlite.set_aside(self.path, iso_from_us(now_us()).replace(":", ""))
        self._began_new_s = now_s
        self._tell(f"{self.path.name} was damaged ({exc}): it is kept as {kept.name}, and a new one was begun")

    def _tell(self, news: str) -> None:
        LOG.error("%s", news)
        self.note = self._news = news


def _identity(path: Path) -> tuple[int, int] | None:
    """What a name stands for now; None for nothing."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
