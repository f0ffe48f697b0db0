"""What a fake exchange can be told to do on a connection, and what it remembers of one."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.server import ServerConnection

from data.feeds.binance import SPOT, USDM, Market

REQUESTS_PER_S = {SPOT.venue: 5, USDM.venue: 10}

# A script is one connection: texts are sent as frames, the steps below do what they say; at its end the exchange
# hangs up. Connections beyond the last script follow their subscriptions.


@dataclass(frozen=True)
class Close:
    """Close with a code."""

    code: int = 1001
    reason: str = ""


@dataclass(frozen=True)
class Reset:
    """Drop the connection without goodbye (RST)."""


@dataclass(frozen=True)
class Ping:
    """Send a ping and wait until it is answered."""

    payload: bytes = b"1791382992488"


@dataclass(frozen=True)
class Stay:
    """Keep the connection open and send nothing of the script any more."""


@dataclass(frozen=True)
class Refuse:
    """Instead of a script: answer the handshake with a status."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)


Step = str | Close | Reset | Ping | Stay
Script = Sequence[Step] | Refuse


@dataclass(eq=False)
class Peer:
    """One connection that was made to the exchange."""

    socket: ServerConnection
    path: str
    route: str
    combined: bool
    streams: dict[str, None] = field(default_factory=dict)  # names asked for, in order, right or wrong
    requests: list[Any] = field(default_factory=list)  # JSON received
    pongs: list[bytes] = field(default_factory=list)
    open: bool = True
    _times: deque[float] = field(default_factory=deque)

    @property
    def market(self) -> Market:
        """Whose rules hold here."""
        return SPOT if self.route == "" else USDM

    def is_too_fast(self, now_s: float) -> bool:
        """Whether this request is one too many within a second."""
        self._times.append(now_s)
        while now_s - self._times[0] > 1.0:
            self._times.popleft()
        return len(self._times) > REQUESTS_PER_S[self.market.venue]
