"""Brings messages to channels: a worker thread a channel, so that a slow one delays no other.

A message is sent once it is in the file, and the next one once that it was sent is in the file: a crash in between
repeats at most that one message, under the same key.
"""

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from alerts.addresses import GUARDED, MINE
from alerts.alert_engine import Message
from alerts.channels import Channel, Sent
from alerts.outbox import Mark, Queue
from alerts.rules import SCREEN, AlertEvent, Rule
from utils import logger
from utils.clock import SteadyClock, iso_from_us, monotonic_s
from utils.errors import InputError, NotFound

LOG = logger.get("notify")

COMMIT_S = 5.0  # a file that takes longer is not waited for: a late alert is worse than one that comes twice
TEST_EVERY_S = 10.0
STOP_S = 1.0  # for all workers together; a service that hangs must not hold up the end
TOLD = ("firing", "repeat", "resolved", "nodata", "unsilenced")
SIMULATED = ("demo", "replay")


class Marks(Protocol):
    """Where it is noted what became of messages."""

    def mark(self, marks: Iterable[Mark]) -> threading.Event: ...

    def waiting(self) -> list[Message]: ...


@dataclass(frozen=True, slots=True)
class ChannelStatus:
    """How one channel stands."""

    name: str
    service: str
    target: str  # without secrets
    state: str  # "ok", "failing" or "dead letters"
    waiting: int
    sent: int
    failed: int  # attempts
    dead: int  # messages given up since the start
    last_sent_us: int | None
    failing_since_us: int | None
    last_error: str
    next_try_in_s: float | None


