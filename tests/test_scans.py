"""Scans as jobs of the engine: prices of every source, progress, cancel, what changed, and again by time."""

import threading
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest

from analytics.scanner import scan
from data import sqlite
from data.feeds import klines as klines_module
from data.inventory import Holdings, Inventory
from engine import ScanRequest, last_scans
from engine import scans as scans_module
from engine.scans import Scans
from tests.analytics.universes import families
from tests.fakes.engine import ScriptedEngine, settings, walk
from tests.fakes.exchange import FakeExchange
from tests.waiting import until
from utils.clock import monotonic_s, now_us
from utils.errors import InputError, NotFound, SettingsError
from utils.jobs import Jobs

MINUTE_US = 60_000_000
PRICES = families([3, 2, 1], bars=200, half_life=3, seed=4)


class FakeHost:
    """What scans ask of an engine, over one table of live closes."""

    def __init__(self, folder) -> None:
        self.settings = settings(folder)
        self.live = PRICES
        self.kept: dict[str, str] = {}
        self.away: list[int] = []
        self.session = SimpleNamespace(history=SimpleNamespace(stay_away=self.away.append))
        self.venue = "demo"
        self.symbols = tuple(PRICES.columns)

    def closes(self, timeframe, limit, symbols=None):
        if symbols == ("STOP", "HERE"):
            raise RuntimeError("a bug, as a test ordered")
        return self.live.tail(limit)

    def holdings(self) -> Holdings:
        return Inventory(self.settings.database).holdings()

    def notes(self, prefix=""):
        return {key: value for key, value in self.kept.items() if key.startswith(prefix)}

    def put_note(self, key, value):
        self.kept[key] = value


@pytest.fixture
def host(tmp_path):
    made = FakeHost(tmp_path)
    sqlite.open_writer(made.settings.database).close()
    return made


@pytest.fixture
def jobs():
    made = Jobs()
    yield made
    made.stop()


@pytest.fixture
def scans(host, jobs):
    return Scans(host, jobs)


def ended(scans, job):
    return until(lambda: scans.job(job.job_id), lambda job: job.ended, within_s=120)  # a first scan compiles


def done(scans, request):
    job = ended(scans, scans.start(request))
    assert job.state == "done", job.message
    return scans.result(job.job_id)


def test_live_symbols_are_scanned_as_a_job_whose_result_is_the_librarys(scans):
    result = done(scans, ScanRequest(bars=150, fdr="by", lags="bic", trend="ct"))
    expected = scan(PRICES.tail(150), fdr="by", params=result.request.params)
    pd.testing.assert_frame_equal(result.found, expected)
    assert result.changes is None
    assert scans.newest() is result
    told = scans._jobs.result(result.scan_id)
    assert (told["symbols"], told["bars"], told["pairs"]) == (6, 150, 15)
    assert told["found"] == int(expected["found"].sum())
    job = scans.job(result.scan_id)
    assert (job.done, job.total) == (15, 15) and scans.stage(job.job_id) == ""


def test_what_changed_since_the_last_scan_of_a_place_is_told(scans, host):
    first = done(scans, ScanRequest(bars=200))
    other = done(scans, ScanRequest(bars=200, timeframe="5m"))
    left = first.found["y"][0]  # leaves its family
    host.live = PRICES.assign(**{left: walk(len(PRICES), 9, 1_000.0)})
    second = done(scans, ScanRequest(bars=200, lags="bic"))
    assert other.changes is None
    assert second.before_us == first.at_us and second.before == first.request
    gone = {frozenset(pair) for pair in second.changes.gone}
    was = {frozenset(pair) for pair in first.found.loc[first.found["found"], ["y", "x"]].to_numpy()}
    assert gone and gone <= was and all(left in pair for pair in gone)


