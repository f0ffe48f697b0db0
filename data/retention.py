"""How long trades are kept: the oldest are deleted by age or by size, a few at a time."""

import sqlite3

from data import sqlite
from utils import logger
from utils.clock import US_PER_S, monotonic_s, now_us

LOG = logger.get("retention")

LOOK_EVERY_S = 60.0  # pause between two looks at what is too old or too much
WORK_S = 0.03  # no batch is begun later than this: trades wait in their queue meanwhile
BATCH_ROWS = 2_000
SLICE_US = 600 * US_PER_S  # by size, the oldest ten minutes of all symbols go before anything younger


class Retention:
    """What may be deleted from a file, and when it was last looked at.

    Freed pages are used again, so the file stays at its size. Bars and the alert history are kept.

    Parameters
    ----------
    days : age at which a trade goes, by its own time; 0 = keep all
    gigabytes : size of the file, in 10^9 bytes, from which on the oldest trades go; 0 = no limit
    """

    def __init__(self, days: float = 0, gigabytes: float = 0) -> None:
        self._age_us = int(days * 86_400 * US_PER_S)
        self._most_bytes = int(gigabytes * 1e9)
        self._next_s = 0.0
        self._gone = 0  # trades deleted and not told yet

    def work(self, connection: sqlite3.Connection) -> None:
        """Delete for a moment, if it is time; what is left is deleted at the next call."""
        began_s = monotonic_s()
        if not (self._age_us or self._most_bytes) or began_s < self._next_s:
            return
        self._next_s = began_s + LOOK_EVERY_S  # also when this fails
        while gone := self._batch(connection):
            self._gone += gone
            if monotonic_s() - began_s >= WORK_S:
                self._next_s = began_s
                return
        if self._gone:
            LOG.info("%d old trades deleted", self._gone)
            self._gone = 0

    def _batch(self, connection: sqlite3.Connection) -> int:
        """Delete a few trades in one transaction; how many."""
        before_us = self._before_us(connection)
        if before_us is None:
            return 0
        with sqlite.transaction(connection):
            return sqlite.prune(connection, before_us, BATCH_ROWS)

    def _before_us(self, connection: sqlite3.Connection) -> int | None:
        """Trades older than this are to go, if any."""
        oldest_us = sqlite.oldest_us(connection)
        if oldest_us is None:
            return None
        if self._age_us and oldest_us < now_us() - self._age_us:
            return now_us() - self._age_us
        too_large = self._most_bytes and sqlite.used_bytes(connection) > self._most_bytes
        return oldest_us + SLICE_US if too_large else None
