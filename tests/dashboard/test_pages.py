"""Every page in every state, run as Streamlit runs it; and what users do in the sidebar."""

import csv
import html
import io
import json
import re
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
from streamlit.testing.v1 import AppTest

import config
import engine as engines
from dashboard import formats, rules, sidebar, studies, views
from dashboard.advanced import sentence
from dashboard.live import component
from dashboard.live.figures import FIGURES, rule_levels
from dashboard.pages import advanced, microstructure, overview, pair, signals
from dashboard.view import TOPICS, View
from tests.dashboard.fake_engine import START_US, symbol_status
from utils.clock import hhmmss

MAIN = config.ROOT / "dashboard" / "main.py"
PAGES = ("", "pair", "microstructure", "signals", "advanced")  # that show the market
EVERY_PAGE = (*PAGES, "data", "system")
CHARTS = {"microstructure": 2, "advanced": 2, "system": 0}  # others have one


def open_page(page: str = "", **query: str) -> AppTest:
    app = AppTest.from_file(str(MAIN), default_timeout=60)
    if page:
        app.switch_page(f"pages/{page}.py")
    for name, value in query.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception
    return app


def opened(app: AppTest, popover: str) -> AppTest:
    """The same page with a popover open: of one that is not, nothing is made."""
    app.session_state[popover] = True
    app.run()
    assert not app.exception
    return app


def words(app: AppTest) -> str:
    """All markup of the screen as one text."""
    static = [element.proto.body for element in app.get("html") if "<style>" not in element.proto.body]
    return " ".join([*static, *panels(app).values()])


def panels(app: AppTest) -> dict[str, str]:
    """What each live panel on the screen begins with."""
    data = [json.loads(part.proto.json) for part in app.get("bidi_component") if "panel-" in part.proto.id]
    return {each["name"]: each["html"] for each in data}


def charts(app: AppTest) -> list[str]:
    """Data of the live charts on the screen."""
    return [part.proto.json for part in app.get("bidi_component") if "live-" in part.proto.id]


@pytest.mark.parametrize("page", EVERY_PAGE)
def test_a_live_market_shows_its_page_with_a_chart(engine, page):
    app = open_page(page)
    assert ">LIVE<" in words(app)
    assert "ps-is-" not in words(app)  # no panel has anything to excuse
    assert len(charts(app)) == CHARTS.get(page, 1)


def test_the_overview_has_a_tile_and_a_row_for_each_symbol(engine):
    text = words(open_page())
    assert text.count('class="ps-spark"') == 2
    assert "newest 600 bars of 1 s" in text
    assert text.count("<tr ") == 2


def test_the_pair_page_has_six_readings_a_verdict_and_the_tests(engine):
    text = words(open_page("pair"))
    for label in ("z-score", "spread", "hedge ratio", "half-life", "cointegration p", "correlation"):
        assert f'<div class="ps-label">{label}</div>' in text
    assert "What this says" in text
    assert "plain ADF would say" in text
    assert "1 s bars · rolling OLS, 60 bars · closed bars only" in text


@pytest.mark.parametrize("page", PAGES)
def test_a_market_that_just_began_says_what_it_waits_for(engine, page):
    engine.bars_held = 0
    app = open_page(page)
    waits = ("Waiting for the first trade", "Collecting bars: 0 of", "Collecting trades: 0 of 1")
    assert any(text in words(app) for text in waits)


def test_too_few_bars_say_how_many_and_how_long(engine):
    engine.bars_held = 20
    text = words(open_page("pair"))
    assert "Collecting bars: 20 of" in text
    assert "(about" in text


@pytest.mark.parametrize("page", EVERY_PAGE)
def test_a_silent_symbol_is_marked(engine, page):
    engine.mode, engine.detail = "STALE", "no trade for a while: ETHUSDT"
    engine.rows["ETHUSDT"] = symbol_status(stale=True, last_trade_age_s=34.0)
    text = words(open_page(page))
    assert ">STALE<" in text
    assert '<b class="ps-attention">34 s</b>' in text
    assert "no trade for a while: ETHUSDT" in text


