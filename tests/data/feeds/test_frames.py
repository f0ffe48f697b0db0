import struct
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websocket import ABNF, WebSocketException
from websocket._abnf import continuous_frame, frame_buffer

from data.feeds.frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, FrameSplitter


def wire(opcode: int, payload: bytes = b"", final: bool = True, reserved: int = 0, masked: bool = False) -> bytes:
    """A frame as a server writes it."""
    first = final << 7 | reserved << 4 | opcode
    size = len(payload)
    mask = 0x80 if masked else 0
    if size < 126:
        head = struct.pack("!BB", first, mask | size)
    elif size < 65_536:
        head = struct.pack("!BBH", first, mask | 126, size)
    else:
        head = struct.pack("!BBQ", first, mask | 127, size)
    return head + (b"\0\0\0\0" if masked else b"") + payload


def split(data: bytes, cuts: list[int] | None = None) -> tuple[list[bytes], list[bytes], str]:
    """Messages, pings and the end of a whole stream, fed in pieces."""
    splitter = FrameSplitter()
    messages: list[bytes] = []
    pings: list[bytes] = []
    bounds = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts or [])})
    for start, stop in pairwise(bounds):
        received = splitter.feed(data[start:stop])
        messages += received.messages
        pings += received.pings
    return messages, pings, splitter.ended


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 200_000])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_messages_of_every_class_of_length_come_out_whole(size, opcode):
    payload = bytes(range(256)) * (size // 256) + bytes(size % 256)
    data = wire(opcode, payload) + wire(TEXT, b"next")
    assert split(data) == ([payload, b"next"], [], "")
    assert split(data, list(range(0, 12))) == ([payload, b"next"], [], "")


def test_one_byte_at_a_time_is_enough():
    data = wire(TEXT, b"x" * 300) + wire(PING, b"p") + wire(TEXT, b"y")
    assert split(data, list(range(len(data)))) == ([b"x" * 300, b"y"], [b"p"], "")


def test_fragments_are_joined_around_control_frames():
    data = wire(TEXT, b"a", final=False) + wire(PING, b"1") + wire(CONTINUATION, b"", final=False)
    data += wire(PONG) + wire(CONTINUATION, b"b") + wire(TEXT, b"c")
    assert split(data) == ([b"ab", b"c"], [b"1"], "")


@pytest.mark.parametrize(
    "payload, code, words",
    [
        (b"", 1005, "closed by the exchange with code 1005"),
        (
            struct.pack("!H", 1008) + b"Too many requests",
            1008,
            "closed by the exchange with code 1008: Too many requests",
        ),
    ],
)
def test_a_close_frame_ends_reading_and_keeps_what_came_before(payload, code, words):
    splitter = FrameSplitter()
    received = splitter.feed(wire(TEXT, b"last") + wire(CLOSE, payload) + wire(TEXT, b"after"))
    assert received.messages == [b"last"]
    assert (splitter.ended, splitter.close_code) == (words, code)
    assert splitter.feed(wire(TEXT, b"more")).messages == []


@pytest.mark.parametrize(
    "bad, words",
    [
        (wire(TEXT, b"x", masked=True), "masked frame"),
        (wire(TEXT, b"x", reserved=4), "reserved bits"),
        (wire(3, b"x"), "unknown opcode 3"),
        (wire(CONTINUATION, b"x"), "continuation without a start"),
        (wire(TEXT, b"x", final=False) + wire(TEXT, b"y"), "new message inside another"),
        (wire(PING, b"x", final=False), "fragmented control frame"),
        (wire(PING, b"x" * 126), "control frame of 126 bytes"),
        (wire(CLOSE, b"x"), "close frame of one byte"),
        (b"\x81\x7f" + struct.pack("!Q", 2**40), "limit 16777216"),
    ],
)
def test_a_violation_is_named_and_what_came_before_is_kept(bad, words):
    messages, _, ended = split(wire(TEXT, b"good") + bad)
    assert messages == [b"good"]
    assert ended.startswith("broken websocket frame: ") and words in ended


def test_a_message_in_fragments_is_bounded_too():
    splitter = FrameSplitter(max_message=100)
    splitter.feed(wire(TEXT, b"x" * 60, final=False) + wire(CONTINUATION, b"x" * 60, final=False))
    assert "more than 100 bytes" in splitter.ended


# --- against the library's own parser -----------------------------------------------------------------

FRAMES = st.builds(
    wire,
    opcode=st.sampled_from([TEXT, TEXT, BINARY, CONTINUATION, PING, PONG, 3]),
    payload=st.one_of(st.binary(max_size=6), st.sampled_from([b"x" * 125, b"y" * 126, b"z" * 70_000])),
    final=st.sampled_from([True, True, True, False]),
    reserved=st.sampled_from([0] * 9 + [4]),
)
CLOSES = st.sampled_from([b"", wire(CLOSE), wire(CLOSE, struct.pack("!H", 1001) + b"bye"), wire(CLOSE, b"x")])


def library(data: bytes) -> tuple[list[bytes], list[bytes], str]:
    """The same by websocket-client: `WebSocket.recv_data_frame`, without the answers."""
    at = 0

    def recv(size: int) -> bytes:
        nonlocal at
        if at >= len(data):
            raise EOFError
        piece = data[at : at + size]
        at += len(piece)
        return piece

    buffer, joined = frame_buffer(recv, True), continuous_frame(False, True)
    messages: list[bytes] = []
    pings: list[bytes] = []
    try:
        while True:
            frame = buffer.recv_frame()
            if frame.opcode >= CLOSE and (not frame.fin or len(frame.data) > 125):
                return messages, pings, "broken"  # RFC 6455, 5.5; the library lets pongs and closes pass
            if frame.opcode == ABNF.OPCODE_CLOSE:
                return messages, pings, "closed"
            if frame.opcode == ABNF.OPCODE_PING:
                pings.append(frame.data)
            elif frame.opcode != ABNF.OPCODE_PONG:
                joined.validate(frame)
                joined.add(frame)
                if joined.is_fire(frame):
                    messages.append(joined.extract(frame)[1].data)
    except EOFError:
        return messages, pings, ""
    except WebSocketException:
        return messages, pings, "broken"


@settings(max_examples=300)
@given(st.lists(FRAMES, max_size=8), CLOSES, st.lists(st.integers(0, 10**6), max_size=6))
def test_any_stream_is_read_as_the_library_reads_it(frames, close, cuts):
    data = b"".join(frames) + close
    messages, pings, ended = split(data, cuts)
    assert (messages, pings, ended.partition(" ")[0]) == library(data)


@given(st.binary(max_size=60), st.lists(st.integers(0, 60), max_size=6))
def test_noise_is_read_the_same_in_any_pieces(data, cuts):
    assert split(data, cuts) == split(data)
