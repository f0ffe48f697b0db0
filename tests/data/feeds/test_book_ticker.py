"""Book tickers in, quotes out: every form, what is none, and what the recordings hold."""

import gzip
import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.feeds.binance import SPOT, USDM, Decoded, stream_url
from data.feeds.book_ticker import decode_quotes, format_quote
from data.quotes import Quote
from tests.market import market

NOW_US = 1_791_382_992_338_000
UM = {"e": "bookTicker", "u": 600859600576, "s": "SUSHIUSDT", "b": "7.6110", "B": "2", "a": "7.6120", "A": "297"}
UM |= {"T": 1626992741012, "E": 1626992741017, "st": 1}
SPOT_FORM = {"u": 50093239212, "s": "BTCUSDT", "b": "61837.63000000", "B": "3.78826000", "a": "61837.64", "A": "1.54"}


def text(event: object, stream: str | None = None) -> bytes:
    return json.dumps({"stream": stream, "data": event} if stream else event).encode()


def rows(batch: Decoded) -> list[Quote]:
    return [quote for quotes in batch.quotes for quote in quotes]


@pytest.mark.parametrize("stream", [None, "sushiusdt@bookTicker"])
def test_a_quote_of_futures_has_the_time_of_the_matching_engine(stream):
    batch = decode_quotes([text(UM, stream)], NOW_US)
    assert rows(batch) == [Quote("SUSHIUSDT", 600859600576, 1626992741012000, 7.611, 2.0, 7.612, 297.0)]
    assert batch.event_us == 1626992741017000 and not batch.rejected


@pytest.mark.parametrize("stream", [None, "btcusdt@bookTicker"])
def test_a_quote_of_spot_is_told_by_its_keys_and_has_the_time_of_its_receipt(stream):
    batch = decode_quotes([text(SPOT_FORM, stream)], NOW_US)
    assert rows(batch) == [Quote("BTCUSDT", 50093239212, NOW_US, 61837.63, 3.78826, 61837.64, 1.54)]
    assert batch.event_us is None
    assert decode_quotes([text(SPOT_FORM, stream)]).rejected == Counter({("BTCUSDT", "time"): 1})


def test_an_empty_side_is_a_quote():
    (quote,) = rows(decode_quotes([text(UM | {"b": "0.0000", "B": "0"})]))
    assert (quote.bid, quote.bid_qty, quote.ask) == (0.0, 0.0, 7.612)


number = st.floats(0, 1e15)


@given(st.integers(0, 2**63 - 1), number, number, number, number, st.booleans(), st.sampled_from([USDM, SPOT]))
def test_parsing_what_was_printed_gives_the_same_quote(update_id, bid, bid_qty, ask, ask_qty, combined, venue):
    quote = Quote("1000PEPEUSDT", update_id, NOW_US, bid, bid_qty, ask, ask_qty)
    assert rows(decode_quotes([format_quote(quote, venue, combined).encode()], NOW_US)) == [quote]


# field, value (None: missing), reason
BAD = [
    ("s", None, "symbol"),
    ("s", "btcusdt", "symbol"),
    ("u", "7", "id"),
    ("u", True, "id"),
    ("u", -1, "id"),
    ("T", 12, "time"),
    ("T", "1626992741012", "time"),
    ("b", 7.6, "bid"),
    ("b", "NaN", "bid"),
    ("b", "-1", "bid"),
    ("B", "1e3", "bid_qty"),
    ("B", "", "bid_qty"),
    ("a", "1" + 400 * "0", "ask"),
    ("A", " 1", "ask_qty"),
    ("A", None, "ask_qty"),
]


@pytest.mark.parametrize("key, value, reason", BAD)
def test_a_bad_field_is_counted_by_name_and_spoils_no_other(key, value, reason):
    event = UM | {key: value} if value is not None else {name: UM[name] for name in UM if name != key}
    batch = decode_quotes([text(UM), text(event), text(UM | {"s": "ETHUSDT"})], NOW_US)
    assert [quote.symbol for quote in rows(batch)] == ["ETHUSDT", "SUSHIUSDT"]
    assert batch.rejected == Counter({(None if key == "s" else "SUSHIUSDT", reason): 1})


def test_everything_else_is_put_where_it_belongs():
    frames = [
        b'{"result":null,"id":1}',
        b'{"error":{"code":2,"msg":"Invalid request"},"id":1}',
        b'{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1}}',
        b'{"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","s":"BTCUSDT"}}',
        b'{"stream":"btcusdt@bookTicker","data":{}}',
        b'{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","s":"BTCUSDT","a":1}}',
        b"[]",
        b"<html>",
        b"[" * 100_000,
        b"\xff",
    ]
    batch = decode_quotes(frames, NOW_US)
    assert (batch.acks, batch.shutdown, batch.other, batch.quotes) == (1, True, 2, [])
    assert batch.errors == ["Invalid request (code 2)"]
    assert batch.rejected == Counter({("BTCUSDT", "id"): 1, ("BTCUSDT", "frame"): 1, (None, "frame"): 3})


def test_quotes_flow_on_a_route_of_their_own():
    assert stream_url("wss://x", USDM, ["btcusdt@bookTicker"]) == "wss://x/public/stream?streams=btcusdt@bookTicker"
    assert stream_url("wss://x", SPOT, ["btcusdt@bookTicker"]) == "wss://x/stream?streams=btcusdt@bookTicker"


# name, quotes: the README of the recordings counts them
RECORDED = [
    ("usdm_btcusdt_20240808.gz", 66_089),
    ("spot_ethusdt_20240808.gz", 24_077),
    ("usdm_btcusdt_20230404.dat.gz", 6_765),
    ("cryptofeed_usdm_20210722.ws.txt.gz", 613),
    ("cryptofeed_spot_20211012.ws.txt.gz", 84),
]


@pytest.mark.parametrize("name, count", RECORDED)
def test_every_recorded_quote_is_read(name, count):
    lines = gzip.decompress(market(f"ws/{name}").read_bytes()).splitlines()
    batch = decode_quotes([line[line.index(b"{") :] for line in lines if b"{" in line], NOW_US)
    assert sum(map(len, batch.quotes)) == count
    assert not batch.rejected
    for quotes in batch.quotes:
        assert (quotes.bid < quotes.ask).all() and (quotes.bid_qty > 0).all()
        assert (quotes.update_id[1:] > quotes.update_id[:-1]).all()
