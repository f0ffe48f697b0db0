"""The System page: every figure is the engine's, what is wrong stands out, and nothing secret or foreign is shown."""

import csv
import io
import json
import logging
from dataclasses import replace

import pytest

import config
from dashboard import system
from dashboard.explain import EXPLAIN
from dashboard.pages import system as page
from data.exporters import csv_text
from tests.dashboard.fake_engine import symbol_status
from tests.dashboard.test_pages import open_page, words
from utils import logger


@pytest.fixture
def tail(monkeypatch):
    """A tail of the log of its own, which hears one logger."""
    fresh = logger.Tail()
    fresh.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    monkeypatch.setattr(logger, "TAIL", fresh)
    log = logging.getLogger("pairscope.test-tail")
    log.addHandler(fresh)
    log.setLevel(logging.DEBUG)
    yield log
    log.removeHandler(fresh)


def test_the_page_has_every_part_of_the_system(engine):
    text = words(open_page("system"))
    for title in ("Feed by symbol", "Connections", "Threads", "Storage", "Delays", "Versions", "Settings in force"):
        assert f"<h4>{title}</h4>" in text
    for label in ("health", "connection", "to readers, p99", "to the disk, p99", "lag, worst", "gaps open", "memory"):
        assert f'<div class="ps-label">{label}</div>' in text
    for value in ("4.1 ms", "260 ms", "45 ms", "12.4 MB", "500 GB", "30 days"):
        assert value in text


def test_every_figure_explains_itself(engine):
    found = engine.system()
    body = system.health_cards(found) + system.delays(found) + system.disk(found, "UTC")
    assert body.count("data-help") == 12
    assert {"delay_readable", "delay_stored", "commit", "lag", "retention"} <= set(EXPLAIN)


def test_the_books_of_a_symbol_add_up_on_the_screen(engine):
    engine.rows["ETHUSDT"] = symbol_status(rejected={"price": 3, "id": 1}, dropped={"storage": 2}, deduped=7)
    text = system.feed_table(engine.system())
    for cell in ("21,313", "21,300", "3 price, 1 id", "2 storage", "7", "13", "40.0", "45 ms"):
        assert f"<td>{cell}</td>" in text


def test_stale_symbols_stand_first_and_many_are_cut_with_a_note(engine):
    engine.rows = {f"S{i}USDT": symbol_status(stale=i == 150) for i in range(160)}
    text = system.feed_table(engine.system())
    assert text.index("S150USDT") < text.index("S0USDT")
    assert "100 of 160 symbols, stale ones first" in text
    assert text.count("<tr ") == 100


def test_without_a_trade_the_feed_says_so(engine):
    engine.rows = {}
    assert "No trade has arrived yet." in system.feed_table(engine.system())
    assert '<span class="ps-value ps-muted">–</span>' in system.health_cards(engine.system())


def test_what_is_dead_or_fails_is_red_and_named(engine):
    engine.storage_error = "disk is full"
    found = replace(engine.system(), status=replace(engine.status(), status="failing"))
    assert (
        '<span class="ps-value ps-down">failing</span><span class="ps-detail">mirror dead</span>'
        in system.health_cards(found)
    )
    assert '<tr class="ps-down"' in system.threads(found)
    assert '<p class="ps-attention">disk is full</p>' in system.disk(found, "UTC")


def test_a_connection_says_why_and_when_it_is_tried_again(engine):
    engine.mode, engine.detail, engine.retry_in_s = "BLOCKED", "refuses <this> place (451)", 290.0
    text = system.connections(engine.system())
    assert 'Binance USD-M <b class="ps-down">BLOCKED</b>' in text
    assert "refuses &lt;this&gt; place (451) · 2 reconnects · next try in 290 s" in text


def test_settings_show_value_and_meaning_and_mask_secrets(engine):
    secret = "a-token-long-enough"
    engine.settings = config.Settings(_env_file=None, api_token=secret, port=9_000)
    text = system.settings(engine.system())
    assert secret not in text and "**********" in text
    assert '<tr class="ps-changed"><td>PAIRSCOPE_PORT</td><td>9000</td>' in text
    assert '<tr class="ps-plain"><td>PAIRSCOPE_BUFFER</td><td>1000000</td>' in text
    assert text.count("PAIRSCOPE_") == len(config.Settings.model_fields)
    assert "Days that stored trades are kept" in text
    assert '<tr class="ps-plain"><td>PAIRSCOPE_CHANNELS</td><td>–</td>' in text  # never set, so no change of ours
    assert "`" not in text
    assert "var/<wbr>pairscope.db" in text


def test_the_log_is_newest_first_from_the_severity_chosen_on(engine, tail):
    tail.info("began")
    tail.warning("<b>slow</b>")
    tail.error("broken")
    text = words(open_page("system"))
    assert text.index("ERROR broken") < text.index("WARNING &lt;b&gt;slow") < text.index("INFO began")
    app = open_page("system", level="WARNING")
    assert "INFO began" not in words(app) and "ERROR broken" in words(app)
    app.button_group(key="view-level").set_value("ERROR").run()
    assert "slow" not in words(app)
    assert app.query_params["level"] == "ERROR"


def test_an_empty_log_says_so(engine, tail):
    assert "Nothing was logged at this severity." in words(open_page("system", level="ERROR"))


def test_downloads_hold_the_whole_status(engine):
    body = json.loads(page.status_json(engine))
    assert body["status"]["symbols"]["BTCUSDT"]["received"] == 21_313
    assert body["disk"]["file_bytes"] == 12_400_000
    rows = list(csv.DictReader(io.StringIO(csv_text(system.status_frame(engine.system())))))
    values = {row["name"]: row["value"] for row in rows}
    assert values["status.symbols.ETHUSDT.received"] == "21313"
    assert values["workers.0.name"] == "mirror"
    assert values["status.retry_in_s"] == ""
    assert {name.partition(".")[0] for name in values} == set(body)


@pytest.mark.parametrize(
    "seconds, text",
    [(None, "–"), (float("nan"), "–"), (3.52e-5, "35 µs"), (0.00411, "4.1 ms"), (0.392, "390 ms"), (2.51, "2.5 s")],
)
def test_delays_have_two_digits(seconds, text):
    assert system.delay(seconds) == text
