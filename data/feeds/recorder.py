"""Records what a market sends: frames as they came, each behind the time of its receipt, in compressed files.

    feed threads -> bounded queue -> one member of gzip a second -> file, then the next file

A feed only appends to the queue. What does not fit is dropped, counted, and told in the file too. Every member is whole
by itself, so a kill costs the newest second or two. A disk that fails or is nearly full ends the recording, with the
reason; nothing else notices.
"""

import contextlib
import errno
import os
import shutil
import threading
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from data.feeds.binance import USDM, format_trade
from data.feeds.book_ticker import format_quote
from data.feeds.manifest import Manifest, note
from data.quotes import Quotes
from data.trades import Trades
from utils import logger
from utils.clock import monotonic_s, now_us, utc_stamp

FLUSH_S = 1.0  # how much a kill may cost, and how much text a member of gzip has
MEMBER_BYTES = 1 << 20  # text of one member, at most about
QUEUE_BYTES = 64 << 20  # text that may wait
ROW_BYTES = 200  # of a frame still to be formatted, about
PART_BYTES = 256_000_000  # of a file, compressed; then the next one begins
PART_S = 6 * 3_600.0
FREE_BYTES = 200_000_000  # of the disk, left to the database
LEVEL = 6  # of compression: 20 MB of text a second, on its own thread
STREAM = "aggTrade"  # the form in which trades are written that came without a frame: its ids are contiguous

LOG = logger.get("recorder")
Rows = Sequence[bytes] | Trades | Quotes


@dataclass(frozen=True, slots=True)
class RecordingStatus:
    """How a recording stands."""

    name: str  # of the newest file
    venue: str
    began_us: int  # wall clock
    frames: int  # written
    bytes: int  # of all its files, compressed
    parts: int
    waiting_bytes: int  # of text
    dropped: int  # frames that came faster than they could be written
    running: bool
    reason: str  # why it ended, once it has


