import gzip
import json
from collections import Counter
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.feeds.binance import (
    MARKETS,
    SPOT,
    USDM,
    Decoded,
    decode,
    format_trade,
    parse_trade,
    stream_name,
    stream_url,
    subscribe_frames,
)
from data.trades import Trade
from tests.market import market
from utils.errors import FrameError, InputError

AGG = {"e": "aggTrade", "E": 1791382992488, "a": 3477868433, "s": "BTCUSDT", "p": "83091.70", "q": "0.022"}
AGG |= {"nq": "0.022", "f": 8153634393, "l": 8153634394, "T": 1791382992338, "m": False, "st": 1}
RAW = {"e": "trade", "E": 1680652700455, "T": 1680652700452, "s": "BTCUSDT", "t": 3535186032, "p": "28145.10"}
RAW |= {"q": "0.002", "X": "MARKET", "m": True}
SPOT_RAW = {"e": "trade", "E": 1723161255415, "s": "BTCUSDT", "t": 3735683259, "p": "61770.82000000"}
SPOT_RAW |= {"q": "0.00009000", "T": 1723161255414, "m": True, "M": True}
SPOT_AGG = {"e": "aggTrade", "E": 1633998515000, "s": "LRCBTC", "a": 7, "p": "0.00000712", "q": "10.00000000"}
SPOT_AGG |= {"f": 8, "l": 8, "T": 1633998514999, "m": True, "M": True}
OTHER = [
    '{"stream":"ethusdt@bookTicker","data":{"u":35346513501,"s":"ETHUSDT","b":"2683.8","B":"3","a":"2683.81","A":"3"}}',
    '{"e":"bookTicker","u":6,"s":"SUSHIUSDT","b":"7.6110","B":"2","a":"7.6120","A":"297","T":1626992741012,"E":1}',
    '{"stream":"btcusdt@depth","data":{"e":"depthUpdate","E":1,"s":"BTCUSDT","U":1,"u":2,"b":[["1","2"]],"a":[]}}',
    '{"e":"kline","E":1672515782136,"s":"BNBBTC","k":{"t":1672515780000,"o":"0.001","c":"0.002"}}',
    '{"lastUpdateId":600859605926,"E":1626992741264,"T":1626992741261,"bids":[["7.6","6"]],"asks":[]}',
    '{"stream":"!markPrice@arr","data":[{"e":"markPriceUpdate","s":"BTCUSDT"}]}',
    "[]",
    "{}",
]


def text(event: object, stream: str | None = None) -> bytes:
    return json.dumps({"stream": stream, "data": event} if stream else event).encode()


def rows(batch: Decoded) -> list[Trade]:
    return [trade for trades in batch.trades for trade in trades]


# --- every form of a trade --------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [None, "btcusdt@aggTrade"])
@pytest.mark.parametrize(
    "event, trade",
    [
        (AGG, Trade("BTCUSDT", 3477868433, 1791382992338000, 83091.70, 0.022, False)),
        (RAW, Trade("BTCUSDT", 3535186032, 1680652700452000, 28145.10, 0.002, True)),
        (SPOT_RAW, Trade("BTCUSDT", 3735683259, 1723161255414000, 61770.82, 0.00009, True)),
        (SPOT_AGG, Trade("LRCBTC", 7, 1633998514999000, 0.00000712, 10.0, True)),
        # Before June 2024 a spot trade carried order ids in "a" and "b".
        (SPOT_RAW | {"a": 1, "b": 2}, Trade("BTCUSDT", 3735683259, 1723161255414000, 61770.82, 0.00009, True)),
        # A spot stream prints microseconds on request.
        (SPOT_RAW | {"T": 1723161255414123}, Trade("BTCUSDT", 3735683259, 1723161255414123, 61770.82, 9e-5, True)),
        (AGG | {"s": "币安人生USDT"}, Trade("币安人生USDT", 3477868433, 1791382992338000, 83091.70, 0.022, False)),
        (AGG | {"a": 0}, Trade("BTCUSDT", 0, 1791382992338000, 83091.70, 0.022, False)),
    ],
)
def test_a_trade_reads_the_same_in_a_combined_and_a_raw_frame(event, trade, stream):
    assert parse_trade(text(event, stream)) == trade
    assert parse_trade(text(event, stream).decode()) == trade
    assert rows(decode([text(event, stream)])) == [trade]


