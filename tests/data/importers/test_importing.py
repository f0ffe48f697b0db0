"""An import: what is stored, rows in any order, what a kill or a cancel leaves, and the seam to stored trades."""

import shutil

import numpy as np
import pytest

from analytics.resampling import bars as bars_of
from data import sqlite
from data.importers import days, importing
from data.importers.plan import Market, Options, plan, preview
from data.trades import Trades
from tests.data.importers.files import DAY_US, START_US, archive_csv, gzipped, trades, zipped
from utils.errors import Cancelled

OWNER = ("binance-spot", "aggTrade", "BTCUSDT")
NAME = "BTCUSDT-aggTrades-2025-01.zip"


def same(ours, theirs):
    return all(np.array_equal(a, b) for a, b in zip(ours.columns, theirs.columns, strict=True))


def shuffled(tape, seed=1):
    return tape[np.random.default_rng(seed).permutation(len(tape))]


@pytest.mark.parametrize(
    "pack, name", [(zipped, NAME), (gzipped, "BTCUSDT-aggTrades-2025-01.csv.gz"), (bytes, "BTCUSDT.csv")]
)
@pytest.mark.parametrize("divide", [1, 1_000])
def test_trades_of_an_archive_come_back_as_they_were(place, file, pack, name, divide):
    tape = trades(5_000, step_us=60_000_000)  # three and a half days
    done = place.take(file(pack(archive_csv(tape, divide)), name))
    assert (done.rows, done.added, done.days, done.stream, done.venue) == (5_000, 5_000, 4, "aggTrade", "binance-spot")
    assert same(place.trades(*OWNER), tape)
    assert place.left_over() == []


def test_rows_in_any_order_and_twice_give_the_same_days(place, file, monkeypatch):
    monkeypatch.setattr("data.importers.files.PIECE", 1 << 16)
    monkeypatch.setattr(days, "GROUP_ROWS", 500)
    monkeypatch.setattr(days, "MERGED_ROWS", 2_000)  # so that days are merged by ranges of ids
    tape = trades(20_000, step_us=10_000_000)
    twice = Trades.concat("BTCUSDT", [shuffled(tape), tape[5_000:9_000]])
    done = place.take(file(zipped(archive_csv(twice)), NAME))
    assert (done.added, done.known) == (20_000, 4_000)
    assert same(place.trades(*OWNER), tape)


def test_a_second_file_adds_what_is_new_and_keeps_what_is_there(place, file):
    tape = trades(3_000, step_us=10_000_000)
    other = Trades.of("BTCUSDT", *tape.columns[:2], tape.price + 1, *tape.columns[3:])
    place.take(file(zipped(archive_csv(tape[:2_000])), NAME))
    done = place.take(file(zipped(archive_csv(other[1_000:])), "BTCUSDT-aggTrades-2025-02.zip"))
    assert (done.added, done.known) == (1_000, 1_000)
    found = place.trades(*OWNER)
    assert same(found, Trades.concat("BTCUSDT", [tape[:2_000], other[2_000:]]))


