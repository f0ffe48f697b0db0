"""`python run.py restore FILE`: what a backup holds, put back.

Everything is unpacked beside its place and compared with the checksums first; until that is done nothing is changed.
A database that stands in the way is given another name, never deleted.
"""

import argparse
import shutil
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import config
from data import sqlite
from data.lock import CaptureLock
from operations.backup import count_rows, summary
from operations.bundle import DATABASE, MANIFEST, MANIFEST_BYTES, Manifest, Member, copy
from operations.progress import Progress, to_stderr
from utils.clock import now_us, utc_stamp
from utils.errors import BackupError, PairscopeError, SchemaTooNew

ASIDE = "before-restore"  # in the name of the database that was there


def restore(
    source: Path, database: Path, *, force: bool = False, say: Callable[[str], None] = to_stderr
) -> tuple[Manifest, Path | None]:
    """Put a backup back; what it held, and where the database that was there lies now.

    Raises
    ------
    BackupError
        Not a backup, damaged, of a newer version, or in the way of what is there (without `force`).
    SchemaTooNew
        The database in it was written by a newer version.
    DatabaseBusy
        Pairscope runs.
    """
    try:
        with zipfile.ZipFile(source) as bundle:
            manifest = read_manifest(bundle)
            database.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = CaptureLock(database)
            lock.acquire()
            try:
                return manifest, _put_back(bundle, manifest, database, force, say)
            finally:
                lock.release()
    except (OSError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as exc:
        raise BackupError(f"{source} cannot be restored: {exc}") from exc


def read_manifest(bundle: zipfile.ZipFile) -> Manifest:
    """What a backup says it holds; the backup itself is not read.

    Raises
    ------
    BackupError, SchemaTooNew
    """
    try:
        with bundle.open(MANIFEST) as file:
            manifest = Manifest.of(file.read(MANIFEST_BYTES))
    except KeyError:
        raise BackupError(f"{bundle.filename} is no backup of Pairscope: it has no {MANIFEST}") from None
    if manifest.schema > sqlite.SCHEMA_VERSION:
        words = f"the backup has schema {manifest.schema}, this version knows up to {sqlite.SCHEMA_VERSION}"
        raise SchemaTooNew(f"{words}: restore it with version {manifest.pairscope}")
    return manifest


def _put_back(
    bundle: zipfile.ZipFile, manifest: Manifest, database: Path, force: bool, say: Callable[[str], None]
) -> Path | None:
    folder = database.parent
    targets = {member: _target(member, database) for member in manifest.files}
    there = [path for path in targets.values() if path.exists()]
    if there and not force:
        more = f" and {len(there) - 1} more" if len(there) > 1 else ""
        raise BackupError(f"{there[0]}{more} would be replaced: choose another --database, or say --force")
    needed = sum(member.bytes for member in manifest.files)
    if shutil.disk_usage(folder).free < needed:
        raise BackupError(f"{folder} has too little room: {needed / 1e9:.2f} GB are needed")
    progress = Progress("restore", needed, say)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".restoring-") as work:
        for member in manifest.files:
            _unpack(bundle, member, Path(work) / member.name, progress)
        _check_database(Path(work) / DATABASE, manifest)
        return _move(Path(work), targets, database)


def _target(member: Member, database: Path) -> Path:
    return database if member.name == DATABASE else database.parent / member.name


def _unpack(bundle: zipfile.ZipFile, member: Member, target: Path, progress: Progress) -> None:
    """One file, of exactly the bytes that the manifest tells: a zip file may claim to hold anything."""
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    target.touch(mode=0o600)
    try:
        with bundle.open(member.name) as source, target.open("wb") as file:
            done, sha256 = copy(source, file, member.bytes, progress.add)
            longer = bool(source.read(1))
    except (KeyError, EOFError) as exc:
        raise BackupError(f"{member.name} is missing or cut short: {exc}") from None
    if longer or (done, sha256) != (member.bytes, member.sha256):
        raise BackupError(f"{member.name} is not what the manifest says: the backup is damaged, nothing was changed")


def _check_database(path: Path, manifest: Manifest) -> None:
    if sqlite.look(path) != manifest.schema or count_rows(path) != manifest.rows:
        raise BackupError("its database does not hold what the manifest says: nothing was changed")


def _move(work: Path, targets: dict[Member, Path], database: Path) -> Path | None:
    """Put the files into their places, the database last: it is what makes the rest count."""
    kept = None
    for member, target in sorted(targets.items(), key=lambda item: item[0].name == DATABASE):
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if target == database and (target.exists() or sqlite.log_bytes(target)):
            kept = sqlite.set_aside(target, utc_stamp(now_us()), why=ASIDE)
        (work / member.name).replace(target.resolve())
    return kept


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; the exit status."""
    parser = argparse.ArgumentParser(prog="python run.py restore", description="Put a backup back.")
    parser.add_argument("file", type=Path, metavar="FILE", help="the backup")
    parser.add_argument("--database", type=Path, help="where to (default: the database of the settings)")
    parser.add_argument("--force", action="store_true", help="also where something is; the old database is kept aside")
    parser.add_argument("--from", dest="start", type=Path, default=Path.cwd(), help=argparse.SUPPRESS)
    told = parser.parse_args(arguments)
    try:
        database = told.start / (told.database or config.load().database)
        manifest, kept = restore(told.start / told.file, database, force=told.force)
    except PairscopeError as exc:
        sys.stderr.write(f"Pairscope: {exc}\n")
        return 1
    sys.stdout.write(f"{database}: {summary(manifest)}\n")
    if kept is not None:
        sys.stdout.write(f"what was there is {kept.name}: delete it when you need it no more\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