@pytest.mark.parametrize("page", EVERY_PAGE)
def test_the_demo_market_says_why_and_when_and_offers_to_try_now(engine, page):
    engine.mode, engine.detail, engine.retry_in_s = "DEMO", "name not resolved", 42.0
    app = open_page(page)
    assert "No live market: name not resolved. It is tried again in 42 s." in words(app)
    app.button(key="act-live").click().run()
    assert ("retry_live",) in engine.calls


def test_a_demo_market_that_was_chosen_says_so(engine):
    engine.mode, engine.source = "DEMO", "demo"
    app = open_page()
    assert "as chosen under Market" in words(app)
    assert not [button for button in app.button if button.key == "act-live"]


def test_a_blocked_market_says_why_and_offers_to_try_now(engine):
    engine.mode, engine.detail, engine.retry_in_s = "BLOCKED", "the exchange refuses this place (451)", 290.0
    app = open_page()
    assert "refuses this place (451) · next try in 290 s" in words(app)
    assert [button for button in app.button if button.key == "act-live"]


def test_a_replay_says_where_it_stands(engine):
    engine.mode = "REPLAY"
    engine.replay = {"speed": 20.0, "bytes_read": 50, "bytes_total": 100, "last_us": None}
    text = words(open_page())
    assert "20 times as fast as recorded · 50 % of the files read" in text
    engine.replay |= {"speed": 1.0}
    assert "UTC · as fast as recorded · 50 %" in words(open_page())


@pytest.mark.parametrize("page", EVERY_PAGE)
def test_a_bug_in_one_panel_leaves_the_others(engine, page, caplog):
    engine.failing = True
    app = open_page(page)
    assert "This panel failed" in words(app)
    assert ">LIVE<" in words(app)
    assert "a bug, as a test ordered" in caplog.text


def test_without_an_engine_the_page_says_so():
    engines.install(None)
    app = AppTest.from_file(str(MAIN), default_timeout=60).run()
    assert not app.exception
    assert "The engine is not running" in words(app)


def test_the_address_is_the_view_and_the_view_the_address(engine):
    app = open_page("pair", y="BTCUSDT", x="ETHUSDT", tf="3m", window="90", entry="2.5", exit="0.25", refresh="5.0")
    text = words(app)
    assert "BTCUSDT / ETHUSDT" in text
    assert "3 m bars · rolling OLS, 90 bars" in text
    query = dict(app.query_params)
    view, notices = View.from_query(query, engine.symbols)
    assert notices == []
    assert (view.timeframe, view.window, view.entry_z, view.exit_z, view.refresh_s) == ("3m", 90, 2.5, 0.25, 5.0)


def test_an_address_that_cannot_be_used_is_answered_with_a_notice(engine):
    app = open_page("pair", tf="soon", y="DOGEUSDT")
    assert [warning.value for warning in app.warning] == [
        "y='DOGEUSDT' in the address is not used: DOGEUSDT is not followed; followed are BTCUSDT, ETHUSDT",
        app.warning[1].value,
    ]
    assert "tf='soon'" in app.warning[1].value
    assert "ETHUSDT / BTCUSDT" in words(app)


def test_swap_exchanges_the_legs(engine):
    app = open_page("pair")
    app.button(key="swap").click().run()
    assert "BTCUSDT / ETHUSDT" in words(app)
    assert app.query_params["y"] == "BTCUSDT"