def test_what_changed_is_told_over_a_restart_and_for_the_same_market_only(scans, host, jobs, tmp_path, caplog):
    first = done(scans, ScanRequest(bars=200))
    second = done(Scans(host, jobs), ScanRequest(bars=200, lags="bic"))
    assert second.before_us == first.at_us and second.before == first.request
    assert second.changes.kept["qvalue_before"].notna().all() and not second.changes.new
    folder = host.settings.database.parent / "scans"
    (file,) = folder.iterdir()
    assert [path.stat().st_mode & 0o777 for path in (folder, file)] == [0o700, 0o600]
    host.venue = "another"
    assert done(Scans(host, jobs), ScanRequest(bars=200)).changes is None
    host.venue = "demo"
    kept = pyarrow.parquet.read_table(file)
    words = kept.set_column(kept.column_names.index("qvalue"), "qvalue", [["small"] * kept.num_rows])
    pyarrow.parquet.write_table(words, tmp_path / "words.parquet")
    pyarrow.parquet.write_table(kept.drop_columns(["edge_bps"]), tmp_path / "fewer.parquet")
    (tmp_path / "damaged.parquet").write_bytes(b"damaged")
    for number, name in enumerate(("words", "fewer", "damaged"), 1):
        file.write_bytes((tmp_path / f"{name}.parquet").read_bytes())
        assert done(Scans(host, jobs), ScanRequest(bars=200)).changes is None
        assert caplog.text.count("cannot be read") == number


def test_a_scan_is_of_the_market_whose_prices_it_read(scans, host, monkeypatch):
    def slow(*given, **known):
        host.venue = "another"  # opened while pairs are tested
        return scan(*given, **known)

    monkeypatch.setattr(scans_module, "scan", slow)
    done(scans, ScanRequest(bars=200))
    assert done(scans, ScanRequest(bars=200)).changes is None
    host.venue = "demo"
    assert done(scans, ScanRequest(bars=200)).changes is not None


def test_the_newest_places_are_kept_over_a_restart(scans, host, monkeypatch, caplog):
    monkeypatch.setattr(last_scans, "FILES_KEPT", 2)
    for timeframe in ("1m", "5m", "15m"):
        done(scans, ScanRequest(bars=200, timeframe=timeframe))
    folder = host.settings.database.parent / "scans"
    assert len(list(folder.iterdir())) == 2
    monkeypatch.setattr(last_scans.pyarrow.parquet, "write_table", refused)
    assert done(scans, ScanRequest(bars=200)).changes is not None and "not kept over a restart" in caplog.text


def refused(*_, **__):
    raise OSError("the disk is full")


def test_a_scan_can_be_cancelled_while_it_tests(scans, monkeypatch):
    begun, go = threading.Event(), threading.Event()

    def slow(prices, *args, cancelled, **more):
        begun.set()
        assert go.wait(10)
        return scan(prices, cancelled=cancelled)

    monkeypatch.setattr(scans_module, "scan", slow)
    job = scans.start(ScanRequest())
    assert begun.wait(10)
    assert "testing every pair of 6 symbols over 200 bars" in scans.stage(job.job_id)
    scans.cancel(job.job_id)
    go.set()
    assert ended(scans, job).state == "cancelled"
    with pytest.raises(NotFound):
        scans.result(job.job_id)


def test_too_few_bars_are_an_answer_not_a_crash(scans, host):
    host.live = PRICES.tail(10)
    job = ended(scans, scans.start(ScanRequest()))
    assert (job.state, job.message) == ("failed", f"needs {ScanRequest().params.min_bars} bars, has 10")
    host.live = PRICES[PRICES.columns[:1]]
    assert ended(scans, scans.start(ScanRequest())).message == "needs 2 symbols, has 1"


def store(host, venue: str, timeframe: str) -> None:
    connection = sqlite.open_writer(host.settings.database)
    for symbol in PRICES.columns:
        close = PRICES[symbol].to_numpy()
        bars = dict.fromkeys(("open", "high", "low", "close", "volume", "vwap", "taker_buy_volume"), close)
        bars |= {"trades": np.ones(close.size, int), "complete": np.ones(close.size, bool)}
        times = 1_723_161_600_000_000 + MINUTE_US * np.arange(close.size)
        frame = pd.DataFrame(bars, pd.DatetimeIndex(times.astype("datetime64[us]"), tz="UTC"))
        with sqlite.transaction(connection):
            sqlite.put_bars(connection, venue, symbol, timeframe, frame)
    connection.close()


