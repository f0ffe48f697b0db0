"""Replay: every trade of a recording once, in order, with honest counts, and clear words about files that are none."""

import gzip
import json
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.feeds import recording
from data.feeds.binance import SPOT, USDM, Market, format_trade
from data.feeds.pace import Pace
from data.feeds.replay import ReplayFeed
from data.trades import Trade, Trades
from tests.market import market
from utils.clock import LATEST_US, US_PER_S, iso_from_us
from utils.errors import InputError, RecordingError

START_US = 1_723_161_255_000_000

# Counts of the recordings' own README: (files, trades by symbol, rejected by symbol, stream, ids without holes).
RECORDINGS = [
    (
        ["ws/usdm_btcusdt_20240808.gz", "ws/usdm_ethusdt_20240808.gz"],
        {"BTCUSDT": 21_313, "ETHUSDT": 14_076},
        {},
        "trade",
        False,
    ),
    (
        ["ws/spot_btcusdt_20240808.gz", "ws/spot_ethusdt_20240808.gz"],
        {"BTCUSDT": 9_757, "ETHUSDT": 6_106},
        {},
        "trade",
        True,
    ),
    (["ws/usdm_btcusdt_20230404.dat.gz"], {"BTCUSDT": 2_197}, {}, "trade", False),
    (
        ["ws/cryptofeed_usdm_20210722.ws.txt.gz"],
        {"SUSHIUSDT": 40, "AKROUSDT": 8, "KEEPUSDT": 5, "CTKUSDT": 38},
        {},
        "aggTrade",
        True,
    ),
    (["ws/cryptofeed_spot_20211012.ws.txt.gz"], {"NKNUSDT": 1, "LRCBTC": 1}, {}, "aggTrade", True),
    (
        ["ticks/ticks_2025-11-04T10-24-59.033Z.ndjson.gz"],
        {"BTCUSDT": 12_237 - 29, "ETHUSDT": 16_232 - 13},
        {("BTCUSDT", "price"): 29, ("ETHUSDT", "price"): 13},
        "ticks-9fcb833e",
        True,
    ),
    (
        ["ticks/ticks_2025-11-01T09-54-08.557Z.ndjson"],
        {"BTCUSDT": 622, "ETHUSDT": 371},
        {},
        "ticks-c6cdc101",
        True,
    ),
]


class Tape:
    """A sink that keeps everything and checks the market clock at each delivery."""

    def __init__(self) -> None:
        self.parts: list[Trades] = []
        self.rejected: Counter[tuple[str | None, str]] = Counter()
        self.clock: list[int] = []
        self.first = threading.Event()
        self.feed: ReplayFeed | None = None

    def offer(self, trades: Trades) -> None:
        self.parts.append(trades)
        self.first.set()
        if self.feed is not None:
            self.clock.append(self.feed.market_us())

    def reject(self, symbol: str | None, reason: str, count: int = 1) -> None:
        self.rejected[symbol, reason] += count

    def of(self, symbol: str) -> Trades:
        return Trades.concat(symbol, [part for part in self.parts if part.symbol == symbol])

    def counts(self) -> dict[str, int]:
        return {symbol: len(self.of(symbol)) for symbol in {part.symbol for part in self.parts}}


def wait_for_end(feed: ReplayFeed, limit_s: float = 30) -> None:
    deadline = time.monotonic() + limit_s
    while feed.state.mode != "ENDED":
        assert time.monotonic() < deadline, f"the replay did not end: {feed.state}"
        time.sleep(0.005)


def played(feed: ReplayFeed) -> Tape:
    """Everything a replay delivers, to its end."""
    tape = Tape()
    tape.feed = feed
    feed.start(tape)
    wait_for_end(feed)
    feed.stop()
    return tape


def play(*paths: Path, speed: float = 0, symbols: tuple[str, ...] | None = None) -> Tape:
    return played(ReplayFeed(paths, speed, symbols))


def trade(number: int, symbol: str = "BTCUSDT", price: float = 100.0, ms: int | None = None) -> Trade:
    return Trade(symbol, 1_000 + number, START_US + (number if ms is None else ms) * 1_000, price, 0.5, number % 3 == 0)


def frame(one: Trade, venue: Market = USDM, stream: str = "trade", combined: bool = True) -> str:
    return format_trade(one, venue, stream, combined)


