"""Scans, plans and the watchlist over REST."""

import io

import numpy as np
import pandas as pd
import pytest
from starlette.testclient import TestClient

import engine as engines
from analytics.scanner import rank, scan
from api.app import build_api
from tests.analytics.universes import families
from tests.fakes.engine import ScriptedEngine, settings, walk
from tests.waiting import until

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
PRICES = families([3, 1], bars=200, half_life=2, seed=4)


@pytest.fixture
def engine(tmp_path):
    engine = ScriptedEngine(settings(tmp_path, symbols=",".join(SYMBOLS)))
    engine.start()
    for seed, symbol in enumerate(SYMBOLS):
        engine.scripted.print(symbol, walk(200, seed, 1_000.0))
    engines.install(engine)
    yield engine
    engines.install(None)
    engine.stop()


@pytest.fixture
def api(engine):
    return TestClient(build_api())


def scanned(api, **body) -> str:
    """The id of a scan that is done."""
    begun = api.post("/v1/scans", json=body)
    assert begun.status_code == 202, begun.json()
    scan_id = begun.json()["id"]
    told = until(
        lambda: api.get(f"/v1/scans/{scan_id}").json(), lambda told: told["state"] in ("done", "failed"), within_s=120
    )
    assert told["state"] == "done", told["message"]
    return scan_id


def put_table(api, name="closes.csv"):
    body = PRICES.rename_axis("time").set_axis(pd.date_range("2025", periods=200, freq="h")).to_csv()
    return api.put(f"/v1/scan-tables/{name}", content=body)


def test_a_scan_is_begun_followed_and_read_page_by_page(api, engine):
    scan_id = scanned(api, timeframe="1s", bars=150, lags="bic")
    told = api.get(f"/v1/scans/{scan_id}").json()
    assert (told["done"], told["total"], told["share"], told["summary"]["pairs"]) == (3, 3, 1.0, 3)
    assert told["request"]["lags"] == "bic" and told["request"]["bars"] == 150
    expected = scan(engine.closes("1s", 150), params=engine.scans.result(scan_id).request.params)
    pages = [api.get(f"/v1/scans/{scan_id}/pairs?limit=2&offset={offset}").json() for offset in (0, 2, 4)]
    assert [page["total"] for page in pages] == [3, 3, 3]
    rows = [row for page in pages for row in page["pairs"]]
    assert [row["qvalue"] for row in rows] == expected["qvalue"].tolist()
    assert list(rows[0]) == list(expected.columns)
    by = api.get(f"/v1/scans/{scan_id}/pairs?by=half_life").json()["pairs"]
    ordered = rank(expected, "half_life")["half_life"].replace(np.inf, np.nan)
    assert [row["half_life"] for row in by] == [None if np.isnan(value) else value for value in ordered]
    assert [told["id"] for told in api.get("/v1/scans").json()] == [scan_id]


def test_a_table_is_handed_in_scanned_compared_and_taken_away(api):
    assert put_table(api).json() == {"name": "closes.csv", "symbols": 4, "rows": 200}
    first = scanned(api, source="table", table="closes.csv", bars=20_000)
    assert api.get(f"/v1/scans/{first}/changes").status_code == 404
    second = scanned(api, source="table", table="closes.csv", bars=150)
    told = api.get(f"/v1/scans/{second}/changes").json()
    expected = scan(PRICES)
    assert told["before"]["bars"] == 20_000
    assert len(told["kept"]) + len(told["gone"]) == int(expected["found"].sum())
    found = api.get(f"/v1/scans/{first}/pairs?found=true").json()
    assert found["total"] == int(expected["found"].sum()) > 0
    csv = pd.read_csv(io.BytesIO(api.get(f"/v1/scans/{first}/pairs.csv").content))
    parquet = pd.read_parquet(io.BytesIO(api.get(f"/v1/scans/{first}/pairs.parquet").content))
    for table in (csv, parquet):
        np.testing.assert_array_equal(table["statistic"], expected["statistic"])


