"""Imports of a running engine, and of the command: history is on the charts, joined to the trades of the market."""

import json
import threading

import numpy as np
import pytest

from analytics.resampling import bars
from data.importers.__main__ import main
from data.importers.plan import Options
from data.lock import CaptureLock
from data.trades import Trades
from tests.data.importers import hostile
from tests.data.importers.files import archive_csv, gzipped, zipped
from tests.fakes.engine import ScriptedEngine, settings, walk
from tests.fakes.feed import T0, S
from tests.waiting import until
from utils.errors import InputError

COLUMNS = ["open", "high", "low", "close", "volume", "trades", "taker_buy_volume"]


def tape(rows, first_id, at_us, seed=1):
    ids = first_id + np.arange(rows)
    prices = walk(rows, seed, 60_000.0)
    return Trades.of("BTCUSDT", ids, at_us + S * np.arange(rows), prices, np.full(rows, 1.0), ids % 2)


@pytest.fixture
def engine(tmp_path):
    made = ScriptedEngine(settings(tmp_path, source="binance-um"), "binance-um")
    made.start()
    yield made
    made.stop()


def write(tmp_path, data, name="BTCUSDT-aggTrades.csv"):
    path = tmp_path / name
    path.write_bytes(data)
    return path


def ended(engine, job):
    done = until(lambda: engine.jobs.job(job.job_id), lambda job: job.ended)
    assert (done.state, done.message) == ("done", "")
    return engine.imports.result(job.job_id)


OPTIONS = Options(venue="binance-um")


@pytest.mark.parametrize("timeframe", ["1m", "5m"])
def test_imported_days_are_on_the_charts_joined_to_live_trades(engine, tmp_path, timeframe):
    """The market opens within a minute that a file has the beginning of; both tell of ten trades."""
    live_us = T0 + 30 * S
    before = tape(3_000, 1, live_us - 2_990 * S)
    live = tape(400, 2_991, live_us, seed=2)
    same_part = Trades.concat("BTCUSDT", [before[:2_990], live])
    engine.scripted.print("BTCUSDT", live.price, 2_991, live_us)
    until(lambda: engine.status().symbols["BTCUSDT"].queued, lambda queued: queued == 0)
    assert len(engine.bars("BTCUSDT", timeframe, 500)) <= 8
    overlapping = Trades.concat("BTCUSDT", [before[:2_990], live[:10]])
    done = ended(engine, engine.imports.start(write(tmp_path, archive_csv(overlapping)), OPTIONS))
    assert done.added == 3_000
    shown = engine.bars("BTCUSDT", timeframe, 500)
    expected = bars(same_part, timeframe)
    shown = shown.loc[: expected.index[-1]]
    np.testing.assert_allclose(shown[COLUMNS], expected[COLUMNS], rtol=1e-12)
    assert shown["complete"].tolist() == [False] + [True] * (len(expected) - 2) + [False]


def test_history_is_there_after_a_restart_too_and_live_trades_go_on(tmp_path):
    options = settings(tmp_path, source="binance-um")
    before = tape(3_000, 1, T0 - 3_000 * S)
    assert (
        main([str(write(tmp_path, archive_csv(before))), "--venue", "binance-um", "--database", str(options.database)])
        == 0
    )
    engine = ScriptedEngine(options, "binance-um")
    engine.start()
    live = tape(300, 3_001, T0, seed=2)
    engine.scripted.print("BTCUSDT", live.price[:100], 3_001, T0)
    engine.bars("BTCUSDT", "1m", 500)
    engine.scripted.print("BTCUSDT", live.price[100:], 3_101, T0 + 100 * S)
    shown = engine.bars("BTCUSDT", "1m", 500)
    engine.stop()
    expected = bars(Trades.concat("BTCUSDT", [before, live]), "1m")
    shown = shown.loc[: expected.index[-1]]
    np.testing.assert_allclose(shown[COLUMNS], expected[COLUMNS], rtol=1e-12)
    assert shown["complete"].tolist() == [False] + [True] * (len(expected) - 2) + [False]


def test_a_job_tells_its_progress_and_can_be_cancelled(engine, tmp_path):
    began, go_on = threading.Event(), threading.Event()
    blocking = engine.jobs.start("other", "in front", lambda progress: (began.set(), go_on.wait(20)))
    began.wait(20)
    job = engine.imports.start(write(tmp_path, archive_csv(tape(100, 1, T0))), OPTIONS, remove=True)
    assert [one.job_id for one in engine.imports.jobs()] == [job.job_id]
    engine.jobs.cancel(job.job_id)
    go_on.set()
    until(lambda: engine.jobs.job(blocking.job_id), lambda job: job.ended)
    assert engine.jobs.job(job.job_id).state == "cancelled"
    assert engine.imports.archive.owners() == []


