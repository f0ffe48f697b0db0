"""One process captures into a file: a lock of the operating system, which vanishes with its owner."""

import contextlib
import os
import sys
from pathlib import Path

from utils.errors import DatabaseBusy, StorageError

if sys.platform == "win32":
    import msvcrt

    def _take(handle: int) -> None:
        os.lseek(handle, 1 << 30, os.SEEK_SET)  # far behind the text, which stays readable for others
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _take(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


class CaptureLock:
    """The right to write one database, held from `acquire` to `release`; the owner's process id is in the file."""

    def __init__(self, database: Path) -> None:
        target = database.resolve()  # a link to a database is that database
        self._path = target.with_name(target.name + ".lock")
        self._handle: int | None = None

    def held(self) -> bool:
        """Whether we have the lock, and its file is still the one that others find."""
        if self._handle is None:
            return False
        try:
            found = self._path.stat()
        except OSError:
            return False
        ours = os.fstat(self._handle)
        return (found.st_dev, found.st_ino) == (ours.st_dev, ours.st_ino)

    def acquire(self) -> None:
        """Take the lock; one whose file was deleted is taken anew.

        Raises
        ------
        DatabaseBusy
            Another process holds it.
        StorageError
            Its file or folder cannot be made.
        """
        if self.held():
            return
        self.release()
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as exc:
            raise StorageError(f"{exc.filename} cannot be made: {exc.strerror}") from exc
        try:
            _take(handle)
        except OSError:
            owner = os.pread(handle, 32, 0).decode(errors="replace").strip() if hasattr(os, "pread") else ""
            os.close(handle)
            name = self._path.name.removesuffix(".lock")
            raise DatabaseBusy(
                f"{name} is in use by another Pairscope (process {owner or 'unknown'}): "
                "stop it, or choose another file with --database"
            ) from None
        os.ftruncate(handle, 0)
        os.write(handle, f"{os.getpid()}\n".encode())
        self._handle = handle

    def release(self) -> None:
        """Give the lock back. The file stays: deleting it would let two processes lock two files of one name."""
        if self._handle is not None:
            with contextlib.suppress(OSError):
                os.close(self._handle)
            self._handle = None
