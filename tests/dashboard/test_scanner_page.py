"""The Scanner page: from the form to the table, its figures and downloads, and on to the Pair page."""

import io
from types import SimpleNamespace

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal
from streamlit.testing.v1 import AppTest

import engine as engines
from analytics.correlation.matrix import correlation_matrix
from analytics.scanner import changes, dendrogram, rank, scan, spanning_tree
from dashboard import scans
from dashboard.charts import scanner as charts
from dashboard.pages import scanner
from dashboard.scan_view import BY_QVALUE, FIGURES, RANKED, ScanView
from dashboard.sidebar import UNTOLD
from dashboard.theme import DARK, LIGHT
from dashboard.view import View
from data.closes import read_closes
from engine import ScanRequest, ScanResult
from tests.analytics.universes import families
from tests.dashboard.fake_engine import FakeEngine
from tests.dashboard.test_pages import open_page, words
from tests.waiting import until
from utils.errors import InputError

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT")


@pytest.fixture
def engine():
    fake = FakeEngine(symbols=SYMBOLS)
    engines.install(fake)
    yield fake
    engines.install(None)
    fake.jobs.stop()


def finish(engine) -> None:
    until(lambda: engine.scans.jobs(), lambda jobs: jobs and all(job.ended for job in jobs), within_s=120)


def scanned(engine, **query: str) -> AppTest:
    """The page with a result."""
    engine.scans.start(ScanView.of(query.get("scan", "")).request)
    finish(engine)
    return open_page("scanner", **query)


def result_of(prices: pd.DataFrame, **fields) -> ScanResult:
    request = ScanRequest(**fields)
    found = scan(prices, params=request.params)
    return ScanResult(
        "scan-1", request, 1_790_000_000_000_000, 0.1, prices, found, correlation_matrix(prices), *3 * [None]
    )


PRICES = families([3, 2, 1], bars=200, half_life=2, seed=4).set_axis(
    pd.date_range("2025-10-02", periods=200, freq="h", tz="UTC", unit="us"), axis=0
)


def test_a_scan_begun_on_the_page_ends_in_a_table_of_every_pair(engine):
    app = open_page("scanner")
    assert "No scan yet" in words(app)
    app.button(key="scan-start").click().run()
    finish(engine)
    app.run()
    assert not app.exception
    text = words(app)
    assert "pairs tested" in text and "A q-value is a promise about a list, not about a pair" in text
    assert "families" in text and "ps-is-" not in text
    table = app.dataframe[0].value
    assert len(table) == 6 and {"y", "x", "q", "spread", "edge, bps", "half-life"} <= set(table.columns)
    assert_frame_equal(table[["q"]], rank(engine.scans.newest().found)[["qvalue"]].set_axis(["q"], axis=1))


def test_a_scan_that_runs_is_shown_and_can_be_cancelled(engine, monkeypatch):
    begun = []

    def endless(prices, *args, progress, cancelled, **more):
        progress(2, 6)
        begun.append(1)
        until(cancelled, bool)
        raise scanner.PairscopeError("cancelled")

    monkeypatch.setattr("engine.scans.scan", endless)
    app = open_page("scanner")
    app.button(key="scan-start").click().run()
    until(lambda: begun, bool)
    app.run()
    (job,) = engine.scans.jobs()
    (bar,) = app.get("progress")
    assert bar.proto.value == 33
    assert "testing every pair of 4 symbols over 500 bars, 2 of 6" in bar.proto.text
    app.button(key=f"cancel-{job.job_id}").click().run()
    finish(engine)
    app.run()
    assert "The scan was cancelled" in words(app) and not app.get("progress")


def test_why_a_scan_failed_is_told(engine):
    engine.bars_held = 10
    app = scanned(engine)
    assert "The scan of live symbols, 1m, 500 bars did not end well: needs" in words(app)
    assert "No scan yet" in words(app)


def test_what_is_chosen_stands_in_the_address_and_comes_back_from_it(engine):
    app = open_page("scanner")
    app.number_input(key="scan-bars").set_value(300).run()
    app.segmented_control(key="scan-lags").set_value("bic").run()
    app.segmented_control(key="scan-fdr").set_value("by").run()
    assert app.query_params["scan"] == "bars.300~lags.bic~fdr.by"
    again = open_page("scanner", scan="bars.300~lags.3~trend.ct~weights.1,2,0,0,0,0,0~figure.tree~found.1")
    assert again.number_input(key="scan-bars").value == 300
    assert again.segmented_control(key="scan-lags").value == "fixed"
    assert again.number_input(key="scan-fixed").value == 3
    again.button(key="scan-start").click().run()
    finish(engine)
    request = engine.scans.newest().request
    assert (request.bars, request.lags, request.trend) == (300, 3, "ct")


