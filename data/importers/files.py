"""A file as a stream of its bytes, unpacked where it is packed, within limits on what comes out of it."""

import codecs
import hashlib
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from data.feeds.recording import GZIP_MAGIC, inflate
from utils.errors import InputError

CHUNK = 1 << 20  # bytes read at once
PIECE = 8 << 20  # bytes of whole lines that are read as one table: about 100,000 trades
MOST_LINE = 1 << 20  # bytes; no row of a market is longer
MOST_LINES = 120_000  # made into rows at once: what each takes as an object does not depend on its bytes
MOST_PRODUCED = 64 << 30  # bytes that may come out of one file: 800 million trades
MOST_RATIO = 200  # bytes out of one byte in; archives of trades have 5 to 10 ...
RATIO_FROM = 32 << 20  # ... looked at from so many bytes on
MOST_MEMBERS = 16  # of a zip, of which one holds the data
ENCRYPTED = 0x1
MAGIC = {
    b"\x28\xb5\x2f\xfd": "Zstandard",
    b"\xfd7zXZ": "xz",
    b"BZh": "bzip2",
    b"7z\xbc\xaf": "7z",
    b"Rar!": "RAR",
    b"%PDF": "PDF",
}
PARQUET, SQLITE, ZIP = b"PAR1", b"SQLite format 3\0", b"PK\x03\x04"
BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


@dataclass(slots=True)
class Source:
    """One file to import: how it is packed, and its bytes as often as they are asked for."""

    path: Path
    size: int  # bytes on disk
    packing: str  # "", "gzip" or "zip"
    member: str  # of a zip; else the name of the file without .gz
    form: str  # "text", "parquet", "sqlite" or "excel"
    encoding: str = "utf-8"
    consumed: int = field(default=0)  # bytes on disk read by now, for progress

    def chunks(self) -> Iterator[bytes]:
        """The unpacked bytes.

        Raises
        ------
        InputError
            Cut off, damaged, or more than the limits allow.
        """
        produced = 0
        try:
            for data in self._unpacked():
                produced += len(data)
                self.check_produced(produced)
                yield data
        except (OSError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError) as exc:
            raise InputError(
                f"{self.path.name} cannot be unpacked to its end: {exc}; nothing was stored", "file"
            ) from exc

    def pieces(self) -> Iterator[bytes]:
        """Text in UTF-8 in pieces of whole lines, each about PIECE long; the last line may lack its end.

        Raises
        ------
        InputError
        """
        rest: list[bytes] = []
        held = 0
        for data in self._text():
            cut = data.rfind(b"\n") + 1
            if not cut and held - _last_break(rest) > MOST_LINE:
                raise InputError(f"{self.path.name} has a line longer than {MOST_LINE:,} bytes", "file")
            rest.append(data)
            held += len(data)
            if held >= PIECE and cut:
                rest[-1] = data[:cut]
                yield b"".join(rest)
                rest = [data[cut:]]
                held = len(rest[0])
        if whole := b"".join(rest):
            yield whole

    def _text(self) -> Iterator[bytes]:
        chunks = self.chunks()
        first = next(chunks, b"")
        for mark, _ in BOMS:
            first = first.removeprefix(mark)
        if self.encoding == "utf-8":
            yield first
            yield from chunks
            return
        decoder = codecs.getincrementaldecoder(self.encoding)(errors="replace")
        yield decoder.decode(first).encode()
        for data in chunks:
            yield decoder.decode(data).encode()
        yield decoder.decode(b"", final=True).encode()

    def _unpacked(self) -> Iterator[bytes]:
        self.consumed = 0
        if self.packing == "zip":
            with zipfile.ZipFile(self.path) as archive, archive.open(self.member) as file:
                whole = archive.getinfo(self.member)
                produced = 0
                while data := file.read(CHUNK):
                    produced += len(data)
                    self.consumed = int(self.size * min(1.0, produced / max(whole.file_size, 1)))
                    yield data
        elif self.packing == "gzip":
            yield from inflate(self._raw())
        else:
            yield from self._raw()

    def _raw(self) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            while data := file.read(CHUNK):
                self.consumed += len(data)
                yield data

    def check_produced(self, produced: int) -> None:
        """Refuse what unpacks to more than market data does. Raises InputError."""
        if produced > MOST_PRODUCED:
            raise InputError(f"{self.path.name} unpacks to more than {MOST_PRODUCED:,} bytes", "file")
        if self.packing and produced > max(RATIO_FROM, MOST_RATIO * self.size):
            raise InputError(
                f"{self.path.name} unpacks to more than {MOST_RATIO} times its {self.size:,} bytes: no market data",
                "file",
            )