def test_field_order_white_space_and_unknown_fields_do_not_matter():
    event = dict(reversed((AGG | {"new": {"deep": [1, None]}, "E": "soon"}).items()))
    frame = json.dumps({"data": event, "stream": "btcusdt@aggTrade"}, indent=2).encode()
    assert parse_trade(frame) == parse_trade(text(AGG))


@pytest.mark.parametrize(
    "file, symbol, count",
    [
        ("usdm_btcusdt_20240808.gz", "BTCUSDT", 21313),
        ("usdm_ethusdt_20240808.gz", "ETHUSDT", 14076),
        ("spot_btcusdt_20240808.gz", "BTCUSDT", 9757),
        ("spot_ethusdt_20240808.gz", "ETHUSDT", 6106),
        ("usdm_btcusdt_20230404.dat.gz", "BTCUSDT", 2197),
    ],
)
def test_a_recording_gives_all_its_trades_with_ids_without_holes(file, symbol, count):
    batch = decode(_frames(market(f"ws/{file}")))
    assert [trades.symbol for trades in batch.trades] == [symbol]
    assert batch.trades[0].trade_id.size == count
    assert np.all(np.diff(batch.trades[0].trade_id) == 1)
    assert not batch.rejected and not batch.errors and batch.other > 0


def test_thin_symbols_of_one_recording_are_told_apart():
    batch = decode(_frames(market("ws/cryptofeed_usdm_20210722.ws.txt.gz")), "aggTrade")
    assert {trades.symbol for trades in batch.trades} == {"SUSHIUSDT", "AKROUSDT", "KEEPUSDT", "CTKUSDT"}
    assert sum(map(len, batch.trades)) == 91
    assert all(np.all(np.diff(trades.trade_id) == 1) for trades in batch.trades)
    assert (batch.other, batch.rejected) == (1535 - 91, Counter())


def test_spot_aggregates_of_a_recording_are_read():
    batch = decode(_frames(market("ws/cryptofeed_spot_20211012.ws.txt.gz")))
    assert sum(map(len, batch.trades)) == 2


def test_batches_and_single_frames_agree_on_a_recording():
    frames = [f for f in _frames(market("ws/usdm_btcusdt_20230404.dat.gz")) if b"@trade" in f]
    assert [parse_trade(frame) for frame in frames] == rows(decode(frames))


def _frames(path: Path) -> list[bytes]:
    lines = gzip.decompress(path.read_bytes()).splitlines()
    return [line[line.index(b"{") :] for line in lines if b"{" in line]


# --- what is no trade -------------------------------------------------------------------------------


@pytest.mark.parametrize("frame", OTHER)
def test_other_events_are_neither_trades_nor_rejected(frame):
    assert parse_trade(frame) is None
    batch = decode([frame.encode()])
    assert (batch.other, batch.trades, batch.rejected) == (1, [], Counter())


def test_acknowledgements_are_counted():
    frames = [b'{"result":null,"id":1}', b'{"result":["ethusdt@aggTrade"],"id":3}']
    assert decode(frames).acks == 2


@pytest.mark.parametrize(
    "frame, words",
    [
        ('{"code":2,"msg":"Invalid request: no","id":1}', "Invalid request: no (code 2)"),
        ('{"error":{"code":4,"msg":"Too many subscriptions"},"id":9}', "Too many subscriptions (code 4)"),
        ('{"error":{"code":3,"msg":"Invalid JSON"}}', "Invalid JSON (code 3)"),
        ('{"error":"boom","id":9}', "boom"),
    ],
)
def test_both_shapes_of_an_error_are_read(frame, words):
    assert decode([frame.encode()]).errors == [words]
    assert parse_trade(frame) is None