def test_an_address_that_cannot_be_used_says_so(engine):
    app = open_page("scanner", scan="bars.7")
    assert any("bars must be 30 to 20,000, was 7" in warning.value for warning in app.warning)
    assert app.number_input(key="scan-bars").value == 500


def test_a_choice_that_cannot_be_scanned_leaves_the_scan_as_it_was(engine):
    app = open_page("scanner")
    app.text_input(key="scan-symbols").set_value("BTCUSDT").run()
    assert any("needs 2 to 1,000 symbols" in warning.value for warning in app.warning)
    assert app.text_input(key="scan-symbols").value == ""


@pytest.mark.parametrize("source", ["stored", "exchange", "table"])
def test_every_source_has_its_choices(engine, source):
    app = open_page("scanner")
    app.segmented_control(key="scan-source").set_value(source).run()
    assert not app.exception and "This panel failed" not in words(app)
    if source == "exchange":
        assert app.selectbox(key="scan-venue").options == ["binance-um", "binance-spot"]
        assert app.number_input(key="scan-most").value == 50
    if source == "table":
        assert app.button(key="scan-start").disabled
        assert "At most 64 MB" in " ".join(caption.value for caption in app.caption)


def test_the_width_moves_to_one_that_the_exchange_serves(engine):
    app = open_page("scanner", scan="timeframe.1s")
    app.segmented_control(key="scan-source").set_value("exchange").run()
    assert app.query_params["scan"] == "source.exchange~timeframe.1h"


def test_a_table_that_was_handed_in_can_be_scanned(engine):
    engine.scans.put_table("mine.csv", scans.file_of(scans.prices_frame(result_of(PRICES)), "csv"))
    app = open_page("scanner", scan="source.table~table.mine.csv")
    assert app.selectbox(key="scan-table").value == "mine.csv"
    app.button(key="scan-start").click().run()
    finish(engine)
    app.run()
    assert len(app.dataframe[0].value) == 15 and "mine.csv" in words(app)


def test_a_scan_can_be_planned_and_the_plan_is_shown(engine):
    app = open_page("scanner")
    app.selectbox(key="scan-repeat").set_value("15 min").run()
    (plan,) = engine.scans.plans().values()
    assert plan.every_s == 900 and plan.request == ScanRequest()
    assert open_page("scanner").selectbox(key="scan-repeat").value == "15 min"
    app.selectbox(key="scan-repeat").set_value("off").run()
    assert engine.scans.plans() == {}


def test_rows_are_filtered_and_ordered_as_the_reader_wants(engine):
    app = scanned(engine)
    app.text_input(key="scan-filter").set_value("sol/btc").run()
    assert [{row.y, row.x} for row in app.dataframe[0].value.itertuples()] == [{"SOLUSDT", "BTCUSDT"}]
    app.text_input(key="scan-filter").set_value("").run()
    app.slider(key="scan-weight-qvalue").set_value(0).run()
    app.slider(key="scan-weight-half_life").set_value(5).run()
    table = app.dataframe[0].value
    assert list(table["half-life"]) == sorted(table["half-life"]) and table["score"].iloc[0] == 1.0
    assert "not by q alone" in " ".join(caption.value for caption in app.caption)
    app.text_input(key="scan-filter").set_value("nothing").run()
    assert "No pair is left by this filter" in words(app)


def test_a_pair_of_the_table_opens_on_the_pair_page(engine, monkeypatch):
    state = {}
    monkeypatch.setattr(scanner.st, "session_state", state)
    scanner._open("SOLUSDT", "XRPUSDT", "5m")
    assert engine.calls == []
    pair = {"view-symbol_y": "SOLUSDT", "view-symbol_x": "XRPUSDT", "view-timeframe": "5m"}
    assert state == pair | {"go": "pair", UNTOLD: True}
    scanner._open("DOGEUSDT", "XRPUSDT", None)
    assert engine.calls == [("set_symbols", (*SYMBOLS, "DOGEUSDT"))]
    state.clear()
    scanner._open("no-such", "XRPUSDT", None)
    assert "go" not in state and "letters, digits or underscores" in state["notices"][0]


