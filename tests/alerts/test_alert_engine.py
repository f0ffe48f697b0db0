"""Rules in force: what is added, edited, removed, evaluated and remembered."""

import math

import pytest

from alerts.alert_engine import AlertEngine, Reading
from alerts.rules import MAX_RULES, SINGLE, body_of
from analytics.readings import Moment
from tests.alerts.memory import BODY, T0, Clock, MemoryStore, S
from utils.errors import InputError, StaleEdit, StorageError


def evaluate(alerts: AlertEngine, value: float, second: int = 0, **more: float):
    return alerts.evaluate(lambda scope: {"zscore": value, **more}, T0 + second * S, "demo")


def taken_up(store: MemoryStore, second: int = 0, clock: Clock | None = None) -> AlertEngine:
    """An engine as it is after a start on what is stored."""
    alerts = AlertEngine(store, clock=clock)
    alerts.load()
    alerts.take_up("demo", T0 + second * S)
    return alerts


def test_a_firing_and_its_end_share_one_event_id():
    alerts = AlertEngine(MemoryStore())
    alerts.add(BODY)
    (fired,) = evaluate(alerts, 2.5)
    (resolved,) = evaluate(alerts, 0.0, 1)
    assert (fired.state, resolved.state) == ("firing", "resolved")
    assert fired.event_id == resolved.event_id
    assert alerts.events_after(fired.seq) == [resolved]


def test_rules_survive_in_the_store():
    store = MemoryStore()
    kept = AlertEngine(store).add(BODY)
    assert taken_up(store).rules() == [kept]


def test_a_stored_rule_or_state_that_cannot_be_read_is_left_out_alone():
    store = MemoryStore()
    kept = AlertEngine(store).add(BODY)
    store.rules["odd"] = {**BODY, "rule_id": "odd", "metric": "colour"}
    store.states = {(kept.rule_id, "demo"): {"state": "FIRING", "colour": 1}}
    alerts = taken_up(store)
    assert alerts.rules() == [kept] and alerts.state(kept.rule_id).state == "OK"


def test_a_stored_rule_with_a_recovery_level_on_the_wrong_side_goes_on_without_it():
    store = MemoryStore()
    store.rules["old"] = {**BODY, "rule_id": "old", "recovery": 3.0}
    alerts = taken_up(store)
    assert [(rule.rule_id, rule.recovery) for rule in alerts.rules()] == [("old", None)]
    assert [event.state for second in range(3) for event in evaluate(alerts, 2.5, second)] == ["firing"]


@pytest.mark.parametrize(
    "fields, field",
    [
        ({"metric": "price", "change_s": 7, "timeframe": "15s"}, "change_s"),
        (
            {**dict.fromkeys(SINGLE), "expression": "zscore > 1 OR abs(change(price, 5m)) > 1", "timeframe": "1h"},
            "expression",
        ),
        ({"until": "change_pct(price, 29s) < 1", "timeframe": "1m"}, "until"),
    ],
)
def test_a_change_over_less_than_closes_can_tell_is_refused(fields, field):
    alerts = AlertEngine()
    with pytest.raises(InputError, match=f"{fields['timeframe']}: its window must be at least") as caught:
        alerts.add(BODY | fields)
    assert caught.value.field == field
    assert alerts.add(BODY | fields | {"on": "intrabar"}) and alerts.add(BODY | fields | {"timeframe": "5s"})


