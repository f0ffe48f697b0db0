"""REST: pages by id, and obedience to what the exchange allows."""

import json
import time

import pytest

from data.feeds import rest as rest_module
from data.feeds.binance import SPOT, USDM, parse_exchange_info, parse_page
from data.feeds.rest import BUDGET_SHARE, MINUTE_US, Budget, Rest
from tests.fakes.exchange import FakeExchange
from utils.clock import US_PER_S, now_us
from utils.errors import FeedBlocked, FeedError, FeedPaused, FrameError, HistoryTooOld


@pytest.fixture
def exchange():
    with FakeExchange() as fake:
        fake.emit(50, "BTCUSDT")
        yield fake


def statuses(fake: FakeExchange) -> list[int]:
    return [status for _, _, status in fake.rest_log]


@pytest.mark.parametrize("market, stream", [(USDM, "aggTrade"), (SPOT, "aggTrade"), (SPOT, "trade")])
def test_a_page_holds_the_very_trades_from_an_id_on(exchange, market, stream):
    made = exchange.tape.trades["BTCUSDT"]
    page = Rest(market, exchange.rest_url, stream).trades("BTCUSDT", made[10].trade_id, 15)
    assert list(page) == made[10:25]


def test_what_the_exchange_forgot_has_an_error_of_its_own(exchange):
    first = exchange.tape.trades["BTCUSDT"][0].trade_id
    exchange.rest.oldest_id["BTCUSDT"] = first + 30
    client = Rest(USDM, exchange.rest_url)
    with pytest.raises(HistoryTooOld, match="48 h"):
        client.trades("BTCUSDT", first, 10)
    assert len(client.trades("BTCUSDT", first + 30, 10)) == 10


@pytest.mark.parametrize("status", [429, 418])
def test_no_request_leaves_while_the_exchange_asks_for_a_pause(exchange, status):
    told = []
    client = Rest(USDM, exchange.rest_url)
    client.on_closed = told.append
    exchange.refuse_rest(status, {"Retry-After": "37"})
    for _ in range(5):
        with pytest.raises(FeedPaused, match=str(status)):
            client.trades("BTCUSDT", 1)
    assert statuses(exchange) == [status]
    assert client.wait_s() == pytest.approx(37, abs=1)
    assert told == [pytest.approx(now_us() + 37 * US_PER_S, abs=US_PER_S)]


@pytest.mark.parametrize("status", [429, 418])
def test_a_pause_of_no_length_is_one_nevertheless(exchange, status):
    client = Rest(USDM, exchange.rest_url)
    exchange.refuse_rest(status, {"Retry-After": "0"})
    for _ in range(3):
        with pytest.raises(FeedPaused):
            client.listing()
    assert statuses(exchange) == [status] and client.wait_s() > 4


def test_the_end_of_a_ban_is_read_from_its_message(exchange):
    until_ms = (now_us() + 90 * US_PER_S) // 1_000
    assert rest_module._asked_wait_s("", f"IP banned until {until_ms}.", 5.0) == pytest.approx(90, abs=1)
    assert rest_module._asked_wait_s(" 12 ", "", 5.0) == 12
    assert rest_module._asked_wait_s("soon", "", 5.0) == 5.0


def test_a_later_run_stays_away_as_long_as_an_earlier_one_was_told(exchange):
    client = Rest(USDM, exchange.rest_url)
    client.stay_away(now_us() + 20 * US_PER_S)
    with pytest.raises(FeedPaused, match="earlier run"):
        client.listing()
    assert client.wait_s() == pytest.approx(20, abs=1) and not exchange.rest_log
    fresh = Rest(USDM, exchange.rest_url)
    fresh.stay_away(now_us() - 1)
    assert fresh.wait_s() == 0 and fresh.listing().trading


@pytest.mark.parametrize("status, words", [(451, "location"), (403, "refuses")])
def test_a_refused_place_is_blocked_for_a_while(exchange, status, words):
    client = Rest(USDM, exchange.rest_url)
    exchange.refuse_rest(status)
    for _ in range(3):
        with pytest.raises(FeedBlocked, match=words):
            client.listing()
    assert statuses(exchange) == [status] and client.wait_s() > 250


def test_other_failures_may_be_tried_again_at_once(exchange, unused_port):
    client = Rest(USDM, exchange.rest_url)
    exchange.refuse_rest(503, times=2)
    for _ in range(2):
        with pytest.raises(FeedError, match="503"):
            client.trades("BTCUSDT", 1)
    assert client.wait_s() == 0
    with pytest.raises(FeedError, match="Invalid symbol"):
        client.trades("NOPEUSDT", 1)
    with pytest.raises(FeedError, match="does not answer"):
        Rest(USDM, f"http://127.0.0.1:{unused_port}").listing()


def test_the_listing_names_what_trades_and_sets_the_budget(exchange):
    exchange.rest.statuses["ETHUSDT"] = "SETTLING"
    exchange.rest.minute_weight["binance-um"] = 1_200
    client = Rest(USDM, exchange.rest_url)
    assert client.listing().trading == {"BTCUSDT"}
    assert client.budget.minute_weight == 1_200


def test_the_budget_leaves_a_share_to_others_and_begins_anew_each_minute():
    budget, start = Budget(2_400), 1_000 * MINUTE_US + 15 * US_PER_S
    pages = 0
    while budget.wait_s(20, start) == 0:
        budget.spend(20, start)
        pages += 1
    assert pages == BUDGET_SHARE * 2_400 / 20
    assert budget.wait_s(20, start) == 45
    assert budget.wait_s(20, start + 45 * US_PER_S) == 0
    budget.spend(20, start + 45 * US_PER_S)
    budget.told(1_199)  # others behind this address
    assert budget.wait_s(20, start + 50 * US_PER_S) == 55


def test_what_the_exchange_counts_is_what_counts(exchange):
    client = Rest(USDM, exchange.rest_url)
    end = time.monotonic() + 5
    while client.wait_s() == 0:
        assert time.monotonic() < end
        client.trades("BTCUSDT", exchange.tape.trades["BTCUSDT"][0].trade_id, 10)
    assert 429 not in statuses(exchange)


@pytest.mark.parametrize("body", [b"", b"{}", b'[{"a":1}]', b"\xff", b"[" * 100_000, b'[{"a":-1,"p":"1","q":"1"}]'])
def test_a_page_that_cannot_be_read_says_so(body):
    with pytest.raises(FrameError, match="unreadable"):
        parse_page(body, "BTCUSDT", "aggTrade")
    with pytest.raises(FrameError, match="unreadable"):
        parse_exchange_info(body)


def test_rows_of_a_page_that_are_no_trades_are_counted():
    cells = [(2, "1.5"), (3, "0"), (1, "2.5"), (4, "NaN")]
    rows = [{"a": i, "p": p, "q": "1", "f": 1, "l": 1, "T": 1791382992338, "m": True} for i, p in cells]
    page, refused = parse_page(json.dumps(rows).encode(), "BTCUSDT", "aggTrade")
    assert page.trade_id.tolist() == [1, 2] and page.price.tolist() == [2.5, 1.5] and refused == 2
