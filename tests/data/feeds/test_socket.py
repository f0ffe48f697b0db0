import logging
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from data.feeds.binance import SPOT, USDM, Market, format_trade
from data.feeds.connection import ending_of
from data.feeds.feed import Feed
from data.feeds.socket import SocketFeed, jitter_s
from data.trades import Trade, Trades
from tests.fakes.exchange import FakeExchange, fake_exchange
from tests.fakes.script import Close, Ping, Refuse, Reset, Stay
from utils.errors import InputError

DEADLINE_S = 8.0


class Collector:
    """A sink that keeps what it was given."""

    def __init__(self) -> None:
        self.trades: list[Trade] = []
        self.rejected: Counter[tuple[str | None, str]] = Counter()

    def offer(self, trades: Trades) -> None:
        self.trades.extend(trades)

    def reject(self, symbol: str | None, reason: str, count: int = 1) -> None:
        self.rejected[symbol, reason] += count

    def ids(self, symbol: str = "BTCUSDT") -> list[int]:
        return [trade.trade_id for trade in self.trades if trade.symbol == symbol]


def until(claim: Callable[[], object], what: str) -> None:
    """Wait until a claim holds, not longer than the deadline."""
    end = time.monotonic() + DEADLINE_S
    while not claim():
        assert time.monotonic() < end, f"not within {DEADLINE_S} s: {what}"
        time.sleep(0.005)


def frame(trade_id: int, symbol: str = "BTCUSDT", stream: str = "aggTrade", market: Market = USDM) -> str:
    return format_trade(Trade(symbol, trade_id, 1791382992338000, 100.5, 0.25, False), market, stream)


@contextmanager
def running(
    url: str, symbols: tuple[str, ...] = ("BTCUSDT",), **options: Any
) -> Iterator[tuple[SocketFeed, Collector]]:
    stream = options.pop("stream", "aggTrade")
    market = options.pop("market", USDM)
    sink = options.pop("sink", None) or Collector()
    feed = SocketFeed(market, url, symbols, stream, **({"backoff_s": 0.01, "rng": random.Random(1)} | options))
    feed.start(sink)
    try:
        yield feed, sink
    finally:
        feed.stop()


def in_detail(feed: SocketFeed, words: str) -> Callable[[], bool]:
    return lambda: words in feed.state.detail


# --- delivering ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("market, stream", [(USDM, "aggTrade"), (USDM, "trade"), (SPOT, "aggTrade"), (SPOT, "trade")])
def test_every_stream_of_every_market_is_delivered(market, stream):
    with FakeExchange(rate=500) as exchange:
        symbols = ("BTCUSDT", "ETHUSDT")
        with running(exchange.ws_url, symbols, market=market, stream=stream) as (feed, sink):
            until(lambda: len(sink.trades) >= 100, "100 trades")
            assert feed.state.mode == "LIVE"
        for symbol in symbols:
            ledger = exchange.tape.trades[symbol]
            start = sink.ids(symbol)[0] - ledger[0].trade_id
            got = [trade for trade in sink.trades if trade.symbol == symbol]
            assert got == ledger[start : start + len(got)]


