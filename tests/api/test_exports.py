"""Downloads over REST: the numbers of the engine, ranges, names of files, and errors of the usual shape."""

import csv
import hashlib
import io
import threading
from functools import partial

import numpy as np
import pyarrow.parquet
import pytest
from starlette.testclient import TestClient

import config
import engine as engines
from analytics.pair import PairParams
from api.app import build_api
from tests.fakes.engine import ScriptedEngine, print_pair, settings
from tests.fakes.feed import T0, S
from tests.waiting import until

TICKS = "/v1/export/ticks.csv?symbol=BTCUSDT"


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    engine = ScriptedEngine(settings(tmp_path_factory.mktemp("exports")))
    engine.start()
    print_pair(engine, 200)
    until(engine.status, lambda status: all(row.stored == 200 for row in status.symbols.values()))
    yield engine
    engine.stop()


@pytest.fixture
def api(engine):
    engines.install(engine)
    return TestClient(build_api())


def rows(answer):
    assert answer.status_code == 200
    return list(csv.DictReader(io.StringIO(answer.text)))


def columns(answer):
    assert answer.status_code == 200
    return pyarrow.parquet.read_table(io.BytesIO(answer.content)).to_pandas()


def test_trades_are_those_of_the_engine(api, engine):
    trades = engine.ticks("BTCUSDT")
    found = rows(api.get(TICKS))
    for name, column in zip(("trade_id", "ts_us", "price", "qty"), trades.columns, strict=False):
        assert [float(row[name]) for row in found] == column.tolist()
    whole = columns(api.get("/v1/export/ticks.parquet?symbol=btcusdt"))
    np.testing.assert_array_equal(whole["price"], trades.price)
    np.testing.assert_array_equal(whole["buyer_is_maker"], trades.buyer_is_maker.astype(bool))


def test_a_range_begins_where_it_says_and_ends_before_its_end(api):
    part = f"&since_us={T0 + 10 * S}&until_us={T0 + 20 * S}"
    assert [row["trade_id"] for row in rows(api.get(TICKS + part))] == [str(i) for i in range(11, 21)]
    assert [row["trade_id"] for row in rows(api.get(f"{TICKS}{part}&limit=2"))] == ["19", "20"]


def test_a_file_has_a_name_and_is_not_guessed_at(api):
    answer = api.get(TICKS)
    name = "attachment; filename=\"BTCUSDT-ticks.csv\"; filename*=UTF-8''BTCUSDT-ticks.csv"
    assert answer.headers["content-disposition"] == name
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    answer = api.get("/v1/export/bars.parquet?symbol=ETHUSDT&timeframe=15s")
    assert answer.headers["content-type"] == "application/vnd.apache.parquet"
    assert answer.headers["content-disposition"].endswith("ETHUSDT-15s-bars.parquet")


def test_bars_of_any_width_are_those_of_the_engine(api, engine):
    for timeframe in ("1m", "15s"):
        frame = engine.bars("ETHUSDT", timeframe, 1_000)
        found = rows(api.get(f"/v1/export/bars.csv?symbol=ETHUSDT&timeframe={timeframe}"))
        assert [int(row["ts_us"]) for row in found] == frame.index.asi8.tolist()
        assert [float(row["close"]) for row in found] == frame["close"].tolist()
        assert [row["complete"] == "true" for row in found] == frame["complete"].tolist()


def test_the_analysis_is_the_one_that_pages_see(api, engine):
    found = rows(api.get("/v1/export/analytics.csv?symbol_x=BTCUSDT&symbol_y=ETHUSDT&window=30&limit=50"))
    params = PairParams(window=30, fee_bps=config.FEE_BPS, **config.ANALYSIS)
    path = engine.analysis("ETHUSDT", "BTCUSDT", "1s", params).path
    assert len(found) == 50
    np.testing.assert_allclose([float(row["zscore"]) for row in found], path.zscore[-50:], rtol=1e-9)
    whole = columns(api.get("/v1/export/analytics.parquet?symbol_x=BTCUSDT&symbol_y=ETHUSDT&window=30"))
    assert np.isnan(whole["zscore"][:29]).all() and np.isfinite(whole["zscore"][29:]).all()
    since_us = int(whole["ts_us"].iloc[-3])
    later = api.get(f"/v1/export/analytics.csv?symbol_x=BTCUSDT&symbol_y=ETHUSDT&window=30&since_us={since_us}")
    assert len(rows(later)) == 3


def test_alerts_are_what_the_history_tells(api, engine):
    name = '=HYPERLINK("http://x")'
    api.post("/v1/alerts", json={"metric": "coverage", "condition": ">", "threshold": 0.1, "name": name})
    (row,) = until(lambda: rows(api.get("/v1/export/alerts.csv")), len)
    (event,) = engine.alert_history()
    assert (row["event_id"], row["state"], int(row["at_us"])) == (event["event_id"], "firing", event["at_us"])
    assert row["name"] == f"'{name}"
    assert columns(api.get("/v1/export/alerts.parquet"))["name"].tolist() == [name]


