"""The time of the last trade, found without decoding a file."""

import gzip
import json

import pytest

from data.feeds.replay import ReplayFeed
from data.feeds.span import last_lines, last_trade_us
from tests.data.feeds.test_replay import played
from tests.fakes.recordings import made_up, recorded
from tests.market import market
from utils.clock import iso_from_us

TRADES = made_up(30)
LAST_US = TRADES[-1].ts_us


def test_of_a_file_in_one_compressed_piece(tmp_path):
    assert last_trade_us(recorded(tmp_path / "a.gz", TRADES), "frames") == LAST_US


def test_of_a_plain_file_and_of_one_in_members(tmp_path):
    text = gzip.decompress(recorded(tmp_path / "a.gz", TRADES).read_bytes())
    (tmp_path / "plain").write_bytes(text)
    lines = text.splitlines(keepends=True)
    half = len(lines) // 2
    members = [gzip.compress(b"".join(part), mtime=0) for part in (lines[:half], lines[half:])]
    (tmp_path / "members").write_bytes(b"".join(members))
    (tmp_path / "torn").write_bytes(b"".join(members) + members[0][:20])
    for name in ("plain", "members", "torn"):
        assert last_trade_us(tmp_path / name, "frames") == LAST_US
    assert last_lines(tmp_path / "members")[:2] == [line.rstrip() for line in lines[half : half + 2]]


def test_of_rows_without_ids(tmp_path):
    rows = [{"symbol": "A", "ts": iso_from_us(LAST_US - k), "price": 1, "size": 1} for k in (5, 0, 3)]
    (tmp_path / "ticks").write_text("\n".join(map(json.dumps, rows)) + "\nbroken")
    assert last_trade_us(tmp_path / "ticks", "ticks") == LAST_US


def test_of_a_file_that_is_cut_off_or_holds_none(tmp_path):
    whole = recorded(tmp_path / "a.gz", TRADES).read_bytes()
    (tmp_path / "cut.gz").write_bytes(whole[: len(whole) // 2])
    found = last_trade_us(tmp_path / "cut.gz", "frames")
    assert found is not None and TRADES[0].ts_us < found < LAST_US
    (tmp_path / "none").write_text("nothing\n")
    assert last_trade_us(tmp_path / "none", "frames") is None


def test_a_search_that_is_stopped_finds_nothing(tmp_path):
    text = gzip.decompress(recorded(tmp_path / "a.gz", TRADES).read_bytes())
    (tmp_path / "b.gz").write_bytes(gzip.compress(text, mtime=1))  # as gzip makes it: not to be found from its end
    assert last_trade_us(tmp_path / "b.gz", "frames") == LAST_US
    assert last_trade_us(tmp_path / "b.gz", "frames", lambda: True) is None


@pytest.mark.parametrize("name", ["ws/spot_btcusdt_20240808.gz", "ticks/ticks_2025-11-01T09-54-08.557Z.ndjson"])
def test_of_recorded_data_it_is_where_the_replay_ends(name):
    feed = ReplayFeed([market(name)], speed=0)
    played(feed)
    kind = "ticks" if name.startswith("ticks") else "frames"
    assert last_trade_us(market(name), kind) == feed.position.last_us