def frame_lines(trades: list[Trade], **options: object) -> list[str]:
    return [f"{one.ts_us * 1_000 + 5} {frame(one, **options)}" for one in trades]


def tick_line(symbol: str, ts: object, price: object, size: object = 1) -> str:
    return json.dumps({"symbol": symbol, "ts": ts, "price": price, "size": size})


def write(folder: Path, lines: list[str], name: str = "a.rec", end: str = "\n") -> Path:
    path = folder / name
    path.write_text("\n".join(lines) + end, encoding="utf-8")
    return path


def same(one: Trades, two: Trades) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one.columns, two.columns, strict=True))


# --- recorded data ----------------------------------------------------------------------------------


@pytest.mark.parametrize("files, counts, rejected, stream, contiguous", RECORDINGS)
def test_a_recording_delivers_every_trade_once_in_order(
    files: list[str],
    counts: dict[str, int],
    rejected: dict[tuple[str, str], int],
    stream: str,
    contiguous: bool,
) -> None:
    feed = ReplayFeed([market(name) for name in files], speed=0)
    assert set(feed.symbols) == set(counts)
    assert (feed.stream, feed.contiguous) == (stream, contiguous)
    tape = played(feed)
    assert tape.counts() == counts
    assert dict(tape.rejected) == rejected
    for symbol in counts:
        assert np.all(np.diff(tape.of(symbol).trade_id) == 1)
        assert np.all(np.diff(tape.of(symbol).ts_us) >= 0)
    assert feed.position.bytes_read == feed.position.bytes_total
    assert feed.position.last_us == max(int(part.ts_us[-1]) for part in tape.parts)


def test_two_replays_deliver_the_same_sequences() -> None:
    paths = [market("ws/spot_btcusdt_20240808.gz"), market("ws/spot_ethusdt_20240808.gz")]
    one, two = play(*paths), play(*paths)
    assert [part.symbol for part in one.parts] == [part.symbol for part in two.parts]
    assert all(same(a, b) for a, b in zip(one.parts, two.parts, strict=True))


def test_the_first_trade_of_the_futures_recording_is_as_printed() -> None:
    first = next(iter(play(market("ws/usdm_btcusdt_20240808.gz")).of("BTCUSDT")))
    assert first == Trade("BTCUSDT", 5_266_583_935, 1_723_161_256_322_000, 61_800.3, 0.006, False)


def test_spot_and_futures_of_one_symbol_are_refused_and_both_are_named() -> None:
    spot, futures = market("ws/spot_btcusdt_20240808.gz"), market("ws/usdm_btcusdt_20240808.gz")
    with pytest.raises(RecordingError, match=r"spot_btcusdt.*usdm_btcusdt.*drop usdm_btcusdt"):
        ReplayFeed([spot, futures])


@pytest.mark.parametrize(
    "name, found",
    [
        ("ws/cryptofeed_usdm_20210722.exchangeInfo.txt.gz", "https://fapi.binance.com/fapi/v1/exchangeInfo"),
        ("ws/cryptofeed_usdm_20210722.depth_http.txt.gz", "https://fapi.binance.com/fapi/v1/depth"),
        ("trades/usdm_trxusdt_trade_stream_20250304.csv.gz", "TimestampOfReceive,Stream"),
        ("ticks/rushi_ticks_20251217.db.gz", "SQLite format 3"),
    ],
)
def test_another_file_is_refused_with_its_name_and_what_it_begins_with(name: str, found: str) -> None:
    with pytest.raises(RecordingError) as caught:
        ReplayFeed([market(name)])
    assert Path(name).name in str(caught.value)
    assert found in str(caught.value)


# --- frames -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("combined", [True, False])
@pytest.mark.parametrize("venue, stream", [(USDM, "aggTrade"), (USDM, "trade"), (SPOT, "trade"), (SPOT, "aggTrade")])
@pytest.mark.parametrize("prefix", ["", "1723161255088176367 ", "1723161255088176 ", "1626992741.06217: "])
def test_frames_are_read_behind_any_receipt_time(
    tmp_path: Path, prefix: str, venue: Market, stream: str, combined: bool
) -> None:
    trades = [trade(n) for n in range(5)]
    lines = [prefix + frame(one, venue, stream, combined) for one in trades]
    feed = ReplayFeed([write(tmp_path, lines)], speed=0)
    assert list(played(feed).of("BTCUSDT")) == trades
    assert feed.stream == stream
    assert feed.contiguous is (stream == "aggTrade" or venue is SPOT)


