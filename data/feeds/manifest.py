"""The first line of a recording of our own: what it is, told before anything is decoded."""

from dataclasses import asdict, dataclass
from typing import Self

import msgspec

MANIFEST = b'{"pairscope_recording"'  # how this line begins, and every other one that carries no frame
VERSION = 1


@dataclass(frozen=True, slots=True)
class Manifest:
    """What was recorded. A long recording lies in several files, its parts, each with this line."""

    venue: str
    stream: str
    symbols: tuple[str, ...]  # followed when it began
    began_us: int  # wall clock
    session: str  # the same for all parts
    part: int  # 1, 2, ...

    @classmethod
    def of(cls, line: bytes) -> Self | None:
        """The manifest in a line; None where it is none, or of a later version."""
        try:
            row = msgspec.json.decode(line) if line.startswith(MANIFEST) else {}
            if row.pop("pairscope_recording", None) != VERSION:
                return None
            return msgspec.convert(row, cls)
        except (msgspec.MsgspecError, AttributeError):
            return None

    @property
    def line(self) -> bytes:
        """Its text."""
        return note(**asdict(self))


def note(**fields: object) -> bytes:
    """A line of a recording that carries no frame: it is passed by when it is played."""
    return msgspec.json.encode({"pairscope_recording": VERSION, **fields})
