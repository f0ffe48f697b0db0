"""Quotes live: from the frames of a scripted exchange to the book, over a connection of their own."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from data.feeds.binance import SPOT, USDM, Market
from data.feeds.book_ticker import format_quote
from data.feeds.socket import QuoteFeed
from data.quotes import Quote, QuoteBook
from tests.fakes.exchange import FakeExchange, fake_exchange
from tests.fakes.script import Refuse, Stay
from tests.waiting import until
from utils.clock import now_us

T0 = 1_700_000_000_000_000
FOUR = (100.0, 3.0, 100.5, 2.0)


def frame(update_id: int, symbol: str = "BTCUSDT") -> str:
    return format_quote(Quote(symbol, update_id, T0 + update_id * 1_000, *FOUR), USDM)


@contextmanager
def running(
    url: str, symbols: tuple[str, ...] = ("BTCUSDT",), market: Market = USDM, **options: Any
) -> Iterator[tuple[QuoteFeed, QuoteBook]]:
    feed, book = (
        QuoteFeed(market, url, symbols, **({"backoff_s": 0.01, "rng": random.Random(1)} | options)),
        QuoteBook(),
    )
    feed.start(book)
    try:
        yield feed, book
    finally:
        feed.stop()


def ids(book: QuoteBook, symbol: str = "BTCUSDT") -> list[int]:
    return book.snapshot(symbol).update_id.tolist()


@pytest.mark.parametrize("market, route", [(USDM, "/public"), (SPOT, "")])
def test_quotes_of_a_market_come_over_its_route(market, route):
    with FakeExchange() as exchange, running(exchange.ws_url, ("BTCUSDT", "ETHUSDT"), market) as (feed, book):
        until(lambda: exchange.open_peers, bool)
        began_us = now_us()
        sent = [exchange.print_quote(symbol, *FOUR) for symbol in ("BTCUSDT", "ETHUSDT", "XRPUSDT")]
        until(lambda: ids(book, "ETHUSDT"), bool)
        assert [peer.route for peer in exchange.peers] == [route]
        assert feed.state.mode == "LIVE"
        found = [book.counts()[quote.symbol].last for quote in sent[:2]]
        assert [(q.update_id, q.bid, q.bid_qty, q.ask, q.ask_qty) for q in found] == [
            (q.update_id, *FOUR) for q in sent[:2]
        ]
        if market is SPOT:  # it prints no time
            assert all(began_us <= quote.ts_us <= now_us() for quote in found)
        else:
            assert [quote.ts_us for quote in found] == [quote.ts_us for quote in sent[:2]]
        assert "XRPUSDT" not in book.counts()


def test_quotes_go_on_after_the_exchange_hangs_up_and_repeats_are_dropped():
    with (
        fake_exchange([frame(1), frame(2)], [frame(2), frame(1), frame(3), Stay()]) as url,
        running(url) as (feed, book),
    ):
        until(lambda: ids(book), lambda held: held == [1, 2, 3])
        until(lambda: feed.state, lambda state: state.mode == "LIVE")
        counts = book.counts()["BTCUSDT"]
        assert (feed.state.reconnects, counts.deduped, counts.older) == (1, 1, 1)


def test_an_acknowledgement_is_not_data():
    ack = '{"result":null,"id":1}'
    scripts = [ack, Stay()], [frame(1), Stay()]
    with fake_exchange(*scripts) as url, running(url, first_data_s=0.3, backoff_s=5) as (feed, book):
        until(lambda: feed.state, lambda state: "no quote within 0.3 s" in state.detail)
        assert feed.state.mode == "RECONNECTING"
        feed.retry_now()
        until(lambda: ids(book), lambda held: held == [1])


def test_silence_ends_the_connection():
    with fake_exchange([frame(1), Stay()], [frame(2), Stay()]) as url, running(url, stale_s=0.3) as (_, book):
        until(lambda: ids(book), lambda held: held == [1, 2])


def test_a_refusal_that_stays_is_blocked():
    with fake_exchange(Refuse(451)) as url, running(url) as (feed, _):
        until(lambda: feed.state, lambda state: state.mode == "BLOCKED")
        assert "does not serve this location" in feed.state.detail


def test_unreadable_quotes_are_counted_and_the_rest_goes_on():
    bad = (
        '{"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","u":1,"s":"BTCUSDT","b":"x","B":"1","a":"2","A":"1"}}'
    )
    with fake_exchange([bad, "<html>", frame(7), Stay()]) as url, running(url) as (_, book):
        until(lambda: ids(book), lambda held: held == [7])
        assert book.counts()["BTCUSDT"].rejected == {"bid": 1}
        assert book.unattributed == {"frame": 1}


def test_symbols_can_change_on_an_open_connection():
    with FakeExchange() as exchange, running(exchange.ws_url) as (feed, book):
        until(lambda: exchange.open_peers, bool)
        feed.set_symbols(["ETHUSDT"])
        until(lambda: list(exchange.peers[0].streams), lambda names: names == ["ethusdt@bookTicker"])
        exchange.print_quote("BTCUSDT", *FOUR)
        exchange.print_quote("ETHUSDT", *FOUR)
        until(lambda: ids(book, "ETHUSDT"), bool)
        assert not ids(book) and len(exchange.peers) == 1
