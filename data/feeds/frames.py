"""Websocket frames (RFC 6455, client side) split from bytes as they come; no socket.

One large read holds many frames: a system call for each of them, as libraries make, is what fills a core.
"""

from typing import NamedTuple

from utils.errors import FeedError

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
MAX_MESSAGE = 16 << 20  # bytes
MAX_CONTROL = 125  # bytes
NO_CODE = 1005  # RFC 6455, 7.1.5: the close frame carried no code


class Received(NamedTuple):
    """What one read completed."""

    messages: list[bytes]  # whole messages, text and binary alike
    pings: list[bytes]  # payloads to be answered


class FrameSplitter:
    """Bytes in, whole messages out; what is incomplete is kept for the next read.

    After a close frame or a violation of the protocol `ended` says why, and nothing more is read.
    Messages that were complete before are still handed out.
    """

    def __init__(self, max_message: int = MAX_MESSAGE) -> None:
        self.ended = ""  # why reading ended, in plain words
        self.close_code: int | None = None
        self._max_message = max_message
        self._pending: list[bytes] = []
        self._have = 0  # bytes pending
        self._need = 2  # bytes that the frame in progress has, as far as its header tells
        self._fragments: list[bytes] | None = None  # of the fragmented message in progress
        self._fragment_bytes = 0

    def feed(self, data: bytes) -> Received:
        """Messages and pings completed by `data`."""
        received = Received([], [])
        if self.ended:
            return received
        self._have += len(data)
        if self._have < self._need:  # joined once when complete: a long message costs no copy a read
            self._pending.append(data)
            return received
        buffer = b"".join((*self._pending, data)) if self._pending else data
        try:
            done = self._split(buffer, received)
        except FeedError as exc:
            self.ended, done = f"broken websocket frame: {exc}", len(buffer)
        rest = buffer[done:]
        self._pending, self._have = ([rest] if rest else []), len(rest)
        return received

    def _split(self, buffer: bytes, received: Received) -> int:
        """Take all whole frames; the number of bytes taken. The loop every message passes through."""
        at, end, messages = 0, len(buffer), received.messages
        while not self.ended:
            if end - at < 2:
                self._need = 2
                break
            first, length, body = buffer[at], buffer[at + 1], at + 2
            if length >= 126:
                extra = 2 if length == 126 else 8
                self._check_length(length)
                if end - body < extra:
                    self._need = 2 + extra
                    break
                length = int.from_bytes(buffer[body : body + extra], "big")
                body += extra
            if length > self._max_message:
                raise FeedError(f"message of {length} bytes, limit {self._max_message}")
            stop = body + length
            if stop > end:
                self._need = stop - at
                break
            if first == 0x81 and self._fragments is None:  # a whole text message: nearly all frames
                messages.append(buffer[body:stop])
            else:
                self._take(first, buffer[body:stop], received)
            at = stop
        return at

    @staticmethod
    def _check_length(length: int) -> None:
        if length > 127:
            raise FeedError("masked frame from a server")

    def _take(self, first: int, payload: bytes, received: Received) -> None:
        """Any frame but a whole text message."""
        final, opcode = bool(first & 0x80), first & 0x0F
        if first & 0x70:
            raise FeedError("reserved bits set without an extension")
        if opcode in (CLOSE, PING, PONG):
            self._take_control(final, opcode, payload, received)
        elif opcode in (CONTINUATION, TEXT, BINARY):
            self._take_data(final, opcode, payload, received)
        else:
            raise FeedError(f"unknown opcode {opcode}")

    def _take_control(self, final: bool, opcode: int, payload: bytes, received: Received) -> None:
        if not final:
            raise FeedError("fragmented control frame")
        if len(payload) > MAX_CONTROL:
            raise FeedError(f"control frame of {len(payload)} bytes, limit {MAX_CONTROL}")
        if opcode == PING:
            received.pings.append(payload)
        elif opcode == CLOSE:
            self._close(payload)

    def _close(self, payload: bytes) -> None:
        if len(payload) == 1:
            raise FeedError("close frame of one byte")
        self.close_code = int.from_bytes(payload[:2], "big") if payload else NO_CODE
        reason = payload[2:].decode("utf-8", "replace")
        self.ended = f"closed by the exchange with code {self.close_code}" + (f": {reason}" if reason else "")

    def _take_data(self, final: bool, opcode: int, payload: bytes, received: Received) -> None:
        if (opcode == CONTINUATION) == (self._fragments is None):
            wrong = "continuation without a start" if opcode == CONTINUATION else "new message inside another"
            raise FeedError(wrong)
        if self._fragments is None:
            self._fragments, self._fragment_bytes = [], 0
        self._fragments.append(payload)
        self._fragment_bytes += len(payload)
        if self._fragment_bytes > self._max_message:
            raise FeedError(f"message of more than {self._max_message} bytes")
        if final:
            received.messages.append(b"".join(self._fragments))
            self._fragments = None
