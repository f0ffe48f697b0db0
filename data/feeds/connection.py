"""One websocket connection: websocket-client dials, we split what comes; and plain words for each way it fails.

The library does handshake, TLS, proxies and sending. Its receiving side makes three system calls a frame, and its
`WebSocketApp` hides the errors of its callbacks, so neither is used.
"""

import contextlib
import socket
import ssl
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

import websocket

from data.feeds.frames import FrameSplitter
from utils.clock import monotonic_s
from utils.errors import FeedBlocked, FeedError

RECV_BYTES = 65_536
TICK_S = 0.1  # longest wait in one read: how soon a deadline, a stop or a new symbol is noticed
BLOCKED_RETRY_S = 300.0
BAN_RETRY_S = {429: 60.0, 418: 120.0}  # where the answer carries no Retry-After
# The exchange closes beyond 5 messages a second (spot), pongs included: one is left for them.
REQUESTS_PER_S = 4


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a connection ended or was not made, and when another is of use."""

    detail: str  # plain words
    retry_s: float | None = None  # not before; None: by backoff
    blocked: bool = False  # this place or this client is refused


class Connection:
    """An open websocket, used by one thread; only `abort` may be called from another."""

    def __init__(self) -> None:
        self._ws = websocket.WebSocket(skip_utf8_validation=True)  # the JSON decoder refuses bad UTF-8 anyway
        self._splitter = FrameSplitter()
        self._requests: deque[str] = deque()
        self._sent_s: deque[float] = deque(maxlen=REQUESTS_PER_S)
        self._aborted = False
        self.asked_s = 0.0  # monotonic time of the newest text sent

    @property
    def waiting(self) -> int:
        """Texts that are queued and not sent yet."""
        return len(self._requests)

    def dial(self, url: str, timeout_s: float) -> None:
        """Connect and shake hands. Raises whatever went wrong: see `ending_of`."""
        self._ws.connect(url, timeout=timeout_s)
        if self._aborted:
            raise FeedError("stopped")
        self._ws.settimeout(TICK_S)

    def receive(self) -> list[bytes]:
        """Messages that have come, after at most TICK_S; pings among them are answered.

        Raises
        ------
        FeedError, OSError, websocket.WebSocketException
            The connection has ended.
        """
        if self._splitter.ended or self._ws.sock is None:
            raise FeedError(self._splitter.ended or "not connected")
        try:
            data = self._ws.sock.recv(RECV_BYTES)
        except (TimeoutError, ssl.SSLWantReadError):
            return []
        if not data:
            raise FeedError("the exchange dropped the connection")
        received = self._splitter.feed(data)
        if received.pings:
            self._ws.pong(received.pings[-1])  # only the newest needs an answer (RFC 6455, 5.5.3)
        return received.messages

    def request(self, frames: Iterable[str]) -> None:
        """Queue texts for the exchange; `pump` sends them at the pace it allows."""
        self._requests.extend(frames)

    def pump(self, now_s: float | None = None) -> None:
        """Send the queued texts that are due."""
        now_s = monotonic_s() if now_s is None else now_s
        while self._requests:
            if len(self._sent_s) == REQUESTS_PER_S and now_s - self._sent_s[0] < 1.0:
                return
            self._ws.send(self._requests.popleft())
            self._sent_s.append(now_s)
            self.asked_s = now_s

    def abort(self) -> None:
        """Break off dialling or waiting, from any thread."""
        self._aborted = True
        sock = self._ws.sock
        if sock is None:
            return
        with contextlib.suppress(OSError):  # already gone
            # Not sock.shutdown(): on TLS it takes the session away under the reading thread.
            socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def close(self) -> None:
        """Say goodbye and hang up, without waiting for the answer: this exchange often gives none."""
        with contextlib.suppress(OSError, websocket.WebSocketException):  # nobody left to say goodbye to
            if self._ws.connected and not self._aborted:
                self._ws.send_close()
        self._ws.shutdown()


def ending_of(error: BaseException, url: str) -> Ending:
    """Plain words for an error of dialling or receiving, and the wait that it asks for."""
    host = urlsplit(url).netloc
    if isinstance(error, websocket.WebSocketBadStatusException):
        return _refused(error, host)
    if isinstance(error, FeedError):
        return Ending(str(error))
    return Ending(_words(error, host))


def refusal(status: int, host: str) -> FeedBlocked | None:
    """The error for a handshake status that trying again does not change, else None."""
    if status == 451:
        return FeedBlocked(f"{host} does not serve this location (HTTP 451)", status)
    if status == 403:
        return FeedBlocked(f"{host} refuses this client or address (HTTP 403)", status)
    return None


def _refused(error: websocket.WebSocketBadStatusException, host: str) -> Ending:
    status = error.status_code
    blocked = refusal(status, host)
    if blocked:
        return Ending(str(blocked), BLOCKED_RETRY_S, blocked=True)
    if status in BAN_RETRY_S:
        retry_s = _retry_after(error.resp_headers or {}, BAN_RETRY_S[status])
        word = "asks for fewer connections" if status == 429 else "has banned this address for a while"
        return Ending(f"{host} {word} (HTTP {status}): waiting {retry_s:.0f} s", retry_s)
    return Ending(f"{host} refused the connection with HTTP {status}")


def _retry_after(headers: dict[str, str], default: float) -> float:
    text = str(headers.get("retry-after", "")).strip()
    return float(text) if text.isascii() and text.isdigit() and len(text) <= 7 else default


def _words(error: BaseException, host: str) -> str:
    if isinstance(error, socket.gaierror | websocket.WebSocketAddressException):
        return f"the name {host} cannot be resolved: no network, or no DNS"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"TLS failed: the certificate of {host} is not valid ({error.verify_message})"
    if isinstance(error, ssl.SSLError):
        return f"TLS with {host} failed: {error.reason or error}"
    if isinstance(error, ConnectionRefusedError):
        return f"{host} refuses connections: nothing listens there, or a firewall is between"
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return f"{host} reset the connection"
    if isinstance(error, TimeoutError | websocket.WebSocketTimeoutException):
        return f"{host} does not answer"
    text = " ".join(str(error).split())[:200]
    return f"connection to {host} failed: {text or type(error).__name__}"
