"""Targets of the pace; what a line through an anchor means is told in test_replay."""

from data.feeds.pace import Pace
from utils.clock import US_PER_S

S = US_PER_S


def test_a_target_is_due_at_once_and_the_line_goes_on_from_there():
    pace = Pace(0, 2)
    pace.play(100)
    pace.seek(60 * S)
    assert pace.due_us(100) == pace.due_us(500) == 60 * S
    pace.arrive(60 * S, 500)
    assert pace.target_us is None and pace.due_us(501) == 62 * S


def test_what_stands_stands_at_its_target():
    pace = Pace(0, 1)
    pace.seek(5 * S)
    pace.arrive(5 * S, 10)
    assert pace.stands and pace.due_us(1_000) == 5 * S


def test_a_pause_gives_the_target_up():
    pace = Pace(0, 1)
    pace.seek(100 * S)
    pace.pause(7 * S)
    assert pace.target_us is None and pace.due_us(50) == 7 * S


def test_a_target_that_was_changed_meanwhile_is_not_reached():
    pace = Pace(0, 1)
    pace.seek(5 * S)
    pace.seek(9 * S)
    pace.arrive(5 * S, 0)
    assert pace.due_us(0) == 9 * S
