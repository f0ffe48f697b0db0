"""The hub: one producer builds each distinct figure once an interval; all who look at it get the same bytes.

All figures of one interval are built in one beat, and a new one brings the next beat forward, so that what stands side
by side on a page is of one moment.

A browser reads a snapshot and then follows the stream of patches. Every patch has the number after the one before
it, inside the epoch of its producer; a reader that sees another epoch or skips a number reads the snapshot again.
So a slow reader may lose patches (its queue is bounded, the oldest goes first) but never shows a wrong chart.
"""

import asyncio
import uuid
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import msgspec

from dashboard.live.patch import diff, plain
from utils import logger
from utils.clock import monotonic_s, now_us
from utils.errors import InputError

LOG = logger.get("live")

QUEUE = 8  # patches that wait for one reader
YOUNG_S = 1.0  # a figure of this age need not be built again because another one is new
LINGER_S = 5.0  # a producer nobody looks at any more ends after this
MAX_PRODUCERS = 64

Payload = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Key:
    """What distinguishes one live figure from another."""

    name: str
    params: tuple[tuple[str, str], ...]
    theme: str
    interval_s: float


Build = Callable[[Key], Payload]  # nobody changes afterwards what it gave


@dataclass(eq=False, slots=True)
class _Producer:
    key: Key
    epoch: str
    seq: int = 0
    payload: Payload = field(default_factory=dict)
    wanted_s: float = 0.0  # last time someone asked
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    readers: set["asyncio.Queue[bytes | None]"] = field(default_factory=set)
    task: "asyncio.Task[None] | None" = None

    @property
    def wanted(self) -> bool:
        return bool(self.readers) or monotonic_s() - self.wanted_s < LINGER_S

    def head(self, **more: Any) -> dict[str, Any]:
        return {"epoch": self.epoch, "seq": self.seq, **more}


class Hub:
    """Producers and their readers. Lives on one event loop; figures are built in two threads of its own."""

    def __init__(self, build: Build) -> None:
        self._build = build
        self._producers: dict[Key, _Producer] = {}
        self._beats: dict[float, float] = {}  # by interval: when the next one is, monotonic seconds
        self._brought_forward: dict[float, asyncio.Event] = {}
        self._closed_loop: asyncio.AbstractEventLoop | None = None
        self._workers: ThreadPoolExecutor | None = None

    def close(self) -> None:
        """End every stream and producer, and begin none; to be called on the loop that is about to stop.

        An open stream would hold the server at its stop. Another loop may use the hub afterwards.
        """
        self._closed_loop = asyncio.get_running_loop()
        for producer in list(self._producers.values()):
            self._end(producer)
        if self._workers is not None:
            self._workers.shutdown(wait=False, cancel_futures=True)
            self._workers = None

    @property
    def producers(self) -> int:
        """Figures that are being built now."""
        return len(self._producers)

    async def snapshot(self, key: Key) -> bytes:
        """The whole figure as JSON, with its epoch and number.

        Raises
        ------
        InputError
            Too many different figures are looked at, or the hub is closed.
        """
        producer = self._wanted(key)
        await producer.ready.wait()
        return msgspec.json.encode(producer.head(t0=now_us() / 1_000, **plain(producer.payload)))

    async def stream(self, key: Key) -> AsyncGenerator[bytes]:
        """Where the producer stands, then its patches, each as JSON, until `close`."""
        producer = self._wanted(key)
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(QUEUE)
        producer.readers.add(queue)
        try:
            yield msgspec.json.encode(producer.head(operations=[]))
            while (message := await queue.get()) is not None:
                yield message
        finally:
            producer.readers.discard(queue)
            producer.wanted_s = monotonic_s()

    def _wanted(self, key: Key) -> _Producer:
        producer = self._producers.get(key)
        if producer is None:
            if self._closed_loop is asyncio.get_running_loop():
                raise InputError("the server is stopping")
            if len(self._producers) >= MAX_PRODUCERS:
                raise InputError(f"at most {MAX_PRODUCERS} different live figures at a time")
            producer = self._producers[key] = _Producer(key, uuid.uuid4().hex[:8])
            producer.task = asyncio.get_running_loop().create_task(self._run(producer), name=f"figure {key.name}")
            if (others := self._brought_forward.pop(key.interval_s, None)) is not None:
                others.set()
        producer.wanted_s = monotonic_s()
        return producer

    async def _run(self, producer: _Producer) -> None:
        loop = asyncio.get_running_loop()
        try:
            while producer.wanted:
                started_s, t0 = monotonic_s(), now_us() / 1_000
                payload, operations = await loop.run_in_executor(self._pool(), self._produce, producer)
                if operations:
                    producer.payload = payload
                    producer.seq += 1
                    message = msgspec.json.encode(producer.head(t0=t0, operations=operations))
                    for queue in producer.readers:
                        _put(queue, message)
                producer.ready.set()
                await self._beat(producer.key.interval_s, started_s)
        finally:
            if self._producers.get(producer.key) is producer:
                self._forget(producer.key)
            producer.ready.set()
            for queue in producer.readers:
                _put(queue, None)

    async def _beat(self, interval_s: float, built_s: float) -> None:
        """Wait for the next beat, or for one that was brought forward to a figure that is not young any more."""
        at_s = self._beats.get(interval_s, 0.0)
        if at_s <= built_s:  # the first of this beat says when the next one is
            at_s = self._beats[interval_s] = built_s + interval_s
        while (rest_s := at_s - monotonic_s()) > 0:
            forward = self._brought_forward.setdefault(interval_s, asyncio.Event())
            try:
                await asyncio.wait_for(forward.wait(), rest_s)
            except TimeoutError:
                return
            if monotonic_s() - built_s >= YOUNG_S:
                return

    def _pool(self) -> ThreadPoolExecutor:
        if self._workers is None:
            self._workers = ThreadPoolExecutor(2, thread_name_prefix="figures")
        return self._workers

    def _produce(self, producer: _Producer) -> tuple[Payload, list[Any]]:
        """The figure of now, and what changed since the last one."""
        try:
            payload = self._build(producer.key)
        # A bug in one figure must not end its stream, nor those of the others: it is logged and shown.
        except Exception:
            before = producer.payload
            if (before.get("message") or {}).get("state") == "error":
                return before, []  # told already
            incident = uuid.uuid4().hex[:6]
            LOG.exception("figure %s failed, incident %s", producer.key, incident)
            text = f"This chart could not be drawn. The log has the details under {incident}."
            payload = {"figure": None, "message": {"state": "error", "text": text}}
        return payload, diff(producer.payload, payload)

    def _forget(self, key: Key) -> None:
        """Drop a producer, and the beat of its interval with the last one of it."""
        self._producers.pop(key, None)
        if all(other.interval_s != key.interval_s for other in self._producers):
            self._beats.pop(key.interval_s, None)
            self._brought_forward.pop(key.interval_s, None)

    def _end(self, producer: _Producer) -> None:
        self._forget(producer.key)
        for queue in producer.readers:
            _put(queue, None)
        if producer.task is not None:
            producer.task.cancel()


def _put(queue: "asyncio.Queue[bytes | None]", message: bytes | None) -> None:
    """Queue a message; where there is no room, the oldest goes, and the reader will notice by its number."""
    if queue.full():
        queue.get_nowait()
    queue.put_nowait(message)
