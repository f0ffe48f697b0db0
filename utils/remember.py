"""Results that are computed once for each state of what they rest on."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

Result = TypeVar("Result")


class Memory:
    """The newest `keep` results by key, each with the version that it was computed of; shared between threads.

    The lock is not held while computing: two readers may compute the same once each. An error is not remembered.
    """

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._known: OrderedDict[Hashable, tuple[Hashable, Any]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, version: Hashable, compute: Callable[[], Result]) -> Result:
        """The result of a key, computed where there is none of this version yet."""
        with self._lock:
            known = self._known.get(key)
            if known is not None and known[0] == version:
                self._known.move_to_end(key)
                return known[1]
        result = compute()
        with self._lock:
            self._known[key] = version, result
            self._known.move_to_end(key)
            if len(self._known) > self._keep:
                self._known.popitem(last=False)
        return result
