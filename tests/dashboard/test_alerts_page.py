"""The Alerts page on a real engine with a scripted feed: make, try, change, silence and follow rules."""

import csv
import io

import pytest
from streamlit.testing.v1 import AppTest

import config
import engine as engines
from alerts.rules import plan_of
from dashboard import alerts
from dashboard.live.figures import alert_marks
from dashboard.pages.alerts import history_csv
from dashboard.rules import pair_events
from dashboard.view import View
from tests.dashboard.test_pages import words
from tests.fakes.engine import StillEngine, print_pair, settings
from tests.fakes.feed import ScriptedFeed
from tests.waiting import until

MAIN = config.ROOT / "dashboard" / "main.py"
RULE = {"metric": "zscore", "condition": "outside", "threshold": 0.5, "recovery": 0.1, "cooldown_s": 0}


@pytest.fixture
def engine(tmp_path):
    engine = StillEngine(settings(tmp_path))
    engine.start()
    print_pair(engine, 300)
    engine.put_note("guide dismissed", "1")
    engines.install(engine)
    yield engine
    engines.install(None)
    engine.stop()


def open_page() -> AppTest:
    app = AppTest.from_file(str(MAIN), default_timeout=60)
    app.switch_page("pages/alerts.py").run()
    assert not app.exception
    return app


def press(app: AppTest, key: str) -> AppTest:
    app.button(key=key).click().run()
    assert not app.exception
    return app


def test_without_rules_the_page_says_how_to_make_one(engine):
    text = words(open_page())
    assert "No rule yet" in text and "No rule has fired yet" in text and "PAIRSCOPE_CHANNELS" in text


def test_rules_are_judged_no_more_often_for_twenty_open_pages(engine):
    engine.alerts.add(RULE | {"symbol_y": "ETHUSDT", "symbol_x": "BTCUSDT", "timeframe": "1s"})
    engine.judge()
    before = engine.alerts.figures()
    for _ in range(20):
        open_page()
    after = engine.alerts.figures()
    assert after["rounds"] == before["rounds"] == 1 and after["judged"] == before["judged"] == 1


def test_a_rule_is_made_from_the_form_that_begins_with_the_pair_shown(engine):
    app = open_page()
    app.number_input(key="alert-threshold-").set_value(1.25).run()
    press(app, "alert-save")
    (rule,) = engine.alerts.rules()
    assert (rule.metric, rule.condition, rule.threshold, rule.recovery) == ("zscore", "outside", 1.25, 0.5)
    assert (rule.symbol_y, rule.symbol_x) == ("ETHUSDT", "BTCUSDT")
    assert alerts.rules_frame(engine, "UTC").loc[rule.rule_id, "rule"] == "|z| > 1.25"


def test_a_rule_of_several_conditions(engine):
    app = open_page()
    app.toggle(key="alert-several-").set_value(True).run()
    app.text_input(key="alert-expression-").set_value("abs(zscore) > 2 AND correlation > 0.5").run()
    press(app, "alert-save")
    assert engine.alerts.rules()[0].expression == "abs(zscore) > 2 AND correlation > 0.5"
    app.text_input(key="alert-expression-").set_value("zscore >").run()
    press(app, "alert-save")
    assert len(engine.alerts.rules()) == 1 and app.warning


def test_a_rule_is_tried_on_the_past_before_it_is_made(engine):
    app = open_page()
    app.number_input(key="alert-threshold-").set_value(0.5).run()
    press(app, "alert-try")
    found = engine.would_have_fired(RULE | {"recovery": 0.5, "cooldown_s": 30.0, "timeframe": "1s"}, 3_600)
    assert f"{found['firings']} time" in words(app) and not engine.alerts.rules()
    assert words(app).count("ps-bar") == len(found["by_threshold"])


def test_a_rule_that_asks_for_tests_is_tried_over_as_many_bars_as_it_may(engine):
    app = open_page()
    app.toggle(key="alert-several-").set_value(True).run()
    app.text_input(key="alert-expression-").set_value("half_life < 1000 AND zscore outside 0.5").run()
    press(app, "alert-try")
    assert not app.warning and "over 300 bars" in words(app)


def test_a_rule_that_no_bar_can_try_is_refused_with_a_sentence(engine):
    app = open_page()
    app.selectbox(key="alert-metric-True-").set_value("vpin_y").run()
    press(app, "alert-try")
    assert "vpin_y cannot be tried on the past" in app.warning[0].value and "Try a rule on the bars" in words(app)


def test_a_rule_is_changed_copied_silenced_and_deleted(engine):
    rule = engine.alerts.add(engine.rule_defaults() | RULE)
    app = open_page()
    app.selectbox(key="alert-choice").set_value(rule.rule_id).run()
    app.number_input(key=f"alert-threshold-{rule.rule_id}").set_value(3.0).run()
    press(app, "alert-save")
    changed = engine.alerts.rules()[0]
    assert (changed.threshold, changed.version) == (3.0, 2)
    press(app, "alert-silence")
    assert engine.alerts.state(rule.rule_id).shown == "SILENCED"
    press(app, "alert-unsilence")
    press(app, "alert-copy")
    assert [one.enabled for one in engine.alerts.rules()] == [True, False]
    press(app, "alert-enable")
    press(app, "alert-delete")
    assert rule.rule_id not in [one.rule_id for one in engine.alerts.rules()]