def test_a_chosen_row_offers_to_open_or_to_follow(engine, monkeypatch):
    app = scanned(engine)
    picked = SimpleNamespace(selection=SimpleNamespace(rows=[0]))
    monkeypatch.setattr(scanner.st, "dataframe", lambda *args, **more: picked)
    app.run()
    assert app.button(key="scan-open").label == "Open on the Pair page"
    first = engine.scans.newest().found["y"][0]
    engine.symbols = tuple(symbol for symbol in SYMBOLS if symbol != first)
    app.run()
    assert app.button(key="scan-open").label == f"Follow {first}, and open on the Pair page"


@pytest.mark.parametrize("figure", FIGURES)
def test_every_figure_is_drawn(engine, figure):
    app = scanned(engine, scan=f"figure.{figure}")
    assert "ps-is-" not in words(app)
    assert len(app.get("plotly_chart")) == (figure != "changes")
    if figure == "changes":
        assert "the first scan of this source" in words(app)


def test_a_second_scan_tells_what_changed(engine):
    scanned(engine)
    app = scanned(engine, scan="lags.bic~figure.changes")
    text = words(app)
    assert "not found any more" in text and "lags aic → bic" in text
    older, newer = engine.scans.results()[::-1]
    choice = app.selectbox(key="scan-result")
    assert choice.value == newer.scan_id
    choice.set_value(older.scan_id).run()
    assert "the first scan of this source" in words(app) and "lags by AIC" in words(app)


def test_downloads_hold_the_whole_scan_exactly(engine):
    result = result_of(PRICES)
    frame = scans.ordered(result, ScanView())
    back = pd.read_csv(io.BytesIO(scans.file_of(frame, "csv")))
    np.testing.assert_array_equal(back["qvalue"], result.found["qvalue"])
    assert len(back) == 15 and list(back.columns) == list(result.found.columns)
    assert_frame_equal(pd.read_parquet(io.BytesIO(scans.file_of(frame, "parquet"))), frame, check_dtype=False)
    for form in ("csv", "parquet"):
        closes = read_closes("closes", scans.file_of(scans.prices_frame(result), form))
        np.testing.assert_array_equal(closes.to_numpy(), PRICES.to_numpy())
        assert (closes.index == PRICES.index).all()
    labels = {element.proto.label for element in scanned(engine).get("download_button")}
    assert labels == {f"{what}, {form}" for what in ("Pairs", "Closes") for form in ("CSV", "Parquet")}


@pytest.mark.parametrize("theme", [DARK, LIGHT])
def test_figures_are_valid_and_say_what_the_scan_says(theme):
    result = result_of(PRICES)
    joined = dendrogram(result.correlations)
    symbols = charts.best_symbols(result.found, joined.symbols)
    heat = charts.heat_spec(result.found, symbols, theme)
    go.Figure(heat)
    z = heat["data"][0]["z"]
    np.testing.assert_array_equal(z, z.T)
    assert np.isnan(np.diag(z)).all()
    best = result.found.iloc[0]
    at = symbols.index(best["y"]), symbols.index(best["x"])
    assert z[at] == pytest.approx(min(-np.log10(best["qvalue"]), 4))
    clusters = dict(zip(joined.symbols, joined.cluster.tolist(), strict=True))
    tree = go.Figure(charts.tree_spec(spanning_tree(result.correlations), clusters, result.found, theme))
    assert sum(sum(x is None for x in line.x) for line in tree.data[:3]) == len(PRICES.columns) - 1
    drawn = go.Figure(charts.dendrogram_spec(joined, theme))
    assert sum(np.isnan(np.array(line.x, float)).sum() for line in drawn.data) == len(PRICES.columns) - 1


def test_a_heat_map_holds_no_more_symbols_than_can_be_read(monkeypatch):
    monkeypatch.setattr(charts, "MOST_SYMBOLS", 3)
    result = result_of(PRICES)
    order = dendrogram(result.correlations).symbols
    chosen = charts.best_symbols(result.found, order)
    assert len(chosen) == 3 and set(result.found.iloc[0][["y", "x"]]) <= set(chosen)
    assert chosen == [symbol for symbol in order if symbol in chosen]


def test_changes_are_told_by_name_before_and_now():
    before, after = (result_of(PRICES), result_of(PRICES.tail(190), bars=190))
    told = scans.changed(
        ScanResult(
            "scan-2", after.request, 0, 0.1, after.prices, after.found, None, 1, before.request,
            changes(before.found, after.found),
        ),
        "UTC",
    )  # fmt: skip
    kept = changes(before.found, after.found).kept.iloc[0]
    assert f"{kept['half_life_before']:.1f} → {kept['half_life']:.1f}" in told
    assert "bars 500 → 190" in told