def test_the_feed_is_what_the_engine_expects():
    feed: Feed = SocketFeed(SPOT, "ws://127.0.0.1:1", ["btcusdt"], "trade")
    assert (feed.venue, feed.stream, feed.contiguous) == ("binance-spot", "trade", True)
    assert abs(feed.market_us() - time.time_ns() // 1000) < 5_000_000
    assert feed.state.mode == "CONNECTING"
    feed.stop()


def test_feed_resumes_after_the_exchange_hangs_up():
    with fake_exchange([frame(1)], [frame(2)], [frame(3), Stay()]) as url, running(url) as (feed, sink):
        until(lambda: sink.ids() == [1, 2, 3], "three trades over three connections")
        until(lambda: feed.state.mode == "LIVE", "live")
        assert feed.state.reconnects == 2


@pytest.mark.parametrize("end", [Reset(), Close(1008, "Too many requests"), Close(1001)])
def test_feed_resumes_however_the_connection_ends(end):
    with fake_exchange([frame(1), end], [frame(2), Stay()]) as url, running(url) as (feed, sink):
        until(lambda: sink.ids()[-1:] == [2], "the second connection")
        assert feed.state.reconnects == 1


def test_the_reason_of_a_close_is_shown():
    script = [frame(1), Close(1008, "Too many requests")]
    with fake_exchange(script) as url, running(url, backoff_s=60, rng=_Longest()) as (feed, _):
        until(in_detail(feed, "code 1008: Too many requests"), "the reason")
        assert feed.state.mode == "RECONNECTING"


def test_an_error_sent_before_the_close_is_shown_with_it():
    error = '{"error":{"code":4,"msg":"Too many subscriptions"},"id":9}'
    script = [frame(1), error, Close(1008, "Invalid request")]
    with fake_exchange(script) as url, running(url, backoff_s=60, rng=_Longest()) as (feed, _):
        until(in_detail(feed, "the exchange says: Too many subscriptions (code 4)"), "the complaint")


@pytest.mark.parametrize("notice", ['{"e":"serverShutdown","E":1}', '{"stream":"!serverShutdown","data":{"E":1}}'])
def test_an_announced_end_is_answered_by_a_new_connection_at_once(notice):
    with (
        fake_exchange([frame(1), notice, Stay()], [frame(2), Stay()]) as url,
        running(url, backoff_s=60, rng=_Longest()) as (_, sink),
    ):
        until(lambda: sink.ids() == [1, 2], "the new connection")


def test_trades_of_symbols_that_were_not_asked_for_are_left_out():
    script = [frame(1, "ETHUSDT"), frame(2), Stay()]
    with fake_exchange(script) as url, running(url) as (_, sink):
        until(lambda: sink.trades, "a trade")
        assert [trade.symbol for trade in sink.trades] == ["BTCUSDT"]


def test_refused_trades_are_counted_for_their_symbol():
    script = [frame(1).replace('"p":"100.5"', '"p":"NaN"'), "garbage", frame(2), Stay()]
    with fake_exchange(script) as url, running(url) as (_, sink):
        until(lambda: sink.ids() == [2], "the good trade")
        assert sink.rejected == {("BTCUSDT", "price"): 1, (None, "frame"): 1}


def test_pings_are_answered_with_their_payload():
    with (
        FakeExchange([frame(1), Ping(b"1791382992488"), frame(2), Stay()]) as exchange,
        running(exchange.ws_url) as (_, sink),
    ):
        until(lambda: sink.ids() == [1, 2], "the trade after the pong")
        assert exchange.peers[0].pongs == [b"1791382992488"]


# --- silence ------------------------------------------------------------------------------------------


def test_an_open_connection_is_not_live_before_its_first_trade():
    with FakeExchange() as exchange, running(exchange.ws_url) as (feed, sink):
        until(lambda: exchange.open_peers, "a connection")
        exchange.send('{"result":null,"id":1}')
        until(in_detail(feed, "waiting for the first trade"), "connected")
        assert feed.state.mode == "CONNECTING"
        exchange.emit(1, "BTCUSDT")
        until(lambda: feed.state.mode == "LIVE", "live")
        assert len(sink.trades) == 1


def test_a_connection_without_data_is_dropped_and_says_so():
    with (
        FakeExchange(symbols=["ETHUSDT"], rate=100) as exchange,
        running(exchange.ws_url, first_data_s=0.2) as (feed, sink),
    ):
        until(in_detail(feed, "connected and acknowledged, but no data"), "the reason")
        until(lambda: len(exchange.peers) >= 2, "another attempt")
        assert feed.state.mode == "RECONNECTING"
        assert sink.trades == []


def test_a_feed_that_falls_silent_is_reconnected():
    with FakeExchange(rate=200) as exchange, running(exchange.ws_url, stale_s=0.3) as (feed, _):
        until(lambda: feed.state.mode == "LIVE", "live")
        exchange.muted = True
        until(in_detail(feed, "no trade for 0.3 s"), "the reason")
        until(lambda: len(exchange.peers) >= 2, "another connection")
        exchange.muted = False
        until(lambda: feed.state.mode == "LIVE", "live again")
        assert feed.state.detail == ""


# --- refusals -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("status, words", [(451, "does not serve this location"), (403, "refuses this client")])
def test_a_refusal_for_good_is_blocked_and_retried_slowly(status, words):
    with fake_exchange(Refuse(status), [frame(1), Stay()]) as url, running(url) as (feed, sink):
        until(lambda: feed.state.mode == "BLOCKED", "blocked")
        assert words in feed.state.detail and feed.error_is_final
        assert feed.state.retry_at_s == pytest.approx(time.monotonic() + 300, abs=10)
        feed.retry_now()
        until(lambda: feed.state.mode == "LIVE", "live after a retry by hand")
        assert sink.ids() == [1] and not feed.error_is_final


@pytest.mark.parametrize("status, headers, wait_s", [(429, {"Retry-After": "7"}, 7), (418, {}, 120), (429, {}, 60)])
def test_a_rate_limit_is_obeyed_even_against_a_retry_by_hand(status, headers, wait_s):
    with FakeExchange(Refuse(status, headers), [frame(1), Stay()]) as exchange, running(exchange.ws_url) as (feed, _):
        until(lambda: feed.state.retry_at_s is not None, "waiting")
        feed.retry_now()
        feed._thread.join(0.3)
        assert feed.state.retry_at_s == pytest.approx(time.monotonic() + wait_s, abs=3)
        assert f"HTTP {status}" in feed.state.detail and feed.state.mode == "RECONNECTING"
        assert exchange.peers == []


def test_a_rate_limit_ends_with_its_time():
    with fake_exchange(Refuse(429, {"Retry-After": "0"}), [frame(1), Stay()]) as url, running(url) as (_, sink):
        until(lambda: sink.ids() == [1], "the connection after it")


def test_a_server_error_is_retried():
    with fake_exchange(Refuse(503), Refuse(500), [frame(1), Stay()]) as url, running(url) as (_, sink):
        until(lambda: sink.ids() == [1], "the third attempt")


def test_nobody_listening_is_said_in_one_line(unused_port):
    with running(f"ws://127.0.0.1:{unused_port}") as (feed, _):
        until(in_detail(feed, "refuses connections"), "the reason")
        assert "\n" not in feed.state.detail


def test_a_failed_tls_handshake_is_said_in_one_line():
    with FakeExchange() as exchange, running(exchange.ws_url.replace("ws:", "wss:")) as (feed, _):
        until(lambda: feed.state.mode == "RECONNECTING", "the failure")
        assert "TLS" in feed.state.detail and "\n" not in feed.state.detail


def test_a_server_that_never_answers_the_handshake_is_given_up():
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        running(f"ws://127.0.0.1:{server.getsockname()[1]}", dial_s=0.2) as (feed, _),
    ):
        until(in_detail(feed, "does not answer"), "the reason")