class Worker:
    """The queue and the thread of one channel."""

    def __init__(self, channel: Channel, marks: Marks, waiting: Iterable[Message], clock: Callable[[], int]) -> None:
        self.channel = channel
        self._marks, self._clock = marks, clock
        self._queue = Queue(waiting)
        self._commits: dict[str, threading.Event] = {}
        self._changed = threading.Condition()
        self._stopped = False
        self._counts = dict.fromkeys(("sent", "failed", "dead"), 0)
        self._last_sent_us: int | None = None
        self._failing_since_us: int | None = None
        self._error = ""
        self._tested_s = -TEST_EVERY_S
        self._thread = threading.Thread(target=self._run, name=f"notifier-{channel.name}", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def end(self) -> None:
        """Send nothing more. A request under way is left to its end; its message is sent again after the start."""
        with self._changed:
            self._stopped = True
            self._changed.notify()

    def join(self, until_s: float) -> None:
        """Wait for the thread, up to a monotonic time."""
        if self._thread.is_alive():
            self._thread.join(max(until_s - monotonic_s(), 0.0))

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def put(self, message: Message, committed: threading.Event) -> None:
        """Queue a message that is sent once it is in the file."""
        with self._changed:
            dropped = self._queue.put(message)
            self._commits[message.key] = committed
            self._changed.notify()
        self._note(dropped)

    def forget(self, rule_id: str) -> None:
        """Drop what is left of a rule."""
        with self._changed:
            dropped = self._queue.forget(rule_id)
        self._note(dropped)

    def retry(self, message: Message | None = None) -> None:
        """Try again at once; a message that was given up is queued anew."""
        with self._changed:
            if message is not None:
                self._queue.put(message)
            self._queue.retry_now()
            self._changed.notify()

    def test(self, of: str = "") -> str:
        """Send a test message now: "ok" or "failed", and no more, so that nobody scans ports with it.

        Raises
        ------
        InputError
            The last one was less than 10 s ago.
        """
        with self._changed:
            if monotonic_s() - self._tested_s < TEST_EVERY_S:
                raise InputError(f"a channel is tested at most every {TEST_EVERY_S:g} s", "channel")
            self._tested_s = monotonic_s()
        title = f"Pairscope: test of {of}" if of else "Pairscope: test"
        sent = self.channel.send(title, "This is a test. Alerts of Pairscope arrive here.")
        return "ok" if sent.ok else "failed"

    def status(self) -> ChannelStatus:
        """How it stands."""
        with self._changed:
            state = (
                "failing" if self._failing_since_us is not None else "dead letters" if self._counts["dead"] else "ok"
            )
            return ChannelStatus(
                name=self.channel.name,
                service=self.channel.service,
                target=self.channel.target,
                state=state,
                waiting=len(self._queue),
                last_sent_us=self._last_sent_us,
                failing_since_us=self._failing_since_us,
                last_error=self._error,
                next_try_in_s=self._queue.wait_s(self._clock()),
                **self._counts,
            )

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._stopped and (delivery := self._queue.due(self._clock())) is None:
                    self._changed.wait(self._queue.wait_s(self._clock()))
                if self._stopped or delivery is None:
                    return
                commits = [self._commits[m.key] for m in delivery.messages if m.key in self._commits]
            for committed in commits:
                committed.wait(COMMIT_S)
            try:
                sent = self.channel.send(delivery.title, delivery.body, delivery.severity)
            except Exception as exc:  # a bug of a service must not end the thread; the message is tried again
                LOG.exception("channel %s failed", self.channel.name)
                sent = Sent(False, detail=type(exc).__name__)
            with self._changed:
                marks = self._queue.done(delivery, sent, self._clock())
                self._count(sent, marks)
            self._note(marks)

    def _count(self, sent: Sent, marks: Iterable[Mark]) -> None:
        now_us = self._clock()
        self._counts["sent" if sent.ok else "failed"] += 1
        self._counts["dead"] += sum(mark.status == "dead" for mark in marks)
        self._error = "" if sent.ok else sent.detail
        if sent.ok:
            self._last_sent_us, self._failing_since_us = now_us, None
        else:
            self._failing_since_us = self._failing_since_us or now_us

    def _note(self, marks: list[Mark]) -> None:
        """Store what became of messages, and wait until that is in the file."""
        for mark in marks:
            if mark.status in ("dead", "dropped"):
                LOG.warning("message %s for %s: %s, %s", mark.message.key, self.channel.name, mark.status, mark.detail)
            if mark.status != "waiting":
                self._commits.pop(mark.message.key, None)
        if marks:
            self._marks.mark(marks).wait(COMMIT_S)


class Notifier:
    """All channels. Without any, nothing is sent, and everything else works."""

    def __init__(
        self,
        channels: Mapping[str, Channel],
        marks: Marks,
        *,
        simulated: bool = False,
        clock: Callable[[], int] | None = None,
    ) -> None:
        self._channels, self._marks = dict(channels), marks
        self._simulated = simulated  # whether demo and replay send too
        self._clock = clock or SteadyClock()
        self._workers: dict[str, Worker] = {}

    def start(self) -> None:
        """Take up what an earlier run left, and send."""
        left: dict[str, list[Message]] = {}
        for message in self._marks.waiting() if self._channels else []:
            left.setdefault(message.channel, []).append(message)
        for name, channel in self._channels.items():
            self._workers[name] = Worker(channel, self._marks, left.get(name, ()), self._clock)
            self._workers[name].start()

    def stop(self) -> None:
        """Stop every worker; what waits is in the file."""
        for worker in self._workers.values():
            worker.end()
        until_s = monotonic_s() + STOP_S
        for worker in self._workers.values():
            worker.join(until_s)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the configured channels."""
        return tuple(self._channels)

    def dead(self) -> str | None:
        """The name of a channel whose thread has died, if any."""
        return next((name for name, worker in self._workers.items() if not worker.alive), None)

    def check(self, channels: Iterable[str]) -> None:
        """Raises InputError where a channel is not configured."""
        unknown = [name for name in channels if name != SCREEN and name not in self._channels]
        if unknown:
            known = ", ".join((*self._channels, SCREEN))
            raise InputError(f"channel {unknown[0][:40]!r} is not configured; there are {known}", "channels")

    def messages(self, event: AlertEvent, rule: Rule) -> list[Message]:
        """What an event has to say, to each channel of its rule; demo and replay are silent if not asked to speak."""
        if event.state not in TOLD or (event.venue in SIMULATED and not self._simulated):
            return []
        names = rule.channels or tuple(self._channels)
        return [_message(event, name, self._clock()) for name in names if name in self._channels]

    def put(self, messages: Iterable[Message], committed: threading.Event) -> None:
        """Send these once they are in the file."""
        for message in messages:
            if message.channel in self._workers:
                self._workers[message.channel].put(message, committed)

    def forget(self, rule_id: str) -> None:
        """Drop what waits of a rule that was deleted."""
        for worker in self._workers.values():
            worker.forget(rule_id)

    def test(self, name: str) -> str:
        """Send a test message: "ok" or "failed".

        Raises
        ------
        NotFound, InputError
        """
        return self._worker(name).test()

    def test_rule(self, rule: Rule) -> dict[str, str]:
        """Send a test to every channel of a rule: "ok" or "failed" by name; none where none is configured.

        Raises
        ------
        InputError
        """
        names = [name for name in rule.channels or self._channels if name in self._workers]
        return {name: self._workers[name].test(rule.title) for name in names}

    def retry(self, message: Message) -> None:
        """Try a message again that was given up.

        Raises
        ------
        NotFound
        """
        self._worker(message.channel).retry(message)

    def status(self) -> list[ChannelStatus]:
        """How every channel stands."""
        return [worker.status() for worker in self._workers.values()]

    def _worker(self, name: str) -> Worker:
        if name not in self._workers:
            raise NotFound(f"there is no channel {name[:40]!r}", "channel")
        return self._workers[name]


def _message(event: AlertEvent, channel: str, now_us: int) -> Message:
    """What is said of an event: what, when, and by which ids it is known."""
    key = f"{event.event_id}.{event.state}.{event.at_us}"
    lines = [
        event.text,
        f"{event.severity}, {iso_from_us(event.at_us)[:19]}Z, {event.venue}",
        f"event {event.event_id}, key {key}",
    ]
    if event.venue in SIMULATED:
        lines.insert(0, f"{event.venue.upper()}: these are not prices of a live market.")
    return Message(
        key=key,
        channel=channel,
        event_id=event.event_id,
        rule_id=event.rule_id,
        state=event.state,
        severity=event.severity,
        at_us=event.at_us,
        queued_us=now_us,
        title=event.text,
        body="\n".join(lines),
    )


class Heartbeat:
    """Asks an address now and then while alerts are judged: when it falls silent, somebody else raises the alarm."""

    def __init__(self, url: str, every_s: float, well: Callable[[], bool], private: bool = False) -> None:
        self._url, self._every_s, self._well, self._private = url, every_s, well, private
        self.last_ok_us: int | None = None
        self._clock = SteadyClock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(1.0)

    def _run(self) -> None:
        while True:
            if self._well():
                self._beat()
            if self._stop.wait(self._every_s):
                return

    def _beat(self) -> None:
        MINE.private = self._private
        try:
            answer: Any = GUARDED.get(self._url)
        except GUARDED.RequestException as exc:
            LOG.warning("the heartbeat failed: %s", type(exc).__name__)
            return
        if answer.ok:
            self.last_ok_us = self._clock()