def test_stored_bars_of_any_venue_are_scanned(scans, host):
    store(host, "binance-um", "1m")
    request = ScanRequest(source="stored", venue="binance-um", bars=120)
    result = done(scans, request)
    pd.testing.assert_frame_equal(result.found, scan(PRICES.tail(120)))
    chosen = tuple(PRICES.columns[:3])
    assert tuple(done(scans, ScanRequest(source="stored", venue="binance-um", symbols=chosen)).prices) == chosen
    for wrong, words in (
        (ScanRequest(source="stored"), "the file has 1m bars of 0 symbols of demo"),
        (ScanRequest(source="stored", venue="binance-um", symbols=("A", "B")), "there are no bars of A, B"),
    ):
        assert words in ended(scans, scans.start(wrong)).message


def test_a_table_is_scanned_under_its_name_and_the_newest_are_kept(scans):
    body = PRICES.rename_axis("time").set_axis(pd.date_range("2025", periods=200, freq="h")).to_csv().encode()
    scans.put_table("closes.csv", body)
    result = done(scans, ScanRequest(source="table", table="closes.csv", bars=20_000))
    np.testing.assert_array_equal(result.found["statistic"], scan(PRICES)["statistic"])
    for number in range(scans_module.TABLES_KEPT):
        scans.put_table(f"{number}.csv", body)
    assert scans.tables() == ["3.csv", "2.csv", "1.csv", "0.csv"]
    with pytest.raises(NotFound, match=r"no table 'closes.csv'; there are: 0.csv"):
        scans.start(ScanRequest(source="table", table="closes.csv"))


def test_bars_of_the_exchange_are_scanned_and_its_pause_is_everybodys(scans, host, monkeypatch):
    symbols = tuple(f"{name}USDT" for name in PRICES.columns)
    with FakeExchange(symbols=symbols) as exchange:
        newest_ms = now_us() // MINUTE_US * 60_000
        for place, symbol in enumerate(symbols):
            opens = (newest_ms - 60_000 * np.arange(len(PRICES) + 1)).tolist()[::-1]
            closes = [*PRICES.iloc[:, place].tolist(), 1.0]  # the last one forms still
            exchange.rest.klines[symbol, "1m"] = dict(zip(opens, closes, strict=True))
            exchange.rest.volumes[symbol] = 10.0 - place
        monkeypatch.setattr(klines_module, "now_us", lambda: newest_ms * 1_000 + MINUTE_US // 2)
        host.settings = settings(host.settings.database.parent, rest_url=exchange.rest_url)
        result = done(scans, ScanRequest(source="exchange", bars=150, most=4))
        assert list(result.prices) == list(symbols[:4])
        np.testing.assert_array_equal(result.prices.to_numpy(), PRICES.iloc[-150:, :4].to_numpy())

        host.venue = "binance-um"
        exchange.refuse_rest(418, {"Retry-After": "60"})
        job = scans.start(ScanRequest(source="exchange", bars=150, symbols=symbols))
        words = until(lambda: scans.stage(job.job_id), lambda words: "asks for a pause" in words)
        assert words.endswith(" s")
        assert host.away and host.kept["binance-um closed until"] == str(host.away[0])
        scans.cancel(job.job_id)
        assert ended(scans, job).state == "cancelled"
        assert [status for _, _, status in exchange.rest_log].count(418) == 1


def test_newer_results_take_the_place_of_old_ones(scans, monkeypatch):
    monkeypatch.setattr(scans_module, "RESULTS_KEPT", 2)
    first, *others = [done(scans, ScanRequest()) for _ in range(3)]
    assert scans.results() == others[::-1]
    with pytest.raises(NotFound, match="the newest 2 are kept"):
        scans.result(first.scan_id)
    monkeypatch.setattr(scans_module, "ROWS_KEPT", 1)
    assert scans.results()[0] is not done(scans, ScanRequest()) and len(scans.results()) == 1


def test_a_plan_is_scanned_when_it_is_due_and_outlives_a_restart(scans, host, jobs):
    request = ScanRequest(bars=100)
    scans.repeat(request, 600)
    scans.tick(monotonic_s() + 590)
    assert scans.jobs() == []
    scans.tick(monotonic_s() + 601)
    (job,) = scans.jobs()
    assert ended(scans, job).state == "done"
    scans.tick(monotonic_s() + 602)
    assert len(scans.jobs()) == 1
    again = Scans(host, jobs)
    assert [(plan.request, plan.every_s) for plan in again.plans().values()] == [(request, 600)]
    again.repeat(request, None)
    assert Scans(host, jobs).plans() == {}
    host.kept[scans_module.PLANS] = '[{"request": {"source": "nowhere"}, "every_s": 600}]'
    assert Scans(host, jobs).plans() == {}
    host.kept[scans_module.PLANS] = "{"
    assert Scans(host, jobs).plans() == {}


def test_a_plan_waits_for_its_scan_that_runs_still(scans, monkeypatch):
    go = threading.Event()
    monkeypatch.setattr(scans_module, "scan", lambda prices, *args, **more: go.wait(10) and scan(prices))
    scans.repeat(ScanRequest(), 60)
    scans.tick(monotonic_s() + 61)
    scans.tick(monotonic_s() + 200)
    assert len(scans.jobs()) == 1
    go.set()
    ended(scans, scans.jobs()[0])


def test_a_cluster_that_does_not_answer_is_told(scans, host, monkeypatch):
    def refused(address):
        raise SettingsError(f"no scheduler at {address}")

    host.settings = settings(host.settings.database.parent, dask="tcp://127.0.0.1:9")
    monkeypatch.setattr(scans_module, "cluster_executor", refused)
    assert ended(scans, scans.start(ScanRequest())).message == "no scheduler at tcp://127.0.0.1:9"


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"source": "moon"}, "source must be one of live, stored, table, exchange, was 'moon'"),
        ({"bars": 29}, "bars must be 30 to 20,000, was 29"),
        ({"most": 501, "source": "exchange"}, "most must be 2 to 500, was 501"),
        ({"alpha": 1.0}, "alpha must be above 0 and below 1, was 1"),
        ({"fdr": "none"}, "fdr must be one of bh, by"),
        ({"lags": "hq"}, "lags must be aic, bic or a number"),
        ({"lags": 101}, "0 to 100, was 101"),
        ({"trend": "n"}, "trend must be c or ct"),
        ({"symbols": ["BTCUSDT"]}, "needs 2 to 1,000 symbols or none, got 1"),
        ({"symbols": ["B-T", "C"]}, "letters, digits or underscores"),
        ({"source": "exchange", "venue": "kraken"}, "venue must be one of binance-um, binance-spot"),
        ({"source": "table"}, "needs its name"),
        ({"timeframe": "1x"}, "1x"),
        ({"colour": "red"}, "not 'colour'"),
        ({"bars": "many"}, "cannot be read"),
    ],
)
def test_what_cannot_be_scanned_is_refused_by_name_and_limit(fields, message):
    with pytest.raises(InputError, match=message):
        ScanRequest.of(fields)