def test_what_a_choice_is_made_for_is_drawn_first_and_what_was_chosen_for_the_reader_before_it(engine, monkeypatch):
    drawn, side, panel = [], sidebar._sidebar, component.live_panel
    monkeypatch.setattr(sidebar, "_sidebar", lambda *args: (drawn.append("sidebar"), side(*args)))
    monkeypatch.setattr(component, "live_panel", lambda name, view: (drawn.append(name), panel(name, view)))

    def order() -> list[str]:
        taken = [name for name in drawn if name in ("sidebar", "pair-readings")]
        drawn.clear()
        return taken

    app = open_page("pair")
    assert order() == ["pair-readings", "sidebar"]
    app.number_input(key="view-window").set_value(90).run()
    assert order() == ["pair-readings", "sidebar"]
    app.button(key="swap").click().run()
    assert order() == ["sidebar", "pair-readings"]
    app.number_input(key="view-entry_z").set_value(0.4).run()  # leave |z| has to follow
    assert order() == ["sidebar", "pair-readings"]


def test_a_bar_width_may_be_typed(engine):
    app = open_page("pair")
    app.text_input(key="other-timeframe").set_value("3m").run()
    assert app.query_params["tf"] == "3m"
    app.text_input(key="other-timeframe").set_value("soon").run()
    assert app.query_params["tf"] == "3m"
    assert app.warning[0].value.startswith("bar width must be") and "soon" in app.warning[0].value


def test_a_typed_bar_width_stands_between_its_neighbours(engine):
    app = open_page("pair", tf="3s")
    (widths,) = (group for group in app.button_group if group.key == "view-timeframe")
    assert widths.options == ["1s", "3s", "5s", "15s", "1m", "5m", "15m", "1h"]


def test_symbols_and_source_go_to_the_engine(engine):
    app = open_page()
    app.multiselect(key="symbols").set_value(["BTCUSDT"]).run()
    assert ("set_symbols", ("BTCUSDT",)) in engine.calls
    assert not app.exception
    app.selectbox(key="source").set_value("demo").run()
    assert ("switch", "demo") in engine.calls


def test_pause_stops_the_live_chart_and_is_part_of_the_address(engine):
    app = open_page("pair", paused="1")
    assert '"paused": true' in charts(app)[0] or '"paused":true' in charts(app)[0]
    assert app.query_params["paused"] == "1"


def test_an_exit_above_the_entry_is_put_right_with_a_notice(engine):
    app = open_page("pair")
    app.number_input(key="view-entry_z").set_value(0.3).run()
    (said,) = app.warning
    assert said.value == "leave |z| was set to 0.07, as it must be below enter |z| 0.3"
    assert app.number_input(key="view-exit_z").value == 0.07 and app.query_params["exit"] == "0.07"
    assert not app.exception


def test_a_rule_is_added_paused_and_deleted(engine):
    app = open_page("pair")
    app.button(key="rule-add").click().run()
    (rule,) = engine.alerts.rules()
    assert (rule.metric, rule.condition, rule.threshold, rule.recovery) == ("zscore", "outside", 2.0, 0.5)
    assert (rule.symbol_y, rule.symbol_x, rule.timeframe) == ("ETHUSDT", "BTCUSDT", "1s")
    assert app.button(key="rule-add").disabled
    app.button(key=f"rule-on-{rule.rule_id}").click().run()
    assert engine.alerts.rules()[0].enabled is False
    app.button(key=f"rule-del-{rule.rule_id}").click().run()
    assert engine.alerts.rules() == []


def test_an_alert_raises_one_toast_in_a_page_that_was_open(engine):
    app = open_page("pair")
    engine.alerts.add(rules.quick_rule(View.default(engine.symbols)))
    engine.alerts.evaluate(lambda rule: {"zscore": 2.5}, START_US, "demo")
    app.run()
    assert [toast.value for toast in app.toast] == ["**ETHUSDT/BTCUSDT 1 s**  |z| > 2 fired at +2.50"]
    assert "|z| &gt; 2 fired at +2.50" in words(app)
    app.run()
    assert not app.toast


def test_however_many_tabs_are_open_rules_are_judged_by_the_engine_alone(engine):
    """D21."""
    engine.alerts.add(rules.quick_rule(View.default(engine.symbols)))
    for _ in range(5):
        open_page("pair").run()
    assert engine.alerts.counts["rounds"] == 0


