"""Waiting for something to become true, with a deadline: never for a fixed time and luck."""

import time
from collections.abc import Callable
from typing import TypeVar

from utils.errors import PairscopeError

T = TypeVar("T")


def until(read: Callable[[], T], done: Callable[[T], object], within_s: float = 20.0) -> T:
    """The first value read that is `done`; an error of ours counts as not yet.

    Raises
    ------
    AssertionError
        The deadline passed; the newest value or error is in the message.
    """
    deadline_s = time.monotonic() + within_s
    seen: object = None
    while time.monotonic() < deadline_s:
        try:
            seen = value = read()
        except PairscopeError as exc:
            seen = exc
        else:
            if done(value):
                return value
        time.sleep(0.01)
    raise AssertionError(f"not within {within_s:g} s; newest: {seen!r}")
