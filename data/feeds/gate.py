"""The gate between a replay and those who judge it: time passes from moment to moment, and waits at each of them."""

import threading
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Moment:
    """A time of the market at which everything before it was delivered, and nothing after it."""

    at_us: int
    last: bool = False  # nothing will follow


class Gate:
    """One thread delivers and stops at moments, another judges them; neither runs ahead of the other.

    needed : whether there is anything to judge at a moment; where not, time passes without a change of threads
    """

    def __init__(self, needed: Callable[[Moment], bool] = lambda moment: True) -> None:
        self._needed = needed
        self._changed = threading.Condition()
        self._moment: Moment | None = None
        self._closed = False

    def stop_at(self, moment: Moment) -> bool:
        """Wait until this moment has been judged; False where the gate was closed before."""
        if not self._needed(moment):
            return True
        with self._changed:
            self._moment = moment
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._moment is None or self._closed)
            return self._moment is None

    def next(self, wait_s: float) -> Moment | None:
        """The moment that waits to be judged; None where there is none within `wait_s`. Then say `done`."""
        with self._changed:
            self._changed.wait_for(lambda: self._moment is not None or self._closed, wait_s)
            return None if self._closed else self._moment

    def done(self) -> None:
        """The moment has been judged: time may pass."""
        with self._changed:
            self._moment = None
            self._changed.notify_all()

    def close(self) -> None:
        """Nobody waits here any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