def test_a_request_survives_json():
    request = ScanRequest.of({"symbols": ["btcusdt", "ethusdt"], "lags": 3, "log_prices": True})
    assert ScanRequest.of(request.as_dict()) == request
    assert request.symbols == ("BTCUSDT", "ETHUSDT")


def test_limits_of_plans_are_told(scans):
    for wrong, every_s, message in (
        (ScanRequest(), 59.0, "every_s must be 60 to 604800"),
        (ScanRequest(source="table", table="a"), 600.0, "a table does not change"),
    ):
        with pytest.raises(InputError, match=message):
            scans.repeat(wrong, every_s)
    for number in range(scans_module.MOST_PLANS):
        scans.repeat(ScanRequest(timeframe=f"{number + 1}m"), 600.0)
    with pytest.raises(InputError, match="at most 10 plans"):
        scans.repeat(ScanRequest(timeframe="11m"), 600.0)


def test_the_engine_scans_what_it_follows(tmp_path):
    engine = ScriptedEngine(settings(tmp_path, symbols="AUSDT,BUSDT,CUSDT"))
    engine.start()
    try:
        for seed, symbol in enumerate(engine.symbols):
            engine.scripted.print(symbol, walk(120, seed, 1_000.0))
        result = done(engine.scans, ScanRequest(timeframe="1s", bars=100))
        pd.testing.assert_frame_equal(result.prices, engine.closes("1s", 100))
        assert len(result.found) == 3 and result.correlations is not None
    finally:
        engine.stop()
