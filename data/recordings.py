"""The folder of recordings: what lies there, what is being recorded, and how large it all may become."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from data.feeds.feed import QuotingFeed
from data.feeds.manifest import MANIFEST, Manifest
from data.feeds.recorder import PART_BYTES, Recorder, RecordingStatus
from data.feeds.recording import RECEIPT, inflate
from data.feeds.socket import SocketFeed
from data.feeds.span import last_lines
from data.quotes import Quotes, QuoteSink
from data.session import Session
from utils import logger
from utils.clock import us_from_epoch
from utils.errors import InputError, NotFound

LOG = logger.get("recordings")
HEAD_BYTES = 64 << 10  # of a file, in which its first line lies
PARTS_AT_LEAST = 4  # files that the limit of size leaves room for


@dataclass(frozen=True, slots=True)
class Recorded:
    """One file of the folder."""

    name: str
    bytes: int
    venue: str
    stream: str
    symbols: tuple[str, ...]
    began_us: int  # wall clock, of its recording
    ended_us: int | None  # newest receipt in it
    session: str  # the same for all parts of one recording
    part: int
    running: bool


class Recordings:
    """Records the open market while it is asked to, and keeps the folder below its limit.

    Parameters
    ----------
    folder : where the files lie
    most_bytes : of all files together; beyond, the oldest are deleted. 0: no limit
    wanted : whether to record from the first market on
    """

    def __init__(self, folder: Path, most_bytes: float, wanted: bool = False) -> None:
        self._folder, self._most_bytes, self._wanted = folder, most_bytes, wanted
        self._recorder: Recorder | None = None
        self._untap: Callable[[], None] = lambda: None
        self._failed = ""
        self._lock = threading.RLock()

    @property
    def status(self) -> RecordingStatus | None:
        """How the newest recording stands; None where there was none since the start."""
        recorder = self._recorder
        return None if recorder is None else recorder.status

    @property
    def running(self) -> bool:
        """Whether something is being recorded."""
        status = self.status
        return status is not None and status.running

    @property
    def failure(self) -> str:
        """Why a recording that was asked for did not begin, if so."""
        return self._failed

    def start(self, session: Session) -> RecordingStatus:
        """Record this market from now on, and those that follow it.

        Raises
        ------
        InputError
            A recording runs already, this market is a replay, or the folder cannot be written.
        """
        with self._lock:
            if self.running:
                raise InputError("a recording is running already", "action")
            if session.feed.venue == "replay":
                raise InputError("a replay is a recording already: it is not recorded again", "action")
            self._wanted = True
            self.attach(session, session.symbols)
            if self._failed:
                self._wanted = False
                raise InputError(self._failed, "action")
            assert self._recorder is not None
            return self._recorder.status

    def stop(self) -> RecordingStatus:
        """End the recording.

        Raises
        ------
        InputError
            None runs.
        """
        with self._lock:
            self._wanted = False
            if not self.running or self._recorder is None:
                raise InputError("no recording is running", "action")
            self._end("stopped")
            return self._recorder.status

    def attach(self, session: Session, symbols: Iterable[str]) -> None:
        """Record a market, if that is wanted; before it starts, to have all of it."""
        with self._lock:
            if not self._wanted or session.feed.venue == "replay":
                return
            self._failed = ""
            feed = session.feed
            part_bytes = min(PART_BYTES, int(self._most_bytes / PARTS_AT_LEAST)) if self._most_bytes else PART_BYTES
            recorder = Recorder(
                self._folder,
                feed.venue,
                feed.stream,
                symbols,
                part_bytes=part_bytes,
                on_part=self.trim,
            )
            try:
                recorder.start()
            except OSError as exc:
                self._failed = f"{self._folder} cannot be recorded to: {exc.strerror or exc}"
                LOG.error("%s", self._failed)
                return
            self._recorder, self._untap = recorder, _tap(session, recorder)

    def detach(self, reason: str) -> None:
        """End the recording of a market that is being closed; the next one is recorded as well."""
        with self._lock:
            self._end(reason)

    def _end(self, reason: str) -> None:
        if self._recorder is not None:
            self._untap()
            self._untap = lambda: None
            self._recorder.stop(reason)

    # --- the folder ---------------------------------------------------------------------------

    def rows(self) -> list[Recorded]:
        """What lies in the folder, newest first; files that are no recordings of ours are left out."""
        running = self._recorder.status if self._recorder is not None else None
        found = []
        for path in self._paths():
            try:
                size, changed = path.stat().st_size, path.stat().st_mtime_ns
            except OSError:
                continue  # deleted meanwhile
            manifest, ended_us = _told(path, size, changed)
            if manifest is not None:
                is_running = running is not None and running.running and running.name == path.name
                found.append(_recorded(path.name, size, manifest, ended_us, is_running))
        return sorted(found, key=lambda row: (row.began_us, row.part), reverse=True)

    def path(self, name: str) -> Path:
        """Where a recording lies.

        Raises
        ------
        NotFound
        """
        if name not in {path.name for path in self._paths()}:
            raise NotFound(f"there is no recording {name[:80]!r}", "recording")
        return self._folder / name

    def delete(self, name: str) -> None:
        """Delete a file.

        Raises
        ------
        NotFound
        InputError
            It is being written.
        """
        path = self.path(name)
        with self._lock:
            if self.running and self.status is not None and self.status.name == name:
                raise InputError(f"{name} is being written: stop the recording first", "recording")
            path.unlink(missing_ok=True)

    def trim(self, keep: str) -> None:
        """Delete the oldest files while all of them together are beyond the limit; never the one that is written."""
        rows = [row for row in reversed(self.rows()) if row.name != keep]
        total = sum(row.bytes for row in rows)
        for row in rows:
            if not self._most_bytes or total <= self._most_bytes * (1 - 1 / PARTS_AT_LEAST):
                return  # there is room for the one that begins
            LOG.warning("%s is deleted: recordings may take %g GB", row.name, self._most_bytes / 1e9)
            (self._folder / row.name).unlink(missing_ok=True)
            total -= row.bytes

    def _paths(self) -> list[Path]:
        return sorted(self._folder.glob("*.gz")) if self._folder.is_dir() else []


class _Beside:
    """A sink for quotes that records them on their way."""

    def __init__(self, sink: QuoteSink, recorder: Recorder) -> None:
        self._sink, self._recorder = sink, recorder

    def offer(self, quotes: Quotes) -> None:
        self._sink.offer(quotes)
        self._recorder.put(quotes)

    def reject(self, symbol: str | None, reason: str, count: int = 1) -> None:
        self._sink.reject(symbol, reason, count)


def _tap(session: Session, recorder: Recorder) -> Callable[[], None]:
    """Lead to a recorder what a market sends: frames where there are any, rows where there are none; how to end it."""
    feed = session.feed
    sockets = [one for one in (feed, session.quote_feed) if isinstance(one, SocketFeed)]
    for one in sockets:
        one.tap = recorder.put
    if not sockets:
        session.ingestion.on_emit.append(recorder.put)
        if isinstance(feed, QuotingFeed):
            feed.quote_sink = _Beside(session.quotes, recorder)

    def untap() -> None:
        for one in sockets:
            one.tap = None
        if not sockets:
            session.ingestion.on_emit.remove(recorder.put)
            if isinstance(feed, QuotingFeed):
                feed.quote_sink = session.quotes

    return untap


def _recorded(name: str, size: int, manifest: Manifest, ended_us: int | None, running: bool) -> Recorded:
    told: dict[str, Any] = {key: getattr(manifest, key) for key in Manifest.__dataclass_fields__}
    return Recorded(name=name, bytes=size, ended_us=ended_us, running=running, **told)


@lru_cache(maxsize=1_024)
def _told(path: Path, size: int, changed_ns: int) -> tuple[Manifest | None, int | None]:
    """First line and newest receipt of a file, as it was when it had this size and age."""
    try:
        with path.open("rb") as file:
            head = next(inflate([file.read(HEAD_BYTES)]), b"")
        manifest = Manifest.of(head.partition(b"\n")[0])
        return manifest, _newest_us(last_lines(path)) if manifest is not None else None
    except Exception:  # noqa: BLE001 - whatever else lies in the folder is not ours
        return None, None


def _newest_us(lines: list[bytes]) -> int | None:
    for line in reversed(lines):
        found = None if line.startswith(MANIFEST) else RECEIPT.match(line)
        if found:
            return us_from_epoch(int(found[1]))
    return None
