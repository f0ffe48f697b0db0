"""What came of an alert."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.outcome import LEAST_BARS, MOST_BARS, Followed, follow, followed, patience_bars

S = 1_000_000
READING = {"hedge_ratio": 2.0, "spread_mean": 1.0, "spread_std": 0.5, "zscore": 3.0, "half_life": 10.0}


def play(start: Followed, zscores):
    """Follow the spread through these values of z, one a second, by prices; the outcome."""
    for second, z in enumerate(zscores, 1):
        y = math.nan if math.isnan(z) else 2.0 * 7.0 + 1.0 + 0.5 * z
        start, outcome = follow(start, {"price_y": y, "price_x": 7.0}, second * S, S)
        if outcome is not None:
            return outcome
    return None


def test_a_spread_that_goes_against_and_comes_back():
    outcome = play(followed(READING, 0), [3.5, 5.0, 2.0, math.nan, 0.6, 0.4])
    assert (outcome.reverted, outcome.bars, outcome.half_lives, outcome.ended_us) == (True, 6, 0.6, 6 * S)
    assert outcome.worst_z == pytest.approx(2.0)


def test_the_side_of_the_start_counts():
    outcome = play(followed(READING | {"zscore": -3.0}, 0), [-2.0, -3.1, 0.0])
    assert outcome.reverted and outcome.worst_z == pytest.approx(0.1)


def test_a_spread_that_does_not_come_back_is_given_up_after_five_half_lives():
    outcome = play(followed(READING, 0), [4.0] * 60)
    assert (outcome.reverted, outcome.bars, outcome.half_lives) == (False, 50, 5.0)


@pytest.mark.parametrize("half_life, bars", [(None, MOST_BARS), (0.1, LEAST_BARS), (20.0, 100), (1e6, MOST_BARS)])
def test_patience_follows_the_half_life_within_bounds(half_life, bars):
    assert patience_bars(half_life) == bars


def test_without_a_half_life_there_are_no_half_lives():
    outcome = play(followed(READING | {"half_life": math.inf}, 0), [0.0])
    assert outcome.half_lives is None


@pytest.mark.parametrize(
    "reading", [{}, READING | {"zscore": 0.4}, READING | {"spread_std": 0.0}, READING | {"hedge_ratio": math.nan}]
)
def test_what_is_not_stretched_is_not_followed(reading):
    assert followed(reading, 0) is None


@given(st.lists(st.floats(-20, 20), min_size=1, max_size=40))
def test_the_outcome_is_that_of_the_first_value_inside(zscores):
    outcome = play(followed(READING, 0), zscores)
    inside = next((i for i, z in enumerate(zscores) if z <= 0.5 - 1e-9), None)
    if outcome is None:
        assert inside is None
    else:
        assert outcome.bars <= len(zscores) and outcome.worst_z >= 0
        assert inside is None or outcome.bars <= inside + 1
