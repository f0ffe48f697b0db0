"""The state machine of an alert rule."""

import json
import math
import re
from dataclasses import asdict, replace

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from alerts.conditions import HOLDS
from alerts.rules import (
    Rule,
    RuleState,
    Scope,
    body_of,
    end_silence,
    plan_of,
    rule_from,
    silence,
    state_from,
    step,
)
from utils.errors import InputError

RULE = Rule("r1", "zscore", "outside", 2.0, "ETHUSDT", "BTCUSDT", "1s", cooldown_s=0, nodata_s=0)
S = 1_000_000
T0 = 1_700_000_000 * S
NAN = math.nan


def run(rule: Rule, values: list[float], metric: str = "zscore") -> list[tuple[int, str]]:
    """Feed one value a second; the changes as (second, state)."""
    return feed(rule, [{metric: value} for value in values])


def feed(rule: Rule, readings: list[dict[str, float]]) -> list[tuple[int, str]]:
    state, seen = RuleState(), []
    for second, reading in enumerate(readings):
        state, change = step(rule, state, reading, T0 + second * S)
        if change is not None:
            seen.append((second, change.state))
    return seen


@pytest.mark.parametrize("condition", HOLDS)
def test_no_condition_fires_or_resolves_on_nan(condition):
    rule = replace(RULE, condition=condition)
    assert run(rule, [NAN, NAN, NAN]) == []
    firing = RuleState(state="FIRING", since_us=T0, fired_us=T0)
    state, change = step(rule, firing, {"zscore": NAN}, T0 + S)
    assert (state.before_nodata, change.state) == ("FIRING", "nodata")
    assert step(rule, firing, {}, T0 + S)[1].state == "nodata"


def test_fires_once_and_resolves_once():
    assert run(RULE, [0, 2.5, 2.6, 2.7, 1.0, 0.0]) == [(1, "firing"), (4, "resolved")]


def test_pending_lasts_for_its_time_and_starts_anew_when_interrupted():
    assert run(replace(RULE, for_s=2), [2.5, 2.5, 0, 2.5, 2.5, 2.5]) == [(5, "firing")]


def test_recovery_level_keeps_a_flapping_rule_firing():
    assert run(replace(RULE, recovery=0.5), [2.5, 1.9, 2.1, 1.9, 0.4]) == [(0, "firing"), (4, "resolved")]
    assert run(replace(RULE, condition="<", threshold=1.0, recovery=1.5), [0.9, 1.2, 1.6]) == [
        (0, "firing"),
        (2, "resolved"),
    ]


@pytest.mark.parametrize(
    "fields, limit",
    [
        ({"condition": ">", "threshold": 2.0, "recovery": 3.0}, "<= 2 for zscore > 2, was 3"),
        (
            {"condition": "crosses_above", "threshold": -2.0, "recovery": -1.0},
            "<= -2 for zscore crosses above -2, was -1",
        ),
        ({"condition": "<", "threshold": -2.0, "recovery": -3.0}, ">= -2 for zscore < -2, was -3"),
        ({"condition": "crosses_below", "threshold": 1.0, "recovery": 0.0}, ">= 1 for zscore crosses below 1, was 0"),
        ({"condition": "outside", "threshold": 2.0, "recovery": 3.0}, "<= 2 for zscore outside -2 .. 2, was 3"),
        ({"condition": "inside", "threshold": 2.0, "recovery": 1.0}, ">= 2 for zscore inside -2 .. 2, was 1"),
        ({"condition": "expression", "expression": "zscore outside -1 .. 2", "recovery": 1.5}, "<= 1 for zscore"),
    ],
)
def test_a_recovery_level_on_the_wrong_side_is_refused(fields, limit):
    """It would end and fire again with every reading."""
    with pytest.raises(InputError, match=f"recovery must be {re.escape(limit)}") as caught:
        replace(RULE, **fields)
    assert caught.value.field == "recovery"
    if "expression" not in fields:
        assert replace(RULE, **fields | {"recovery": fields["threshold"] if fields["threshold"] > 0 else -2.0})


