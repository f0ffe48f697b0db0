"""The fake exchange fails as it is told to: each fault as a client sees it."""

import json
import socket
import struct
import time
from collections import Counter
from collections.abc import Iterator

import pytest
import websocket

from data.feeds.binance import parse_trade
from data.trades import Trade
from tests.fakes.exchange import FakeExchange
from tests.fakes.faults import BAD_FRAMES, BAD_TEXTS, COPIES, WINDOW, Faults
from tests.fakes.script import Close, Reset
from tests.waiting import until

STREAMS = "/market/stream?streams=btcusdt@aggTrade/ethusdt@aggTrade"


@pytest.fixture
def exchange() -> Iterator[FakeExchange]:
    with FakeExchange() as running:
        yield running


@pytest.fixture
def link(exchange: FakeExchange) -> Iterator[websocket.WebSocket]:
    connection = dial(exchange)
    yield connection
    connection.shutdown()


def dial(exchange: FakeExchange, timeout_s: float = 3.0) -> websocket.WebSocket:
    connection = websocket.create_connection(exchange.ws_url + STREAMS, timeout=timeout_s)
    until(lambda: exchange.open_peers, bool)
    return connection


def trades(link: websocket.WebSocket, count: int) -> list[Trade | None]:
    return [parse_trade(link.recv()) for _ in range(count)]


def is_silent(link: websocket.WebSocket, timeout_s: float = 0.2) -> bool:
    link.settimeout(timeout_s)
    try:
        link.recv()
    except websocket.WebSocketTimeoutException:
        return True
    finally:
        link.settimeout(3.0)
    return False


# --- trades on their way ----------------------------------------------------------------------------


def fates(made: int = 5_000, **shares: float) -> tuple[Faults, list[int]]:
    """The ids sent of so many made."""
    faults = Faults(**shares)
    rows = [Trade("BTCUSDT", n, 1_791_382_992_338_000, 1.0, 1.0, False) for n in range(made)]
    sent = [trade.trade_id for _, trade in faults.sent(rows) + faults.rest()]
    return faults, sent


def test_without_faults_every_trade_is_sent_once_in_order():
    assert fates()[1] == list(range(5_000))


def test_shares_are_met_and_the_books_agree():
    faults, sent = fates(drop=0.01, reorder=0.02, repeat=0.03)
    times = Counter(sent)
    assert [n for n in range(5_000) if n not in times] == [trade.trade_id for trade in faults.dropped]
    assert 25 < len(faults.dropped) < 80
    assert 60 < faults.reordered < 150
    assert list(times.values()).count(COPIES) == faults.repeated
    assert 100 < faults.repeated < 200
    assert set(times.values()) == {1, COPIES}


def test_reordered_trades_come_within_the_window():
    faults, sent = fates(reorder=0.1)
    late_by = [max(sent[:at], default=0) - trade_id for at, trade_id in enumerate(sent)]
    assert sorted(sent) == list(range(5_000))
    assert 0 < max(late_by) <= WINDOW
    assert sum(late > 0 for late in late_by) == pytest.approx(faults.reordered, abs=faults.reordered / 4)


def test_chosen_trades_are_dropped():
    assert fates(made=6, drop_at=frozenset({0, 4}))[1] == [1, 2, 3, 5]


def test_fates_follow_from_the_seed():
    shares = {"drop": 0.1, "reorder": 0.1, "repeat": 0.1}
    assert fates(100, **shares)[1] == fates(100, **shares)[1] != fates(100, seed=8, **shares)[1]


def test_dropped_trades_stay_in_the_ledger(exchange, link):
    exchange.faults = Faults(drop_at=frozenset({1, 2}))
    made = exchange.emit(4, "BTCUSDT")
    assert trades(link, 2) == [made[0], made[3]]
    assert exchange.tape.trades["BTCUSDT"][:] == made == exchange.tape.page("BTCUSDT", {"fromId": made[0].trade_id})


def test_late_trades_come_late(exchange, link):
    exchange.faults = Faults(late=1.0, late_s=0.3)
    began_s = time.monotonic()
    made = exchange.emit(1)
    assert trades(link, 1) == made
    assert time.monotonic() - began_s >= 0.3


def test_a_run_makes_just_so_many_trades_and_sends_them_all(exchange, link):
    exchange.faults = Faults(reorder=0.5)
    exchange.run(200, rate=2_000)
    got = trades(link, 200)
    assert exchange.left == 0 and len(exchange.tape) == 200
    ledgers = [trade for ledger in exchange.tape.trades.values() for trade in ledger]
    assert sorted(got, key=id_of) == sorted(ledgers, key=id_of) and got != sorted(got, key=id_of)


def id_of(trade: Trade) -> int:
    return trade.trade_id


def test_one_symbol_can_be_mute(exchange, link):
    exchange.mute("BTCUSDT")
    exchange.emit(3, "BTCUSDT")
    heard = exchange.emit(1, "ETHUSDT")
    exchange.unmute("BTCUSDT")
    heard += exchange.emit(1, "BTCUSDT")
    assert trades(link, 2) == heard


def test_one_message_can_repeat_for_ever(exchange, link):
    made = exchange.emit(1, "BTCUSDT")
    exchange.stuck = True
    exchange.emit(4, "BTCUSDT")
    assert trades(link, 5) == made * 5
    assert len(exchange.tape) == 5