def test_a_failed_name_look_up_is_said_in_plain_words():
    error = socket.gaierror(-2, "Name or service not known")
    assert "cannot be resolved" in ending_of(error, "wss://fstream.binance.com/market/stream").detail


# --- waiting ------------------------------------------------------------------------------------------


class _Longest(random.Random):
    """Always the upper end."""

    def uniform(self, a: float, b: float) -> float:
        return b


def test_the_wait_is_spread_over_a_range_that_doubles_up_to_a_cap():
    rng = random.Random(5)
    for failures in range(12):
        top = min(60.0, 1.0 * 2**failures)
        waits = [jitter_s(rng, failures, 1.0, 60.0) for _ in range(300)]
        assert 0 <= min(waits) < 0.1 * top and 0.9 * top < max(waits) <= top
    assert jitter_s(_Longest(), 10_000, 1.0, 60.0) == 60.0


class _Recorder(random.Random):
    """Never waits, and keeps the upper ends."""

    def __init__(self) -> None:
        super().__init__(1)
        self.tops: list[float] = []

    def uniform(self, a: float, b: float) -> float:
        self.tops.append(b)
        return 0.0


@pytest.mark.parametrize("lived_s, tops", [(5.0, [1.0, 2.0, 4.0, 8.0]), (0.0, [1.0, 1.0, 1.0, 1.0])])
def test_the_wait_grows_until_a_connection_has_lived_and_delivered(monkeypatch, lived_s, tops):
    monkeypatch.setattr("data.feeds.socket.LIVED_S", lived_s)
    rng, scripts = _Recorder(), [[frame(n)] for n in range(4)]
    with fake_exchange(*scripts, [frame(9), Stay()]) as url, running(url, backoff_s=1.0, rng=rng) as (_, sink):
        until(lambda: sink.ids()[-1:] == [9], "the fifth connection")
        assert rng.tops == tops


# --- relief ------------------------------------------------------------------------------------------


