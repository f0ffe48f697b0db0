"""What a backup is: one zip file with the database, the day files, the recordings, and a manifest with their checksums.

    manifest.json               what this is: see `Manifest`
    database.db                 the SQLite file, of one moment
    archive/<venue>/<stream>/<symbol>/<YYYY-MM-DD>.parquet
    recordings/<name>.gz

Any program that unpacks zip files can open one; settings and secrets are not in it.
"""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import IO, Any

from utils.errors import BackupError

FORMAT = 1
MANIFEST, DATABASE = "manifest.json", "database.db"
MANIFEST_BYTES = 64 << 20  # most that is read of one
CHUNK = 1 << 20
FOLDERS = ("archive", "recordings")  # beside the database
# Every other name is refused when a backup is read: none can lead out of the folder.
PART = r"(?!\.+/)[^/\\:\x00-\x1f]{1,128}"
NAME = re.compile(rf"database\.db|archive/{PART}/{PART}/{PART}/\d{{4}}-\d\d-\d\d\.parquet|recordings/(?!\.){PART}\.gz")
COUNTED = ("instrument", "trade", "trade_exact", "bar", "gap", "alert_rule", "alert_event")  # tables


@dataclass(frozen=True, slots=True)
class Member:
    """One file of a backup."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup holds, and of when it is."""

    format: int
    made_us: int  # wall clock
    pairscope: str  # version that made it
    schema: int  # of the database
    rows: dict[str, int]  # table -> rows
    files: tuple[Member, ...]

    def to_json(self) -> bytes:
        """As text."""
        return json.dumps(asdict(self), indent=1).encode()

    @classmethod
    def of(cls, text: bytes) -> "Manifest":
        """Of a text.

        Raises
        ------
        BackupError
            No manifest, one of a newer format, or with names that have no place in a backup.
        """
        try:
            read = json.loads(text)
            if read["format"] > FORMAT:
                raise BackupError(f"the backup has format {read['format']}, this version knows up to {FORMAT}")
            files = tuple(_member(row) for row in read["files"])
            rows = {str(table): int(count) for table, count in read["rows"].items()}
            found = cls(read["format"], int(read["made_us"]), str(read["pairscope"]), int(read["schema"]), rows, files)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
            raise BackupError(f"its {MANIFEST} cannot be read: {type(exc).__name__} {exc}") from None
        names = [member.name for member in files]
        if len(set(names)) < len(names) or names.count(DATABASE) != 1:
            raise BackupError(f"its {MANIFEST} names no database, or a file twice")
        return found


def _member(row: dict[str, Any]) -> Member:
    member = Member(str(row["name"]), int(row["bytes"]), str(row["sha256"]))
    if not NAME.fullmatch(member.name):
        raise BackupError(f"its {MANIFEST} names {member.name[:80]!r}, which has no place in a backup")
    return member


def copy(source: IO[bytes], target: IO[bytes], most: int, told: Callable[[int], None]) -> tuple[int, str]:
    """Copy up to `most` bytes: how many they were, and their SHA-256; `told` hears the bytes of each step."""
    digest, done = hashlib.sha256(), 0
    while data := source.read(min(CHUNK, most - done)):
        target.write(data)
        digest.update(data)
        done += len(data)
        told(len(data))
    return done, digest.hexdigest()