def test_a_silenced_rule_says_so_and_raises_no_toast(engine):
    app = open_page("pair")
    rule = engine.alerts.add(rules.quick_rule(View.default(engine.symbols)))
    engine.alerts.silence(rule.rule_id, 60)
    engine.alerts.evaluate(lambda scope: {"zscore": 2.5}, START_US, "demo")
    app.run()
    assert not app.toast
    assert rules.state(engine, rule) == "silenced"


def test_gaps_stand_among_the_events(engine):
    engine.gap_list = [
        SimpleNamespace(
            symbol="BTCUSDT",
            first_id=1,
            last_id=212,
            found_us=START_US,
            filled_us=START_US + 400_000,
            cause="reconnect",
            note="",
        )
    ]
    engine.rows["BTCUSDT"] = symbol_status(gaps_filled=1)
    text = words(open_page("pair"))
    assert "BTC: gap of 212 ids (reconnect), repaired in 0.4 s" in text
    assert "1 gap repaired" in text


def test_an_open_gap_never_shows_full_coverage(engine):
    engine.gap_list = [
        SimpleNamespace(symbol="BTCUSDT", first_id=5, last_id=5, found_us=1, filled_us=None, cause="x", note="")
    ]
    engine.rows["BTCUSDT"] = symbol_status(gaps_open=1)
    assert "coverage <b>99.99 %</b>" in words(open_page())


def test_repairs_in_progress_and_what_stays_open_are_told(engine):
    engine.backfill = {"missing": 1_234, "repaired": 5, "detail": "asks for a pause", "retry_in_s": 41.0}
    engine.gap_list = [
        SimpleNamespace(
            symbol="ETHUSDT", first_id=5, last_id=5, found_us=1, filled_us=None, cause="offline", note="too old"
        )
    ]
    text = words(open_page("pair"))
    assert "repairing 1,234 trades: asks for a pause · next request in 41 s" in text
    assert "ETH: gap of 1 id (offline), open: too old" in text


def test_coverage_is_not_claimed_before_the_first_trade(engine):
    engine.rows = {symbol: symbol_status(received=0, stored=0, queued=0) for symbol in engine.symbols}
    assert "coverage <b>–</b>" in words(open_page())


def test_what_happened_to_the_database_is_told_until_it_is_dismissed(engine):
    engine.storage_note = "tape.db was damaged: it was moved aside as tape.db.corrupt-1 and a new one begun"
    app = open_page()
    assert "moved aside as tape.db.corrupt-1" in words(app)
    next(button for button in app.button if button.label == "Dismiss").click().run()
    assert "moved aside" not in words(app)


@pytest.mark.parametrize("page", PAGES)
def test_a_database_that_cannot_be_written_is_told_with_what_waits(engine, page):
    engine.mode, engine.storage_error = "MEMORY-ONLY", "disk is full"
    text = words(open_page(page))
    assert "The database cannot be written: disk is full. 26 trades wait in memory" in text


def test_the_bars_downloaded_read_back_as_the_same_numbers(engine):
    view = View.default(engine.symbols)
    frame = engine.bars("BTCUSDT", "1s", config.CHART_BARS)
    rows = list(csv.DictReader(io.StringIO(overview.bars_csv(engine, view))))
    assert [int(row["ts_us"]) for row in rows] == frame.index.asi8.tolist()
    for name in ("open", "high", "low", "close", "volume", "vwap"):
        assert [float(row[name]) for row in rows] == frame[name].tolist()


def test_the_pair_downloaded_reads_back_as_the_same_numbers(engine):
    view = View.default(engine.symbols)
    analysis = engine.analysis("ETHUSDT", "BTCUSDT", "1s", view.params)
    rows = list(csv.DictReader(io.StringIO(pair.pair_csv(engine, view))))
    assert [float(row["zscore"]) for row in rows] == analysis.path.zscore[-len(rows) :].tolist()
    assert 480 < len(rows) <= config.CHART_BARS