def test_cooldown_spaces_firings_and_counts_what_it_kept_back():
    rule = replace(RULE, cooldown_s=4)
    assert run(rule, [2.5, 0, 2.5, 2.5, 2.5, 2.5]) == [(0, "firing"), (1, "resolved"), (4, "firing")]
    state, counts = RuleState(), []
    for second, value in enumerate([2.5, 0, 2.5, 0, 2.5, 0, 0, 2.5]):
        state, change = step(rule, state, {"zscore": value}, T0 + second * S)
        counts += [change.count] if change is not None and change.state == "firing" else []
    assert counts == [1, 2]  # at 4 it fires with the crossings at 2 and 4


def test_no_data_neither_fires_nor_resolves_and_is_told_once():
    assert run(RULE, [2.5, NAN, NAN, 2.5, 0]) == [(0, "firing"), (1, "nodata"), (4, "resolved")]
    assert run(RULE, [2.5, NAN, 0]) == [(0, "firing"), (1, "nodata"), (2, "resolved")]
    assert run(RULE, [NAN, NAN, 0.1, 2.5]) == [(3, "firing")]


def test_no_data_has_a_time_of_its_own():
    rule = replace(RULE, nodata_s=3)
    assert run(rule, [2.5, NAN, NAN, 2.5, NAN, NAN, NAN, NAN, NAN, 2.5]) == [(0, "firing"), (7, "nodata")]


def test_a_short_hole_does_not_reset_a_pending_rule_and_a_long_one_does():
    rule = replace(RULE, nodata_s=2, for_s=4)
    assert run(rule, [2.5, 2.5, NAN, 2.5, 2.5]) == [(4, "firing")]
    assert run(rule, [2.5, 2.5, NAN, NAN, NAN, 2.5, 2.5, 2.5, 2.5]) == [(4, "nodata")]


def test_it_is_told_again_while_it_fires():
    rule = replace(RULE, repeat_s=600)
    changes = run(rule, [2.5] * 3_600 + [0.0])
    assert [state for _, state in changes] == ["firing"] + 5 * ["repeat"] + ["resolved"]
    assert [second for second, _ in changes[1:-1]] == [600, 1_200, 1_800, 2_400, 3_000]


@pytest.mark.parametrize(
    "options, messages",
    [({"for_s": 30}, 0), ({"recovery": 0.5}, 1), ({"cooldown_s": 60}, 20)],
    ids=["for", "hysteresis", "rate limit"],
)
def test_a_value_that_flaps_for_ten_minutes_says_little(options, messages):
    """D8."""
    values = [2.1 if second % 2 else 1.9 for second in range(600)]
    assert len(run(replace(RULE, **options), values)) <= messages


def test_a_crossing_fires_where_the_level_is_passed_not_where_it_was_passed_before():
    rule = replace(RULE, condition="crosses_above")
    assert run(rule, [2.5, 2.6, 1.0, 2.1, 2.2, 1.9]) == [(3, "firing"), (5, "resolved")]
    assert run(replace(rule, for_s=2), [1.0, 2.1, 2.2, 2.3]) == [(3, "firing")]


def test_a_crossing_during_a_hole_counts_and_one_during_no_data_does_not():
    rule = replace(RULE, condition="crosses_above", nodata_s=2)
    assert run(rule, [1.0, NAN, 2.5]) == [(2, "firing")]
    assert run(rule, [1.0, NAN, NAN, NAN, 2.5, 2.6]) == [(3, "nodata")]


def test_a_change_over_a_window_is_watched():
    rule = replace(RULE, metric="price", condition=">", threshold=5.0, change_s=3)
    assert run(rule, [100, 101, 102, 104, 107, 107, 107, 107], "price") == [(4, "firing"), (5, "resolved")]


def test_an_expression_fires_when_all_of_it_holds_and_resolves_by_its_own_words():
    body = {
        "expression": "zscore > 2 AND pvalue < 0.05",
        "until": "abs(zscore) < 0.5",
        "symbol_y": "A",
        "symbol_x": "B",
        "timeframe": "1s",
        "cooldown_s": 0,
        "nodata_s": 0,
    }
    rule = rule_from(body, "r")
    assert (rule.metric, rule.condition, rule.threshold) == ("zscore", "expression", 2.0)
    rows = [(2.5, 0.5), (2.5, 0.01), (1.0, 0.5), (1.0, NAN), (NAN, 0.1), (0.4, NAN)]
    assert feed(rule, [{"zscore": z, "pvalue": p} for z, p in rows]) == [(1, "firing"), (4, "nodata"), (5, "resolved")]


