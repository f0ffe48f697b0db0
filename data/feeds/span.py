"""When the last trade of a recorded file was, without decoding what lies before it."""

import zlib
from collections import deque
from collections.abc import Callable, Iterable
from itertools import chain
from pathlib import Path

from data.feeds.recording import CHUNK, GZIP_MAGIC, TRADE_TIME, inflate, tick_us
from utils.clock import us_from_epoch

TAIL = 4 * CHUNK  # bytes at the end of a file that are looked at
MEMBER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00"  # head of a gzip member without name and time, as our own have

Stop = Callable[[], bool]


def last_trade_us(path: Path, kind: str, stop: Stop = lambda: False) -> int | None:
    """Time of the last trade, microseconds, as far as the newest lines tell; None where they hold none.

    A file in one compressed piece has to be read whole: some 200 MB of text a second. `stop` may end that.
    """
    times = (_times(lines, kind) for lines in reversed(_tail(path, stop)))
    return max(chain.from_iterable(times), default=None)


def last_lines(path: Path) -> list[bytes]:
    """The newest lines of a file that ends in a member of its own; those of its last chunks otherwise."""
    return [line for lines in _tail(path, lambda: False) for line in lines]


def _tail(path: Path, stop: Stop) -> list[list[bytes]]:
    """The lines of the last chunks."""
    with path.open("rb") as file:
        compressed = file.read(2) == GZIP_MAGIC
        file.seek(max(path.stat().st_size - TAIL, 0))
        end = file.read()
        found = _last_member(end) if compressed else [end]
        if not found:
            file.seek(0)
            found = _newest(iter(lambda: file.read(CHUNK), b""), stop)
    return [chunk.split(b"\n") for chunk in found]


def _last_member(end: bytes) -> list[bytes]:
    """Text of the last compressed members that are whole."""
    at = end.rfind(MEMBER)
    while at >= 0:
        try:
            text = zlib.decompressobj(31).decompress(end[at:])
            if text.count(b"\n") > 1:
                return [text]
        except zlib.error:
            pass  # bytes that only look like a head
        at = end.rfind(MEMBER, 0, at)
    return []


def _newest(raw: Iterable[bytes], stop: Stop) -> list[bytes]:
    """The last two chunks of inflated text; what cannot be read further ends it."""
    kept: deque[bytes] = deque(maxlen=3)
    try:
        for text in inflate(raw):
            kept.append(text)
            if stop():
                return []
    except (EOFError, zlib.error):
        pass  # the recording plays as far as it goes
    return [b"".join(kept)]


def _times(lines: list[bytes], kind: str) -> list[int]:
    if kind == "ticks":
        return [at_us for at_us in map(tick_us, lines[-10_000:]) if at_us is not None]
    found = (TRADE_TIME.search(line) for line in lines if b'rade"' in line)
    return [us_from_epoch(int(match[1])) for match in found if match]
