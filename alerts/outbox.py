"""What waits for one channel, in order, and what is sent next: pure, with the time as an argument.

Messages leave in the order of their events. One that fails holds the others back until it is sent or given up, so that
no end of an alert arrives before its beginning. Where many wait, or old ones, they go as one digest, newest first.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from alerts.alert_engine import Message
from alerts.channels import Sent, pause_s
from utils.clock import US_PER_S, iso_from_us

MAX_WAITING = 1_000  # messages of one channel; of more, the oldest are dropped, and that is told
DIGEST_FROM = 10  # so many that wait go as one
STALE_S = 600.0  # a message older than this is not sent as if it were news
GIVE_UP_S = 86_400.0  # an attempt is repeated for so long
DIGEST_LINES = 20
WORST = {"info": 0, "warning": 1, "critical": 2}


@dataclass(frozen=True, slots=True)
class Delivery:
    """One thing to send: a message, or a digest of several."""

    messages: tuple[Message, ...]
    title: str
    body: str
    severity: str


@dataclass(frozen=True, slots=True)
class Mark:
    """What has become of a message: "sent", "digest" (in one), "dead", "dropped", or "waiting" after an attempt."""

    message: Message
    status: str
    detail: str = ""


class Queue:
    """The messages of one channel; not safe to share."""

    def __init__(self, waiting: Iterable[Message] = ()) -> None:
        self._waiting = deque(waiting)
        self._next_us = 0  # no attempt before this wall time

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, message: Message) -> list[Mark]:
        """Queue a message; those that it displaces are dropped."""
        if any(message.key == other.key for other in self._waiting):
            return []
        self._waiting.append(message)
        dropped = []
        while len(self._waiting) > MAX_WAITING:
            dropped.append(Mark(self._waiting.popleft(), "dropped", f"more than {MAX_WAITING} waited"))
        return dropped

    def forget(self, rule_id: str) -> list[Mark]:
        """Take out what is left of a rule that was deleted."""
        gone = [message for message in self._waiting if message.rule_id == rule_id]
        self._waiting = deque(message for message in self._waiting if message.rule_id != rule_id)
        return [Mark(message, "dropped", "its rule was deleted") for message in gone]

    def wait_s(self, now_us: int) -> float | None:
        """Seconds until there is something to send; None while nothing waits."""
        if not self._waiting:
            return None
        return max((self._next_us - now_us) / US_PER_S, 0.0)

    def due(self, now_us: int) -> Delivery | None:
        """What is to be sent now, if anything; it stays in the queue until `done`."""
        if not self._waiting or now_us < self._next_us:
            return None
        oldest = self._waiting[0]
        late = now_us - oldest.queued_us > STALE_S * US_PER_S
        if len(self._waiting) >= DIGEST_FROM or (late and len(self._waiting) > 1):
            return digest(tuple(self._waiting), now_us)
        title = f"Late: {oldest.title}" if late else oldest.title
        return Delivery((oldest,), title, oldest.body, oldest.severity)

    def done(self, delivery: Delivery, sent: Sent, now_us: int) -> list[Mark]:
        """Draw the consequence of an attempt."""
        tried = [replace(message, attempts=message.attempts + 1) for message in delivery.messages]
        if sent.ok:
            self._take_out(delivery)
            self._next_us = 0
            return [Mark(message, "sent" if len(tried) == 1 else "digest") for message in tried]
        oldest = tried[0]
        expired = now_us - oldest.queued_us > GIVE_UP_S * US_PER_S
        if not sent.again or expired:
            why = f"given up after {oldest.attempts} attempts: {sent.detail}" if sent.again else sent.detail
            self._take_out(delivery)
            return [Mark(message, "dead", why) for message in tried]
        self._next_us = now_us + round(pause_s(oldest.attempts, sent.after_s) * US_PER_S)
        ids = {message.key: message for message in tried}
        self._waiting = deque(ids.get(message.key, message) for message in self._waiting)
        return [Mark(oldest, "waiting", sent.detail)]

    def retry_now(self) -> None:
        """Make the next attempt at once."""
        self._next_us = 0

    def _take_out(self, delivery: Delivery) -> None:
        keys = {message.key for message in delivery.messages}
        self._waiting = deque(message for message in self._waiting if message.key not in keys)


def digest(messages: Sequence[Message], now_us: int) -> Delivery:
    """Several messages as one, the newest first, each with the time of its event."""
    newest = sorted(messages, key=lambda message: message.at_us, reverse=True)
    lines = [f"{iso_from_us(message.at_us)[:19]}Z {message.title}" for message in newest[:DIGEST_LINES]]
    if len(newest) > DIGEST_LINES:
        lines.append(f"... and {len(newest) - DIGEST_LINES} more: see the history")
    oldest_s = (now_us - min(message.queued_us for message in messages)) / US_PER_S
    title = f"{len(messages)} alerts waited for up to {oldest_s:,.0f} s"
    worst = max((message.severity for message in messages), key=lambda severity: WORST.get(severity, 0))
    return Delivery(tuple(messages), title, "\n".join(lines), worst)
