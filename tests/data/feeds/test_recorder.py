"""The recorder: what it was given is what is played, whatever ends it; and nothing it does holds up who gives."""

import errno
import gzip
import threading

import pytest

from data.feeds import recorder as module
from data.feeds.binance import SPOT, USDM, format_trade
from data.feeds.book_ticker import format_quote
from data.feeds.manifest import Manifest
from data.feeds.recorder import Recorder
from data.feeds.recording import Recording
from data.feeds.replay import ReplayFeed
from data.quotes import Quote, QuoteBook, Quotes
from data.trades import Trades
from tests.data.feeds.test_replay import Tape, played
from tests.fakes.feed import T0
from tests.fakes.recordings import made_up
from tests.waiting import until
from utils.errors import RecordingError

TRADES = made_up(20)
FRAMES = [format_trade(trade, USDM, "aggTrade").encode() for trade in TRADES]


def recorder(folder, **options: object) -> Recorder:
    made = Recorder(folder, "binance-um", "aggTrade", ("BTCUSDT", "ETHUSDT"), **options)
    made.start()
    return made


def replayed(*paths: object) -> Tape:
    return played(ReplayFeed(paths, speed=0))


def assert_all_played(tape: Tape) -> None:
    for symbol in ("BTCUSDT", "ETHUSDT"):
        assert list(tape.of(symbol)) == [trade for trade in TRADES if trade.symbol == symbol]
    assert not tape.rejected


def test_what_was_recorded_is_what_is_played(tmp_path):
    made = recorder(tmp_path)
    for start in range(0, len(FRAMES), 7):
        made.put(FRAMES[start : start + 7])
    made.stop()
    (path,) = tmp_path.glob("binance-um-*T*Z.gz")
    assert_all_played(replayed(path))
    status = made.status
    assert (status.frames, status.dropped, status.parts, status.running) == (len(FRAMES), 0, 1, False)
    assert (status.name, status.bytes, status.reason) == (path.name, path.stat().st_size, "stopped")
    head, *lines = gzip.decompress(path.read_bytes()).splitlines()
    assert Manifest.of(head) == Recording(path).manifest
    assert lines[0].split(b" ", 1)[1] == FRAMES[0]
    assert abs(int(lines[0].split()[0]) - status.began_us) < 60_000_000


def test_quotes_of_both_markets_are_played_as_they_were(tmp_path):
    quotes = [Quote("BTCUSDT", k, T0 + k * 1_000, 100.5, 1.0, 101.0, 2.0 + k) for k in range(1, 50)]
    trade = TRADES[0]
    for market in (USDM, SPOT):
        made = recorder(tmp_path / market.venue)
        made.put([format_trade(trade, market, "aggTrade").encode()])
        made.put([format_quote(quote, market).encode() for quote in quotes])
        made.stop()
        feed, book = ReplayFeed([tmp_path / market.venue / made.status.name], speed=0), QuoteBook()
        feed.quote_sink = book
        played(feed)
        held = list(book.snapshot("BTCUSDT"))
        assert [quote.update_id for quote in held] == [quote.update_id for quote in quotes]
        assert [quote.ask_qty for quote in held] == [quote.ask_qty for quote in quotes]
        if market is USDM:
            assert held == quotes


def test_rows_without_frames_are_written_as_the_exchange_would_print_them(tmp_path):
    made = recorder(tmp_path)
    for symbol in ("BTCUSDT", "ETHUSDT"):
        made.put(Trades.from_rows(symbol, [trade for trade in TRADES if trade.symbol == symbol]))
    made.put(Quotes.from_rows("BTCUSDT", [Quote("BTCUSDT", 1, T0, 1.0, 1.0, 2.0, 1.0)]))
    made.stop()
    feed, book = ReplayFeed([tmp_path / made.status.name], speed=0), QuoteBook()
    feed.quote_sink = book
    assert_all_played(played(feed))
    assert len(book.snapshot("BTCUSDT")) == 1 and feed.contiguous


def test_a_kill_costs_no_more_than_the_last_second(tmp_path):
    made = recorder(tmp_path)
    made.put(FRAMES[:100])
    until(lambda: made.status.frames, lambda frames: frames == 100)
    whole = (tmp_path / made.status.name).read_bytes()  # as a kill would leave it
    made.put(FRAMES[100:])
    made.stop()
    later = (tmp_path / made.status.name).read_bytes()
    for name, content in {"killed": whole, "torn": later[: len(whole) + 30]}.items():
        (tmp_path / name).write_bytes(content)
        tape = replayed(tmp_path / name)
        assert sum(tape.counts().values()) == 100
    assert later.startswith(whole)