def test_statistics_follow_from_the_bars(engine):
    frame = engine.bars("ETHUSDT", "1s", 600)
    found = overview.statistics(frame, "1s")
    assert found["trades"] == frame["trades"].sum()
    assert found["vwap"] == pytest.approx((frame["vwap"] * frame["volume"]).sum() / frame["volume"].sum())
    assert found["return"] == frame["close"].iloc[-1] / frame["open"].iloc[0] - 1
    assert found["coverage"] == 1.0


def test_the_real_engine_shows_every_page_of_the_demo_market(tmp_path):
    real = engines.Engine(
        config.Settings(_env_file=None, source="demo", database=tmp_path / "demo.db", demo_rate=200.0)
    )
    real.start()
    engines.install(real)
    try:
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline and not all(len(real.bars(symbol, "1s")) > 2 for symbol in real.symbols):
            time.sleep(0.05)
        assert words(open_page()).count('class="ps-spark"') == 2
        text = words(open_page("pair"))
        assert ">DEMO<" in text
        assert "Collecting bars: " in text or "What this says" in text
        assert "This panel failed" not in text
    finally:
        engines.install(None)
        real.stop()


def test_names_from_outside_cannot_write_markup(engine):
    engine.detail = "<img src=x onerror=alert(1)>"
    engine.mode = "RECONNECTING"
    assert "<img" not in words(open_page())


def test_the_microstructure_page_reads_the_tape(engine):
    text = words(open_page("microstructure"))
    found = engine.tape("BTCUSDT")
    for label in ("trades/s", "order flow imbalance", "liquidity", "VPIN", "Amihud", "tick rule right"):
        assert f'<div class="ps-label">{label}</div>' in text
    assert formats.number(found.flow.imbalance, 2, sign=True) in text
    assert formats.percent(found.tick_rule.by_count, 1) in text
    newest = engine.ticks("BTCUSDT", 1)
    sign = formats.MINUS if newest.buyer_is_maker[0] else "+"
    assert f"<td>{sign}{formats.significant(float(newest.qty[0]), 3)}</td>" in text


def test_the_tape_of_another_symbol_is_chosen_on_its_page(engine):
    app = open_page("microstructure")
    app.button_group(key="view-symbol").set_value("ETHUSDT").run()
    assert formats.number(engine.tape("ETHUSDT").velocity.trades_per_s, 1) in words(app)
    assert app.query_params["symbol"] == "ETHUSDT"


def test_a_young_tape_says_what_it_waits_for_and_never_zero(engine):
    engine.bars_held = 30
    text = words(open_page("microstructure"))
    assert "needs 180 seconds before the window" in text
    assert '<span class="ps-value ps-plain">–</span>' in text


def test_the_signals_page_takes_the_score_apart(engine):
    text = words(open_page("signals"))
    view = View.default(engine.symbols)
    found = engine.signal(view.symbol_y, view.symbol_x, view.timeframe, view.params, view.rule)
    for term in found.opportunity.terms:
        assert f"<td>{formats.number(term.part, 1)}</td>" in text
    for reason in found.reasons:
        assert html.escape(reason.text) in text
    assert "What the rule says" in text and "What the rule did" in text


def test_weights_are_changed_on_the_signals_page_and_stay_in_the_address(engine):
    app = open_page("signals")
    for name, value in (("z-score", 40), ("volatility", 20), ("momentum", 20), ("liquidity", 20)):
        app.number_input(key=f"weight-{name}").set_value(value)
    submit(app, "Apply")
    assert app.query_params["weights"] == "40-20-20-20"
    app.number_input(key="weight-z-score").set_value(90)
    submit(app, "Apply")
    assert app.query_params["weights"] == "40-20-20-20"
    assert "weights must sum to 100, summed to 150" in app.warning[0].value


