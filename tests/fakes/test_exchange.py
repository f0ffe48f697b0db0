import json
import struct
import urllib.error
import urllib.request
from typing import Any

import pytest
import websocket

from data.feeds.binance import SPOT, USDM, parse_trade
from tests.fakes.exchange import FakeExchange
from tests.fakes.script import Refuse
from tests.fakes.tape import Tape

NOW_US = 1_791_382_992_338_000


@pytest.fixture
def exchange():
    with FakeExchange() as running:
        yield running


def dial(exchange: FakeExchange, path: str) -> websocket.WebSocket:
    return websocket.create_connection(exchange.ws_url + path, timeout=3)


def ask(link: websocket.WebSocket, method: str, *params: object) -> Any:
    link.send(json.dumps({"method": method, "params": params, "id": 5}))
    return json.loads(link.recv())


def get(exchange: FakeExchange, path: str) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(exchange.rest_url + path, timeout=3) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, json.load(refused)


@pytest.mark.parametrize("path", ["/public/stream", "/stream", "/market/ws"])
@pytest.mark.parametrize("name", ["BTCUSDT@aggTrade", "dogeusdt@aggTrade", "btcusdt@agg"])
def test_wrong_names_are_acknowledged_echoed_and_silent(exchange, path, name):
    link = dial(exchange, path)
    assert ask(link, "SUBSCRIBE", name) == {"result": None, "id": 5}
    exchange.emit(20)
    assert ask(link, "LIST_SUBSCRIPTIONS") == {"result": [name], "id": 5}  # nothing came in between
    link.shutdown()


def test_a_wrong_route_is_silent_and_the_right_one_delivers(exchange):
    wrong = dial(exchange, "/public/stream?streams=btcusdt@aggTrade")
    right, raw = dial(exchange, "/market/stream?streams=btcusdt@aggTrade"), dial(exchange, "/ws/btcusdt@trade")
    made = exchange.emit(3, "BTCUSDT")
    assert [parse_trade(right.recv()) for _ in made] == made
    frames = [raw.recv() for _ in made]
    assert [parse_trade(frame) for frame in frames] == made and '"stream"' not in frames[0]
    assert ask(wrong, "GET_PROPERTY", "combined") == {"result": True, "id": 5}
    for link in (wrong, right, raw):
        link.shutdown()


def test_unsubscribing_ends_a_stream(exchange):
    link = dial(exchange, "/market/stream?streams=btcusdt@aggTrade")
    assert ask(link, "UNSUBSCRIBE", "btcusdt@aggTrade", "never@trade")["result"] is None
    exchange.emit(5, "BTCUSDT")
    assert ask(link, "LIST_SUBSCRIPTIONS")["result"] == []
    link.shutdown()


def close_code(link: websocket.WebSocket) -> int:
    while True:
        opcode, frame = link.recv_data_frame(control_frame=True)
        if opcode == websocket.ABNF.OPCODE_CLOSE:
            return int(struct.unpack("!H", frame.data[:2])[0])


def test_too_many_streams_are_complained_of_and_closed(exchange):
    link = dial(exchange, "/market/stream")
    assert ask(link, "SUBSCRIBE", *[f"s{n}@aggTrade" for n in range(1025)])["error"]["code"] == 4
    assert close_code(link) == 1008
    link.shutdown()


@pytest.mark.parametrize("path, limit", [("/market/stream", 10), ("/stream", 5)])
def test_too_many_requests_are_closed(exchange, path, limit):
    link = dial(exchange, path)
    for _ in range(limit + 1):
        link.send('{"method":"LIST_SUBSCRIPTIONS","id":1}')
    assert close_code(link) == 1008
    link.shutdown()


@pytest.mark.parametrize("path, shape", [("/market/stream", "error"), ("/stream", "code")])
@pytest.mark.parametrize("request_text", ["nonsense", '{"method":"FLY","id":1}', "[]"])
def test_unreadable_requests_get_the_error_shape_of_their_market(exchange, path, shape, request_text):
    link = dial(exchange, path)
    link.send(request_text)
    assert shape in json.loads(link.recv())
    link.shutdown()


def test_handshakes_can_be_refused():
    with FakeExchange(Refuse(451)) as exchange:
        exchange.refuse(429, {"Retry-After": "3"})
        for status in (429, 451):
            with pytest.raises(websocket.WebSocketBadStatusException) as caught:
                dial(exchange, "/market/stream")
            assert caught.value.status_code == status
        dial(exchange, "/market/stream").shutdown()


@pytest.mark.parametrize("market", [USDM, SPOT])
def test_rest_pages_through_the_ledger_by_id(exchange, market):
    made = exchange.emit(1500, "BTCUSDT")
    base = f"{market.rest_path}/aggTrades?symbol=BTCUSDT"
    status, rows = get(exchange, f"{base}&fromId={made[400].trade_id}&limit=1000")
    assert status == 200 and [row["a"] for row in rows] == [trade.trade_id for trade in made[400:1400]]
    event = {"e": "aggTrade", "s": "BTCUSDT", **rows[0]}
    assert parse_trade(json.dumps(event)) == made[400]
    assert len(get(exchange, f"{base}&fromId={made[1400].trade_id}")[1]) == 100
    assert [row["a"] for row in get(exchange, f"{base}&limit=2")[1]] == [trade.trade_id for trade in made[-2:]]
    assert get(exchange, f"{base}&fromId={made[-1].trade_id + 1}") == (200, [])


@pytest.mark.parametrize("query, code", [("", -1102), ("symbol=NOPE", -1121), ("symbol=BTCUSDT&fromId=x", -1100)])
def test_rest_names_a_bad_parameter(exchange, query, code):
    status, body = get(exchange, f"/fapi/v1/aggTrades?{query}")
    assert (status, body["code"]) == (400, code)


def test_rest_answers_the_other_questions(exchange):
    assert get(exchange, "/fapi/v1/ping") == (200, {})
    assert get(exchange, "/api/v3/time")[1]["serverTime"] > 1.7e12
    listed = get(exchange, "/api/v3/exchangeInfo")[1]["symbols"]
    assert [symbol["symbol"] for symbol in listed] == ["BTCUSDT", "ETHUSDT"]
    assert get(exchange, "/fapi/v2/ping")[0] == 404
    assert exchange.rest_calls[0] == "/fapi/v1/ping"


def test_the_ledger_follows_from_its_seed():
    def made(seed: int) -> list[float]:
        tape = Tape(["BTCUSDT", "ETHUSDT"], seed)
        return [tape.make(tape.any_symbol(), NOW_US + n).price for n in range(50)]

    assert made(1) == made(1) != made(2)


def test_the_ledger_is_ordered_and_can_be_asked_by_time():
    tape = Tape(["BTCUSDT"])
    made = [tape.make("BTCUSDT", NOW_US + 1000 * (n - n % 3)) for n in range(30)]
    tape.make("BTCUSDT", NOW_US - 5_000)  # the clock steps back
    assert [t.trade_id for t in made] == list(range(made[0].trade_id, made[0].trade_id + 30))
    assert tape.trades["BTCUSDT"][-1].ts_us == made[-1].ts_us
    start = (NOW_US + 6_000) // 1000
    assert tape.page("BTCUSDT", {"startTime": start, "endTime": start + 3}) == made[6:12]