class Recorder:
    """One recording of one market; begins at `start`, ends at `stop` or by itself.

    Parameters
    ----------
    folder : where its files go; it is made
    venue, stream, symbols : what the first line says
    part_bytes, part_s : size and age at which the next file begins
    on_part : called with the name of each file that begins
    """

    def __init__(
        self,
        folder: Path,
        venue: str,
        stream: str,
        symbols: Iterable[str],
        *,
        part_bytes: int = PART_BYTES,
        part_s: float = PART_S,
        queue_bytes: int = QUEUE_BYTES,
        on_part: Callable[[str], None] = lambda name: None,
    ) -> None:
        self._folder, self._on_part = folder, on_part
        self._part_bytes, self._part_s, self._queue_bytes = part_bytes, part_s, queue_bytes
        self._manifest = Manifest(venue, stream, tuple(symbols), now_us(), "", 0)
        self._waiting: deque[tuple[int, Rows, int]] = deque()  # receipt, rows, bytes about
        self._lock = threading.Lock()
        self._waiting_bytes = self._dropped = self._told = 0
        self._frames = self._bytes = self._part_written = 0
        self._part_began_s = 0.0
        self._name = self._reason = ""
        self._file: BinaryIO | None = None
        self._running = False
        self._stop, self._due = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)

    @property
    def status(self) -> RecordingStatus:
        """How it stands."""
        return RecordingStatus(
            name=self._name,
            venue=self._manifest.venue,
            began_us=self._manifest.began_us,
            frames=self._frames,
            bytes=self._bytes,
            parts=self._manifest.part,
            waiting_bytes=self._waiting_bytes,
            dropped=self._dropped,
            running=self._running,
            reason=self._reason,
        )

    def start(self) -> None:
        """Begin the first file.

        Raises
        ------
        OSError
            The folder cannot be written, or its disk is nearly full.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            self._begin_part()
        except OSError:
            if self._file is not None:
                self._file.close()
                (self._folder / self._name).unlink(missing_ok=True)
            raise
        self._running = True
        self._thread.start()

    def stop(self, reason: str = "stopped") -> None:
        """Write what waits and close the file. Safe to call twice."""
        self._reason = self._reason or reason
        self._stop.set()
        self._due.set()
        if self._thread.ident is not None:
            self._thread.join()

    def put(self, rows: Rows) -> None:
        """Take frames, or rows that came without; returns at once, from any thread."""
        size = len(rows) * ROW_BYTES if isinstance(rows, Trades | Quotes) else sum(map(len, rows))
        with self._lock:
            if not self._running:
                return
            if self._waiting_bytes + size > self._queue_bytes:
                self._dropped += len(rows)
                return
            self._waiting.append((now_us(), rows, size))
            self._waiting_bytes += size
        if self._waiting_bytes >= MEMBER_BYTES:
            self._due.set()

    # --- the thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._due.wait(FLUSH_S)
                self._due.clear()
                while self._write_waiting():
                    pass
            while self._write_waiting():
                pass
            self._end_part()
        except OSError as exc:
            self._reason = f"the recording ended: {exc.strerror or exc}"
            LOG.error("%s", self._reason)
        except Exception:
            self._reason = "the recording failed: see the log"
            LOG.exception("the recorder failed")
        finally:
            with self._lock:
                self._running = False
                self._waiting.clear()
                self._waiting_bytes = 0
            if self._file is not None:
                with contextlib.suppress(OSError):
                    self._file.close()

    def _write_waiting(self) -> bool:
        """Write one member; whether more waits than belongs into one."""
        batch, size = [], 0
        with self._lock:
            while self._waiting and size < MEMBER_BYTES:
                batch.append(self._waiting.popleft())
                size += batch[-1][2]
            more, dropped = bool(self._waiting), self._dropped
        if batch or dropped > self._told:
            lines = [line for at_us, rows, _ in batch for line in _lines(at_us, rows)]
            frames = len(lines)
            if dropped > self._told:
                lines.append(note(dropped=dropped - self._told, at_us=now_us()) + b"\n")
                self._told = dropped
            self._write(b"".join(lines))
            self._frames += frames
            with self._lock:
                self._waiting_bytes -= size
        if self._part_written >= self._part_bytes or monotonic_s() - self._part_began_s >= self._part_s:
            self._end_part()
            self._begin_part()
        return more

    def _begin_part(self) -> None:
        self._manifest = replace(self._manifest, part=self._manifest.part + 1)
        self._name, self._file = _new_file(self._folder, self._manifest.venue)
        self._manifest = replace(self._manifest, session=self._manifest.session or self._name)
        self._part_written, self._part_began_s = 0, monotonic_s()
        self._write(self._manifest.line + b"\n")
        self._on_part(self._name)

    def _end_part(self) -> None:
        assert self._file is not None
        self._write(note(ended_us=now_us(), frames=self._frames, dropped=self._dropped) + b"\n")
        self._file.close()

    def _write(self, text: bytes) -> None:
        """Add a member; where that fails, what came of it is taken away again."""
        if shutil.disk_usage(self._folder).free < FREE_BYTES:
            raise OSError(f"less than {FREE_BYTES / 1e9:g} GB are free on the disk of {self._folder}")
        packer = zlib.compressobj(LEVEL, wbits=31)
        member = packer.compress(text) + packer.flush()
        assert self._file is not None
        try:
            if self._file.write(member) != len(member):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            with contextlib.suppress(OSError):
                self._file.truncate(self._part_written)
            raise
        self._part_written += len(member)
        self._bytes += len(member)


def _new_file(folder: Path, venue: str) -> tuple[str, BinaryIO]:
    """A file of a name that was not there: `<venue>-<utc>.gz`."""
    stem = f"{venue}-{utc_stamp(now_us())}"
    for again in range(1, 1_000):
        name = f"{stem}.gz" if again == 1 else f"{stem}-{again}.gz"
        with contextlib.suppress(FileExistsError):
            return name, (folder / name).open("xb", buffering=0)
    raise OSError(f"no name is left for {stem}")


def _lines(at_us: int, rows: Rows) -> Iterable[bytes]:
    """Each frame behind the time of its receipt, in microseconds."""
    head = b"%d " % at_us
    frames: Iterable[bytes] = rows if not isinstance(rows, Trades | Quotes) else _frames(rows)
    return [head + (frame if b"\n" not in frame else frame.replace(b"\n", b" ")) + b"\n" for frame in frames]


def _frames(rows: Trades | Quotes) -> Iterable[bytes]:
    """Rows of the demo market as the exchange would print them."""
    if isinstance(rows, Trades):
        return [format_trade(trade, USDM, STREAM).encode() for trade in rows]
    return [format_quote(quote, USDM).encode() for quote in rows]