def without_a_hole(sink: Collector) -> bool:
    ids = sorted(set(sink.ids()))
    return ids == list(range(ids[0], ids[-1] + 1))


def relieved(feed: SocketFeed, sink: Collector) -> None:
    """A second connection took over, goes on alone, and nothing was lost on the way."""
    until(lambda: feed.reliefs == 1, "the relief")
    known = len(sink.ids())
    until(lambda: len(sink.ids()) > known + 20, "trades on the second connection")
    assert feed.state.mode == "LIVE" and feed.state.reconnects == 0
    assert without_a_hole(sink)


def test_an_announced_end_is_met_by_a_second_connection():
    with FakeExchange(rate=200) as exchange, running(exchange.ws_url) as (feed, sink):
        until(lambda: sink.ids(), "trades")
        exchange.send('{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1791382992338}}')
        relieved(feed, sink)
        until(lambda: len(exchange.open_peers) == 1, "the first one closed")


def test_an_old_connection_is_followed_by_a_new_one():
    with FakeExchange(rate=200) as exchange, running(exchange.ws_url, renew_s=0.2) as (feed, sink):
        relieved(feed, sink)


def test_a_relief_is_given_when_asked_for():
    with FakeExchange(rate=200) as exchange, running(exchange.ws_url) as (feed, sink):
        until(lambda: sink.ids(), "trades")
        feed.relieve("one symbol is silent")
        relieved(feed, sink)


def test_a_connection_that_ends_during_its_relief_is_followed_at_once():
    with FakeExchange(rate=200) as exchange, running(exchange.ws_url, backoff_s=60) as (feed, sink):
        until(lambda: sink.ids(), "trades")
        feed.relieve("one symbol is silent")
        until(lambda: len(exchange.open_peers) == 2, "the second connection")
        exchange._loop.call_soon_threadsafe(exchange.open_peers[0].socket.transport.abort)
        relieved(feed, sink)


def test_a_relief_that_fails_leaves_the_first_connection_alone():
    scripts = [[frame(1), Stay()], Refuse(503)]
    with FakeExchange(*scripts) as exchange, running(exchange.ws_url) as (feed, sink):
        until(lambda: sink.ids() == [1], "the first trade")
        feed.relieve("one symbol is silent")
        until(lambda: feed._relief is None and not exchange._scripts, "the refusal")
        assert feed.state.mode == "LIVE" and feed.reliefs == 0 and len(exchange.open_peers) == 1


def test_a_connection_that_falls_behind_is_relieved(monkeypatch):
    monkeypatch.setattr("data.feeds.socket.LAG_HOLD_S", 0.05)
    now_ms = time.time_ns() // 1_000_000
    late = [frame(n).replace("1791382992338", str(now_ms - (0 if n < 3 else 60_000))) for n in range(40)]
    with FakeExchange([*late[:3], Stay()]) as exchange, running(exchange.ws_url) as (feed, sink):
        until(lambda: len(sink.ids()) == 3, "the first trades")
        assert feed._relief is None
        for text in late[3:]:
            exchange.send(text)
            time.sleep(0.005)
        until(lambda: len(exchange.peers) == 2, "the second connection")


def test_a_retry_by_hand_ends_the_wait():
    with (
        fake_exchange([Close()], [frame(1), Stay()]) as url,
        running(url, backoff_s=60, backoff_cap_s=60, rng=_Longest()) as (feed, sink),
    ):
        until(lambda: feed.state.retry_at_s is not None, "waiting")
        assert feed.state.retry_at_s == pytest.approx(time.monotonic() + 60, abs=5)
        feed.retry_now()
        until(lambda: sink.ids() == [1], "the next connection")


def test_stopping_ends_any_wait_at_once(unused_port):
    with socket.create_server(("127.0.0.1", 0)) as silent, FakeExchange(rate=100) as exchange:
        bases = {
            "dialling": f"ws://127.0.0.1:{silent.getsockname()[1]}",
            "waiting": f"ws://127.0.0.1:{unused_port}",
            "live": exchange.ws_url,
        }
        for doing, base in bases.items():
            sink = Collector()
            feed = SocketFeed(USDM, base, ["BTCUSDT"], backoff_s=60, rng=_Longest(), dial_s=30)
            feed.start(sink)
            ready = {
                "dialling": lambda f=feed: f._link is not None and f._link._ws.sock is not None,
                "waiting": lambda f=feed: f.state.retry_at_s is not None,
                "live": lambda f=feed: f.state.mode == "LIVE",
            }
            until(ready[doing], doing)
            began = time.monotonic()
            feed.stop()
            assert time.monotonic() - began < 1.0, doing
            assert feed.state.mode == "ENDED"
            assert not any(thread.name == "feed" for thread in threading.enumerate()), doing
            held = len(sink.trades)
            exchange.emit(5)
            assert len(sink.trades) == held
            feed.stop()


