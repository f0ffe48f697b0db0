"""Disks that can be spoiled and made well again, by whichever means this machine allows."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from tests.running import Running

SIZE = 32 << 20  # bytes of a small disk


@contextmanager
def small(folder: Path) -> Iterator[bool]:
    """Make a folder a disk of its own, of SIZE bytes; False where that takes rights we do not have."""
    mounted = _does("mount", "-t", "tmpfs", "-o", f"size={SIZE}", "pairscope-chaos", str(folder))
    try:
        yield mounted
    finally:
        if mounted:
            _does("umount", "--lazy", str(folder))


def fill(folder: Path) -> None:
    """Take all the space that is left on a small disk."""
    with (folder / "ballast").open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4_096))


def empty(folder: Path) -> None:
    """Give the space back."""
    (folder / "ballast").unlink()


def limit(app: Running, size: int) -> None:
    """Let no file of a process grow beyond a size: what is left of a full disk where no disk can be made."""
    psutil.Process(app.process.pid).rlimit(psutil.RLIMIT_FSIZE, (size, psutil.RLIM_INFINITY))


def set_read_only(folder: Path, on: bool) -> bool:
    """Make a small disk read-only, or writable again."""
    return _does("mount", "-o", f"remount,{'ro' if on else 'rw'}", str(folder))


def set_immutable(database: Path, on: bool) -> bool:
    """Let nobody write to a database and its log, files that are open already included; False where impossible."""
    files = [str(path) for path in (database, database.with_name(database.name + "-wal")) if path.exists()]
    return shutil.which("chattr") is not None and _does("chattr", "+i" if on else "-i", *files)


def overwrite_pages(database: Path, first: int, count: int) -> None:
    """Put noise over pages of 4,096 bytes, the first page being 0."""
    with database.open("r+b") as file:
        file.seek(4_096 * first)
        file.write(os.urandom(4_096 * count))


def _does(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
