"""The pace of a replay: which market time is due now."""

import threading

import numpy as np

from utils.clock import LATEST_US, US_PER_S
from utils.errors import InputError


class Pace:
    """Which market time is due at a monotonic time: a line through an anchor, at `speed` times real time.

    A target comes before the line: it is due at once, and from there the line goes on.
    """

    def __init__(self, start_us: int, speed: float) -> None:
        self._lock = threading.Lock()
        self._anchor_us = start_us
        self._anchor_s: float | None = None  # None while it stands still
        self._target_us: int | None = None
        self._speed = checked_speed(speed)

    @property
    def speed(self) -> float:
        """Times real time; 0 is as fast as possible."""
        return self._speed

    @property
    def stands(self) -> bool:
        """Whether it stands still, as it does until `play`."""
        return self._anchor_s is None

    @property
    def target_us(self) -> int | None:
        """Where it is going to without pause, if so."""
        return self._target_us

    def due_us(self, now_s: float) -> int:
        """Newest market time that may be released."""
        with self._lock:
            if self._target_us is not None:
                return self._target_us
            if self._anchor_s is None:
                return self._anchor_us
            if self._speed == 0:
                return LATEST_US
            return min(LATEST_US, self._anchor_us + round((now_s - self._anchor_s) * self._speed * US_PER_S))

    def play(self, now_s: float) -> None:
        """Go on from where it stands."""
        with self._lock:
            if self._anchor_s is None:
                self._anchor_s = now_s

    def pause(self, reached_us: int) -> None:
        """Stand still where the release has got to, which may lag behind what is due; a target is given up."""
        with self._lock:
            if self._anchor_s is not None or self._target_us is not None:
                self._anchor_us, self._anchor_s, self._target_us = reached_us, None, None

    def set_speed(self, speed: float, now_s: float, reached_us: int) -> None:
        """Another speed from where the release has got to. Raises InputError where it is below 0 or not finite."""
        speed = checked_speed(speed)
        with self._lock:
            self._speed = speed
            if self._anchor_s is not None:
                self._anchor_us, self._anchor_s = reached_us, now_s

    def seek(self, target_us: int) -> None:
        """Everything up to a time is due at once; whether it stands or plays there is as it is now."""
        with self._lock:
            self._target_us = target_us

    def arrive(self, target_us: int, now_s: float) -> None:
        """The target was reached: the line goes on from there."""
        with self._lock:
            if self._target_us == target_us:
                self._anchor_us, self._target_us = target_us, None
                self._anchor_s = None if self._anchor_s is None else now_s


def checked_speed(speed: float) -> float:
    """The speed itself. Raises InputError where it is below 0 or not finite."""
    if not 0 <= speed < np.inf:
        raise InputError(f"speed must be >= 0 (0 = as fast as possible), was {speed!r}", "speed")
    return float(speed)