# call, status, code, words of the message
REFUSED = [
    ("ticks.csv?symbol=FOO", 404, "unknown_symbol", "FOO"),
    ("ticks.csv", 422, "invalid_input", "symbol"),
    ("ticks.feather?symbol=BTCUSDT", 422, "invalid_input", "xlsx"),
    ("orders.csv", 404, "unknown_export", "ticks, bars, analytics and alerts"),
    ("ticks.csv?symbol=BTCUSDT&since_us=9&until_us=9", 422, "invalid_input", "later than since_us 9"),
    ("ticks.csv?symbol=BTCUSDT&limit=0", 422, "invalid_input", "limit"),
    ("bars.csv?symbol=BTCUSDT&timeframe=7x", 422, "invalid_input", "7x"),
    ("analytics.csv?symbol_x=BTCUSDT&symbol_y=BTCUSDT", 422, "invalid_input", "different"),
    ("analytics.csv?symbol_x=BTCUSDT&symbol_y=ETHUSDT&limit=99999", 422, "invalid_input", "20000"),
    ("analytics.csv?symbol_x=BTCUSDT&symbol_y=ETHUSDT&timeframe=1h", 409, "too_few_observations", "needs"),
]


@pytest.mark.parametrize("call, status, code, word", REFUSED)
def test_an_export_that_cannot_be_says_why(api, call, status, code, word):
    answer = api.get(f"/v1/export/{call}")
    assert answer.status_code == status
    error = answer.json()["error"]
    assert error["code"] == code
    assert word in error["message"]


def test_a_database_that_cannot_be_read_is_an_error_before_the_first_byte(api, engine, tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "settings", settings(tmp_path))
    answer = api.get(TICKS)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "storage")


def test_an_export_while_trades_come_is_of_one_moment(tmp_path):
    """Twenty exports beside a tape that grows: each has every trade up to some id, once, and not fewer than before."""
    engine, stop = ScriptedEngine(settings(tmp_path)), threading.Event()
    engine.start()

    def print_on():
        for first in range(1, 1_000_000, 10):
            if stop.wait(0.005):  # 2,000 trades a second
                return
            engine.scripted.print("BTCUSDT", [100.0 + first % 7] * 10, first, T0 + first * S)

    printing = threading.Thread(target=print_on)
    printing.start()
    engines.install(engine)
    client, before = TestClient(build_api()), 0
    try:
        until(lambda: len(engine.ticks("BTCUSDT")), lambda held: held > 50)
        for _ in range(20):
            ids = [int(row["trade_id"]) for row in rows(client.get(TICKS))]
            assert ids == list(range(1, len(ids) + 1)) and len(ids) >= before
            before = len(ids)
    finally:
        stop.set()
        printing.join()
        engine.stop()
    assert before > 100


def test_exports_need_the_token_too(engine):
    engines.install(engine)
    api = TestClient(build_api("a-token-long-enough"))
    assert api.get(TICKS).status_code == 401
    assert api.get(TICKS, headers={"Authorization": "Bearer a-token-long-enough"}).status_code == 200


FORMS = ("csv", "parquet", "ndjson", "xlsx")
SOURCES = {
    "ticks": "symbol=BTCUSDT",
    "bars": "symbol=BTCUSDT&timeframe=5s",
    "analytics": "symbol_x=BTCUSDT&symbol_y=ETHUSDT&timeframe=1s&window=20",
    "alerts": "",
}


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("form", FORMS)
def test_every_export_has_a_manifest_whose_request_gives_the_same_rows_again(api, kind, form):
    said = api.get(f"/v1/export/{kind}.{form}.manifest.json?{SOURCES[kind]}").json()
    assert said["source"]["kind"] == kind and said["range"]["until_us"] < 2**52
    path, _, asked = said["request"].removeprefix("/api").partition("?")
    assert api.get(f"{path}?{asked}").status_code == 200
    again = api.get(f"{path}.manifest.json?{asked}").json()
    assert again == said
    text = api.get(f"/v1/export/{kind}.csv?{asked}")
    assert said["rows"] == len(rows(text))
    assert said["sha256_of_csv"] == hashlib.sha256(text.content).hexdigest()


def test_what_another_run_of_a_market_stored_is_left_out(tmp_path):
    """Also what a replay had read before it was set back: it lies in its future."""
    for first_id, at_us, seconds in ((1, T0, 300), (101, T0 + 100 * S, 100)):
        engine = ScriptedEngine(settings(tmp_path))
        engine.start()
        print_pair(engine, seconds, first_id, at_us)
        engine.bars("BTCUSDT", "1s")
        until(partial(engine.session.mirror.queued, "BTCUSDT"), lambda queued: queued == 0)
        engine.session.housekeep(final=True)
        engines.install(engine)
        api = TestClient(build_api())
        ticks, bars = rows(api.get(TICKS)), rows(api.get("/v1/export/bars.csv?symbol=BTCUSDT&timeframe=1s"))
        assert [int(row["trade_id"]) for row in ticks] == list(range(first_id, first_id + seconds))
        assert [int(row["ts_us"]) for row in bars] == [at_us + i * S for i in range(seconds + 1)]
        assert bars[-1]["complete"] == "false"
        engine.stop()