def submit(app, label):
    next(button for button in app.button if button.label == label).click().run()


def test_indicators_are_chosen_over_the_candles_and_stay_in_the_address(engine):
    app = open_page()
    app.button_group(key="view-indicators").set_value(["sma", "rsi"]).run()
    assert app.query_params["show"] == "sma-rsi"
    assert '"height":570' in charts(app)[0].replace(" ", "")


def test_downloads_of_tape_and_signal_hold_the_numbers_shown(engine):
    rows = list(csv.DictReader(io.StringIO(microstructure.readings_csv(engine))))
    assert [row["symbol"] for row in rows] == ["BTCUSDT", "ETHUSDT"]
    assert float(rows[0]["ofi"]) == engine.tape("BTCUSDT").flow.imbalance
    assert rows[0]["velocity_ratio"] == ""
    view = View.default(engine.symbols)
    rows = list(csv.DictReader(io.StringIO(signals.signal_csv(engine, view))))
    z = engine.analysis(view.symbol_y, view.symbol_x, view.timeframe, view.params).path.zscore
    assert float(rows[-1]["zscore"]) == z[-1]
    assert {"position", "in_force", "momentum"} <= set(rows[0])


def test_a_view_is_saved_under_a_name_and_brings_page_and_choices_back(engine):
    app = opened(open_page("pair", tf="5s", window="90"), "views-open")
    app.text_input(key="view-name").set_value("my pair").run()
    app.button(key="save-view").click().run()
    assert engine.kept["view my pair"].startswith("pair?") and "window=90" in engine.kept["view my pair"]
    other = opened(open_page(), "views-open")
    other.button(key="see-my pair").click().run()
    assert (other.query_params["tf"], other.query_params["window"]) == ("5s", "90")
    assert "What this says" in words(other)
    opened(other, "views-open").button(key="drop-my pair").click().run()
    assert "view my pair" not in engine.kept


@pytest.mark.parametrize(
    ("name", "reason"), [("  ", "a saved view needs a name"), ("x" * 41, "at most 40 letters, this has 41")]
)
def test_a_view_without_a_proper_name_is_not_saved(engine, name, reason):
    app = opened(open_page(), "views-open")
    app.text_input(key="view-name").set_value(name).run()
    app.button(key="save-view").click().run()
    assert reason in app.warning[0].value
    assert list(engine.kept) == ["guide dismissed"]


def test_the_number_of_saved_views_is_bounded(engine):
    engine.kept |= {f"view {number}": "pair?" for number in range(views.MOST_VIEWS)}
    assert "at most 50 views" in views.refusal(engine, "one more")
    assert views.refusal(engine, "7") == ""


def test_the_guide_is_there_until_it_is_dismissed(engine):
    engine.kept.clear()
    app = open_page()
    assert "Five things to know" in words(app)
    app.button(key="guide-done").click().run()
    assert "Five things to know" not in words(app)


def test_times_are_shown_in_the_zone_of_the_view(engine):
    assert re.search(r"\d\d:\d\d:\d\d UTC", words(open_page("signals")))
    text = words(open_page("signals", zone="Asia/Kolkata"))
    at = START_US + engine.bars_held * 1_000_000 + 500_000
    assert f"{hhmmss(at, 'Asia/Kolkata')} IST" in text


def test_the_time_shown_is_chosen_on_the_page_and_stays_in_the_address(engine):
    app = open_page("pair")
    app.button_group(key="view-span").set_value(120).run()
    assert app.query_params["span"] == "120"
    rows = list(csv.DictReader(io.StringIO(pair.pair_csv(engine, View.from_query({"span": "120"}, engine.symbols)[0]))))
    assert 60 < len(rows) <= 120