def test_one_symbol_can_be_watched():
    rule = rule_from({"metric": "price", "condition": ">", "threshold": 5, "symbol": "ETHUSDT", "timeframe": "1m"}, "r")
    assert rule.scope == Scope("ETHUSDT", "", "1m") and rule.title == "ETHUSDT 1m price > 5"
    with pytest.raises(InputError, match="metric must be one of price"):
        replace(rule, metric="zscore")


# --- silence ----------------------------------------------------------------------------------------


def test_a_silenced_rule_is_judged_counts_what_it_keeps_back_and_ends_with_a_word():
    state = silence(RuleState(), T0 + 5 * S)
    assert state.shown == "SILENCED"
    told = []
    for second, value in enumerate([2.5, 0.0, 2.5, 2.5, 2.5, 2.5]):
        state, change = step(RULE, state, {"zscore": value}, T0 + second * S)
        told += [(change.state, change.silenced)] if change else []
        state, ended = end_silence(state, T0 + second * S)
        told += [(ended.state, ended.silenced, ended.count)] if ended else []
    assert told == [("firing", True), ("resolved", True), ("firing", True), ("unsilenced", False, 3)]
    assert state.shown == "FIRING"
    assert step(RULE, state, {"zscore": 0.0}, T0 + 9 * S)[1].silenced is False


# --- against a simple oracle ------------------------------------------------------------------------


class Oracle:
    """The same rules in flat words: one list of what happened since, no states."""

    def __init__(self, for_s, cooldown_s, repeat_s, nodata_s):
        self.for_s, self.cooldown_s, self.repeat_s, self.nodata_s = for_s, cooldown_s, repeat_s, nodata_s
        self.firing = self.lost = self.known = False
        self.met_since = self.last_fired = self.last_told = self.blind_since = None

    def feed(self, second, value):
        if math.isnan(value):
            self.blind_since = second if self.blind_since is None else self.blind_since
            if self.lost or second - self.blind_since < self.nodata_s:
                return None
            self.lost, self.met_since = True, None
            return "nodata" if self.known else None
        self.lost, self.blind_since, self.known = False, None, True
        if self.firing:
            if value <= 1:
                self.firing = False
                return "resolved"
            if self.repeat_s and second - self.last_told >= self.repeat_s:
                self.last_told = second
                return "repeat"
            return None
        if value <= 2:
            self.met_since = None
            return None
        self.met_since = second if self.met_since is None else self.met_since
        rested = self.last_fired is None or second - self.last_fired >= self.cooldown_s
        if rested and second - self.met_since >= self.for_s:
            self.firing, self.met_since, self.last_fired, self.last_told = True, None, second, second
            return "firing"
        return None

    @property
    def state(self):
        if self.lost:
            return "NODATA"
        return "FIRING" if self.firing else "OK" if self.met_since is None else "PENDING"


