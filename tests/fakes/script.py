"""What a fake exchange can be told to do on a connection."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

# A script is one connection: texts are sent as frames, the steps below do what they say; at its end the exchange
# hangs up. Connections beyond the last script follow their subscriptions.


@dataclass(frozen=True)
class Close:
    """Close with a code; 1006 closes without the handshake of closing, as a code of that name means."""

    code: int = 1001
    reason: str = ""


@dataclass(frozen=True)
class Reset:
    """Drop the connection without goodbye (RST), if wanted in the middle of a frame."""

    mid_frame: bool = False


@dataclass(frozen=True)
class Ping:
    """Send a ping and wait until it is answered."""

    payload: bytes = b"1791382992488"


@dataclass(frozen=True)
class Raw:
    """Send bytes as they are: frames that break the protocol."""

    data: bytes


@dataclass(frozen=True)
class Stay:
    """Keep the connection open and send nothing of the script any more."""


@dataclass(frozen=True)
class Refuse:
    """Instead of a script: answer the handshake with a status."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)


Step = str | Close | Reset | Ping | Raw | Stay
Script = Sequence[Step] | Refuse
