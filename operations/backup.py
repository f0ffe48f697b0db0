"""`python run.py backup FILE`: everything that Pairscope keeps, in one file, while it goes on capturing.

The database is read at one moment over a connection that only reads (SQLite's online backup); trades that come
meanwhile are not in it. Day files are whole by their nature; of a recording that is being written, what is there.
"""

import argparse
import contextlib
import os
import shutil
import sqlite3
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import config
from data import sqlite
from operations.bundle import COUNTED, DATABASE, FOLDERS, FORMAT, MANIFEST, NAME, Manifest, Member, copy
from operations.progress import Progress, to_stderr
from utils.clock import now_us
from utils.errors import BackupError, PairscopeError
from utils.versions import pairscope_version

LEVEL = 1  # of compression: two million trades of 64 MB become 25; the usual level takes half as long again for 24
ENDS = (".parquet", ".gz")  # of files that are compressed already


def back_up(
    database: Path,
    target: Path,
    *,
    recordings: bool = True,
    force: bool = False,
    say: Callable[[str], None] = to_stderr,
) -> Manifest:
    """Make a backup; the file appears under its name when it is whole.

    Raises
    ------
    BackupError
        There is nothing to back up, the file is there already (without `force`), the disk is too small.
    StorageError
        The database cannot be read, or is damaged.
    """
    if not database.is_file():
        raise BackupError(f"there is no database {database}: nothing to back up")
    if target.exists() and not force:
        raise BackupError(f"{target} is there already: choose another name, or say --force")
    beside = list(_beside(database.parent, recordings))
    needed = 2 * database.stat().st_size + sqlite.log_bytes(database) + sum(path.stat().st_size for _, path in beside)
    _check_room(target.parent, needed)
    moment, part = target.with_name(f"{target.name}.database"), target.with_name(f"{target.name}.part")
    try:
        progress = Progress("backup", needed, say)
        rows = _copy_database(database, moment, progress)
        manifest = _pack(part, [(DATABASE, moment), *beside], rows, progress)
        part.replace(target)
    except OSError as exc:
        raise BackupError(f"{target} cannot be written: {exc.strerror or exc}") from exc
    finally:
        for left in (moment, part, moment.with_name(f"{moment.name}.part")):
            left.unlink(missing_ok=True)
    return manifest


def _beside(folder: Path, recordings: bool) -> Iterator[tuple[str, Path]]:
    """Names in the backup and paths of the files that lie beside the database."""
    for part in FOLDERS[: 2 if recordings else 1]:
        for path in sorted((folder / part).rglob("*")):
            name = path.relative_to(folder).as_posix()
            if NAME.fullmatch(name) and path.is_file() and not path.is_symlink():
                yield name, path


def _check_room(folder: Path, needed: int) -> None:
    if not folder.is_dir():
        raise BackupError(f"there is no folder {folder}")
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise BackupError(f"{folder} has {free / 1e9:.2f} GB free, and up to {needed / 1e9:.2f} GB are needed there")


def _copy_database(database: Path, target: Path, progress: Progress) -> dict[str, int]:
    """The file as it is at one moment; rows of its tables."""
    size, done = database.stat().st_size, 0

    def told(pages: int, total: int) -> None:
        nonlocal done
        now = size * pages // max(total, 1)
        progress.add(now - done)
        done = now

    if sqlite.look(database) == 0:
        raise BackupError(f"{database} is empty: nothing to back up")
    with sqlite.reading(database) as source:
        source.execute("select count(*) from sqlite_master").fetchone()  # from here on it reads this moment
        try:
            sqlite.back_up(source, target, told)
        except sqlite3.Error as exc:
            raise sqlite.storage_error(f"{database} cannot be copied", exc) from exc
    return count_rows(target)


def count_rows(database: Path) -> dict[str, int]:
    """Rows by table, of a file that was searched for damage.

    Raises
    ------
    StorageError
    """
    with sqlite.reading(database, "&immutable=1") as connection:
        (found,) = connection.execute("pragma quick_check(1)").fetchone()
        if found != "ok":
            raise BackupError(f"the database is damaged: {' '.join(found.split())}")
        tables = {name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")}
        counted = [table for table in COUNTED if table in tables]
        return {name: connection.execute(f"select count(*) from {name}").fetchone()[0] for name in counted}


def _pack(target: Path, files: Sequence[tuple[str, Path]], rows: dict[str, int], progress: Progress) -> Manifest:
    """Write the zip file; one that was deleted meanwhile, as the oldest recordings are, is left out."""
    members = []
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=LEVEL) as bundle:
            for name, path in files:
                with contextlib.suppress(FileNotFoundError):
                    members.append(_add(bundle, name, path, progress))
            schema = sqlite.look(files[0][1])
            manifest = Manifest(FORMAT, now_us(), pairscope_version(), schema, rows, tuple(members))
            bundle.writestr(MANIFEST, manifest.to_json())
        file.flush()
        os.fsync(file.fileno())
    return manifest


def _add(bundle: zipfile.ZipFile, name: str, path: Path, progress: Progress) -> Member:
    with path.open("rb") as source:
        bundle.compression = zipfile.ZIP_STORED if name.endswith(ENDS) else zipfile.ZIP_DEFLATED
        size = os.fstat(source.fileno()).st_size  # a recording may grow while it is read
        with bundle.open(name, "w", force_zip64=True) as target:
            done, sha256 = copy(source, target, size, progress.add)
    return Member(name, done, sha256)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; the exit status."""
    parser = argparse.ArgumentParser(prog="python run.py backup", description="Everything kept, in one file.")
    parser.add_argument("file", type=Path, metavar="FILE", help="the backup to write, such as pairscope-monday.zip")
    parser.add_argument("--database", type=Path, help="the database (default: that of the settings)")
    parser.add_argument("--without-recordings", action="store_true", help="leave recordings out")
    parser.add_argument("--force", action="store_true", help="replace a backup of that name")
    parser.add_argument("--from", dest="start", type=Path, default=Path.cwd(), help=argparse.SUPPRESS)
    told = parser.parse_args(arguments)
    try:
        database = told.start / (told.database or config.load().database)
        made = back_up(
            database,
            told.start / told.file,
            recordings=not told.without_recordings,
            force=told.force,
            say=to_stderr,
        )
    except PairscopeError as exc:
        sys.stderr.write(f"Pairscope: {exc}\n")
        return 1
    sys.stdout.write(f"{told.start / told.file}: {summary(made)}\n")
    return 0


def summary(manifest: Manifest) -> str:
    """What a backup holds, in a few words."""
    trades = manifest.rows.get("trade", 0) + manifest.rows.get("trade_exact", 0)
    beside = [sum(m.name.startswith(folder) for m in manifest.files) for folder in FOLDERS]
    size = sum(member.bytes for member in manifest.files) / 1e6
    return f"{trades:,} trades, {beside[0]} day files, {beside[1]} recordings, {size:,.1f} MB unpacked"


if __name__ == "__main__":
    sys.exit(main())
