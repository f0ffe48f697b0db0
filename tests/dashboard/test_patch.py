"""Patches: applied in order to a snapshot they give the newest figure, and they are small."""

import json
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard.live.patch import apply, diff, plain, unfolded

SCALARS = st.none() | st.booleans() | st.integers(-5, 5) | st.text("ab", max_size=2) | st.floats(-2, 2, width=16)
ROWS = st.lists(st.none() | st.integers(-3, 3), max_size=14)
TREES = st.recursive(
    SCALARS | ROWS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xyzab"), inner, max_size=4),
    max_leaves=14,
)


def text(value):
    return json.dumps(value, sort_keys=True)


@given(st.lists(TREES, min_size=1, max_size=6))
@settings(max_examples=400)
def test_patches_in_order_reproduce_the_newest_value(versions):
    state = json.loads(text(versions[0]))
    for old, new in pairwise(versions):
        state = apply(state, json.loads(text(diff(old, new))))
        assert state == new


@given(TREES)
def test_equal_values_need_no_operation(value):
    assert diff(value, json.loads(text(value))) == []


COLUMN = st.lists(st.sampled_from([1.0, 2.5, float("nan"), float("inf")]), max_size=14).map(np.array)
TRACES = st.lists(st.fixed_dictionaries({"x": COLUMN, "y": COLUMN | ROWS, "z": st.just(np.eye(3))}), max_size=3)


@given(st.lists(TRACES, min_size=1, max_size=5))
@settings(max_examples=200)
def test_arrays_are_patched_as_the_lists_that_they_travel_as(versions):
    state = plain(versions[0])
    for old, new in pairwise(versions):
        state = apply(state, json.loads(text(diff(old, new))))
        assert state == plain(new)
        assert diff(new, [{name: np.copy(values) for name, values in trace.items()} for trace in new]) == []


@given(
    rows=st.lists(st.floats(-1e6, 1e6), min_size=12, max_size=60),
    drop=st.integers(0, 20),
    more=st.lists(st.floats(-1e6, 1e6), max_size=5),
)
def test_a_window_that_rolls_on_is_patched_by_its_new_rows_alone(rows, drop, more):
    x = [float(i) for i in range(len(rows) + len(more))]
    drop = min(drop, len(rows) - 9)
    old = {"data": [{"x": x[: len(rows)], "y": rows}]}
    new = {"data": [{"x": x[drop:], "y": (rows + more)[drop:]}]}
    operations = diff(old, new)
    assert all(op[0] == "rows" and len(op[4]) == len(more) for each in operations for op in unfolded(each))
    assert apply(json.loads(text(old)), operations) == new


def test_what_is_alike_in_several_traces_is_said_once():
    times, traces = list(range(20)), 10
    old = {"data": [{"x": times, "y": [trace] * 20} for trace in range(traces)], "notes": [{"y": 1}, {"y": 2}]}
    new = {"data": [{"x": [*times[1:], 20], "y": [trace] * 19 + [-trace]} for trace in range(traces)]}
    new["notes"] = [{"y": 3}, {"y": 4}]
    operations = diff(old, new)
    assert ["rows", ["data", list(range(traces)), "x"], 1, 19, [[20]]] in operations
    assert ["set", ["notes", [0, 1], "y"], [3, 4]] in operations
    assert len(operations) <= 4
    assert apply(json.loads(text(old)), operations) == new


def test_plain_values_have_no_nan_no_infinity_and_no_arrays():
    value = {"x": np.array([1.0, np.nan, np.inf]), "n": np.int64(3), "f": float("nan"), "t": (1, np.float64(2.5))}
    assert plain(value) == {"x": [1.0, None, None], "n": 3, "f": None, "t": [1, 2.5]}


def test_a_patch_does_not_change_the_value_it_was_made_from():
    old = {"data": [{"x": list(range(20))}]}
    before = text(old)
    diff(old, {"data": [{"x": list(range(1, 21))}]})
    assert text(old) == before
