"""The folder of recordings: listed, deleted, kept below its limit, and recorded to while it is asked for."""

import pytest

from data.feeds import recorder as module
from data.feeds.binance import USDM, format_trade
from data.feeds.recorder import Recorder
from data.recordings import Recordings
from data.session import Session
from tests.fakes.feed import ScriptedFeed
from tests.fakes.recordings import made_up
from tests.waiting import until
from utils.errors import InputError, NotFound

FRAMES = [format_trade(trade, USDM, "aggTrade").encode() for trade in made_up(20)]


@pytest.fixture
def session(tmp_path):
    made = Session(ScriptedFeed(), tmp_path / "tape.db", 1_000)
    made.start(["BTCUSDT"])
    yield made
    made.stop()


@pytest.fixture
def folder(tmp_path):
    return Recordings(tmp_path / "recordings", 0)


def written(path, frames=FRAMES) -> str:
    made = Recorder(path, "binance-um", "aggTrade", ("BTCUSDT", "ETHUSDT"))
    made.start()
    made.put(frames)
    made.stop()
    return made.status.name


def test_what_lies_there_is_listed_with_its_span(tmp_path, folder):
    name = written(tmp_path / "recordings")
    (tmp_path / "recordings" / "other.gz").write_bytes(b"not ours")
    (tmp_path / "recordings" / "notes.txt").write_text("nor is this")
    (row,) = folder.rows()
    assert (row.name, row.venue, row.stream, row.part, row.running) == (name, "binance-um", "aggTrade", 1, False)
    assert row.symbols == ("BTCUSDT", "ETHUSDT")
    assert row.bytes == (tmp_path / "recordings" / name).stat().st_size
    assert row.ended_us is not None and 0 <= row.ended_us - row.began_us < 60_000_000
    assert folder.path(name).name == name


def test_a_folder_that_is_not_there_holds_nothing(folder):
    assert folder.rows() == [] and folder.status is None


@pytest.mark.parametrize("name", ["absent.gz", "../tape.db", "", "notes.txt"])
def test_only_what_is_listed_can_be_deleted(tmp_path, folder, name):
    (tmp_path / "tape.db").touch()
    written(tmp_path / "recordings")
    with pytest.raises(NotFound):
        folder.delete(name)
    assert (tmp_path / "tape.db").exists() and len(folder.rows()) == 1


def test_a_deleted_file_is_gone(tmp_path, folder):
    folder.delete(written(tmp_path / "recordings"))
    assert folder.rows() == []


def test_the_oldest_files_make_room_for_the_newest(tmp_path):
    names = [written(tmp_path / "recordings") for _ in range(4)]
    size = folder_size(tmp_path)
    Recordings(tmp_path / "recordings", 0).trim(names[3])
    assert folder_size(tmp_path) == size
    Recordings(tmp_path / "recordings", 0.6 * size).trim(names[3])
    assert sorted(path.name for path in (tmp_path / "recordings").iterdir()) == sorted(names[2:])


def folder_size(tmp_path) -> int:
    return sum(path.stat().st_size for path in (tmp_path / "recordings").iterdir())


def test_a_market_is_recorded_from_the_start_to_the_stop(session, folder):
    began = folder.start(session)
    assert began.running and folder.rows()[0].running
    session.feed.print("BTCUSDT", [100.0, 101.0])
    with pytest.raises(InputError, match="running already"):
        folder.start(session)
    with pytest.raises(InputError, match="is being written"):
        folder.delete(began.name)
    ended = folder.stop()
    assert (ended.frames, ended.running, folder.running) == (2, False, False)
    session.feed.print("BTCUSDT", [102.0], first_id=3)
    with pytest.raises(InputError, match="no recording is running"):
        folder.stop()
    assert folder.status.frames == 2
    assert folder.start(session).name != began.name


def test_the_next_market_is_recorded_as_well_and_a_replay_is_not(session, tmp_path):
    folder = Recordings(tmp_path / "recordings", 0, wanted=True)
    folder.attach(session, ["BTCUSDT"])
    folder.detach("another market was opened")
    assert folder.status.reason == "another market was opened"
    replay = Session(ScriptedFeed("replay"), tmp_path / "tape.db", 1_000)
    folder.attach(replay, ["BTCUSDT"])
    assert not folder.running
    with pytest.raises(InputError, match="a replay is a recording already"):
        folder.start(replay)
    folder.attach(session, ["BTCUSDT"])
    assert folder.running and len(folder.rows()) == 2
    folder.detach("over")
    folder.detach("over")


def test_a_folder_that_cannot_be_written_is_told(session, tmp_path, monkeypatch):
    (tmp_path / "recordings").write_text("a file in its place")
    folder = Recordings(tmp_path / "recordings", 0)
    with pytest.raises(InputError, match="cannot be recorded to"):
        folder.start(session)
    assert not folder.running and "cannot be recorded to" in folder.failure
    (tmp_path / "recordings").unlink()
    folder.start(session)
    assert folder.failure == ""
    monkeypatch.setattr(module, "FREE_BYTES", 1 << 62)
    session.feed.print("BTCUSDT", [100.0])
    until(lambda: folder.running, lambda running: not running)
    assert "are free" in folder.status.reason
    session.feed.print("BTCUSDT", [101.0], first_id=2)
    assert session.buffer.count("BTCUSDT") == 2  # the capture goes on
    folder.detach("over")
