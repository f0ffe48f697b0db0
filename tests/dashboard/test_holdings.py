"""The Data page: gaps with what became of them, what is stored, and downloads whose address says what is on screen."""

import csv
import io
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest

import config
from dashboard import holdings
from dashboard.live.figures import build, key_of
from dashboard.pages import data as page
from dashboard.view import View
from data.exporters import csv_text
from data.ingestion import Gap
from data.inventory import Holdings
from data.stored import StoredTrades
from tests.dashboard.fake_engine import START_US
from tests.dashboard.test_pages import charts, open_page, words

S = 1_000_000
GAPS = [
    Gap("BTCUSDT", 21, 30, "reconnect", START_US, START_US + 3 * S),
    Gap("ETHUSDT", 5, 5, "missed", START_US + S, START_US + 2 * S),
    Gap("BTCUSDT", 100, 250, "offline", START_US - S, None, "older than the exchange serves"),
]


@pytest.fixture
def view(engine):
    return View.default(engine.symbols)


def link(app):
    """The address of the download."""
    return next(element.proto.url for element in app.get("link_button"))


def test_the_page_has_coverage_gaps_holdings_and_a_download(engine):
    engine.gap_list = GAPS
    app = open_page("data")
    text = words(app)
    assert "Gaps: 1 open, 2 repaired" in text
    assert "<td>21,300</td>" in text and "<td>95.00 %</td>" in text
    assert '"name": "coverage"' in charts(app)[0] or '"name":"coverage"' in charts(app)[0]
    query = parse_qs(urlsplit(link(app)).query)
    assert urlsplit(link(app)).path == "/api/v1/export/ticks.csv"
    assert query == {"symbol": ["BTCUSDT"], "since_us": [str(engine.now_us() - 3_600 * S)]}
    assert f'curl -OJ "http://127.0.0.1:8501{link(app)}"' in app.code[0].value


def test_an_empty_file_says_what_it_waits_for(engine):
    engine.bars_held = 0
    text = words(open_page("data"))
    assert "No trade is stored yet." in text
    assert "No bar is stored yet: the first minute has to close." in text
    assert "No trade is missing, and none was since the start." in text


def test_open_gaps_stand_first_then_the_newest(engine):
    text = holdings.gap_table(GAPS, "UTC")
    places = [text.index(f"<td>{first}</td>") for first in (100, 5, 21)]
    assert places == sorted(places)
    assert "repaired after 3.0 s" in text and '<tr class="ps-attention"' in text
    assert "BTCUSDT: older than the exchange serves" in text


def test_many_gaps_are_cut_with_a_note_and_all_are_in_the_download(engine):
    gaps = [replace(GAPS[0], first_id=i, last_id=i) for i in range(120)]
    assert "50 of 120; the download has all." in holdings.gap_table(gaps, "UTC")
    rows = list(csv.DictReader(io.StringIO(csv_text(holdings.gap_frame([*gaps, GAPS[2]])))))
    assert len(rows) == 121
    assert (rows[0]["first_id"], rows[0]["filled_us"], rows[0]["note"]) == ("100", "", GAPS[2].note)
    assert rows[1]["filled_us"] == str(START_US + 3 * S)
    assert csv_text(holdings.gap_frame([])).count("\n") == 1


def test_what_is_too_much_to_count_is_given_with_its_bound():
    row = StoredTrades("v", "s", "T", None, 51_234_111, START_US, START_US + S)
    assert "at most 51,234,111" in holdings.stored_trades(Holdings((row,), ()), "UTC")


def test_times_follow_the_zone(engine):
    text = holdings.stored_trades(engine.holdings(), "Asia/Tokyo")
    assert "2024-08-09 09:00:00" in text and "to, JST" in text


def test_a_database_that_cannot_be_read_is_said_in_its_panel(engine):
    engine.storage_error = "disk I/O error"
    text = words(open_page("data"))
    assert "the database cannot be read: disk I/O error" in text
    assert "This panel failed" not in text


def choose(app, **values):
    for name, value in values.items():
        app.button_group(key=f"export-{name}").set_value(value)
    return app.run()


def test_the_address_of_a_download_is_what_was_chosen(engine):
    app = choose(
        open_page("data", y="ETHUSDT", x="BTCUSDT", tf="3m", window="90", log="1"), kind="analytics", form="parquet"
    )
    assert urlsplit(link(app)).path == "/api/v1/export/analytics.parquet"
    query = {name: value for name, (value,) in parse_qs(urlsplit(link(app)).query).items()}
    assert query.items() >= {"symbol_y": "ETHUSDT", "symbol_x": "BTCUSDT", "timeframe": "3m", "window": "90"}.items()
    assert query["log_prices"] == "true" and query["method"] == "ols"
    app = choose(app, kind="alerts", range="everything")
    assert link(app) == "/api/v1/export/alerts.parquet"
    app = choose(app, kind="bars", range="last day", form="csv")
    query = parse_qs(urlsplit(link(app)).query)
    assert query == {"symbol": ["ETHUSDT"], "timeframe": ["3m"], "since_us": [str(engine.now_us() - 86_400 * S)]}


def test_a_range_between_two_times_is_utc_and_must_not_be_empty(engine):
    app = choose(open_page("data"), range="between")
    query = {name: int(value) for name, (value,) in parse_qs(urlsplit(link(app)).query).items() if name != "symbol"}
    assert query == {"since_us": START_US - 2_400 * S, "until_us": START_US + 1_200 * S}
    assert not app.warning
    app.datetime_input(key="export-until").set_value(app.datetime_input(key="export-since").value).run()
    assert app.warning[0].value == "The range ends before it begins."


def test_where_a_token_is_asked_for_the_page_brings_the_file_itself(engine, view):
    engine.settings = config.Settings(_env_file=None, api_token="a-token-long-enough")
    app = open_page("data")
    assert not app.get("link_button")
    assert [button for button in app.get("download_button") if button.proto.label == "Trades of BTCUSDT, CSV"]
    assert "$PAIRSCOPE_API_TOKEN" in app.code[0].value and "a-token-long-enough" not in app.code[0].value
    rows = list(csv.DictReader(io.StringIO(page.exported(engine, view, "ticks", "csv", {}).decode())))
    assert [int(row["trade_id"]) for row in rows] == engine.ticks("BTCUSDT", 10**9).trade_id.tolist()
    assert page.exported(engine, view, "bars", "parquet", {})[:4] == b"PAR1"


def test_the_stretch_of_the_map_is_chosen_and_stays_in_the_address(engine):
    app = open_page("data")
    app.button_group(key="view-cover").set_value("7d").run()
    assert app.query_params["cover"] == "7d"
    assert "one cell: 60 min" in words(app)


def test_the_live_map_is_that_of_the_engine_or_says_what_it_waits_for(engine, monkeypatch):
    key = key_of("coverage", {"cover": "6h", "theme": "light"})
    spec = build(key)["figure"]
    assert len(spec["data"][0]["x"]) == 120
    engine.bars_held = 0
    message = build(key)["message"]
    assert message == {"state": "collecting", "text": "Collecting minutes: 0 of 1 (about 60 s)"}
