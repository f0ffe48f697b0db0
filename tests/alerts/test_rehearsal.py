"""A rule over the past: what it counts, and how the count moves."""

import math
from dataclasses import replace

import pytest

from alerts.rehearsal import STEPS, rehearse, sweep
from alerts.rules import Rule
from analytics.readings import Moment
from tests.alerts.memory import T0, S
from utils.errors import InputError

RULE = Rule("r", "zscore", ">", 2.0, "ETHUSDT", "BTCUSDT", "1s", cooldown_s=0, nodata_s=0)
PAIR = {"hedge_ratio": 1.0, "spread_mean": 0.0, "spread_std": 1.0, "half_life": 2.0, "price_x": 0.0}


def moments(values):
    """One a second; the spread is z itself."""
    return [Moment(T0 + i * S, PAIR | {"zscore": z, "price_y": z}) for i, z in enumerate(values)]


def test_what_happened_is_summed():
    found = rehearse(RULE, moments([0, 3, 4, 1, 0.2, math.nan, 3, 3]), S)
    assert [(one.at_us - T0) // S for one in found.log] == [1, 3, 5, 6]
    assert [one.change.state for one in found.log] == ["firing", "resolved", "nodata", "firing"]
    assert (found.bars, found.blind_bars, found.firings, found.firing_s) == (8, 1, 2, 3.0)
    assert (found.first_us, found.last_us) == (T0, T0 + 7 * S)
    assert found.firings_per_day == pytest.approx(2 * 86_400 / 7)
    assert (found.known, found.reverted) == (1, 1)
    outcome = found.log[0].outcome
    assert (outcome.bars, outcome.half_lives, outcome.worst_z) == (3, 1.5, 1.0)
    assert found.log[3].outcome is None


def test_nothing_is_nothing():
    found = rehearse(RULE, [], S)
    assert (found.bars, found.firings, found.firings_per_day, found.first_us) == (0, 0, None, None)
    assert rehearse(RULE, moments([3]), S).firings_per_day is None


def test_the_count_falls_as_the_threshold_rises():
    values = [0, 1.5, 0, 2.5, 0, 3.5, 0]
    tried = sweep(RULE, moments(values), S)
    assert [level for level, _ in tried] == [2 * step for step in STEPS]
    assert [found.firings for _, found in tried] == [3, 3, 2, 2, 2, 2, 1 + 0, 1, 1]
    assert [found.firings for _, found in sweep(RULE, moments(values), S, [1, 2, 3, 4])] == [3, 2, 1, 0]


def test_recovery_and_band_move_with_the_threshold():
    rule = replace(RULE, recovery=1.0)
    ((_, found),) = sweep(rule, moments([5, 2.1, 1.9]), S, [4.0])
    assert [(one.at_us - T0) // S for one in found.log] == [0, 2]
    band = replace(RULE, condition="inside", low=1.0)
    ((_, found),) = sweep(band, moments([1.5, 2.5, 3.5, 4.5]), S, [4.0])
    assert [(one.at_us - T0) // S for one in found.log] == [1, 3]


def test_a_recovery_level_stays_on_its_side_of_a_threshold_that_changes_its_sign():
    for rule, level in ((replace(RULE, recovery=1.0), -1.0), (replace(RULE, threshold=0.0, recovery=-1.0), -2.0)):
        ((_, found),) = sweep(rule, moments([level + 0.5, level - 0.5, level - 1.5]), S, [level])
        assert [(one.at_us - T0) // S for one in found.log] == [0, 2]


def test_an_expression_has_levels_of_its_own():
    rule = replace(RULE, condition="expression", expression="zscore > 2")
    with pytest.raises(InputError, match="one condition"):
        sweep(rule, moments([1]), S)
    assert rehearse(rule, moments([0, 3]), S).firings == 1
