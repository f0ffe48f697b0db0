"""The time of the last trade, found without decoding a file."""

import gzip
import json

import pytest

from data.feeds import span
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


QUOTE = b'1700000000000000000 {"e":"bookTicker","s":"BTCUSDT","b":"1","B":"1","a":"2","A":"1"}\n'


def quotes(count):
    return gzip.compress(QUOTE * count, mtime=0)


@pytest.mark.parametrize("tail", [64, 1 << 22])
def test_of_a_file_whose_newest_members_hold_quotes_alone(tmp_path, monkeypatch, tail):
    monkeypatch.setattr(span, "TAIL", tail)
    text = gzip.decompress(recorded(tmp_path / "a.gz", TRADES).read_bytes())
    lines = text.splitlines(keepends=True)
    trades = b"".join(gzip.compress(b"".join(lines[k : k + 200]), mtime=0) for k in range(0, len(lines), 200))
    monkeypatch.setattr(span, "MOST_TAILS", len(trades) // 64 + 200)
    (tmp_path / "members").write_bytes(trades + quotes(3) * 4)
    (tmp_path / "plain").write_bytes(text + QUOTE * 20)
    (tmp_path / "one.gz").write_bytes(gzip.compress(text + QUOTE * 60_000, mtime=1))
    for name in ("members", "plain", "one.gz"):
        assert last_trade_us(tmp_path / name, "frames") == LAST_US, name
    monkeypatch.setattr(span, "MOST_TAILS", 1)
    monkeypatch.setattr(span, "TAIL", 4 * len(quotes(3)))
    assert last_trade_us(tmp_path / "members", "frames") is None  # not at any cost


def test_a_replay_that_ends_with_quotes_knows_its_end(tmp_path, monkeypatch):
    path = recorded(tmp_path / "a.gz", TRADES)
    path.write_bytes(path.read_bytes() + quotes(1_000))
    feed = ReplayFeed([path], speed=0)
    assert feed.time_at(1.0) == LAST_US == feed.position.last_us and feed.position.share == 0
    monkeypatch.setattr(span, "TAIL", len(quotes(1_000)))
    monkeypatch.setattr(span, "MOST_TAILS", 1)
    feed = ReplayFeed([path], speed=0)
    assert TRADES[0].ts_us < feed.time_at(1.0) < TRADES[20].ts_us  # no further back than what is known


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
