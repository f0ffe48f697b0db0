"""The place of the database: the SQLite that writes it, the file, its folder, the disk below."""

import os
import shutil
import sqlite3
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

import config
from data.lock import CaptureLock
from data.sqlite import SCHEMA_VERSION, breaks_shared_logs, look
from operations.finding import Finding, fail, note, ok
from utils.clock import monotonic_s
from utils.errors import DatabaseBusy, DatabaseDamaged, PairscopeError, SchemaTooNew, StorageError

LEAST_FREE, LITTLE_FREE = 200_000_000, 2_000_000_000  # bytes of the disk
WRITTEN = 8 << 20  # bytes, to time the disk
SYNCS = 20  # small writes that wait for the disk, as every commit does at times
SLOW_SYNC_S, SLOW_BYTES_S = 0.1, 5e6
BYTES_A_TRADE = 30
LEAST_SQLITE = (3, 24, 0)  # the first with "insert ... on conflict"


def sqlite_version() -> Iterator[Finding]:
    """The library, and the error that some versions of it have."""
    version = sqlite3.sqlite_version_info
    if version < LEAST_SQLITE:
        yield fail("sqlite", f"{sqlite3.sqlite_version} is too old", "install a newer Python: it brings its own")
    elif breaks_shared_logs(version):
        text = f"{sqlite3.sqlite_version} (3.7.0 to 3.51.2) can corrupt a file that two connections write"
        yield note(
            "sqlite", f"{text}; Pairscope writes over one alone", "let nothing else write the file while it runs"
        )
    else:
        yield ok("sqlite", f"{sqlite3.sqlite_version}, without the error of 3.7.0 to 3.51.2 in write-ahead logs")


def database(settings: config.Settings) -> Iterator[Finding]:
    """What the file is, and who has it."""
    path = settings.database
    try:
        version = look(path)
    except (PairscopeError, OSError) as exc:
        yield _unusable(path, exc)
        return
    if version > SCHEMA_VERSION:
        yield _unusable(path, SchemaTooNew(f"{path} has schema {version}, this version knows up to {SCHEMA_VERSION}"))
    elif version == 0:
        yield ok("database", f"{path} will be made")
    elif version < SCHEMA_VERSION:
        text = f"{path} has schema {version}: the next start copies it and brings it to {SCHEMA_VERSION}"
        yield note("database", text, "leave room for the copy; python run.py backup makes one by hand")
    else:
        yield ok("database", f"{path}, schema {version}, {path.stat().st_size / 1e6:,.1f} MB, {_owner(path)}")


def _unusable(path: Path, exc: Exception) -> Finding:
    match exc:
        case SchemaTooNew():
            todo = "start the version that wrote it, or choose another file with --database"
        case DatabaseDamaged():
            todo = "start Pairscope: it keeps the file aside and begins a new one; or restore a backup"
        case _:
            todo = "choose another file with --database"
    return fail("database", str(exc) if str(path) in str(exc) else f"{path}: {exc}", todo)


def _owner(path: Path) -> str:
    """Whether a process captures into the file now."""
    lock = CaptureLock(path)
    try:
        lock.acquire()
    except DatabaseBusy as exc:
        return str(exc).partition(":")[0].partition(" is ")[2]
    except StorageError:
        return "lock not readable"  # the folder's own line says why
    lock.release()
    return "free"


def folder(settings: config.Settings) -> Iterator[Finding]:
    """Whether the folder can be written, and how fast."""
    place = _existing(settings.database.parent)
    try:
        rate, sync_s = _timed(place)
    except OSError as exc:
        yield fail("folder", f"{place} cannot be written: {exc.strerror or exc}", "choose another file with --database")
        return
    text = f"{place} takes {rate / 1e6:,.0f} MB/s, and {sync_s * 1e3:.1f} ms to be sure of a write"
    if rate < SLOW_BYTES_S or sync_s > SLOW_SYNC_S:
        yield note("folder", text, "a slow disk delays what is stored; nothing is lost while memory lasts")
    else:
        yield ok("folder", text)


def _existing(path: Path) -> Path:
    """The nearest folder that is there."""
    return next(folder for folder in (path, *path.parents) if folder.is_dir())


def _timed(place: Path) -> tuple[float, float]:
    """Bytes a second of one long write, and seconds of a short one that waits for the disk (median)."""
    with tempfile.NamedTemporaryFile(dir=place, prefix=".pairscope-doctor-") as file:
        began_s = monotonic_s()
        _write(file.fileno(), os.urandom(WRITTEN))
        rate = WRITTEN / max(monotonic_s() - began_s, 1e-6)
        took = []
        for _ in range(SYNCS):
            began_s = monotonic_s()
            _write(file.fileno(), b"x" * 4_096)
            took.append(monotonic_s() - began_s)
    return rate, statistics.median(took)


def _write(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]
    os.fsync(handle)


def disk(settings: config.Settings) -> Iterator[Finding]:
    """What is left on the disk, in trades too."""
    place = _existing(settings.database.parent)
    free = shutil.disk_usage(place).free
    text = f"{free / 1e9:,.1f} GB free at {place}, room for {free / BYTES_A_TRADE / 1e6:,.0f} million trades"
    if free < LEAST_FREE:
        yield fail("disk", text, "free some, or choose another disk with --database")
    elif free < LITTLE_FREE and not (settings.retention_days or settings.retention_gb):
        yield note("disk", text, "set PAIRSCOPE_RETENTION_DAYS or PAIRSCOPE_RETENTION_GB, which delete the oldest")
    else:
        yield ok("disk", text)


def log(folder: Path) -> Iterator[Finding]:
    """Whether the log can be written."""
    place = _existing(folder)
    try:
        with tempfile.TemporaryFile(dir=place):
            yield ok("log", f"{folder} can be written")
    except OSError as exc:
        yield note("log", f"{folder} cannot be written: {exc.strerror or exc}", "the log goes to the screen alone")
