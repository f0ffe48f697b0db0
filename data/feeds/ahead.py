"""Work done ahead: the next items are made while the last ones are used."""

import queue
import threading
from collections.abc import Iterator
from typing import TypeVar

T = TypeVar("T")


def ahead(items: Iterator[T], depth: int = 2) -> Iterator[T]:
    """The same items, `depth` of them made in a thread of its own before they are asked for.

    Worth it where making them leaves the interpreter's lock, as inflating does. Closing it ends the thread.
    """
    ready: queue.Queue[tuple[T] | BaseException | None] = queue.Queue(depth)
    stopped = threading.Event()

    def make() -> None:
        end: BaseException | None = None
        try:
            for item in items:
                ready.put((item,))
                if stopped.is_set():
                    return
        except BaseException as exc:  # noqa: BLE001 - it is raised where the items are used
            end = exc
        ready.put(end)

    thread = threading.Thread(target=make, name="read-ahead", daemon=True)
    thread.start()
    try:
        while isinstance(found := ready.get(), tuple):
            yield found[0]
        if found is not None:
            raise found
    finally:
        stopped.set()
        while thread.is_alive():
            try:
                ready.get(timeout=0.01)  # room for the one that waits
            except queue.Empty:
                continue
        thread.join()