@pytest.mark.parametrize(
    "frame", ['{"e":"serverShutdown","E":1}', '{"stream":"!serverShutdown","data":{"E":1}}', '{"e":"serverShutdown"}']
)
def test_an_announced_end_is_noticed(frame):
    assert decode([frame.encode()]).shutdown
    assert parse_trade(frame) is None


def test_a_stream_asked_for_keeps_the_ids_of_the_other_out():
    batch = decode([text(RAW), text(AGG), text(RAW, "btcusdt@trade")], "aggTrade")
    assert [trade.trade_id for trade in rows(batch)] == [AGG["a"]]
    assert (batch.other, batch.rejected) == (2, Counter())


@pytest.mark.parametrize("kind", ["NA", "INSURANCE_FUND", "ADL", "", None, 5, "market"])
def test_prints_that_are_not_of_the_market_are_counted_but_are_no_trades(kind):
    frame = text(RAW | {"X": kind, "p": "0", "q": "0"})
    assert parse_trade(frame) is None
    assert decode([frame]).rejected == {("BTCUSDT", "not_market"): 1}


# --- what is broken ---------------------------------------------------------------------------------

BAD_NUMBERS = ["NaN", "nan", "inf", "-inf", "Infinity", "1_0", "1e400", "1e3", "-1", "+1", " 1", "1 ", "１２", "٣"]
BAD_NUMBERS += ["", ".", "1.", ".5", "1.2.3", "1,2", "0x10", "01", "0", "0.000", "9" * 400, "0." + "0" * 400 + "1"]
BAD_NUMBERS += ["1\n", "1\t", "1\x00", "−1", "1/2", "[1]", "null"]


@pytest.mark.parametrize("number", [*BAD_NUMBERS, 1.5, 1, None, True, ["1"], {}])
@pytest.mark.parametrize("key, reason", [("p", "price"), ("q", "qty")])
def test_only_plain_positive_decimals_are_numbers(number, key, reason):
    frame = text(AGG | {key: number})
    assert decode([frame]).rejected == {("BTCUSDT", reason): 1}
    with pytest.raises(FrameError) as caught:
        parse_trade(frame)
    assert (caught.value.reason, caught.value.symbol) == (reason, "BTCUSDT")


@pytest.mark.parametrize(
    "change, symbol, reason",
    [
        ({"a": -1}, "BTCUSDT", "id"),
        ({"a": 2**63}, "BTCUSDT", "id"),
        ({"a": 10**30}, "BTCUSDT", "id"),
        ({"a": "5"}, "BTCUSDT", "id"),
        ({"a": 5.0}, "BTCUSDT", "id"),
        ({"a": True}, "BTCUSDT", "id"),
        ({"T": 0}, "BTCUSDT", "time"),
        ({"T": -5}, "BTCUSDT", "time"),
        ({"T": 10**40}, "BTCUSDT", "time"),
        ({"T": "1791382992338"}, "BTCUSDT", "time"),
        ({"m": 1}, "BTCUSDT", "maker"),
        ({"m": "true"}, "BTCUSDT", "maker"),
        ({"m": None}, "BTCUSDT", "maker"),
        ({"s": ""}, None, "symbol"),
        ({"s": None}, None, "symbol"),
        ({"s": "btcusdt"}, None, "symbol"),
        ({"s": "BTC USDT"}, None, "symbol"),
        ({"s": "A" * 33}, None, "symbol"),
        ({"s": "<script>"}, None, "symbol"),
    ],
)
def test_a_field_at_fault_is_named(change, symbol, reason):
    assert decode([text(AGG | change)]).rejected == {(symbol, reason): 1}
    with pytest.raises(FrameError) as caught:
        parse_trade(text(AGG | change, "btcusdt@aggTrade"))
    assert (caught.value.reason, caught.value.symbol) == (reason, symbol)