def test_an_address_line_and_events_that_are_no_trades_are_passed_by(tmp_path: Path) -> None:
    lines = [
        "wss://fstream.binance.com/stream?streams=btcusdt@trade -> 1626992741.06",
        '1626992741.1: {"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","s":"BTCUSDT","b":"1"}}',
        '1626992741.2: {"lastUpdateId":1,"E":1626992741264,"bids":[],"asks":[]}',
        '1626992741.3: {"result":null,"id":1}',
        "",
        f"1626992741.4: {frame(trade(1))}\r",
    ]
    feed = ReplayFeed([write(tmp_path, lines)], speed=0)
    tape = played(feed)
    assert tape.counts() == {"BTCUSDT": 1}
    assert not tape.rejected
    assert feed.other == 3


@pytest.mark.parametrize("keep", [5, 40, 90, -3])
def test_a_last_line_that_was_cut_off_is_rejected_and_counted(tmp_path: Path, keep: int) -> None:
    lines = frame_lines([trade(1), trade(2)])
    tape = play(write(tmp_path, [lines[0], lines[1][:keep]], end=""))
    assert tape.counts() == {"BTCUSDT": 1}
    assert tape.rejected.total() == 1


def test_bad_lines_are_counted_and_the_rest_is_played(tmp_path: Path) -> None:
    good = frame_lines([trade(1), trade(2)])
    tape = play(write(tmp_path, ["\x00\x01garbage", good[0], "not a frame", good[0].replace("100.0", "NaN"), good[1]]))
    assert tape.of("BTCUSDT").trade_id.tolist() == [1_001, 1_002]
    assert tape.rejected == Counter({(None, "line"): 2, ("BTCUSDT", "price"): 1})