def test_bars_of_a_whole_day_are_whole_and_those_at_a_hole_are_not(place, file):
    tape = trades(8_640, step_us=10_000_000)
    kept = tape[(tape.trade_id < 600) | (tape.trade_id > 620)]
    place.take(file(zipped(archive_csv(kept)), "BTCUSDT-aggTrades-2025-01-01.zip"))
    found = place.query("select ts_us, open, high, low, close, volume, trades, complete from bar order by ts_us")
    theirs = bars_of(kept, "1m")
    assert [row[:5] for row in found] == [
        (at, *values)
        for at, *values in zip(
            theirs.index.asi8.tolist(), *(theirs[n].tolist() for n in ("open", "high", "low", "close")), strict=True
        )
    ]
    broken = [(row[0] - START_US) // 60_000_000 for row in found if not row[7]]
    assert broken == [99, 100, 101, 102, 103]  # ids 599 to 621, six a minute


def test_a_part_of_a_day_joins_the_trades_of_the_database_without_a_seam(place, file):
    """Ids 1 to 1000 come from a file, 990 to 2000 were captured live: no bar between is broken, no volume doubled."""
    tape = trades(2_000, step_us=10_000_000)

    def captured(connection):
        owner = sqlite.instrument(connection, *OWNER)
        sqlite.insert_trades(connection, owner, tape[989:])
        frame = bars_of(tape[989:], "1m")
        frame.loc[frame.index[0], "complete"] = False
        sqlite.put_bars(connection, OWNER[0], "BTCUSDT", "1m", frame)

    place.write(captured)
    place.take(file(archive_csv(tape[:1_000]), "BTCUSDT.csv"))
    found = place.query("select ts_us, volume, trades, complete from bar order by ts_us")
    theirs = bars_of(tape, "1m")
    assert [row[2] for row in found] == theirs["trades"].tolist()
    assert [row[1] for row in found] == pytest.approx(theirs["volume"].tolist(), abs=1e-12)
    assert [row[3] for row in found] == [0] + [1] * (len(theirs) - 2) + [0]


def test_days_that_follow_one_another_make_each_others_edges_whole(place, file):
    tape = trades(4_000, start_us=START_US + DAY_US - 20_000_000_000, step_us=10_000_000)
    for part, name in ((tape[:1_990], "a.csv"), (tape[2_010:], "c.csv"), (tape[1_990:2_010], "b.csv")):
        place.take(file(archive_csv(part), f"BTCUSDT-{name}"))
    found = [row[0] for row in place.query("select complete from bar order by ts_us")]
    assert found == [0] + [1] * (len(found) - 2) + [0]


class Killed(BaseException):
    """The process ends here."""


def test_an_import_that_was_killed_goes_on_where_it_was(place, file, monkeypatch):
    monkeypatch.setattr("data.importers.files.PIECE", 1 << 16)
    monkeypatch.setattr("data.importers.files.CHUNK", 1 << 14)
    monkeypatch.setattr(importing, "CHECKPOINT_ROWS", 3_000)
    tape = trades(20_000, step_us=10_000_000)
    path = file(zipped(archive_csv(tape)), NAME)
    calls = iter(range(1_000))

    def killed():
        if next(calls) > 12:
            raise Killed

    with pytest.raises(Killed):
        place.take(path, cancelled=killed)
    assert place.trades(*OWNER).trade_id.size == 0 and place.left_over()
    read = []
    original = importing.Staging.add
    monkeypatch.setattr(importing.Staging, "add", lambda self, some: (read.append(len(some)), original(self, some))[1])
    done = place.take(path)
    assert done.resumed and (done.rows, done.added, done.known) == (20_000, 20_000, 0)
    assert 0 < sum(read) < 15_000
    assert same(place.trades(*OWNER), tape) and place.left_over() == []


def test_an_import_that_was_killed_while_it_joined_its_days_goes_on(place, file, monkeypatch):
    tape = trades(30_000, step_us=10_000_000)
    path = file(zipped(archive_csv(tape)), NAME)
    monkeypatch.setattr(importing, "bars_of_day", lambda *_: (_ for _ in ()).throw(Killed))
    with pytest.raises(Killed):
        place.take(path)
    monkeypatch.undo()
    assert place.take(path).resumed
    assert same(place.trades(*OWNER), tape)
    assert place.bars() == [("binance-spot", "BTCUSDT", "1m", 5_760, 5_760, 30_000)]  # archives hold whole days


def test_a_cancelled_import_leaves_nothing(place, file):
    path = file(zipped(archive_csv(trades(1_000))), NAME)
    with pytest.raises(Cancelled):
        place.take(path, cancelled=lambda: True)
    assert place.archive.owners() == [] and place.left_over() == [] and place.bars() == []


def test_progress_grows_to_the_end(place, file, monkeypatch):
    monkeypatch.setattr("data.importers.files.PIECE", 1 << 16)
    monkeypatch.setattr("data.importers.files.CHUNK", 1 << 14)
    told = []
    place.take(file(archive_csv(trades(20_000)), NAME), tell=lambda done, total: told.append(done / total))
    assert told == sorted(told) and told[-1] == 1.0 and len(set(told)) > 5


def test_rows_without_ids_stay_different_trades_and_come_once(place, file):
    rows = [f'{{"symbol":"BTCUSDT","ts":"2025-01-01T00:00:00.{i // 3:03}Z","price":10,"size":1}}' for i in range(900)]
    path = file("\n".join(rows), "ticks.ndjson")
    assert place.take(path).added == 900
    moved = shutil.copy(path, path.with_name("again.ndjson"))
    done = place.take(moved)
    assert (done.added, done.known) == (0, 900)
    assert np.unique(place.trades("binance-um", "ticks", "BTCUSDT").ts_us, return_counts=True)[1].tolist() == [3] * 300


def test_bars_of_memory_win_and_broken_ones_give_way(place, file):
    lines = ["timestamp,open,high,low,close,volume\n"]
    lines += [f"{START_US // 1_000 + 60_000 * i},10,12,9,11,{5 + i}\n" for i in range(4)]
    path = file("".join(lines), "BTCUSDT-1m-2025-01-01.csv")
    frame = bars_of(trades(180), "1m")
    frame["complete"] = [True, False, False]
    place.write(lambda connection: sqlite.put_bars(connection, "binance-um", "BTCUSDT", "1m", frame))
    done = place.take(path)
    assert (done.added, done.bettered, done.known) == (1, 2, 1)
    assert place.query("select complete, close = 11 from bar order by ts_us") == [(1, 0), (1, 1), (1, 1), (1, 1)]


def test_the_last_bar_of_a_download_may_still_be_open(place, file):
    lines = "time,open,high,low,close,volume\n2025-01-01 00:00:00,1,2,1,2,5\n2025-01-01 01:00:00,2,2,1,1,5\n"
    place.take(file(lines, "BTCUSDT.csv"))
    assert place.query("select timeframe, complete from bar order by ts_us") == [("1h", 1), ("1h", 0)]


def test_naive_times_are_in_the_zone_that_the_user_names(place, file):
    lines = "time,price,qty\n2025-07-01 12:00:00,1,1\n2025-07-01 12:00:01.5,1,1\n"
    place.take(file(lines), Options(zone="Europe/Berlin"))
    found = place.trades("binance-um", "ticks", "BTCUSDT").ts_us
    assert found.tolist() == [1_751_364_000_000_000, 1_751_364_001_500_000]


def test_a_preview_shows_what_would_be_done_and_writes_nothing(place, file):
    path = file(zipped(archive_csv(trades(100), 1_000)), NAME)
    seen = preview(plan(path, market=Market("binance-um", "trade")))
    assert (seen.kind, seen.form, seen.rows, seen.taken) == ("ticks", "delimited text, in a zip", 100, 100)
    assert (seen.symbols, seen.options.venue, seen.options.stream) == (("BTCUSDT",), "binance-spot", "aggTrade")
    assert seen.units == {"ms": 100} and seen.whole
    assert seen.head.iloc[0].to_dict()["time"] == "2025-01-01T00:00:00.000000Z"
    assert not place.archive.folder.exists()


def test_frames_of_the_exchange_and_its_rest_rows_are_read(place, file):
    frames = [
        '{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","E":1735689600100,"s":"BTCUSDT","a":7,"p":"10.5",'
        '"q":"2","f":1,"l":2,"T":1735689600000,"m":true}}',
        '{"e":"bookTicker","s":"BTCUSDT"}',
    ]
    rest = '{"a":8,"p":"10.6","q":"1","f":3,"l":3,"T":1735689601000,"m":false}\n'
    assert place.take(file("\n".join(frames), "frames.txt")).added == 1
    assert place.take(file(rest, "BTCUSDT-aggTrades.ndjson")).added == 1
    found = place.trades("binance-um", "aggTrade", "BTCUSDT")
    assert [tuple(map(float, row)) for row in zip(*found.columns, strict=True)] == [
        (7, 1735689600000000, 10.5, 2, 1),
        (8, 1735689601000000, 10.6, 1, 0),
    ]
