"""What each line of a recording carries, against the same rules line by line in plain Python."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.feeds.lines import Carries, sort_lines
from data.feeds.manifest import MANIFEST

PIECES = (
    b"1700000000000000 ",
    b'{"stream":"btcusdt@',
    b'bookTicker"',
    b'aggTrade"',
    b'trade"',
    b'"T":1700',
    b'"T',
    b'":',
    b"{",
    b"}",
    b'"',
    b"\n",
    b"\r",
    b"rade",
    b"bookTicke",
    b"\xff\x00",
    MANIFEST,
)


def by_hand(line: bytes, wants_quotes: bool) -> Carries:
    """The rules, in their order."""
    if wants_quotes and b'bookTicker"' in line and line.endswith(b"}"):
        return Carries.QUOTE if b'"T":' in line else Carries.TIMELESS_QUOTE
    if b'rade"' in line and not line.startswith(MANIFEST):
        return Carries.AGG_TRADE if b'aggTrade"' in line else Carries.TRADE
    return Carries.OTHER if line.endswith(b"}") else Carries.UNKNOWN


def with_rows(line: bytes, carries: Carries) -> bytes:
    """A line of rows from its first object on."""
    return line[max(line.find(b"{"), 0) :] if carries < Carries.OTHER else line


def sorted_by_numbers(text: bytes, wants_quotes: bool) -> list[tuple[bytes, Carries]]:
    """Each line, from its first object on where it has rows, and what it carries."""
    columns = sort_lines(text, wants_quotes)
    return [(text[start:end], Carries(kind)) for start, end, kind in zip(*columns, strict=True)]


@given(pieces=st.lists(st.sampled_from(PIECES), max_size=40), wants_quotes=st.booleans())
def test_lines_are_sorted_as_by_hand(pieces, wants_quotes):
    text = b"".join(pieces)
    expected = [(line, by_hand(line, wants_quotes)) for line in text.split(b"\n")]
    assert sorted_by_numbers(text, wants_quotes) == [(with_rows(line, carries), carries) for line, carries in expected]


@pytest.mark.parametrize(
    "line, carries",
    [
        (b'17 {"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","T":1}}', Carries.QUOTE),
        (b'17 {"stream":"btcusdt@bookTicker","data":{"u":1}}', Carries.TIMELESS_QUOTE),
        (b'17 {"stream":"btcusdt@bookTicker","data":{"u":1', Carries.UNKNOWN),  # cut off: not known to be whole
        (b'{"e":"aggTrade","E":1', Carries.AGG_TRADE),  # the same of a trade: decoding rejects it with a reason
        (b'{"e":"trade"}', Carries.TRADE),
        (MANIFEST + b':1,"stream":"aggTrade"}', Carries.OTHER),
        (b'{"e":"depthUpdate"}', Carries.OTHER),
        (b"wss://stream.example.org/stream", Carries.UNKNOWN),
        (b"", Carries.UNKNOWN),
    ],
)
def test_a_line_carries(line, carries):
    assert sorted_by_numbers(line, True) == [(with_rows(line, carries), carries)]


def test_no_text_is_one_blank_line():
    assert sorted_by_numbers(b"", False) == [(b"", Carries.UNKNOWN)]