def test_best_quotes_and_the_cost_of_a_round_trip_at_them(engine):
    text = words(open_page("microstructure", size="20000"))
    view = View.from_query({"size": "20000"}, engine.symbols)[0]
    found = engine.book("BTCUSDT")
    assert f"<td>{formats.significant(found.quoted.newest_bp, 3)} bp</td>" in text
    ratio = engine.analysis(view.symbol_y, view.symbol_x, view.timeframe, view.params).path.hedge_ratio[-1]
    cost = engine.pair_cost((view.symbol_y, view.symbol_x), float(ratio), notional=20_000.0)
    assert f"<td>{formats.number(cost.bp, 1)} bp</td>" in text
    assert "for 20,000 USDT of y" in text


def test_without_quotes_the_page_says_how_to_get_them(engine):
    engine.quoted = False
    text = words(open_page("microstructure"))
    assert "PAIRSCOPE_QUOTES=true" in text and "Cost of a round trip" not in text


@pytest.mark.parametrize(
    ("topic", "figures", "told"),
    [
        ("correlation", ["matrix", "surface"], ["Pairs", "BTC · ETH", "By bar width"]),
        ("trades", ["lead-lag", "widths"], ["Lead and lag", "leads", "HY, every trade"]),
        ("distribution", ["distribution", "memory", "quantiles"], ["In numbers", "Jarque-Bera", "599 returns"]),
        ("season", ["season"], ["strength of the season", "60 bars"]),
    ],
)
def test_the_advanced_page_shows_one_topic_at_a_time(engine, topic, figures, told):
    app = open_page("advanced", topic=topic)
    assert [name for name in FIGURES if any(f'"name":"{name}"' in chart.replace(" ", "") for chart in charts(app))] == [
        name for name in FIGURES if name in figures
    ]
    text = words(app)
    assert "ps-is-" not in text
    for word in told:
        assert word in text
    assert text.count('class="ps-title" data-help=') == len(figures)


def test_topic_series_and_season_are_chosen_on_the_page_and_stay_in_the_address(engine):
    app = open_page("advanced", tf="15s")
    app.button_group(key="view-topic").set_value("season").run()
    app.button_group(key="view-subject").set_value("spread").run()
    app.button_group(key="view-season").set_value("hour").run()
    assert [app.query_params[name] for name in ("topic", "of", "season")] == ["season", "spread", "hour"]
    assert "240 bars" in words(app)


def test_a_season_that_bars_of_the_width_cannot_show_moves_to_the_nearest(engine):
    app = open_page("advanced", topic="season", season="week", tf="15s")
    assert "1 hour" in words(app) and "240 bars" in words(app)
    assert app.button_group(key="view-season").value == "hour"
    app = open_page("advanced", topic="season", tf="7s")
    assert "no minute, hour, day or week is 4 to 300 whole bars of 7 s" in words(app)
    assert not [group for group in app.button_group if group.key == "view-season"]


@pytest.mark.parametrize("topic", list(TOPICS))
def test_every_topic_says_what_it_waits_for(engine, topic):
    engine.bars_held = 12
    text = words(open_page("advanced", topic=topic))
    assert "Collecting " in text
    assert "This panel failed" not in text


def test_one_leg_twice_is_said_in_its_panels_and_the_heat_map_stays(engine):
    text = words(open_page("advanced", y="BTCUSDT", x="BTCUSDT"))
    assert "two different symbols" in text and "BTC · ETH" in text


def test_a_bug_in_one_study_leaves_the_others(engine, monkeypatch, caplog):
    monkeypatch.setattr(studies, "surface", lambda *_: 1 / 0)
    text = words(open_page("advanced"))
    assert "This panel failed" in text and "BTC · ETH" in text
    assert "ZeroDivisionError" in caplog.text


def test_who_leads_stands_on_the_microstructure_page_too(engine):
    text = words(open_page("microstructure"))
    legs = "ETHUSDT", "BTCUSDT"
    assert "Lead and lag" in text and sentence(engine.lead_lag(*legs), *legs) in text
    engine.bars_held = 100
    text = words(open_page("microstructure"))
    assert "Collecting seconds of trades of both legs: " in text


