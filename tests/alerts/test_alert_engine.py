"""Rules in force: what is added, edited, removed, evaluated and remembered."""

import pytest

from alerts.alert_engine import AlertEngine

BODY = {
    "metric": "zscore",
    "condition": "outside",
    "threshold": 2.0,
    "symbol_y": "ETHUSDT",
    "symbol_x": "BTCUSDT",
    "timeframe": "1s",
    "cooldown_s": 0,
}
T0 = 1_700_000_000_000_000


class MemoryStore:
    """A rule store in a dict."""

    def __init__(self) -> None:
        self.rules: dict[str, dict] = {}
        self.events: list[dict] = []

    def load_rules(self):
        return list(self.rules.values())

    def save_rule(self, body):
        self.rules[body["rule_id"]] = dict(body)

    def delete_rule(self, rule_id):
        self.rules.pop(rule_id)

    def save_event(self, row):
        self.events.append(dict(row))


def evaluate(alerts: AlertEngine, value: float, second: int = 0):
    return alerts.evaluate(lambda rule: {"zscore": value}, T0 + second * 1_000_000, "demo")


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
    later = AlertEngine(store)
    later.load()
    assert later.rules() == [kept]


def test_renaming_keeps_the_state_and_a_new_threshold_starts_anew():
    alerts = AlertEngine()
    rule = alerts.add(BODY)
    evaluate(alerts, 2.5)
    alerts.update(rule.rule_id, {"name": "stretched"})
    assert alerts.state(rule.rule_id).state == "FIRING"
    alerts.update(rule.rule_id, {"threshold": 3.0})
    assert alerts.state(rule.rule_id).state == "OK"
    assert alerts.rules()[0].version == 3


def test_a_disabled_or_removed_rule_is_silent():
    store = MemoryStore()
    alerts = AlertEngine(store)
    rule = alerts.add(BODY)
    alerts.update(rule.rule_id, {"enabled": False})
    assert evaluate(alerts, 9.0) == []
    alerts.remove(rule.rule_id)
    assert alerts.rules() == [] and store.rules == {}
    with pytest.raises(KeyError):
        alerts.remove(rule.rule_id)


def test_every_change_is_written_to_the_history():
    store = MemoryStore()
    alerts = AlertEngine(store)
    alerts.add(BODY)
    evaluate(alerts, -2.5)
    evaluate(alerts, 0.0, 1)
    assert [row["state"] for row in store.events] == ["firing", "resolved"]
    assert store.events[0]["value"] == -2.5
