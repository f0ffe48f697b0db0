"""Files that would take much memory of an importer that trusts them, and what they take of ours.

`python -m tests.data.importers.hostile FOLDER` imports every file of a folder in one process, and prints as JSON what
became of each and by how many megabytes the peak of the process had grown by then. A good file goes first, so that
libraries and their buffers are in the memory before.
"""

import json
import re
import sqlite3
import struct
import sys
import zipfile
import zlib
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from tests.data.importers.files import START_US, Place, archive_csv, trades
from utils.errors import InputError

MB = 1 << 20
ROWS = "ts_us,price,qty\n" + f"{START_US},1.5,2\n"
LINE = f'{{"symbol":"BTCUSDT","ts":{START_US},"price":1.5,"size":2}}\n'
SHEETS = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
STRINGS = "application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"
FIRST = "BTCUSDT-a-good-one.csv"


def make(folder: Path) -> None:
    """Write the files."""
    makers = {
        "BTCUSDT-sparse.csv": lambda path: _sparse(path, b""),
        "BTCUSDT-endless.csv": lambda path: _sparse(path, ROWS.encode() + b"1" * 8_192),
        "BTCUSDT-endless.ndjson": lambda path: _sparse(path, LINE.encode() + b"1" * 8_192),
        "BTCUSDT-bomb.zip": lambda path: path.write_bytes(zip_bomb(1024)),
        "BTCUSDT-bomb.csv.gz": lambda path: path.write_bytes(gzip_bomb(1024)),
        "BTCUSDT-noise.csv": lambda path: path.write_bytes(np.random.default_rng(5).bytes(MB)),
        "BTCUSDT-many.zip": _many,
        "BTCUSDT-groups.parquet": lambda path: _parquet(path, dictionary=True),
        "BTCUSDT-pages.parquet": lambda path: _parquet(path, dictionary=False, rest=MB),
        "BTCUSDT-wide.csv": lambda path: path.write_text(",".join(map(str, range(5_000))) + "\n" + "1," * 4_999 + "1"),
        "BTCUSDT-short.csv": lambda path: path.write_text(ROWS + "x\n" * 400_000),
        "BTCUSDT-blank.csv": lambda path: path.write_text(ROWS + "\n" * (2 * MB)),
        "BTCUSDT-short.ndjson": lambda path: path.write_text(LINE + "{}\n" * 400_000),
        "BTCUSDT-bad.csv": lambda path: path.write_text(ROWS + "1,,\n" * 200_000),
        "BTCUSDT-fields.db": _fields,
        "BTCUSDT-strings.xlsx": _strings,
    }
    folder.mkdir()
    (folder / FIRST).write_bytes(archive_csv(trades(1_000)))
    for name, write in makers.items():
        write(folder / name)


def _sparse(path: Path, head: bytes, size: int = 300 * MB) -> None:
    with path.open("wb") as file:
        file.write(head)
        file.truncate(size)


def _rows(mb: int) -> bytes:
    """Megabytes of rows, deflated: a block that was flushed whole can be repeated."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress((ROWS * (16 * MB // len(ROWS))).encode()) + packer.flush(zlib.Z_FULL_FLUSH)
    return block * (mb // 16) + packer.flush()


def gzip_bomb(mb: int) -> bytes:
    """As much as gzip."""
    return b"\x1f\x8b\x08" + bytes(7) + _rows(mb) + struct.pack("<II", 0, mb * MB)


def zip_bomb(mb: int) -> bytes:
    """A zip whose one member unpacks to so many megabytes."""
    data = _rows(mb)
    name, sizes = b"BTCUSDT.csv", struct.pack("<III", 0, len(data), mb * MB)
    local = b"PK\x03\x04" + struct.pack("<HHHHH", 20, 0, 8, 0, 33) + sizes + struct.pack("<HH", len(name), 0) + name
    listed = b"PK\x01\x02" + struct.pack("<HHHHHH", 20, 20, 0, 8, 0, 33) + sizes
    listed += struct.pack("<HHHHHII", len(name), 0, 0, 0, 0, 0, 0) + name
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(listed), len(local) + len(data), 0)
    return local + data + listed + end


def _many(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(10_000):
            archive.writestr(f"{number}.csv", b"")


def _parquet(path: Path, dictionary: bool, rest: int = 0) -> None:
    """One group of 8 million equal rows; `rest` bytes of noise in another column make the file look its size."""
    rows = 8_000_000
    columns = {"ts_us": np.full(rows, START_US), "price": np.ones(rows), "qty": np.ones(rows)}
    if rest:
        noise = np.random.default_rng(5).bytes(rest)
        columns["rest"] = pa.array([noise] + [b""] * (rows - 1), pa.binary())
    pa.parquet.write_table(
        pa.table(columns), path, compression="zstd", row_group_size=rows, data_page_size=1 << 30,
        use_dictionary=dictionary,
    )  # fmt: skip


def _fields(path: Path) -> None:
    """A table with a megabyte in each of its rows."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("create table ticks (symbol text, ts integer, price real, size text)")
        connection.executemany(
            "insert into ticks values ('BTCUSDT', ?, 1.5, ?)", ((START_US + i, "9" * MB) for i in range(160))
        )


def _strings(path: Path) -> None:
    """A sheet of one row, and 30 MB of texts that no cell shows."""
    import openpyxl

    book = openpyxl.Workbook()
    book.active.append(["ts_us", "price", "qty"])
    book.active.append([START_US, 1.5, 2])
    book.save(path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    texts = "".join(f"<si><t>{number}</t></si>" for number in range(1_600_000))
    parts["xl/sharedStrings.xml"] = f'<sst xmlns="{SHEETS}">{texts}</sst>'.encode()
    kind = f'<Override PartName="/xl/sharedStrings.xml" ContentType="{STRINGS}"/></Types>'
    listed = parts["[Content_Types].xml"].replace(b"</Types>", kind.encode())
    parts["[Content_Types].xml"] = listed
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)


def peak_mb() -> float:
    """The most that was resident of this process since it began, in megabytes.

    `getrusage` will not do: its figure begins with that of the process which started this one.
    """
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text("ascii"))
    assert found is not None
    return int(found[1]) / 1_024


def main(folder: Path) -> None:
    """Import each file; what became of it as JSON."""
    place = Place(folder.parent)
    for _ in range(2):
        place.take(folder / FIRST)
    before = peak_mb()
    told: dict[str, tuple[str, float]] = {}
    for path in sorted(folder.iterdir()):
        if path.name != FIRST:
            try:
                done = place.take(path)
                became = f"{done.added + done.known} taken, {done.rejected_rows} rejected"
            except InputError as exc:
                became = f"refused: {exc}"
            told[path.name] = (became, round(peak_mb() - before, 1))
    place.close()
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
