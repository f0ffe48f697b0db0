"""The first line of our recordings: read back as written, and never taken for a trade."""

import gzip
from dataclasses import replace

import pytest

from data.feeds.manifest import MANIFEST, Manifest, note
from data.feeds.replay import ReplayFeed
from tests.data.feeds.test_replay import played
from tests.fakes.recordings import made_up, recorded

MADE = Manifest("binance-um", "aggTrade", ("BTCUSDT", "ETHUSDT"), 1_700_000_000_000_000, "a.gz", 1)


def test_a_line_is_read_back_as_it_was_written():
    assert Manifest.of(MADE.line) == MADE
    assert MADE.line.startswith(MANIFEST)


@pytest.mark.parametrize(
    "line", [b"", b"{}", b'{"pairscope_recording"', note(dropped=3), MADE.line.replace(b":1,", b":9,", 1), b"12 {}"]
)
def test_any_other_line_is_none(line):
    assert Manifest.of(line) is None


def test_lines_of_ours_are_passed_by_and_quiet_symbols_are_known(tmp_path):
    trades = made_up(5, symbols=("BTCUSDT",))
    lines = [MADE.line, note(dropped=2, stream="aggTrade")]
    frames = gzip.decompress(recorded(tmp_path / "a", trades).read_bytes())
    path = tmp_path / "b"
    path.write_bytes(b"\n".join(lines) + b"\n" + frames)
    feed = ReplayFeed([path], speed=0)
    assert feed.symbols == ("BTCUSDT", "ETHUSDT")
    tape = played(feed)
    assert tape.counts() == {"BTCUSDT": len(trades)} and not tape.rejected


def test_parts_of_one_recording_are_played_one_after_the_other(tmp_path):
    trades = made_up(4, symbols=("BTCUSDT",))
    half = len(trades) // 2
    # Raw futures ids: in the second part an id that follows has an earlier time than the last of the first part.
    early = [replace(trade, ts_us=trades[half - 1].ts_us - 500_000) for trade in trades[half : half + 3]]
    paths = []
    for part, rows in enumerate((trades[:half], early + trades[half + 3 :]), 1):
        frames = gzip.decompress(recorded(tmp_path / "x", rows, "trade").read_bytes())
        paths.append(tmp_path / f"part{part}")
        paths[-1].write_bytes(replace(MADE, part=part).line + b"\n" + frames)
    tape = played(ReplayFeed(reversed(paths), speed=0))
    assert tape.of("BTCUSDT").trade_id.tolist() == [trade.trade_id for trade in trades]
