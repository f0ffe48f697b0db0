"""How far a command is: a line now and then."""

import sys
from collections.abc import Callable

from utils.clock import monotonic_s

EVERY_S = 3.0


class Progress:
    """Counts bytes, and says the share at most every few seconds."""

    def __init__(self, title: str, total: int, say: Callable[[str], None]) -> None:
        self._title, self._total, self._say = title, max(total, 1), say
        self._done = 0
        self._said_s = monotonic_s()

    def add(self, count: int) -> None:
        """So many more are done."""
        self._done += count
        if monotonic_s() - self._said_s >= EVERY_S:
            self._said_s = monotonic_s()
            self._say(f"{self._title}: {min(self._done / self._total, 1):.0%} of {self._total / 1e6:,.0f} MB")


def to_stderr(text: str) -> None:
    """A line for the reader, beside what the command gives out."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