def parts_of(piece: bytes) -> Iterator[tuple[bytes, int]]:
    """A piece in parts of at most MOST_LINES line ends or so, each with their number; most pieces are one part."""
    breaks = piece.count(b"\n")
    middle = piece.find(b"\n", len(piece) // 2) + 1
    if breaks <= MOST_LINES or not 0 < middle < len(piece):
        yield piece, breaks
        return
    for half in (piece[:middle], piece[middle:]):
        yield from parts_of(half)


def _last_break(parts: list[bytes]) -> int:
    """Position behind the last line end of all parts together."""
    end = sum(map(len, parts))
    for part in reversed(parts):
        end -= len(part)
        if (cut := part.rfind(b"\n")) >= 0:
            return end + cut + 1
    return 0


def open_source(path: Path) -> Source:
    """What a file is, told by its content.

    Raises
    ------
    InputError
        It cannot be read, is empty, or is nothing that can hold market data.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise InputError(f"{path} is not a file", "file")
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as exc:
        raise InputError(f"{path} cannot be read: {exc.strerror}", "file") from exc
    if not status.st_size:
        raise InputError(f"{path.name} is empty", "file")
    source = Source(path, status.st_size, "", path.name, "text")
    if head.startswith(GZIP_MAGIC):
        source.packing, source.member = "gzip", path.name.removesuffix(".gz")
        source.check_produced(_stated_by_gzip(path))
    elif head.startswith(ZIP):
        source.member, source.form, stated = _member(path)
        source.packing = "zip" if source.form == "text" else ""
        source.check_produced(stated)
    return _with_form(source)


def _with_form(source: Source) -> Source:
    if source.form == "excel":
        return source
    chunks = source.chunks()
    beginning = next(chunks, b"")
    chunks.close()  # type: ignore[attr-defined]
    if not beginning.strip():
        raise InputError(f"{source.path.name} is empty", "file")
    source.form = next(
        (form for mark, form in ((PARQUET, "parquet"), (SQLITE, "sqlite")) if beginning.startswith(mark)), "text"
    )
    unknown = next((name for mark, name in MAGIC.items() if beginning.startswith(mark)), None)
    if unknown:
        raise InputError(f"{source.path.name} is {unknown}: unpack it first; zip and gzip are read as they are", "file")
    if source.form == "text":
        source.encoding = _encoding(beginning, source.path.name)
    return source


def _encoding(beginning: bytes, name: str) -> str:
    """How text is encoded, by its mark or by its bytes."""
    for mark, encoding in BOMS:
        if beginning.startswith(mark):
            return encoding
    if b"\0" in beginning[:4_096]:
        raise InputError(f"{name} is not text: it has bytes of value 0 near its beginning", "file")
    try:
        codecs.getincrementaldecoder("utf-8")().decode(beginning)
    except UnicodeDecodeError as exc:
        odd = sum(byte < 32 and byte not in (9, 10, 13) for byte in beginning[:4_096])
        if odd > 20:
            raise InputError(f"{name} is neither text nor Parquet, SQLite, zip or gzip", "file") from exc
        return "latin-1"
    return "utf-8"


def _stated_by_gzip(path: Path) -> int:
    """Bytes that a gzip says it holds; may be false, and leaves out multiples of 4 GiB."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 4))
        return int.from_bytes(file.read(4), "little")


def _member(path: Path) -> tuple[str, str, int]:
    """The one member of a zip that holds data, what it is, and how many bytes it says to have."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (OSError, zipfile.BadZipFile, NotImplementedError) as exc:
        raise InputError(f"{path.name} is a zip that cannot be read: {exc}", "file") from exc
    names = {member.filename for member in members}
    excel = "[Content_Types].xml" in names and any(name.startswith("xl/") for name in names)
    if len(members) > (MOST_MEMBERS if not excel else 1_000):
        raise InputError(f"{path.name} holds {len(members):,} files, the most is {MOST_MEMBERS}", "file")
    for member in members:
        _check_member(path.name, member)
    if excel:
        return path.name, "excel", 0
    files = [m for m in members if not m.is_dir() and not m.filename.upper().endswith(".CHECKSUM")]
    if len(files) != 1:
        raise InputError(f"{path.name} must hold one file of data, and holds {len(files)}", "file")
    if files[0].filename.lower().endswith((".zip", ".gz", ".7z")):
        raise InputError(
            f"{path.name} holds {files[0].filename}: a packed file within a packed file is not read", "file"
        )
    return files[0].filename, "text", files[0].file_size


def _check_member(name: str, member: zipfile.ZipInfo) -> None:
    """Refuse what no archive of market data has. Nothing is ever written under a name from a zip."""
    where = PurePosixPath(member.filename.replace("\\", "/"))
    if where.is_absolute() or ".." in where.parts or re.match("[A-Za-z]:", member.filename):
        raise InputError(f"{name} holds a file whose name leads out of its folder: {member.filename[:100]!r}", "file")
    if stat.S_ISLNK(member.external_attr >> 16):
        raise InputError(f"{name} holds a link: {member.filename[:100]!r}", "file")
    if member.flag_bits & ENCRYPTED:
        raise InputError(f"{name} is encrypted", "file")


def sha256(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal text."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_checksum(path: Path) -> bool:
    """Whether a file `<name>.CHECKSUM` lies beside a file and agrees with it; False where there is none.

    Raises
    ------
    InputError
        It does not agree.
    """
    beside = path.with_name(path.name + ".CHECKSUM")
    if not beside.is_file():
        return False
    said = beside.read_text("utf-8", errors="replace")[:1_000].split()
    if not said or said[0].lower() != sha256(path):
        raise InputError(f"{path.name} does not agree with {beside.name}: fetch it again", "file")
    return True