def test_compressed_data_that_ends_early_plays_as_far_as_it_goes(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    trades = [trade(n, price=round(float(price), 2)) for n, price in enumerate(rng.uniform(1, 1e5, 5_000))]
    whole = gzip.compress("\n".join(frame_lines(trades)).encode(), mtime=0)
    path = tmp_path / "cut.gz"
    path.write_bytes(whole[: len(whole) // 2])
    feed = ReplayFeed([path], speed=0)
    tape = played(feed)
    assert 1_000 < len(tape.of("BTCUSDT")) < 4_000
    assert list(tape.of("BTCUSDT")) == trades[: len(tape.of("BTCUSDT"))]
    assert "cut.gz ends early" in feed.state.detail
    assert tape.rejected.total() == 1  # the line in which it ends


def test_a_damaged_middle_of_compressed_data_is_told(tmp_path: Path) -> None:
    whole = bytearray(gzip.compress("\n".join(frame_lines([trade(n) for n in range(20_000)])).encode(), mtime=0))
    whole[len(whole) // 2 : len(whole) // 2 + 50] = bytes(50)
    path = tmp_path / "bad.gz"
    path.write_bytes(bytes(whole))
    feed = ReplayFeed([path], speed=0)
    assert played(feed).counts()["BTCUSDT"] > 0
    assert "bad.gz ends early" in feed.state.detail


def test_gzip_members_one_after_the_other_are_one_recording(tmp_path: Path) -> None:
    members = [gzip.compress((line + "\n").encode(), mtime=0) for line in frame_lines([trade(1), trade(2), trade(3)])]
    path = tmp_path / "members.bin"  # told by its content, not by its name
    path.write_bytes(b"".join(members) + bytes(8))
    assert len(play(path).of("BTCUSDT")) == 3


def test_of_two_kinds_of_one_symbol_the_first_is_played(tmp_path: Path) -> None:
    lines = frame_lines([trade(1)], stream="aggTrade") + frame_lines([trade(2), trade(3)], stream="trade")
    feed = ReplayFeed([write(tmp_path, lines)], speed=0)
    assert feed.stream == "aggTrade"
    assert played(feed).of("BTCUSDT").trade_id.tolist() == [1_001]
    assert feed.other == 2


def test_only_chosen_symbols_are_played(tmp_path: Path) -> None:
    path = write(tmp_path, frame_lines([trade(1), trade(2, "ETHUSDT"), trade(3, "SOLUSDT")]))
    feed = ReplayFeed([path], speed=0, symbols=("ethusdt", "SOLUSDT"))
    assert feed.symbols == ("BTCUSDT", "ETHUSDT", "SOLUSDT")
    assert feed.position.first_us == START_US + 2_000
    assert played(feed).counts() == {"ETHUSDT": 1, "SOLUSDT": 1}


def test_a_replay_of_a_symbol_that_is_not_there_says_what_is(tmp_path: Path) -> None:
    feed = ReplayFeed([write(tmp_path, frame_lines([trade(1)]))], speed=0, symbols=("DOGEUSDT",))
    assert played(feed).counts() == {}
    assert "0 trades; the recording holds BTCUSDT" in feed.state.detail


# --- rows without ids ---------------------------------------------------------------------------------


def test_rows_without_ids_are_numbered_from_one_and_equal_rows_all_kept(tmp_path: Path) -> None:
    row = tick_line("BTCUSDT", "2025-11-04T10:20:19.394Z", 103_726.4, 0.002)
    tape = play(write(tmp_path, [row, row, tick_line("ETHUSDT", "2025-11-04T10:20:19.394Z", 3_500), row], end=""))
    assert tape.of("BTCUSDT").trade_id.tolist() == [1, 2, 3]
    assert tape.of("ETHUSDT").trade_id.tolist() == [1]


def test_rows_at_fault_are_rejected_with_their_reason_and_use_no_id(tmp_path: Path) -> None:
    now = "2025-11-04T10:20:19.394Z"
    lines = [
        tick_line("BTCUSDT", now, 0, 0),
        tick_line("BTCUSDT", now, 5, 0),
        tick_line("BTCUSDT", now, 5),
        tick_line("BTCUSDT", "yesterday", 5),
        tick_line("BTCUSDT", 17, 5),
        tick_line("", now, 5),
        tick_line("BTCUSDT", now, None),
        '{"symbol":"BTCUSDT","ts":"2025-11',
        tick_line("BTCUSDT", now, 6),
    ]
    tape = play(write(tmp_path, lines, end=""))
    assert tape.of("BTCUSDT").trade_id.tolist() == [1, 2]
    assert tape.of("BTCUSDT").price.tolist() == [5, 6]
    reasons = {("BTCUSDT", "price"): 1, ("BTCUSDT", "qty"): 1, ("BTCUSDT", "time"): 2, (None, "line"): 3}
    assert dict(tape.rejected) == reasons


@pytest.mark.parametrize(
    "ts",
    [
        "2025-11-04T10:20:19.394Z",
        "2025-11-04T10:20:19.394",
        "2025-11-04 10:20:19.394000",
        "2025-11-04T12:20:19.394+02:00",
        1_762_251_619_394,
        1_762_251_619_394_000,
        1_762_251_619_394_000_000,
        1_762_251_619.394,
        1_762_251_619_394.0,
    ],
)
def test_times_are_read_as_iso_text_or_in_any_epoch_unit(tmp_path: Path, ts: object) -> None:
    tape = play(write(tmp_path, [tick_line("btcusdt", ts, "103726.4", "0.002")]))
    assert list(tape.of("BTCUSDT")) == [Trade("BTCUSDT", 1, 1_762_251_619_394_000, 103_726.4, 0.002, False)]


def test_the_side_of_rows_without_one_follows_the_tick_rule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "CHUNK", 100)  # the rule goes on across blocks
    prices = [5, 5, 6, 6, 5, 5, 5, 7, 7, 4]
    tape = play(write(tmp_path, [tick_line("A", iso_from_us(START_US), price) for price in prices]))
    assert tape.of("A").buyer_is_maker.tolist() == [0, 0, 0, 0, 1, 1, 1, 0, 0, 1]


def test_recordings_without_ids_have_streams_named_after_their_content(tmp_path: Path) -> None:
    rows = [tick_line("BTCUSDT", iso_from_us(START_US), price) for price in (1, 2, 3)]
    one, two = write(tmp_path, rows, "one"), write(tmp_path, rows[:2], "two")
    copy, packed = write(tmp_path, rows, "copy"), tmp_path / "packed"
    packed.write_bytes(gzip.compress(one.read_bytes()))
    streams = [ReplayFeed([path]).stream for path in (one, two, copy, packed)]
    assert streams[0].startswith("ticks-")
    assert len(streams[0]) == len("ticks-") + 8
    assert streams[0] != streams[1]
    assert streams[0] == streams[2] == streams[3]
    assert ReplayFeed([one, two]).stream not in streams


# --- order, blocks, memory ------------------------------------------------------------------------------


def test_files_are_merged_by_trade_time(tmp_path: Path) -> None:
    odd = write(tmp_path, [tick_line("A", START_US + n, n) for n in range(1, 2_000, 2)], "odd")
    even = write(tmp_path, [tick_line("A", START_US + n, n) for n in range(2, 2_000, 2)], "even")
    trades = play(odd, even).of("A")
    assert trades.trade_id.tolist() == list(range(1, 2_000))
    assert trades.price.tolist() == list(range(1, 2_000))


def test_a_file_named_twice_is_played_once(tmp_path: Path) -> None:
    path = write(tmp_path, frame_lines([trade(1)]))
    assert play(path, path).counts() == {"BTCUSDT": 1}


@settings(max_examples=25)
@given(steps=st.lists(st.integers(-5, 20), min_size=1, max_size=60), chunk=st.integers(1, 2_000))
def test_what_is_delivered_does_not_depend_on_how_the_file_is_read(
    tmp_path_factory: pytest.TempPathFactory, steps: list[int], chunk: int
) -> None:
    times = np.cumsum(steps).tolist()
    trades = [trade(n, "AB"[n % 2], ms=1_000 + ms) for n, ms in enumerate(times)]
    path = write(tmp_path_factory.mktemp("replay"), frame_lines(trades))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recording, "CHUNK", chunk)
        tape = play(path)
    for symbol in {one.symbol for one in trades}:
        assert list(tape.of(symbol)) == [one for one in trades if one.symbol == symbol]


def test_a_line_without_end_is_cut_into_pieces_that_are_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "CHUNK", 500)
    monkeypatch.setattr(recording, "MAX_LINE", 1_000)
    tape = play(write(tmp_path, [*frame_lines([trade(1)]), "x" * 5_000, *frame_lines([trade(2)])]))
    assert tape.of("BTCUSDT").trade_id.tolist() == [1_001, 1_002]
    assert 3 <= tape.rejected[None, "line"] <= 6


def test_a_paced_replay_delivers_what_a_fast_one_does(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    paths = []
    for symbol in ("A", "B"):
        times = np.sort(rng.integers(0, 9_000, 500)).tolist()
        paths.append(write(tmp_path, frame_lines([trade(n, symbol, ms=ms) for n, ms in enumerate(times)]), symbol))
    fast, paced = play(*paths, speed=0), play(*paths, speed=30)
    assert len(paced.parts) > 2 * len(fast.parts)
    assert all(same(fast.of(symbol), paced.of(symbol)) for symbol in "AB")


def test_the_market_clock_begins_at_the_first_trade_never_steps_back_and_stops_at_the_last(tmp_path: Path) -> None:
    feed = ReplayFeed([write(tmp_path, frame_lines([trade(n, ms=5 * n) for n in range(300)]))], speed=20)
    assert feed.market_us() == feed.position.position_us == START_US
    tape = played(feed)
    assert tape.clock == sorted(tape.clock)
    for clock_us, part in zip(tape.clock, tape.parts, strict=True):
        assert clock_us <= part.ts_us[0]  # it moves on after the trades were handed over
    assert feed.market_us() == START_US + 299 * 5_000
    assert not any(thread.name == "replay" for thread in threading.enumerate())


# --- pace -----------------------------------------------------------------------------------------------


def test_pace_follows_the_clock_at_its_speed() -> None:
    pace = Pace(START_US, 20)
    assert pace.due_us(99) == START_US
    pace.play(100)
    assert pace.due_us(100.5) == START_US + 10 * US_PER_S


def test_pace_zero_is_as_fast_as_possible() -> None:
    pace = Pace(START_US, 0)
    pace.play(0)
    assert pace.due_us(0) == LATEST_US


def test_a_pause_does_not_count() -> None:
    pace = Pace(START_US, 1)
    pace.play(0)
    pace.pause(pace.due_us(10))
    assert pace.stands
    assert pace.due_us(500) == START_US + 10 * US_PER_S
    pace.play(1_000)
    assert pace.due_us(1_002) == START_US + 12 * US_PER_S


def test_another_speed_goes_on_from_where_the_release_is() -> None:
    pace = Pace(START_US, 0)
    pace.play(0)
    pace.set_speed(2, 10, START_US + 7)
    assert pace.due_us(11) == START_US + 7 + 2 * US_PER_S


@pytest.mark.parametrize("speed", [-1.0, float("nan"), float("inf")])
def test_a_speed_below_zero_or_not_finite_is_refused(tmp_path: Path, speed: float) -> None:
    with pytest.raises(InputError):
        ReplayFeed([write(tmp_path, frame_lines([trade(1)]))], speed=speed)


def test_a_paused_replay_waits_until_it_is_played(tmp_path: Path) -> None:
    feed = ReplayFeed([write(tmp_path, frame_lines([trade(1), trade(2, ms=3_600_000)]))])
    tape = Tape()
    feed.start(tape)
    assert tape.first.wait(20)
    feed.pause()
    feed.set_speed(0)
    assert feed.state.mode == "PAUSED"
    assert feed.position.speed == 0
    assert len(tape.of("BTCUSDT")) == 1
    feed.play()
    wait_for_end(feed)
    assert len(tape.of("BTCUSDT")) == 2
    feed.stop()


def test_stop_in_mid_stream_is_quick_and_final(tmp_path: Path) -> None:
    feed = ReplayFeed([write(tmp_path, frame_lines([trade(1), trade(2, ms=3_600_000)]))])
    assert feed.state.mode == "CONNECTING"
    tape = Tape()
    feed.start(tape)
    assert tape.first.wait(20)
    assert feed.state.mode == "LIVE"
    began = time.monotonic()
    feed.stop()
    feed.stop()
    assert time.monotonic() - began < 1
    assert feed.state.mode == "ENDED"
    assert (feed.position.position_us, feed.position.share) == (START_US + 1_000, 0.0)
    assert not any(thread.name == "replay" for thread in threading.enumerate())


# --- files that cannot be replayed ------------------------------------------------------------------------


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "none").touch()
    with pytest.raises(RecordingError, match="none is empty"):
        ReplayFeed([tmp_path / "none"])


@pytest.mark.parametrize(
    "content, found",
    [
        (b"price,size\n1,2\n", "price,size"),
        (b"\xff\xfe\x00\x01", "ufffd"),
        (b"[1, 2]\n", "[1, 2]"),
        (b'{"a": 1}\n', '{"a": 1}'),
        (b"\n\n  \n", "''"),
        (b"\x1f\x8bnot gzip at all", "ends early"),
        (b"\x1f\x8b", "ends early"),
    ],
)
def test_a_file_of_no_known_kind_is_refused_with_what_was_found(tmp_path: Path, content: bytes, found: str) -> None:
    path = tmp_path / "some.file"
    path.write_bytes(content)
    with pytest.raises(RecordingError, match=r"some\.file") as caught:
        ReplayFeed([path])
    assert found in str(caught.value).encode("ascii", "backslashreplace").decode()


def test_a_file_without_a_single_trade_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="no trade"):
        ReplayFeed([write(tmp_path, ['1723161255088169167 {"e":"bookTicker","s":"BTCUSDT"}'])])


def test_a_path_that_is_no_file_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(RecordingError, match=path.name):
            ReplayFeed([path])
    with pytest.raises(RecordingError, match="at least one"):
        ReplayFeed([])


def test_trades_and_aggregates_of_one_symbol_in_two_files_are_refused(tmp_path: Path) -> None:
    one = write(tmp_path, frame_lines([trade(1)], stream="aggTrade"), "agg")
    two = write(tmp_path, frame_lines([trade(1), trade(2, "ETHUSDT")], stream="trade"), "raw")
    with pytest.raises(RecordingError, match="agg holds BTCUSDT as futures aggTrade, raw as futures trade"):
        ReplayFeed([one, two])
    assert play(one, two, symbols=("ETHUSDT",)).counts() == {"ETHUSDT": 1}


def test_a_file_that_vanishes_ends_the_replay_with_the_reason(tmp_path: Path) -> None:
    path = write(tmp_path, frame_lines([trade(1)]))
    feed = ReplayFeed([path], speed=0)
    path.unlink()
    assert played(feed).counts() == {}
    assert "ends early" in feed.state.detail
