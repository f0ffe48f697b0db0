"""The last scan of each place, in files beside the database: what changed since is told over a restart too."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow
import pyarrow.parquet

from engine.scan_request import ScanRequest
from utils import logger
from utils.errors import InputError

LOG = logger.get("scans")

FILES_KEPT = 20  # of so many places, the newest
ABOUT = b"pairscope.scan"  # in the file: when, and what was asked


@dataclass(frozen=True, slots=True, eq=False)
class LastScan:
    """What of a scan is compared with the next one of its place."""

    at_us: int
    request: ScanRequest
    found: pd.DataFrame


class LastScans:
    """A folder of them; a file that cannot be read or written costs the comparison and nothing else.

    Parameters
    ----------
    folder : where they are; without one they are forgotten at the end
    columns : those that are kept, with their types: a file of another version may have others, and is not used
    """

    def __init__(self, folder: Path | None, columns: Mapping[str, type]) -> None:
        self._folder, self._columns = folder, dict(columns)
        self._known: dict[str, LastScan] = {}

    def get(self, place: str) -> LastScan | None:
        """The last one of a place, of this run or an earlier one."""
        if place not in self._known and self._folder is not None:
            found = self._read(self._file(self._folder, place))
            if found is not None:
                self._known[place] = found
        return self._known.get(place)

    def put(self, place: str, scan: LastScan) -> None:
        """Keep a scan instead of the one before."""
        self._known[place] = scan
        if self._folder is None:
            return
        try:
            self._write(self._file(self._folder, place), scan)
        except (OSError, pyarrow.ArrowException) as exc:
            LOG.warning("the scan %s is not kept over a restart: %s", place, exc)

    @staticmethod
    def _file(folder: Path, place: str) -> Path:
        return folder / f"{hashlib.sha256(place.encode()).hexdigest()[:16]}.parquet"

    def _write(self, file: Path, scan: LastScan) -> None:
        about = json.dumps({"at_us": scan.at_us, "request": scan.request.as_dict()}).encode()
        table = pyarrow.Table.from_pandas(scan.found[list(self._columns)], preserve_index=False)
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        begun = file.with_suffix(".part")
        pyarrow.parquet.write_table(table.replace_schema_metadata({ABOUT: about}), begun, compression="zstd")
        begun.chmod(0o600)
        begun.replace(file)
        for old in sorted(file.parent.glob("*.parquet"), key=lambda path: path.stat().st_mtime)[:-FILES_KEPT]:
            old.unlink(missing_ok=True)

    def _read(self, file: Path) -> LastScan | None:
        if not file.exists():
            return None
        try:
            table = pyarrow.parquet.read_table(file)
            about = json.loads(table.schema.metadata[ABOUT])
            found = table.to_pandas().astype(self._columns)[list(self._columns)]
            return LastScan(int(about["at_us"]), ScanRequest.of(about["request"]), found)
        except (OSError, pyarrow.ArrowException, InputError, KeyError, TypeError, ValueError) as exc:
            LOG.warning("the last scan in %s cannot be read: %s", file.name, exc)
            return None
