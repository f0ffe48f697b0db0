"""Conversions between the units of time that sources use."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils import clock
from utils.clock import EARLIEST_US, LATEST_US, hhmmss, iso_from_us, us_from_epoch, us_from_iso, us_from_ms

# one moment, 2024-08-08T23:54:16.322Z, in the four units of the wild
MOMENT_US = 1_723_161_256_322_000


@pytest.mark.parametrize("value", [MOMENT_US, MOMENT_US // 1_000, MOMENT_US * 1_000])
def test_the_unit_of_an_epoch_is_told_by_its_magnitude(value):
    assert us_from_epoch(value) == MOMENT_US


def test_seconds_are_told_too():
    assert us_from_epoch(MOMENT_US // 1_000_000) == MOMENT_US // 1_000_000 * 1_000_000


@pytest.mark.parametrize("value", [0, 1, 2**63, -MOMENT_US, 57_111])
def test_a_time_that_fits_no_unit_is_refused(value):
    with pytest.raises(ValueError, match=str(value)):
        us_from_epoch(value)


@pytest.mark.parametrize(
    "text",
    [
        "2024-08-08T23:54:16.322Z",
        "2024-08-08 23:54:16.322000",
        "2024-08-09T01:54:16.322+02:00",
        "2024-08-08T23:54:16.322",
    ],
)
def test_iso_times_with_and_without_zone_are_read(text):
    assert us_from_iso(text) == MOMENT_US


@given(st.integers(EARLIEST_US, LATEST_US - 1))
def test_iso_text_round_trips_to_the_microsecond(us):
    assert us_from_iso(iso_from_us(us)) == us


def test_milliseconds_become_microseconds_exactly():
    assert us_from_ms(1_723_161_256_322) == MOMENT_US
    assert hhmmss(MOMENT_US) == "23:54:16"


def test_a_steady_clock_does_not_follow_a_wall_clock_that_is_set(monkeypatch):
    """D16."""
    wall, monotonic = [1_700_000_000_000_000_000], [50.0]
    monkeypatch.setattr(clock, "now_us", lambda: wall[0] // 1_000)
    monkeypatch.setattr(clock, "monotonic_s", lambda: monotonic[0])
    steady = clock.SteadyClock()
    wall[0] -= 3_600 * 10**9
    monotonic[0] += 2.5
    assert steady() == 1_700_000_002_500_000