def test_ids_restart_when_a_symbol_is_listed_anew(exchange, link):
    before = exchange.emit(2, "BTCUSDT")
    exchange.relist("BTCUSDT")
    after = exchange.emit(2, "BTCUSDT")
    assert [trade.trade_id for trade in after] == [1, 2] and trades(link, 4) == before + after
    assert exchange.tape.page("BTCUSDT", {"fromId": 1}) == after
    assert exchange.tape.former[0][:] == before


# --- connections ----------------------------------------------------------------------------------


def ending(link: websocket.WebSocket) -> int | type[Exception]:
    """Close code, or the error that a client sees."""
    try:
        while True:
            opcode, frame = link.recv_data_frame(control_frame=True)
            if opcode == websocket.ABNF.OPCODE_CLOSE:
                return int(struct.unpack("!H", frame.data[:2])[0])
    except (OSError, websocket.WebSocketException) as exc:
        return type(exc)


@pytest.mark.parametrize(
    "code, seen", [(1000, 1000), (1008, 1008), (4001, 4001), (1006, websocket.WebSocketConnectionClosedException)]
)
def test_connections_close_with_any_code(exchange, link, code, seen):
    exchange.close_all(code)
    assert ending(link) == seen
    assert exchange.open_peers == []


def test_a_reset_in_mid_frame_leaves_half_a_frame(exchange, link):
    exchange.reset_all(mid_frame=True)
    kind, length = link.sock.recv(2)
    assert kind == 0x81 and 0 < len(link.sock.recv(1_000)) < length
    with pytest.raises(ConnectionResetError):
        link.sock.recv(1)


@pytest.mark.parametrize(
    "step, seen", [(Close(1008), 1008), (Reset(), ConnectionResetError), (Close(1006), ...)], ids=str
)
def test_connections_can_be_ended_at_once(exchange, step, seen):
    exchange.hang_up = step
    for _ in range(3):
        link = websocket.create_connection(exchange.ws_url + STREAMS, timeout=3)
        ended = ending(link)
        assert ended == (websocket.WebSocketConnectionClosedException if seen is ... else seen)
        link.shutdown()
    exchange.hang_up = None
    dial(exchange).shutdown()
    assert [status for _, status in exchange.handshakes] == [101] * 4


def test_a_frozen_exchange_answers_nothing_and_closes_nothing(exchange, link):
    exchange.freeze()
    link.ping("are you there?")
    exchange.emit(1)
    assert is_silent(link)
    with socket.create_connection(("127.0.0.1", exchange.port), timeout=0.2) as another:  # the system takes it
        another.sendall(b"GET /fapi/v1/ping HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with pytest.raises(TimeoutError):
            another.recv(1)
        exchange.thaw()
        assert another.recv(12) == b"HTTP/1.1 200"
    opcode, _ = link.recv_data(control_frame=True)
    assert opcode == websocket.ABNF.OPCODE_PONG
    assert exchange.emit(1) == trades(link, 1)


def test_a_zombie_answers_pings_only(exchange, link):
    exchange.muted = True
    exchange.emit(2)
    link.ping("alive")
    opcode, payload = link.recv_data(control_frame=True)
    assert (opcode, payload) == (websocket.ABNF.OPCODE_PONG, b"alive")


def test_a_lagging_connection_is_late_and_a_new_one_is_not(exchange, link):
    exchange.lag(0.5)
    fresh = dial(exchange)
    until(lambda: len(exchange.open_peers) == 2, bool)
    began_s = time.monotonic()
    made = exchange.emit(1)
    assert trades(fresh, 1) == made
    assert time.monotonic() - began_s < 0.4
    assert trades(link, 1) == made
    assert time.monotonic() - began_s >= 0.5
    fresh.shutdown()


def test_bytes_can_drip(exchange, link):
    exchange.drip(0.001)
    began_s = time.monotonic()
    made = exchange.emit(1)
    assert trades(link, 1) == made
    assert time.monotonic() - began_s > 0.1  # more than 100 bytes
    made = exchange.emit(20)
    exchange.drip(0)
    assert trades(link, 20) == made


def test_an_announced_end_comes_when_it_was_announced_and_spares_new_connections(exchange, link):
    exchange.announce_shutdown(0.3)
    assert json.loads(link.recv())["data"]["e"] == "serverShutdown"
    fresh = dial(exchange)
    until(lambda: len(exchange.open_peers) == 2, bool)
    assert exchange.emit(1) == trades(link, 1)
    assert ending(link) == 1001
    assert len(exchange.open_peers) == 1
    fresh.shutdown()


def test_handshakes_are_refused_until_they_are_not(exchange):
    exchange.refuse(403, times=None)
    for _ in range(2):
        with pytest.raises(websocket.WebSocketBadStatusException) as caught:
            dial(exchange)
        assert caught.value.status_code == 403 and b"<html>" in caught.value.resp_body
    exchange.admit()
    dial(exchange).shutdown()
    assert [status for _, status in exchange.handshakes] == [403, 403, 101]


@pytest.mark.parametrize("name", BAD_TEXTS)
def test_bad_texts_arrive_as_they_are(exchange, link, name):
    exchange.send(BAD_TEXTS[name])
    assert link.recv() == BAD_TEXTS[name]


@pytest.mark.parametrize("name", BAD_FRAMES)
def test_bad_frames_arrive_as_they_are(exchange, link, name):
    exchange.send_raw(BAD_FRAMES[name])
    assert link.sock.recv(1_000) == BAD_FRAMES[name]
