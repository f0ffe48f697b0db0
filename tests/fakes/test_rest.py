"""REST of the fake exchange: its limits, refusals and holes."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from email.message import Message

import pytest

from tests.fakes import rest
from tests.fakes.exchange import FakeExchange

HALF_PAST_US = 1_791_382_950_000_000  # the 30th second of a UTC minute
PAGE = "/fapi/v1/aggTrades?symbol=BTCUSDT&fromId={}"


@pytest.fixture
def exchange() -> Iterator[FakeExchange]:
    with FakeExchange() as running:
        yield running


@pytest.fixture
def clock(monkeypatch) -> Iterator[list[int]]:
    """The wall clock of REST, in a list of one."""
    now = [HALF_PAST_US]
    monkeypatch.setattr(rest, "now_us", lambda: now[0])
    yield now


def get(exchange: FakeExchange, path: str) -> tuple[int, str, Message]:
    try:
        with urllib.request.urlopen(exchange.rest_url + path, timeout=3) as answer:
            return answer.status, answer.read().decode(), answer.headers
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read().decode(), refused.headers


def used(headers: Message) -> int:
    return int(headers["X-MBX-USED-WEIGHT-1M"])


def test_weight_is_counted_by_market_and_utc_minute(exchange, clock):
    first = exchange.emit(1, "BTCUSDT")[0].trade_id
    assert used(get(exchange, PAGE.format(first))[2]) == 20
    assert used(get(exchange, "/fapi/v1/exchangeInfo")[2]) == 21
    assert used(get(exchange, "/api/v3/exchangeInfo")[2]) == 20
    assert used(get(exchange, f"/api/v3/historicalTrades?symbol=BTCUSDT&fromId={first}")[2]) == 45
    clock[0] += 30_000_000
    assert used(get(exchange, "/fapi/v1/ping")[2]) == 1


def test_the_limit_that_is_told_is_the_limit_that_is_kept(exchange, clock):
    exchange.rest.minute_weight["binance-um"] = 40
    limits = json.loads(get(exchange, "/fapi/v1/exchangeInfo")[1])["rateLimits"]
    assert [(limit["rateLimitType"], limit["limit"]) for limit in limits] == [("REQUEST_WEIGHT", 40)]
    exchange.emit(1, "BTCUSDT")
    assert get(exchange, PAGE.format(1))[0] == 200
    status, body, headers = get(exchange, PAGE.format(1))
    assert (status, headers["Retry-After"], json.loads(body)["code"]) == (429, "30", -1003)


def test_who_ignores_a_429_is_banned_and_told_until_when(exchange, clock):
    exchange.rest.minute_weight["binance-um"] = 0
    assert get(exchange, "/fapi/v1/ping")[0] == 429
    clock[0] += 29_000_000
    status, body, headers = get(exchange, "/fapi/v1/ping")
    assert (status, headers["Retry-After"]) == (418, "120")
    assert f"banned until {(clock[0] + 120_000_000) // 1_000}" in body
    clock[0] += 119_000_000
    assert get(exchange, "/fapi/v1/ping")[2]["Retry-After"] == "1"
    exchange.rest.minute_weight["binance-um"] = 2_400
    clock[0] += 1_000_000
    assert get(exchange, "/fapi/v1/ping")[0] == 200


def test_who_waits_after_a_429_is_not_banned(exchange, clock):
    exchange.rest.minute_weight["binance-um"] = 1
    assert [get(exchange, "/fapi/v1/ping")[0] for _ in range(2)] == [200, 429]
    clock[0] += 30_000_000
    assert get(exchange, "/fapi/v1/ping")[0] == 200


@pytest.mark.parametrize("status", [403, 418, 429, 451, 503])
def test_calls_are_refused_apart_from_handshakes(exchange, status):
    exchange.refuse_rest(status, {"Retry-After": "7"})
    for _ in range(2):
        refused, body, headers = get(exchange, "/fapi/v1/ping")
        assert (refused, headers["Retry-After"], body.startswith("<html>")) == (status, "7", status == 403)
    exchange.admit_rest()
    assert get(exchange, "/fapi/v1/ping")[0] == 200


def test_calls_are_refused_so_many_times(exchange):
    exchange.refuse_rest(503, times=2)
    assert [get(exchange, "/fapi/v1/ping")[0] for _ in range(3)] == [503, 503, 200]


def test_every_call_is_in_the_log(exchange):
    began_s = time.monotonic()
    exchange.refuse_rest(503, times=1)
    get(exchange, "/fapi/v1/ping?a=1")
    get(exchange, "/fapi/v1/time")
    (first_s, first, status), (second_s, second, _) = exchange.rest_log
    assert (first, status, second) == ("/fapi/v1/ping?a=1", 503, "/fapi/v1/time")
    assert began_s < first_s < second_s < time.monotonic()


def test_trades_that_are_too_old_are_refused(exchange):
    made = exchange.emit(10, "BTCUSDT")
    exchange.rest.oldest_id["BTCUSDT"] = made[5].trade_id
    status, body, _ = get(exchange, PAGE.format(made[4].trade_id))
    assert (status, json.loads(body)["code"]) == (400, -4166)
    assert [row["a"] for row in json.loads(get(exchange, PAGE.format(made[5].trade_id))[1])] == [
        trade.trade_id for trade in made[5:]
    ]


def test_pages_can_have_holes(exchange):
    made = exchange.emit(10, "BTCUSDT")
    exchange.rest.holes["BTCUSDT"] = {made[3].trade_id}
    ids = [row["a"] for row in json.loads(get(exchange, PAGE.format(made[2].trade_id) + "&limit=3")[1])]
    assert ids == [made[2].trade_id, made[4].trade_id]


def test_spot_serves_raw_trades_by_id(exchange):
    made = exchange.emit(3, "BTCUSDT")
    rows = json.loads(get(exchange, f"/api/v3/historicalTrades?symbol=BTCUSDT&fromId={made[1].trade_id}")[1])
    assert [row["id"] for row in rows] == [trade.trade_id for trade in made[1:]]
    assert float(rows[0]["price"]) == made[1].price


def test_a_symbol_can_stop_trading(exchange):
    exchange.rest.statuses["ETHUSDT"] = "SETTLING"
    listed = json.loads(get(exchange, "/fapi/v1/exchangeInfo")[1])["symbols"]
    assert {row["symbol"]: row["status"] for row in listed} == {"BTCUSDT": "TRADING", "ETHUSDT": "SETTLING"}