@pytest.mark.parametrize("key, reason", [("a", "id"), ("T", "time"), ("p", "price"), ("q", "qty"), ("m", "maker")])
def test_a_missing_field_is_named(key, reason):
    event = {k: v for k, v in AGG.items() if k != key}
    assert decode([text(event)]).rejected == {("BTCUSDT", reason): 1}


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"hello",
        b"\xff\xfe",
        b"{",
        b"5",
        b"null",
        b'"text"',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"\x00" * 64,
        text(AGG)[:-1],
        text(AGG) + text(AGG),
        text(AGG).replace(b"BTCUSDT", b"\xff\xfeUSDT"),
    ],
)
def test_what_cannot_be_read_is_rejected_without_a_symbol(frame):
    assert decode([frame]).rejected == {(None, "frame"): 1}
    with pytest.raises(FrameError):
        parse_trade(frame)


def test_text_that_is_not_unicode_is_a_frame_error():
    with pytest.raises(FrameError):
        parse_trade(text(AGG).decode().replace("BTC", "\ud800"))


@pytest.mark.parametrize("data", [{}, None, 5, "x", {"e": None}])
def test_a_trade_stream_without_a_trade_is_rejected_for_its_symbol(data):
    assert decode([text(data, "btcusdt@aggTrade")]).rejected == {("BTCUSDT", "frame"): 1}


def test_good_trades_survive_in_bad_company_and_in_order():
    good = [AGG | {"a": n, "s": symbol} for n, symbol in enumerate(["BTCUSDT", "ETHUSDT"] * 5)]
    odd = json.dumps({"data": AGG | {"a": 100}, "stream": "btcusdt@aggTrade"}).encode()
    bad = [text(AGG | {"p": "0"}), b"\xff", text(AGG | {"m": 3}), OTHER[0].encode(), text(AGG | {"s": "x"})]
    frames = [text(event) for event in good]
    mixed = [frame for pair in zip(frames, bad + bad, strict=True) for frame in pair]
    batch = decode([mixed[0], odd, *mixed[1:]])
    btc, eth = batch.trades
    assert btc.trade_id.tolist() == [0, 100, 2, 4, 6, 8] and eth.trade_id.tolist() == [1, 3, 5, 7, 9]
    expected = {("BTCUSDT", "price"): 2, (None, "frame"): 2, ("BTCUSDT", "maker"): 2, (None, "symbol"): 2}
    assert (batch.rejected, batch.other) == (expected, 2)


def test_units_of_time_may_change_within_a_batch():
    frames = [text(SPOT_RAW), text(SPOT_RAW | {"T": SPOT_RAW["T"] * 1000 + 7})]
    assert decode(frames).trades[0].ts_us.tolist() == [1723161255414000, 1723161255414007]


def test_the_newest_event_time_is_reported():
    assert decode([text(AGG | {"E": AGG["E"] + 5}), text(AGG)]).event_us == (AGG["E"] + 5) * 1000
    assert decode([text(AGG | {"E": 1})]).event_us is None
    assert decode([]).event_us is None


def test_a_batch_of_nothing_is_empty():
    assert decode([]) == Decoded()


# --- invariants -------------------------------------------------------------------------------------

TRADES = st.builds(
    Trade,
    symbol=st.sampled_from(["BTCUSDT", "ETHUSDT", "1000PEPEUSDT", "BTCUSDT_261225", "币安人生USDT"]),
    trade_id=st.integers(0, 2**63 - 1),
    ts_us=st.integers(1_262_304_000_000_000, 4_102_444_799_999_999),
    price=st.floats(min_value=5e-324, max_value=1.7e308),
    qty=st.floats(min_value=5e-324, max_value=1.7e308),
    buyer_is_maker=st.booleans(),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=8,
)


@given(TRADES, st.sampled_from(list(MARKETS.values())), st.sampled_from(["aggTrade", "trade"]), st.booleans())
def test_a_trade_printed_and_read_back_is_the_same_trade(trade, exchange, stream, combined):
    frame = format_trade(trade, exchange, stream, combined)
    assert "e+" not in frame and "e-" not in frame
    assert parse_trade(frame) == trade


