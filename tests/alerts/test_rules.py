"""The state machine of an alert rule."""

import math
from dataclasses import replace

import pytest

from alerts.rules import HOLDS, Rule, RuleState, rule_from, step
from utils.errors import InputError

RULE = Rule("r1", "zscore", "outside", 2.0, "ETHUSDT", "BTCUSDT", "1s", cooldown_s=0)
S = 1_000_000
T0 = 1_700_000_000 * S


def run(rule: Rule, values: list[float]) -> list[tuple[int, str]]:
    """Feed one value a second; the changes as (second, state)."""
    state, seen = RuleState(), []
    for second, value in enumerate(values):
        state, change = step(rule, state, value, T0 + second * S)
        if change is not None:
            seen.append((second, change.state))
    return seen


# condition, value, threshold, holds
TRUTH = [
    (">", 2.1, 2.0, True),
    (">", 2.0, 2.0, False),
    (">=", 2.0, 2.0, True),
    ("<", -2.1, -2.0, True),
    ("<", -2.0, -2.0, False),
    ("<=", -2.0, -2.0, True),
    ("outside", -2.1, 2.0, True),
    ("outside", 2.1, 2.0, True),
    ("outside", -2.0, 2.0, False),
    ("inside", -0.4, 0.5, True),
    ("inside", 0.5, 0.5, False),
]


@pytest.mark.parametrize("condition, value, threshold, holds", TRUTH)
def test_conditions_follow_their_truth_table(condition, value, threshold, holds):
    assert replace(RULE, condition=condition, threshold=threshold).holds(value) is holds


@pytest.mark.parametrize("condition", HOLDS)
def test_no_condition_holds_or_recovers_for_nan(condition):
    rule = replace(RULE, condition=condition)
    assert not rule.holds(math.nan)
    assert not rule.recovered(math.nan)


def test_fires_once_and_resolves_once():
    assert run(RULE, [0, 2.5, 2.6, 2.7, 1.0, 0.0]) == [(1, "firing"), (4, "resolved")]


def test_pending_lasts_for_its_time_and_starts_anew_when_interrupted():
    assert run(replace(RULE, for_s=2), [2.5, 2.5, 0, 2.5, 2.5, 2.5]) == [(5, "firing")]


def test_recovery_level_keeps_a_flapping_rule_firing():
    assert run(replace(RULE, recovery=0.5), [2.5, 1.9, 2.1, 1.9, 0.4]) == [(0, "firing"), (4, "resolved")]


def test_cooldown_spaces_firings():
    assert run(replace(RULE, cooldown_s=4), [2.5, 0, 2.5, 2.5, 2.5, 2.5]) == [
        (0, "firing"),
        (1, "resolved"),
        (4, "firing"),
    ]


def test_no_data_neither_fires_nor_resolves_and_is_told_once():
    nan = math.nan
    assert run(RULE, [2.5, nan, nan, 2.5, 0]) == [(0, "firing"), (1, "nodata"), (4, "resolved")]
    assert run(RULE, [nan, nan, 0.1, 2.5]) == [(3, "firing")]


BAD = [
    ({"metric": "colour"}, "metric"),
    ({"condition": "=="}, "condition"),
    ({"threshold": "abc"}, "threshold"),
    ({"threshold": math.inf}, "threshold"),
    ({"for_s": -1}, "for_s"),
    ({"cooldown_s": 1e9}, "cooldown_s"),
    ({"severity": "loud"}, "severity"),
    ({"name": "x" * 121}, "name"),
    ({"last_fired": 1}, "last_fired"),
]


@pytest.mark.parametrize("fields, field", BAD)
def test_a_wrong_field_is_named(fields, field):
    body = {
        "metric": "zscore",
        "condition": ">",
        "threshold": 2,
        "symbol_y": "ETHUSDT",
        "symbol_x": "BTCUSDT",
        "timeframe": "1s",
    }
    with pytest.raises(InputError) as caught:
        rule_from({**body, **fields}, "r1")
    assert caught.value.field == field


def test_names_of_other_tools_are_understood():
    body = {
        "metric": "z_score",
        "condition": ">",
        "threshold": "2",
        "symbol_y": "A",
        "symbol_x": "B",
        "timeframe": "1m",
    }
    assert rule_from(body, "r1").metric == "zscore"