@pytest.mark.parametrize("window_s, since", [(8, 15), (15, 15), (20, 30), (29, 30), (30, 30)])
def test_a_window_that_is_no_multiple_of_the_bar_is_rounded_up_to_one(window_s, since):
    alerts = AlertEngine()
    body = {"metric": "price", "condition": ">", "threshold": -1, "change_s": window_s, "timeframe": "15s"}
    alerts.add(BODY | body | {"nodata_s": 600})
    fired = [event for at in range(0, 91, 15) for event in evaluate(alerts, 0.0, at, price=float(at))]
    assert [(event.value, (event.at_us - T0) // S) for event in fired] == [(since, since)]


def test_renaming_keeps_the_timer_and_a_new_threshold_starts_anew():
    """D5."""
    alerts = AlertEngine()
    rule = alerts.add(BODY | {"for_s": 3})
    evaluate(alerts, 2.5)
    alerts.update(rule.rule_id, {"name": "stretched", "severity": "critical"})
    (fired,) = evaluate(alerts, 2.5, 3)
    assert (fired.severity, fired.name) == ("critical", "stretched")
    alerts.update(rule.rule_id, {"threshold": 2.2})
    assert alerts.state(rule.rule_id).state == "OK"
    assert alerts.rules()[0].version == 3
    assert [evaluate(alerts, 2.5, second) for second in (4, 5)] == [[], []]


def test_an_edit_of_a_rule_that_was_changed_meanwhile_is_refused_with_what_differs():
    """D18."""
    alerts = AlertEngine()
    rule = alerts.add(BODY)
    alerts.update(rule.rule_id, {"threshold": 3.0}, version=1)
    with pytest.raises(StaleEdit, match="version 2") as caught:
        alerts.update(rule.rule_id, {"threshold": 4.0, "name": ""}, version=1)
    assert caught.value.differs == {"threshold": (3.0, 4.0)}
    assert alerts.rules()[0].threshold == 3.0


def test_a_condition_takes_the_place_of_an_expression():
    alerts = AlertEngine()
    rule = alerts.update(alerts.add(BODY).rule_id, {"expression": "zscore > 1 AND spread > 2"})
    changed = alerts.update(rule.rule_id, {"condition": ">", "threshold": 3})
    assert (changed.expression, changed.what) == ("", "zscore > 3")


@pytest.mark.parametrize(
    "fields", [{"threshold": 5}, {"low": 1.0}, {"change_s": 60}, {"metric": "z", "expression": "spread > 1"}]
)
def test_fields_that_an_expression_leaves_without_effect_are_refused(fields):
    """Not what a rule says of itself, nor what another condition was."""
    alerts, field = AlertEngine(), next(iter(fields))
    rule = alerts.add(BODY | {"low": 1.0, "change_s": 5})
    scope = {name: BODY[name] for name in ("symbol_y", "symbol_x", "timeframe")}
    rule = alerts.update(rule.rule_id, {"expression": "zscore > 1 AND spread > 2"})
    assert (rule.low, rule.change_s, rule.threshold) == (None, 0.0, 1.0)
    for act in (
        lambda: alerts.update(rule.rule_id, fields),
        lambda: alerts.add({**scope, "expression": "a", **body_of(rule), **fields}),
    ):
        with pytest.raises(InputError, match=f"^{field} has no effect beside an expression") as caught:
            act()
        assert caught.value.field == field
    assert alerts.rules() == [rule]
    told = body_of(rule) | {"metric": "z", "threshold": 1}
    assert alerts.update(rule.rule_id, told).version == 3
    assert alerts.duplicate(rule.rule_id).expression == alerts.add(told).expression == rule.expression
    changed = alerts.update(rule.rule_id, {"metric": "spread", "condition": ">", "threshold": 4, "expression": None})
    assert changed.what == "spread > 4"


def test_a_disabled_or_removed_rule_is_silent():
    store = MemoryStore()
    alerts = taken_up(store)
    rule = alerts.add(BODY)
    evaluate(alerts, 9.0)
    alerts.update(rule.rule_id, {"enabled": False})
    assert evaluate(alerts, 0.0, 1) == []
    alerts.remove(rule.rule_id)
    assert alerts.rules() == [] and store.rules == {} and store.states == {}
    with pytest.raises(KeyError):
        alerts.remove(rule.rule_id)


def test_a_copy_of_a_rule_is_not_in_force():
    alerts = AlertEngine()
    rule = alerts.add(BODY | {"name": "wide"})
    copy = alerts.duplicate(rule.rule_id)
    assert (copy.name, copy.enabled, copy.version, copy.threshold) == ("wide (copy)", False, 1, 2.0)
    assert copy.rule_id != rule.rule_id


def test_there_may_not_be_more_rules_than_the_limit():
    alerts = AlertEngine()
    for _ in range(MAX_RULES):
        alerts.add(BODY)
    with pytest.raises(InputError, match="at most 1000 rules"):
        alerts.add(BODY)


def test_every_change_is_written_to_the_history_with_what_was_true():
    store = MemoryStore()
    alerts = AlertEngine(store)
    alerts.add(BODY)
    reading = Reading({"zscore": -2.5, "pvalue": math.nan}, context=lambda: {"picture": {"zscore": [1.0]}})
    alerts.evaluate(lambda scope: reading, T0, "demo")
    evaluate(alerts, 0.0, 1)
    assert [row["state"] for row in store.events] == ["firing", "resolved"]
    assert store.events[0]["value"] == -2.5
    context = store.events[0]["context"]
    assert context["values"] == {"zscore": -2.5}
    assert (context["picture"], context["rule"]["version"]) == ({"zscore": [1.0]}, 1)
    assert store.events[1]["context"] is None


def test_a_scope_is_read_once_however_many_rules_share_it():
    alerts, asked = AlertEngine(), []
    for threshold in range(1, 30):
        alerts.add(BODY | {"threshold": threshold})
    alerts.add(BODY | {"timeframe": "1m"})
    alerts.evaluate(lambda scope: asked.append(scope) or {"zscore": 0.0}, T0, "demo")
    assert [scope.timeframe for scope in asked] == ["1s", "1m"]


def test_a_rule_is_judged_once_for_each_bar_and_for_those_that_were_missed():
    alerts = AlertEngine()
    alerts.add(BODY | {"for_s": 2})

    def see(second, value, *missed):
        moments = [Moment(T0 + at * S, {"zscore": v}) for at, v in missed]
        return alerts.evaluate(lambda scope: Reading({"zscore": value}, T0 + second * S, moments), T0 + 99 * S, "demo")

    assert see(1, 2.5) == [] == see(1, 2.5)
    assert alerts.counts["judged"] == 1
    assert see(3, 0.0, (1, 9.0), (2, 2.5)) == []  # at 1 it was judged already
    assert alerts.counts["judged"] == 3
    (fired,) = see(8, 0.1, (4, 2.5), (5, 2.5), (6, 2.5), (7, 2.5))[:1]
    assert (fired.state, fired.at_us) == ("firing", T0 + 6 * S)


def test_a_round_that_takes_too_long_leaves_the_rest_to_the_next(monkeypatch):
    """D20."""
    monkeypatch.setattr("alerts.alert_engine.ROUND_S", 0.0)
    alerts, asked = AlertEngine(), []
    for width in (1, 2, 3, 5):
        alerts.add(BODY | {"timeframe": f"{width}s"})
    for second in range(4):
        alerts.evaluate(lambda scope: asked.append(scope.timeframe) or {}, T0 + second * S, "demo")
    assert asked == ["1s", "2s", "3s", "5s"]
    assert alerts.counts["skipped"] == 12


def test_a_reading_that_fails_silences_no_other_scope():
    alerts = AlertEngine()
    for width in ("1s", "2s"):
        alerts.add(BODY | {"timeframe": width})

    def reading(scope):
        if scope.timeframe == "1s":
            raise ZeroDivisionError("a bug")
        return {"zscore": 2.5}

    assert [event.timeframe for event in alerts.evaluate(reading, T0, "demo")] == ["2s"]
    assert alerts.figures()["failed"] == 1


def test_a_clock_that_is_set_back_does_not_stop_the_rules():
    alerts = AlertEngine()
    rule = alerts.add(BODY | {"for_s": 2})
    evaluate(alerts, 2.5, 7_200)
    assert evaluate(alerts, 2.5, 3_600) == []
    assert alerts.state(rule.rule_id).since_us == T0 + 3_600 * S
    (fired,) = evaluate(alerts, 2.5, 3_602)
    assert fired.state == "firing"


# --- restarts ---------------------------------------------------------------------------------------


def test_a_firing_rule_goes_on_firing_after_a_restart():
    """D4."""
    store = MemoryStore()
    alerts = taken_up(store)
    alerts.add(BODY)
    (fired,) = evaluate(alerts, 2.5)
    alerts = taken_up(store, 5)
    assert evaluate(alerts, 2.6, 5) == []
    (resolved,) = evaluate(alerts, 0.0, 6)
    assert (resolved.state, resolved.event_id) == ("resolved", fired.event_id)


def test_a_pending_rule_goes_on_with_its_time_and_the_stop_does_not_count():
    """D3."""
    store = MemoryStore()
    alerts = taken_up(store)
    alerts.add(BODY | {"for_s": 60})
    for second in range(41):
        assert evaluate(alerts, 2.5, second) == []
    alerts = taken_up(store, 100)
    events = [event for second in range(100, 200) for event in evaluate(alerts, 2.5, second)]
    (fired,) = events
    assert T0 + 119 * S <= fired.at_us <= T0 + 121 * S  # it was noted every second that it was judged


def test_another_market_has_states_of_its_own():
    alerts = taken_up(MemoryStore())
    rule = alerts.add(BODY)
    evaluate(alerts, 2.5)
    alerts.take_up("binance-um", T0)
    assert alerts.state(rule.rule_id).state == "OK"
    alerts.take_up("demo", T0 + S)
    assert alerts.state(rule.rule_id).state == "FIRING"
    alerts.take_up("demo", T0 + 2 * S, anew=True)
    assert alerts.state(rule.rule_id).state == "OK"


def test_no_time_of_a_stored_state_stands_in_the_future():
    store = MemoryStore()
    rule = taken_up(store).add(BODY | {"cooldown_s": 60})
    store.states[rule.rule_id, "demo"] = {"state": "OK", "since_us": T0 + 9_000 * S, "fired_us": T0 + 9_000 * S}
    alerts = taken_up(store, 10)
    assert (alerts.state(rule.rule_id).since_us, alerts.state(rule.rule_id).fired_us) == (T0 + 10 * S,) * 2


# --- silence ----------------------------------------------------------------------------------------


def test_a_silence_survives_a_restart_and_ends_on_time_with_a_word():
    """D16."""
    store, clock = MemoryStore(), Clock()
    alerts = taken_up(store, clock=clock)
    rule = alerts.add(BODY)
    assert alerts.silence(rule.rule_id, 10) == T0 + 10 * S
    (kept_back,) = evaluate(alerts, 2.5, 1)
    assert kept_back.silenced and alerts.state(rule.rule_id).shown == "SILENCED"
    alerts = taken_up(store, 2, clock=clock)
    assert alerts.state(rule.rule_id).suppressed == 1
    clock.second = 9.9
    assert evaluate(alerts, 2.6, 9) == []
    clock.second = 10
    (word,) = evaluate(alerts, 2.6, 10)
    assert (word.state, word.count, word.silenced, word.stands) == ("unsilenced", 1, False, "FIRING")
    assert "1 message was kept back; the rule is FIRING" in word.text
    assert evaluate(alerts, 0.0, 11)[0].silenced is False


def test_a_silence_can_be_ended_goes_along_to_another_market_and_stays_through_an_edit():
    clock = Clock()
    alerts = taken_up(MemoryStore(), clock=clock)
    rule = alerts.add(BODY)
    alerts.silence(rule.rule_id, 60)
    alerts.update(rule.rule_id, {"threshold": 1.0})
    alerts.take_up("binance-um", T0)
    assert alerts.state(rule.rule_id).shown == "SILENCED"
    alerts.silence(rule.rule_id, None)
    assert [event.state for event in evaluate_in(alerts, "binance-um")] == ["unsilenced"]
    alerts.take_up("demo", T0)
    assert alerts.state(rule.rule_id).shown == "OK"
    with pytest.raises(InputError, match="silence"):
        alerts.silence(rule.rule_id, 0)
    with pytest.raises(KeyError):
        alerts.silence("none", 5)


def evaluate_in(alerts: AlertEngine, venue: str):
    return alerts.evaluate(lambda scope: {}, T0, venue)


# --- what came of it --------------------------------------------------------------------------------

STRETCHED = {"hedge_ratio": 2.0, "spread_mean": 0.0, "spread_std": 1.0, "half_life": 4.0, "price_x": 10.0}


def test_the_outcome_of_a_firing_is_followed_through_a_restart():
    store = MemoryStore()
    alerts = taken_up(store)
    alerts.add(BODY)
    (fired,) = evaluate(alerts, 3.0, 0, **STRETCHED, price_y=23.0)
    evaluate(alerts, 3.0, 1, **STRETCHED, price_y=24.5)
    alerts = taken_up(store, 2)
    for second, price in ((2, 23.0), (3, 21.0), (4, 20.4)):
        evaluate(alerts, 3.0, second, **STRETCHED, price_y=price)
    outcome = store.outcomes[fired.event_id]
    assert (outcome["reverted"], outcome["bars"], outcome["half_lives"]) == (True, 4, 1.0)
    assert outcome["worst_z"] == 0.0  # what happened before the stop was not in the file yet


# --- data that came later ---------------------------------------------------------------------------


def test_a_firing_on_data_that_came_later_is_recorded_and_not_told():
    """D22."""
    store = MemoryStore()
    alerts = taken_up(store)
    alerts.add(BODY)

    def see(second, value, *revised):
        moments = [Moment(T0 + at * S, {"zscore": v}) for at, v in revised]
        return alerts.evaluate(lambda scope: Reading({"zscore": value}, T0 + second * S, (), moments), T0, "demo")

    assert see(2, 0.0) == see(5, 0.0) == []
    (missed,) = see(6, 0.0, (3, 0.0), (4, 2.5), (5, 0.0))
    assert (missed.state, missed.at_us, missed.value) == ("missed", T0 + 4 * S, 2.5)
    assert "would have fired" in missed.text and store.messages == []
    assert see(7, 0.0, (3, 0.0), (4, 2.5), (5, 0.0)) == []  # recorded already
    assert [event.state for event in see(8, 2.5)] == ["firing"]
    assert see(9, 2.5, (8, 2.5), (9, 2.5)) == []  # told when it was so


def late(second: int, value: float, *revised: tuple[int, float]):
    """A reading whose earlier bars were changed."""
    moments = [Moment(T0 + at * S, {"zscore": v}) for at, v in revised]
    return lambda scope: Reading({"zscore": value}, T0 + second * S, (), moments)


def states_of(events) -> list[tuple[str, int]]:
    return [(event.state, (event.at_us - T0) // S) for event in events]


def test_nothing_was_missed_before_a_rule_watched_what_it_watches():
    alerts = taken_up(MemoryStore(), 100)
    rule = alerts.add(BODY)

    def evaluate_at(second, *revised):
        return states_of(alerts.evaluate(late(second, 0.0, *revised), T0 + second * S, "demo"))

    assert evaluate_at(100) == []
    assert evaluate_at(110, (90, 0.0), (91, 2.5), (92, 0.0), (105, 2.5), (110, 0.0)) == [("missed", 105)]
    alerts.update(rule.rule_id, {"enabled": False})
    alerts.update(rule.rule_id, {"enabled": True})
    assert evaluate_at(120) == []
    assert evaluate_at(121, (107, 2.5), (108, 0.0), (120, 0.0), (121, 0.0)) == []
    alerts.update(rule.rule_id, {"name": "wide"})
    assert evaluate_at(130, (125, 2.5), (126, 0.0)) == [("missed", 125)]


@pytest.mark.parametrize("commits", [True, False])  # whether the file can be read
def test_what_an_earlier_process_told_is_not_recorded_as_missed(commits, monkeypatch):
    store = MemoryStore()
    alerts = taken_up(store)
    alerts.add(BODY)
    for second, value in ((0, 0.0), (1, 2.5), (2, 0.0)):
        alerts.evaluate(late(second, value), T0 + second * S, "demo")
    alerts = taken_up(store, 100)
    assert alerts.evaluate(late(100, 0.0), T0 + 100 * S, "demo") == []
    if not commits:
        monkeypatch.setattr(store, "history", lambda *a, **k: (_ for _ in ()).throw(StorageError("busy")))
    revised = (0, 0.0), (1, 2.5), (2, 0.0), (50, 2.5), (51, 0.0)
    found = states_of(alerts.evaluate(late(101, 0.0, *revised), T0 + 101 * S, "demo"))
    assert found == ([("missed", 50)] if commits else [("missed", 1), ("missed", 50)])


def test_neither_another_market_nor_an_earlier_pass_decides_what_was_missed():
    def play(alerts, venue, anew):
        alerts.take_up(venue, T0, anew)
        before = alerts.last_seq
        alerts.evaluate(late(1, 0.0), T0 + S, venue)
        alerts.evaluate(late(6, 0.0, (3, 2.5), (4, 0.0), (6, 0.0)), T0 + 6 * S, venue)
        assert alerts.events_of_market() == alerts.events_after(before)
        return states_of(alerts.events_after(before))

    alerts = taken_up(MemoryStore())
    alerts.add(BODY)
    evaluate(alerts, 2.5, 2)
    assert [event.venue for event in alerts.events_of_market()] == ["demo"]
    assert play(alerts, "replay", True) == play(alerts, "replay", True) == [("missed", 3)]
    assert play(alerts, "binance-um", False) == [("missed", 3)]
    alerts.take_up("demo", T0 + 10 * S)
    assert states_of(alerts.events_of_market()) == [("firing", 2)]