def test_a_scan_is_cancelled_by_delete(api, engine, monkeypatch):
    def endless(prices, *args, progress, cancelled, **more):
        progress(1, 3)
        until(cancelled, bool)
        return scan(prices, cancelled=cancelled)

    monkeypatch.setattr("engine.scans.scan", endless)
    scan_id = api.post("/v1/scans", json={"timeframe": "1s"}).json()["id"]
    running = until(lambda: api.get(f"/v1/scans/{scan_id}").json(), lambda told: told["done"] == 1)
    assert running["stage"].startswith("testing every pair of 3 symbols")
    refused = api.get(f"/v1/scans/{scan_id}/pairs")
    assert (refused.status_code, refused.json()["error"]["message"]) == (422, f"{scan_id} has no rows: it is running")
    assert api.delete(f"/v1/scans/{scan_id}").status_code == 200
    until(lambda: api.get(f"/v1/scans/{scan_id}").json(), lambda told: told["state"] == "cancelled")


@pytest.mark.parametrize(
    "method, path, body, status, words",
    [
        ("POST", "/v1/scans", {"bars": 5}, 422, "bars must be 30 to 20,000, was 5"),
        ("POST", "/v1/scans", {"colour": 1}, 422, "colour"),
        ("POST", "/v1/scans", {"source": "table", "table": "none"}, 404, "there is no table 'none'"),
        ("GET", "/v1/scans/scan-99", None, 404, "no scan 'scan-99'"),
        ("DELETE", "/v1/scans/scan-99", None, 404, "no scan"),
        ("PUT", "/v1/scan-plans", {"request": {}, "every_s": 5}, 422, "every_s must be 60 to 604800"),
        ("POST", "/v1/watchlist", {"symbol_y": "A", "symbol_x": "A"}, 422, "two different symbols"),
        ("DELETE", "/v1/watchlist/A/B/1m", None, 404, "A/B 1m is not watched"),
        ("POST", "/v1/watchlist/rules", {"metric": "zscore", "symbol": "A"}, 422, "takes symbol from each pair"),
        ("DELETE", "/v1/watchlist/rules/none", None, 404, "no rule 'none'"),
    ],
)
def test_what_cannot_be_done_is_refused_in_the_usual_shape(api, method, path, body, status, words):
    answer = api.request(method, path, json=body)
    assert answer.status_code == status
    assert words in answer.json()["error"]["message"]


def test_tables_beyond_the_limit_or_unreadable_are_refused(api, monkeypatch):
    assert "2 to 1,000" in api.put("/v1/scan-tables/a.csv", content=b"time,A\n1,2\n").json()["error"]["message"]
    monkeypatch.setattr("api.scans.MOST_TABLE_BYTES", 100)
    answer = put_table(api)
    assert (answer.status_code, answer.json()["error"]["message"]) == (422, "a table may have at most 0 MB")


def test_plans_are_made_and_ended(api):
    plan = {"request": {"timeframe": "5m"}, "every_s": 600}
    (row,) = api.put("/v1/scan-plans", json=plan).json()
    assert (row["every_s"], row["request"]["timeframe"]) == (600, "5m")
    assert api.get("/v1/scan-plans").json() == [row]
    assert api.put("/v1/scan-plans", json=plan | {"every_s": None}).json() == []


def test_pairs_are_watched_and_ruled(api, engine):
    pair = {"symbol_y": "ETHUSDT", "symbol_x": "BTCUSDT", "timeframe": "1s"}
    assert api.post("/v1/watchlist", json=pair).json() == pair
    (row,) = api.get("/v1/watchlist").json()
    assert row["zscore"] == engine.watchlist.standings()[0].zscore and row["state"]
    made = api.post("/v1/watchlist/rules", json={"metric": "zscore", "condition": ">", "threshold": 2})
    assert made.status_code == 201
    (rule,) = api.get("/v1/watchlist/rules").json()
    assert rule["id"] == made.json()["id"] and list(rule["rules"]) == ["ETHUSDT/BTCUSDT 1s"] and rule["firing"] == []
    assert [one["symbol_y"] for one in api.get("/v1/alerts").json()] == ["ETHUSDT"]
    assert api.delete(f"/v1/watchlist/rules/{rule['id']}").status_code == 204
    assert api.delete("/v1/watchlist/ethusdt/btcusdt/1s").status_code == 204
    assert api.get("/v1/watchlist").json() == [] == api.get("/v1/alerts").json()
