"""`/metrics`: text that Prometheus' own parser reads, with the figures of the status."""

import re

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import TestClient

import engine as engines
from api.metrics import metrics
from tests.fakes.engine import ScriptedEngine, print_pair, settings
from tests.waiting import until

TOKEN = "a-token-long-enough"


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    engine = ScriptedEngine(settings(tmp_path_factory.mktemp("metrics"), api_token=TOKEN))
    engine.start()
    print_pair(engine, 200)
    engine.scripted.sink.reject("BTCUSDT", "price", 3)
    engine.alerts.add(engine.rule_defaults() | {"metric": "zscore", "condition": ">", "threshold": 2.0})
    until(engine.status, lambda status: all(row.queued == 0 for row in status.symbols.values()))
    yield engine
    engine.stop()


@pytest.fixture
def web(engine):
    engines.install(engine)
    return TestClient(Starlette(routes=[Route("/metrics", metrics)]))


def figures(web):
    """Values by name and labels."""
    text = web.get("/metrics").text
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_every_figure_is_read_by_prometheus_and_is_the_one_of_the_status(web, engine):
    found, row = figures(web), engine.status().symbols["BTCUSDT"]
    symbol = ("symbol", "BTCUSDT")
    assert found["pairscope_received_total", symbol] == row.received == 203
    assert found["pairscope_stored_total", symbol] == row.stored
    assert found["pairscope_rejected_total", ("reason", "price"), symbol] == 3
    assert found["pairscope_gaps_open", symbol] == 0
    assert found["pairscope_trades_held", symbol] == 200
    assert found["pairscope_lag_seconds", symbol] == engine.system().symbols["BTCUSDT"].lag_s
    assert found["pairscope_mode", ("mode", "DEMO")] == 1
    assert found["pairscope_thread_up", ("thread", "mirror")] == 1
    assert found["pairscope_waiting", ("queue", "for the database")] == 0
    assert (found["pairscope_alert_rules",], found["pairscope_alerts_firing",]) == (1, 0)
    assert found["pairscope_rss_bytes",] > 1e7
    assert found["pairscope_database_bytes",] > 0


def test_delays_are_a_histogram_that_counts_every_trade(web, engine):
    found = figures(web)
    assert found["pairscope_stored_seconds_count",] == 400
    assert found["pairscope_stored_seconds_bucket", ("le", "+Inf")] == 400
    counts = [value for (name, *_), value in found.items() if name == "pairscope_stored_seconds_bucket"]
    assert counts == sorted(counts) and len(counts) == 18
    assert found["pairscope_stored_seconds_sum",] == pytest.approx(engine.delays()["stored"].sum_s)


def test_names_follow_the_rules_and_counters_end_in_total(web):
    families = list(text_string_to_metric_families(web.get("/metrics").text))
    assert {family.type for family in families} >= {"counter", "gauge", "histogram"}
    for family in families:
        assert re.fullmatch(r"[a-z_]+", family.name) and family.documentation
        if family.type == "counter":
            assert all(sample.name.endswith("_total") for sample in family.samples)


def test_it_needs_no_token_and_tells_no_secret_and_no_price(web, engine):
    text = web.get("/metrics").text
    assert TOKEN not in text
    last = engine.status().symbols["BTCUSDT"].last_price
    assert f"{last:g}" not in text and str(engine.settings.database) not in text


def test_a_reading_that_does_not_exist_is_left_out(web, engine, monkeypatch):
    monkeypatch.setattr(engine.scripted, "venue", "replay")
    assert not [key for key in figures(web) if key[0] == "pairscope_lag_seconds"]


def test_without_an_engine_it_says_so(web):
    engines.install(None)
    answer = web.get("/metrics")
    assert answer.status_code == 503
    assert "has not started" in answer.text