# --- subscriptions ------------------------------------------------------------------------------------


def test_symbols_can_be_changed_on_an_open_connection():
    with FakeExchange(rate=300) as exchange, running(exchange.ws_url, ("BTCUSDT",)) as (feed, sink):
        until(lambda: feed.state.mode == "LIVE", "live")
        feed.set_symbols(["ETHUSDT"])
        until(lambda: sink.ids("ETHUSDT"), "the new symbol")
        assert exchange.open_peers[0].streams == {"ethusdt@aggTrade": None}
        seen = len(sink.ids("BTCUSDT"))
        until(lambda: len(sink.ids("ETHUSDT")) > 30, "more of it")
        assert len(sink.ids("BTCUSDT")) == seen
        assert (len(exchange.peers), feed.symbols, feed.state.reconnects) == (1, ("ETHUSDT",), 0)


def test_changed_symbols_are_kept_over_a_reconnect():
    with FakeExchange(rate=300) as exchange, running(exchange.ws_url, ("BTCUSDT",)) as (feed, sink):
        until(lambda: feed.state.mode == "LIVE", "live")
        feed.set_symbols(["btcusdt", "ETHUSDT"])
        until(lambda: sink.ids("ETHUSDT"), "the new symbol")
        exchange.reset_all()
        until(lambda: len(exchange.open_peers) == 1, "the next connection")
        assert exchange.open_peers[0].streams == {"btcusdt@aggTrade": None, "ethusdt@aggTrade": None}


def test_many_symbols_are_subscribed_by_frames_at_the_pace_the_exchange_allows():
    symbols = tuple(f"SYMBOL{n}USDT" for n in range(1024))
    with FakeExchange(symbols=symbols, rate=500) as exchange, running(exchange.ws_url, symbols) as (feed, _):
        until(lambda: exchange.open_peers and len(exchange.open_peers[0].streams) == 1024, "all subscribed")
        peer = exchange.open_peers[0]
        assert peer.path == "/market/stream"
        assert [len(request["params"]) for request in peer.requests] == [200, 200, 200, 200, 200, 24]
        assert [request["id"] for request in peer.requests] == [1, 2, 3, 4, 5, 6]
        until(lambda: feed.state.mode == "LIVE", "live")
        assert len(exchange.peers) == 1


@pytest.mark.parametrize("symbols", [[], [f"S{n}" for n in range(1025)]])
def test_the_limit_of_streams_is_named(symbols):
    with pytest.raises(InputError, match="1 to 1024 streams"):
        SocketFeed(USDM, "ws://127.0.0.1:1", symbols)
    feed = SocketFeed(USDM, "ws://127.0.0.1:1", ["BTCUSDT"])
    with pytest.raises(InputError, match="1 to 1024 streams"):
        feed.set_symbols(symbols)


def test_a_stream_that_the_market_does_not_have_is_refused():
    with pytest.raises(InputError, match="aggTrade, trade"):
        SocketFeed(USDM, "ws://127.0.0.1:1", ["BTCUSDT"], "depth")


# --- our own errors -----------------------------------------------------------------------------------


class _Fragile(Collector):
    def offer(self, trades: Trades) -> None:
        if 1 in trades.trade_id.tolist():
            raise ZeroDivisionError("a bug")
        super().offer(trades)


def test_a_bug_behind_the_feed_is_logged_and_counted_and_survived(caplog):
    log = logging.getLogger("pairscope.feed")
    log.addHandler(caplog.handler)  # its records may not reach the root logger
    with (
        FakeExchange([frame(1), Ping(), frame(2), Stay()]) as exchange,
        running(exchange.ws_url, sink=_Fragile()) as (feed, sink),
    ):
        until(lambda: sink.ids() == [2], "the trade after the bug")
        assert feed.bugs == 1
    log.removeHandler(caplog.handler)
    assert "ZeroDivisionError" in caplog.text