@given(st.lists(TRADES, max_size=20))
def test_a_batch_holds_the_trades_of_its_frames_by_symbol_in_order(trades):
    batch = decode([format_trade(trade, USDM, "aggTrade").encode() for trade in trades])
    by_symbol = {t.symbol: [u for u in trades if u.symbol == t.symbol] for t in trades}
    assert {t.symbol: list(t) for t in batch.trades} == by_symbol
    assert not batch.rejected


@given(st.text(alphabet="0123456789.,-+eE_ \n٣", max_size=12))
def test_a_number_is_judged_the_same_alone_and_in_company(number):
    alone = decode([text(AGG | {"p": number})])
    company = decode([text(AGG | {"p": number}), text(AGG | {"p": "0"})])
    assert rows(alone) == rows(company)
    assert sum(alone.rejected.values()) + len(rows(alone)) == 1


@given(
    st.lists(
        st.one_of(
            st.binary(max_size=40),
            JSON.map(msgspec.json.encode),
            st.fixed_dictionaries(
                {"e": st.sampled_from(["trade", "aggTrade"])}, optional=dict.fromkeys("satpqTmXE", JSON)
            ).map(msgspec.json.encode),
            st.dictionaries(st.sampled_from(list(AGG)), JSON).map(lambda change: msgspec.json.encode(AGG | change)),
            st.just(text(AGG)),
        ),
        max_size=6,
    )
)
def test_every_frame_ends_up_in_exactly_one_place(frames):
    batch = decode(frames)
    placed = len(rows(batch)) + sum(batch.rejected.values()) + batch.acks + len(batch.errors) + batch.other
    assert placed + batch.shutdown == len(frames)


# --- names and addresses ------------------------------------------------------------------------------


def test_streams_are_named_in_lower_case_with_the_case_of_the_kind_kept():
    assert stream_name("BTCUSDT", "aggTrade") == "btcusdt@aggTrade"


@pytest.mark.parametrize(
    "exchange, names, url",
    [
        (USDM, ["btcusdt@aggTrade", "ethusdt@aggTrade"], "/market/stream?streams=btcusdt@aggTrade/ethusdt@aggTrade"),
        (USDM, ["btcusdt@trade"], "/public/stream?streams=btcusdt@trade"),
        (SPOT, ["btcusdt@trade", "btcusdt@aggTrade"], "/stream?streams=btcusdt@trade/btcusdt@aggTrade"),
        (SPOT, [], "/stream"),
        (USDM, ["币usdt@trade"], "/public/stream?streams=%E5%B8%81usdt@trade"),
    ],
)
def test_addresses_take_the_route_of_their_streams(exchange, names, url):
    assert stream_url("wss://host:1/prefix/", exchange, names) == "wss://host:1/prefix" + url


@pytest.mark.parametrize("names", [["btcusdt@trade", "btcusdt@aggTrade"], [], ["btcusdt@depth"]])
def test_one_connection_carries_one_route(names):
    with pytest.raises(InputError):
        stream_url("wss://host", USDM, names)


def test_subscriptions_are_batched():
    names = [f"s{n}usdt@aggTrade" for n in range(450)]
    frames = [json.loads(frame) for frame in subscribe_frames(names, 7)]
    assert [len(frame["params"]) for frame in frames] == [200, 200, 50]
    assert [frame["id"] for frame in frames] == [7, 8, 9]
    assert [name for frame in frames for name in frame["params"]] == names
    assert {frame["method"] for frame in frames} == {"SUBSCRIBE"}
    assert json.loads(subscribe_frames(names[:1], 1, "UNSUBSCRIBE")[0])["method"] == "UNSUBSCRIBE"
    assert subscribe_frames([], 1) == []


def test_only_streams_that_prove_completeness_are_contiguous():
    assert USDM.contiguous == {"aggTrade"} and SPOT.contiguous == {"aggTrade", "trade"}