scan_views = st.builds(
    ScanView,
    request=st.builds(
        ScanRequest,
        source=st.sampled_from(("live", "stored", "exchange")),
        timeframe=st.sampled_from(("1s", "1m", "1h")),
        bars=st.integers(30, 20_000),
        symbols=st.sampled_from(((), ("BTCUSDT", "ETHUSDT"))),
        venue=st.sampled_from(("", "binance-spot")),
        lags=st.one_of(st.sampled_from(("aic", "bic")), st.integers(0, 100)),
        trend=st.sampled_from(("c", "ct")),
        log_prices=st.booleans(),
        fdr=st.sampled_from(("bh", "by")),
        alpha=st.floats(0.001, 0.5),
    ),
    weights=st.lists(st.integers(0, 10), min_size=len(RANKED), max_size=len(RANKED)).filter(any).map(tuple),
    figure=st.sampled_from(sorted(FIGURES)),
    only_found=st.booleans(),
)


@given(scan_views)
def test_the_address_holds_the_whole_scan(chosen):
    assert ScanView.of(chosen.text()) == chosen
    view, notices = View.from_query({"scan": chosen.text()}, SYMBOLS)
    assert (view.scan, notices) == (chosen.text(), [])


def test_names_of_tables_survive_the_address():
    chosen = ScanView(ScanRequest(source="table", table="my~closes, 2.0 %.csv"))
    assert ScanView.of(chosen.text()) == chosen


@pytest.mark.parametrize("text", ["bars.x", "figure.pie", "weights.1,2", "weights.0,0,0,0,0,0,0", "colour.red", "bars"])
def test_texts_that_are_no_scan_are_refused(text):
    with pytest.raises(InputError):
        ScanView.of(text)


def test_the_order_is_by_q_alone_unless_others_weigh():
    assert ScanView().order == "qvalue" and ScanView(weights=(7, *BY_QVALUE[1:])).order == "qvalue"
    assert ScanView(weights=(2, 1, 0, 0, 0, 0, 0)).order == {"qvalue": 2.0, "edge_bps": 1.0}


def test_stored_bars_of_another_venue_stay_chosen(engine):
    rows = [("demo", symbol, width) for symbol in SYMBOLS for width in ("1m", "5m")]
    held = [SimpleNamespace(venue=venue, symbol=symbol, timeframe=width) for venue, symbol, width in rows]
    engine.holdings = lambda: SimpleNamespace(bars=held, trades=())
    app = open_page("scanner", scan="source.stored")
    app.selectbox(key="scan-venue").set_value("demo").run()
    assert app.selectbox(key="scan-timeframe").options == ["1m", "5m"]
    app.selectbox(key="scan-timeframe").set_value("5m").run()
    assert app.query_params["scan"] == "source.stored~timeframe.5m~venue.demo"


def test_pairs_are_watched_ruled_and_forgotten(engine):
    app = open_page("scanner")
    assert "No pair is watched" in words(app) and app.button(key="watch-rule").disabled
    app.button(key="watch-this").click().run()
    table = app.dataframe[0].value
    assert list(table["pair"]) == ["ETH/BTC"] and np.isfinite(table["z"]).all()
    expected = engine.watchlist.standings()[0]
    assert (table["z"][0], table["edge, bps"][0], table["state"][0]) == (
        expected.zscore,
        expected.edge_bps,
        expected.state,
    )
    app.button(key="watch-rule").click().run()
    (rule,) = engine.alerts.rules()
    assert (rule.symbol_y, rule.condition, rule.threshold, rule.recovery) == ("ETHUSDT", "outside", 2.0, 0.5)
    assert app.button(key="watch-rule").disabled
    (made,) = engine.watchlist.rules()
    app.button(key=f"unrule-{made.list_rule_id}").click().run()
    assert engine.alerts.rules() == []
    app.button(key="unwatch-ETHUSDT/BTCUSDT 1s").click().run()
    assert "No pair is watched" in words(app)


def test_a_row_of_a_scan_can_be_watched_and_its_symbols_followed(engine, monkeypatch):
    app = scanned(engine)
    picked = SimpleNamespace(selection=SimpleNamespace(rows=[0]))
    monkeypatch.setattr(scanner.st, "dataframe", lambda *args, **more: picked)
    app.run()
    app.button(key="scan-watch").click().run()
    first = engine.scans.newest().found.iloc[0]
    (pair,) = engine.watchlist.pairs()
    assert pair == (first["y"], first["x"], "1m")
    engine.symbols = tuple(symbol for symbol in SYMBOLS if symbol != first["y"])
    app.run()
    app.button(key="watch-follow").click().run()
    assert engine.calls[-1] == ("set_symbols", (*[s for s in SYMBOLS if s != first["y"]], first["y"]))