def test_a_full_file_is_followed_by_the_next_one(tmp_path):
    names: list[str] = []
    made = recorder(tmp_path, part_bytes=1_000, on_part=names.append)
    for start in range(0, len(FRAMES), 100):
        made.put(FRAMES[start : start + 100])
        until(lambda: made.status.waiting_bytes, lambda waiting: waiting == 0)
    made.stop()
    parts = [Recording(tmp_path / name).manifest for name in names[:-1]]
    assert len(names) == made.status.parts > 2
    assert [part.part for part in parts] == list(range(1, len(names)))
    assert {part.session for part in parts} == {names[0]}
    assert_all_played(replayed(*(tmp_path / name for name in reversed(names))))
    with pytest.raises(RecordingError, match=f"{names[-1]} holds no trade"):
        ReplayFeed([tmp_path / names[-1]])


def test_an_old_file_is_followed_by_the_next_one(tmp_path):
    made = recorder(tmp_path, part_s=0.0)
    until(lambda: made.status.parts, lambda parts: parts >= 3)
    made.stop()


def test_what_does_not_fit_is_dropped_and_told_also_in_the_file(tmp_path, monkeypatch):
    written, going = threading.Event(), threading.Event()
    real = Recorder._write

    def slow(self: Recorder, text: bytes) -> None:
        if b"@aggTrade" in text:
            written.set()
            assert going.wait(20)
        real(self, text)

    monkeypatch.setattr(Recorder, "_write", slow)
    size = sum(map(len, FRAMES[:10]))
    made = recorder(tmp_path, queue_bytes=2 * size)
    made.put(FRAMES[:10])
    assert written.wait(20)  # the disk is slow now: what it writes still counts as waiting
    made.put(FRAMES[10:15])
    for _ in range(5):
        made.put(FRAMES[20:40])
    assert made.status.dropped == 100
    going.set()
    made.stop()
    text = gzip.decompress((tmp_path / made.status.name).read_bytes())
    assert b'"dropped":100,"at_us"' in text
    assert (made.status.frames, made.status.waiting_bytes) == (15, 0)
    assert sum(replayed(tmp_path / made.status.name).counts().values()) == 15


def test_a_full_disk_ends_the_recording_with_the_reason_and_what_was_written_stays(tmp_path, monkeypatch):
    made = recorder(tmp_path)
    made.put(FRAMES[:50])
    until(lambda: made.status.frames, lambda frames: frames == 50)

    class Full:
        def __init__(self, file) -> None:
            self.file = file

        def write(self, data: bytes) -> int:
            return self.file.write(data[: len(data) // 2])  # as a disk that has room for a part of it

        def __getattr__(self, name: str) -> object:
            return getattr(self.file, name)

    made._file = Full(made._file)
    made.put(FRAMES[50:])
    until(lambda: made.status.running, lambda running: not running)
    assert made.status.reason == f"the recording ended: {module.os.strerror(errno.ENOSPC)}"
    made.put(FRAMES)  # goes nowhere, and harms nobody
    made.stop()
    assert made.status.waiting_bytes == 0 and "ended" in made.status.reason
    assert sum(replayed(tmp_path / made.status.name).counts().values()) == 50


def test_a_disk_that_is_nearly_full_is_left_to_the_database(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "FREE_BYTES", 1 << 62)
    with pytest.raises(OSError, match="are free on the disk of"):
        recorder(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_bug_ends_the_recording_and_nothing_else(tmp_path, monkeypatch):
    made = recorder(tmp_path)
    monkeypatch.setattr(module, "_lines", lambda at_us, rows: 1 / 0)
    made.put(FRAMES)
    until(lambda: made.status.running, lambda running: not running)
    assert made.status.reason == "the recording failed: see the log"
    made.put(FRAMES)
    made.stop()


def test_frames_of_several_lines_are_one_line(tmp_path):
    made = recorder(tmp_path)
    made.put([FRAMES[0].replace(b",", b",\n")])
    made.stop()
    assert list(replayed(tmp_path / made.status.name).of(TRADES[0].symbol)) == [TRADES[0]]