def test_downloads_of_the_advanced_page_hold_the_numbers_shown(engine):
    view = View.default(engine.symbols)

    def rows(write):
        return list(csv.DictReader(io.StringIO(write(engine, view))))

    (only,) = rows(advanced.matrix_csv)
    found = studies.matrix(engine, view)
    assert (only["symbol"], only["other"]) == found.symbols
    assert [float(only[name]) for name in ("correlation", "low", "high")] == [
        getattr(found, name)[0, 1] for name in ("correlation", "low", "high")
    ]
    surface = studies.surface(engine, view)
    assert [float(row["correlation"]) for row in rows(advanced.surface_csv)[:21]] == surface.correlation[0].tolist()
    lead = engine.lead_lag(view.symbol_y, view.symbol_x)
    assert [float(row["correlation"]) for row in rows(advanced.lead_lag_csv)] == lead.contrast.tolist()
    widths = engine.correlation_by_width(view.symbol_y, view.symbol_x)
    assert [row["method"] for row in rows(advanced.widths_csv)] == [row.method for row in widths]
    subject = studies.subject_of(engine, view)
    assert [float(row["change_bp"]) for row in rows(advanced.changes_csv)] == subject.changes.tolist()
    named = {row["number"]: row["value"] for row in rows(advanced.numbers_csv)}
    assert float(named["skewness"]) == studies.distribution(subject).summary.moments.skewness
    parts = studies.decomposition(subject, 60)
    assert [float(row["trend"]) for row in rows(advanced.season_csv)] == parts.trend.tolist()


def test_every_topic_offers_its_numbers(engine):
    for topic in TOPICS:
        labels = [button.label for button in open_page("advanced", topic=topic).get("download_button")]
        assert labels == [f"{download.label}, CSV" for download in advanced.DOWNLOADS[topic]]


def test_a_rule_on_any_metric_is_added_in_the_sidebar_by_default_at_its_level_of_now(engine):
    app = opened(open_page("pair"), "quick-open")
    app.selectbox(key="quick-metric").set_value("correlation").run()
    app.selectbox(key="quick-condition").set_value("<").run()
    app.number_input(key="quick-for").set_value(5.0).run()
    app.button(key="quick-add").click().run()
    (rule,) = engine.alerts.rules()
    now = engine.metric("ETHUSDT", "BTCUSDT", "1s", "correlation")
    assert (rule.metric, rule.condition, rule.threshold, rule.for_s) == ("correlation", "<", now, 5.0)
    assert (rule.symbol_y, rule.symbol_x, rule.timeframe) == ("ETHUSDT", "BTCUSDT", "1s")


def test_popovers_of_the_sidebar_are_made_when_they_are_opened(engine):
    app, made = open_page("pair"), {"quick": "quick-add", "views": "save-view"}
    assert not {button.key for button in app.button} & {*made.values()}
    for name, key in made.items():
        assert opened(app, f"{name}-open").button(key=key)


def test_a_quick_rule_without_a_level_is_refused_with_a_word(engine):
    engine.bars_held = 0
    app = opened(open_page(), "quick-open")
    app.button(key="quick-add").click().run()
    assert not engine.alerts.rules() and "a rule needs a level" in app.warning[0].value


def test_levels_of_rules_on_the_z_score_shown_are_drawn(engine):
    view = View.default(engine.symbols)
    for fields in (
        {"condition": "outside", "threshold": 1.5},
        {"condition": ">", "threshold": 2.5},
        {"condition": ">", "threshold": 9.0, "enabled": False},
    ):
        engine.alerts.add(rules.on_pair(view) | {"metric": "zscore"} | fields)
    engine.alerts.add(rules.on_pair(view) | {"metric": "pvalue", "condition": "<", "threshold": 0.05})
    assert rule_levels(engine, view) == [-1.5, 1.5, 2.5]
    assert rule_levels(engine, replace(view, window=90)) == []