def test_an_upload_goes_away_after_its_import(engine, tmp_path):
    path = write(tmp_path, archive_csv(tape(100, 1, T0)))
    assert ended(engine, engine.imports.start(path, OPTIONS, remove=True)).added == 100
    assert not path.exists()


def test_data_that_does_not_tell_its_market_goes_to_the_one_that_is_open(engine, tmp_path):
    path = write(tmp_path, b"ts_us,price,qty\n%d,1,1\n" % T0, "BTCUSDT.csv")
    seen = engine.imports.preview(path)
    assert (seen.options.venue, seen.symbols, seen.taken) == ("binance-um", ("BTCUSDT",), 1)
    with pytest.raises(InputError, match="time zone"):
        engine.imports.preview(path, Options(zone="Nowhere"))


@pytest.mark.parametrize(
    "name, data",
    [
        ("BTCUSDT-cut.csv.gz", gzipped(archive_csv(tape(50_000, 1, T0)))[:500_000]),
        ("BTCUSDT-short.csv", hostile.ROWS.encode() + b"x\n" * 100_000),
        ("BTCUSDT-endless.csv", hostile.ROWS.encode() + b"1" * (4 << 20)),
    ],
)
def test_the_capture_loses_no_trade_while_a_malformed_file_is_imported(engine, tmp_path, name, data):
    """Trades come until some time after the import has ended: each is stored before the next ones are sent."""
    path, sent, ended_at = write(tmp_path, data, name), 0, 0
    try:
        job = engine.imports.start(path, OPTIONS)
    except InputError:
        job = None
    while not ended_at or sent < ended_at + 200:
        engine.scripted.print("BTCUSDT", [60_000.0] * 50, sent + 1, T0 + sent * S)
        sent += 50
        until(lambda: engine.status().symbols["BTCUSDT"].stored, lambda stored, sent=sent: stored == sent)
        if not ended_at and (job is None or engine.jobs.job(job.job_id).ended):
            ended_at = sent
    counted = engine.status().symbols["BTCUSDT"]
    assert (counted.received, counted.stored, counted.dropped, counted.rejected) == (sent, sent, {}, {})


# --- the command ----------------------------------------------------------------------------------


def test_the_command_previews_imports_and_says_what_it_knew(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PAIRSCOPE_DATABASE", str(tmp_path / "p.db"))
    write(tmp_path, zipped(archive_csv(tape(100, 1, T0))), "BTCUSDT-aggTrades-2023-11-14.zip")
    named = ["--from", str(tmp_path), "BTCUSDT-aggTrades-2023-11-14.zip"]
    assert main([*named, "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert "trades (aggTrade) of BTCUSDT, market binance-spot" in told and "100 taken" in told
    assert not (tmp_path / "p.db").exists() and not (tmp_path / "archive").exists()
    assert main(named) == 0
    assert "100 rows: 100 added, 0 known, 0 rejected" in capsys.readouterr().out
    assert main(named) == 0
    assert "100 rows: 0 added, 100 known, 0 rejected" in capsys.readouterr().out


def test_the_command_lists_what_it_rejects_and_refuses_one_file_without_the_others(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PAIRSCOPE_DATABASE", str(tmp_path / "p.db"))
    good = write(tmp_path, b"ts_us,price,qty\n%d,1,1\n%d,=1+1,1\n" % (T0, T0), "BTCUSDT.csv")
    bad = write(tmp_path, b"nothing", "ETHUSDT.csv")
    assert main(["--from", str(tmp_path), str(bad), str(good), "--rejected", "bad.csv"]) == 1
    assert "ETHUSDT.csv: ETHUSDT.csv has one column only" in capsys.readouterr().err
    listed = (tmp_path / "bad.csv").read_text()
    assert listed.startswith('line,reason,text,file\n3,"price",') and "=1+1" in listed


def test_the_command_does_not_write_beside_a_running_engine(tmp_path, monkeypatch, capsys):
    database = tmp_path / "p.db"
    lock = CaptureLock(database)
    lock.acquire()
    assert main([str(write(tmp_path, archive_csv(tape(5, 1, T0)))), "--database", str(database)]) == 1
    assert "Data page" in capsys.readouterr().err
    lock.release()


def test_a_manifest_beside_a_file_says_whose_it_is(tmp_path, monkeypatch, capsys):
    path = write(tmp_path, b"trade_id,ts_us,price,qty,buyer_is_maker\n1,%d,1,1,true\n" % T0, "export.csv")
    source = {"venue": "demo", "stream": "trade", "symbol": "XRPUSDT"}
    path.with_name("export.csv.manifest.json").write_text(json.dumps({"source": source}))
    assert main([str(path), "--dry-run"]) == 0
    assert "trades (trade) of XRPUSDT, market demo" in capsys.readouterr().out
