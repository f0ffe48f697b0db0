"""Delays: percentiles within a bucket of the true ones, of the last minutes only, at a fixed size."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.delays import BOUNDS_S, SLOT_S, SLOTS, Delays, percentile

BUCKET = BOUNDS_S[1] / BOUNDS_S[0]


def test_percentiles_are_those_of_the_observations_within_a_bucket():
    taken = np.random.default_rng(1).lognormal(-6, 1.5, 20_000)
    delays = Delays()
    for seconds in taken.tolist():
        delays.add(seconds, 100.0)
    found = delays.lately(100.0)
    assert found.count == taken.size
    for value, share in ((found.p50_s, 0.5), (found.p99_s, 0.99)):
        assert 1 / BUCKET < value / np.quantile(taken, share) < BUCKET
    assert delays.sum_s == pytest.approx(taken.sum())


@given(st.lists(st.floats(2e-5, 900), min_size=1, max_size=50), st.floats(0.01, 1))
def test_a_percentile_lies_in_the_bucket_of_the_observation_that_it_stands_for(taken, share):
    delays = Delays()
    for seconds in taken:
        delays.add(seconds, 0.0)
    true = float(np.quantile(taken, share, method="inverted_cdf"))
    assert 1 / BUCKET * (1 - 1e-9) <= percentile(delays.counts, share) / true <= BUCKET * (1 + 1e-9)


def test_several_at_once_count_as_several():
    delays = Delays()
    delays.add(0.001, 0.0, count=98)
    delays.add(1.0, 0.0, count=2)
    found = delays.lately(0.0)
    assert found.count == 100
    assert found.p50_s < 0.0011 and 0.8 < found.p99_s <= 1.0


def test_what_is_older_than_the_last_minutes_no_longer_counts():
    delays = Delays()
    delays.add(1.0, 0.0)
    delays.add(0.001, SLOT_S)
    assert delays.lately((SLOTS - 1) * SLOT_S).count == 2
    assert delays.lately(SLOTS * SLOT_S).count == 1
    assert delays.lately(SLOTS * SLOT_S).p99_s < 0.002
    assert math.isnan(delays.lately((SLOTS + 1) * SLOT_S).p50_s)
    assert sum(delays.counts) == 2  # of all times


def test_nothing_seen_is_no_number_and_beyond_the_buckets_is_infinite():
    delays = Delays()
    assert math.isnan(delays.lately(0.0).p50_s)
    delays.add(BOUNDS_S[-1] * 2, 0.0)
    assert math.isinf(delays.lately(0.0).p99_s)


def test_the_size_does_not_grow_with_time():
    delays = Delays()
    for minute in range(1_000):
        delays.add(0.01, minute * SLOT_S)
    assert delays.lately(999 * SLOT_S).count == SLOTS