def test_what_a_trial_found_goes_with_the_form_it_was_asked_for(engine):
    app = open_page()
    app.number_input(key="alert-threshold-").set_value(1.0).run()
    press(app, "alert-try")
    assert "over 300 bars" in words(app)
    app.number_input(key="alert-threshold-").set_value(9.0).run()
    assert "over 300 bars" not in words(app)
    app.number_input(key="alert-threshold-").set_value(1.0).run()
    assert "over 300 bars" in words(app)
    app.number_input(key="alert-threshold-").set_value(-1.0).run()
    press(app, "alert-try")
    assert app.warning
    app.number_input(key="alert-threshold-").set_value(1.0).run()
    assert "over 300 bars" not in words(app)


def test_fields_that_the_form_does_not_show_act_no_longer(engine):
    many = {"expression": "zscore > 1 AND correlation > 0", "until": "zscore < 0"}
    rule = engine.alerts.add(engine.rule_defaults() | many)
    app = open_page()
    app.selectbox(key="alert-choice").set_value(rule.rule_id).run()
    app.toggle(key=f"alert-several-{rule.rule_id}").set_value(False).run()
    app.number_input(key=f"alert-recovery-{rule.rule_id}").set_value(0.5).run()
    press(app, "alert-save")
    (changed,) = engine.alerts.rules()
    assert (changed.expression, changed.until, changed.recovery, changed.version) == ("", "", 0.5, 2)
    app.toggle(key=f"alert-several-{rule.rule_id}").set_value(True).run()
    app.text_input(key=f"alert-expression-{rule.rule_id}").set_value(many["expression"]).run()
    app.text_input(key=f"alert-until-{rule.rule_id}").set_value(many["until"]).run()
    press(app, "alert-save")
    (changed,) = engine.alerts.rules()
    assert (changed.expression, changed.until, changed.recovery) == (*many.values(), None) and not app.warning


def test_one_condition_with_an_end_of_its_own_keeps_it_through_an_edit(engine):
    rule = engine.alerts.add(engine.rule_defaults() | RULE | {"recovery": None, "until": "abs(zscore) < 0.2"})
    app = open_page()
    app.selectbox(key="alert-choice").set_value(rule.rule_id).run()
    app.text_input(key=f"alert-name-{rule.rule_id}").set_value("wide").run()
    press(app, "alert-save")
    (changed,) = engine.alerts.rules()
    assert (changed.name, changed.until, plan_of(changed)) == ("wide", rule.until, plan_of(rule))


def test_the_history_is_written_like_every_export(engine):
    rule = engine.alerts.add(engine.rule_defaults() | RULE | {"threshold": 0.01, "recovery": None, "name": "=1+1"})
    engine.judge()
    until(lambda: engine.alert_history(10, rule.rule_id), len)
    (row,) = csv.DictReader(io.StringIO(history_csv(engine)))
    assert (row["name"], row["state"], row["outcome"]) == ("'=1+1", "firing", "")


def test_what_is_typed_last_counts_although_the_button_takes_the_focus(engine):
    app = open_page()
    app.text_input(key="alert-name-").set_value(" mine ")
    app.number_input(key="alert-threshold-").set_value(2.25)
    app.button(key="alert-save").click().run()
    (rule,) = engine.alerts.rules()
    assert (rule.name, rule.threshold) == ("mine", 2.25)


def test_an_edit_of_what_somebody_else_changed_is_refused_with_a_word(engine):
    rule = engine.alerts.add(engine.rule_defaults() | RULE)
    app = open_page()
    app.selectbox(key="alert-choice").set_value(rule.rule_id).run()
    button = app.button(key="alert-save")
    engine.alerts.update(rule.rule_id, {"threshold": 9.0})
    button.click().run()
    assert engine.alerts.rules()[0].threshold == 9.0
    assert "version 2 by now" in app.warning[0].value


def test_what_fired_is_in_the_history_with_what_was_true_then(engine):
    rule = engine.alerts.add(engine.rule_defaults() | RULE | {"threshold": 0.0, "recovery": None, "condition": ">="})
    engine.alerts.update(rule.rule_id, {"metric": "correlation", "threshold": -1.0})
    engine.judge()
    (event,) = engine.alerts.events_after(0)
    rows = until(lambda: engine.alert_file.event(event.event_id), len)
    text = alerts.event_details(rows, "UTC")
    assert "What came of it is not known yet." in text and "Then" in text
    frame = alerts.history_frame(engine.alert_history(10), "UTC")
    assert frame["what"].tolist() == ["fired"] and frame["event_id"].tolist() == [event.event_id]


def test_charts_and_panels_show_firings_of_the_open_market_alone(engine):
    view = View.default(engine.symbols)
    engine.alerts.add(
        engine.rule_defaults() | RULE | {"threshold": 0.01, "recovery": None, "timeframe": view.timeframe}
    )
    engine.judge()
    shown = alert_marks(engine, view), pair_events(engine, view, 5)
    assert [len(rows) for rows in shown] == [1, 1]
    engine.scripted = ScriptedFeed("binance-um")
    engine._open("binance-um")
    assert alert_marks(engine, view) == pair_events(engine, view, 5) == []
    assert len(engine.alerts.events_after(0)) == 1


def test_outcomes_in_words():
    turned = {"reverted": True, "bars": 7, "half_lives": 1.4, "worst_z": 0.6, "ended_us": 1}
    assert alerts.outcome_text(turned) == "came back in 7 bars, 1.4 half-lives; at worst 0.6 farther out"
    assert alerts.outcome_text({**turned, "reverted": False, "half_lives": None, "worst_z": 0.0}) == (
        "not back after 7 bars"
    )
    assert alerts.outcome_text(None) == ""
