"""When the last trade of a recorded file was, without decoding what lies before it."""

import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from os import SEEK_END
from pathlib import Path
from typing import BinaryIO

from data.feeds.recording import CHUNK, GZIP_MAGIC, MAX_LINE, TRADE_TIME, inflate, tick_us
from utils.clock import us_from_epoch

TAIL = 4 * CHUNK  # bytes of a file that are looked at at a time, from its end
MOST_TAILS = 16  # of a file; what lies before them is not asked
MEMBER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00"  # head of a gzip member without name and time, as our own have

TRADE = b'rade"'  # in every frame of a trade

Stop = Callable[[], bool]


def last_trade_us(path: Path, kind: str, stop: Stop = lambda: False) -> int | None:
    """Time of the last trade, microseconds, as far as the newest lines tell; None where they hold none.

    Where a long end holds quotes alone it goes back piece by piece, up to 64 MB of the file. A file in one compressed
    piece has to be read whole: some 200 MB of text a second. `stop` may end that.
    """
    for lines in _backwards(path, stop):
        times = _times(lines, kind)
        if times or stop():
            return max(times, default=None)
    return None


def last_lines(path: Path) -> list[bytes]:
    """The newest lines of a file that ends in a member of its own; those of its last chunks otherwise."""
    return next(_backwards(path, lambda: False), [])


def _backwards(path: Path, stop: Stop) -> Iterator[list[bytes]]:
    """The lines of a file, in pieces from its end, as far as it is looked at."""
    with path.open("rb") as file:
        compressed, found = file.read(2) == GZIP_MAGIC, False
        for text in _members(file, stop) if compressed else _plain(file, stop):
            found = True
            yield text.split(b"\n")
        if compressed and not found:
            file.seek(0)
            for text in _newest(iter(lambda: file.read(CHUNK), b""), stop):
                yield text.split(b"\n")


def _tails(file: BinaryIO, stop: Stop) -> Iterator[bytes]:
    """The bytes of a file, in pieces from its end."""
    at = file.seek(0, SEEK_END)
    for _ in range(MOST_TAILS):
        if at == 0 or stop():
            return
        size = min(TAIL, at)
        at = file.seek(at - size)
        yield file.read(size)


def _plain(file: BinaryIO, stop: Stop) -> Iterator[bytes]:
    """Pieces of whole lines, the last one first."""
    rest = b""
    for tail in _tails(file, stop):
        cut, _, lines = (tail + rest).partition(b"\n")
        yield lines
        rest = cut if len(cut) < MAX_LINE else b""
    yield rest


def _members(file: BinaryIO, stop: Stop) -> Iterator[bytes]:
    """Text of the compressed members that are whole, the last one first; none where the last piece has no head."""
    rest, found = b"", False
    for tail in _tails(file, stop):
        data, fresh = tail + rest, len(tail) + len(MEMBER) - 1
        view, end = memoryview(data), len(data)
        at = data.rfind(MEMBER, 0, fresh)
        while at >= 0:
            try:
                text = zlib.decompressobj(31).decompress(view[at:end])
                end = at
                if text.count(b"\n") > 1:
                    found = True
                    yield text
            except zlib.error:
                pass  # bytes that only look like a head
            at = data.rfind(MEMBER, 0, min(at, fresh))
        if not found:
            return
        rest = data[:end]


def _newest(raw: Iterable[bytes], stop: Stop) -> list[bytes]:
    """The last chunks of inflated text, and the last ones with a trade; what cannot be read further ends it."""
    kept: deque[bytes] = deque(maxlen=3)
    traded: tuple[bytes, ...] = ()
    before = False
    try:
        for text in inflate(raw):
            kept.append(text)
            trades = TRADE in text
            traded = tuple(kept) if trades or before else traded  # a line may end in the next chunk
            before = trades
            if stop():
                return []
    except (EOFError, zlib.error):
        pass  # the recording plays as far as it goes
    return [b"".join(kept), b"".join(traded)]


def _times(lines: list[bytes], kind: str) -> list[int]:
    if kind == "ticks":
        return [at_us for at_us in map(tick_us, lines[-10_000:]) if at_us is not None]
    found = (TRADE_TIME.search(line) for line in lines if TRADE in line)
    return [us_from_epoch(int(match[1])) for match in found if match]