class RuleStates(RuleBasedStateMachine):
    """Any series of values, holes, silences and restarts, at any distance in time."""

    @initialize(
        for_s=st.integers(0, 8), cooldown_s=st.integers(0, 20), repeat_s=st.integers(0, 9), nodata_s=st.integers(0, 6)
    )
    def begin(self, for_s, cooldown_s, repeat_s, nodata_s):
        options = {"for_s": for_s, "cooldown_s": cooldown_s, "repeat_s": repeat_s, "nodata_s": nodata_s}
        self.rule = replace(RULE, condition=">", recovery=1.0, **options)
        self.oracle, self.state, self.second = Oracle(**options), RuleState(), 1
        self.silent_until, self.kept_back = None, 0

    @rule(value=st.sampled_from([3.0, 2.0, 1.5, 1.0, 0.0, NAN]), seconds=st.integers(1, 5), times=st.integers(1, 4))
    def see(self, value, seconds, times):
        for _ in range(times):
            self.second += seconds
            expected = self.oracle.feed(self.second, value)
            self.state, change = step(self.rule, self.state, {"zscore": value}, self.second * S)
            assert (change.state if change else None) == expected
            assert change is None or change.silenced == (self.silent_until is not None)
            self.kept_back += self.silent_until is not None and change is not None
            self.end()

    def end(self):
        state, change = end_silence(self.state, self.second * S)
        if self.silent_until is None or self.second < self.silent_until:
            assert change is None and state is self.state
            return
        assert (change.state, change.count) == ("unsilenced", self.kept_back)
        self.state, self.silent_until, self.kept_back = state, None, 0
        if self.oracle.firing:  # the word is what was told last
            self.oracle.last_told = self.second if not self.oracle.lost else self.oracle.last_told

    @rule(seconds=st.integers(1, 20))
    def hush(self, seconds):
        if self.silent_until is None:
            self.silent_until, self.kept_back = self.second + seconds, 0
            self.state = silence(self.state, self.silent_until * S)

    @rule()
    def restart(self):
        self.state = state_from(json.loads(json.dumps(asdict(self.state))))

    @invariant()
    def they_agree(self):
        if hasattr(self, "oracle"):
            assert self.state.state == self.oracle.state
            assert (self.state.shown == "SILENCED") == (self.silent_until is not None)


TestRuleStates = RuleStates.TestCase


# --- fields -----------------------------------------------------------------------------------------

BODY = {
    "metric": "zscore",
    "condition": ">",
    "threshold": 2,
    "symbol_y": "ETHUSDT",
    "symbol_x": "BTCUSDT",
    "timeframe": "1s",
}
BAD = [
    ({"metric": "colour"}, "metric"),
    ({"metric": None}, "metric"),
    ({"metric": 7}, "metric"),
    ({"condition": "=="}, "condition"),
    ({"threshold": "abc"}, "threshold"),
    ({"threshold": True}, "threshold"),
    ({"threshold": math.inf}, "threshold"),
    ({"for_s": -1}, "for_s"),
    ({"repeat_s": math.nan}, "repeat_s"),
    ({"cooldown_s": 1e9}, "cooldown_s"),
    ({"severity": "loud"}, "severity"),
    ({"on": "tick"}, "on"),
    ({"name": "x" * 121}, "name"),
    ({"channels": "ops"}, "channels"),
    ({"channels": [1]}, "channels"),
    ({"symbol_x": "ETHUSDT"}, "symbol_x"),
    ({"low": 1.0}, "low"),
    ({"condition": "outside", "low": 3.0}, "low"),
    ({"condition": "outside", "threshold": -1.0}, "threshold"),
    ({"condition": "inside", "low": 1.0, "recovery": 1.0}, "recovery"),
    ({"condition": "outside", "recovery": -1.0}, "recovery"),
    ({"recovery": 1.0, "until": "zscore < 1"}, "recovery"),
    ({"until": "colour < 1"}, "until"),
    ({"until": "zscore <"}, "until"),
    ({"expression": "colour > 1"}, "expression"),
    ({"expression": "zscore > 1", "recovery": 1.0, "until": "zscore < 1"}, "recovery"),
    ({"expression": 5}, "expression"),
    ({"change_s": 1e6}, "change_s"),
    ({"last_fired": 1}, "last_fired"),
]


@pytest.mark.parametrize("fields, field", BAD)
def test_a_wrong_field_is_named(fields, field):
    with pytest.raises(InputError) as caught:
        rule_from({**BODY, **fields}, "r1")
    assert caught.value.field == field


@pytest.mark.parametrize("alias, name", [("z_score", "zscore"), ("beta", "hedge_ratio"), ("p_value", "pvalue")])
def test_names_of_other_tools_are_understood(alias, name):
    assert rule_from({**BODY, "metric": alias}, "r1").metric == name
    assert rule_from({**BODY, "expression": f"{alias} > 1"}, "r1").metric == name


def test_a_rule_survives_being_written_and_read():
    rule = rule_from({**BODY, "expression": "zscore > 1 AND rsi_y < 30", "channels": ["ops"], "for_s": "5"}, "r1")
    assert rule_from(json.loads(json.dumps(body_of(rule))), "r1") == rule
    assert [str(value) for value in plan_of(rule).values] == ["zscore", "rsi_y"]
