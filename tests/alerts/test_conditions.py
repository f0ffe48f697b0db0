"""Conditions, their truth, and the language that joins them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.conditions import (
    EMPTY,
    HOLDS,
    MAX_CONDITIONS,
    MAX_DEPTH,
    MAX_LENGTH,
    Condition,
    Seen,
    Several,
    Value,
    begins,
    conditions,
    holds,
    look,
    parse,
)
from utils.errors import InputError

S = 1_000_000
NAN = math.nan

# comparison, low, high, value, holds
TRUTH = [
    (">", NAN, 2.0, 2.1, True),
    (">", NAN, 2.0, 2.0, False),
    (">=", NAN, 2.0, 2.0, True),
    (">=", NAN, 2.0, 1.9, False),
    ("<", NAN, -2.0, -2.1, True),
    ("<", NAN, -2.0, -2.0, False),
    ("<=", NAN, -2.0, -2.0, True),
    ("<=", NAN, -2.0, -1.9, False),
    ("crosses_above", NAN, 2.0, 2.1, True),
    ("crosses_above", NAN, 2.0, 2.0, False),
    ("crosses_below", NAN, 2.0, 1.9, True),
    ("crosses_below", NAN, 2.0, 2.0, False),
    ("outside", -2.0, 2.0, -2.1, True),
    ("outside", -2.0, 2.0, 2.1, True),
    ("outside", -2.0, 2.0, 2.0, False),
    ("outside", 1.0, 3.0, 0.9, True),
    ("outside", 1.0, 3.0, 1.0, False),
    ("inside", -0.5, 0.5, -0.4, True),
    ("inside", -0.5, 0.5, 0.5, False),
    ("inside", 1.0, 3.0, 2.0, True),
    ("inside", 1.0, 3.0, 0.0, False),
]


def seen(now, before=NAN):
    return Seen({Value("m"): now}, {Value("m"): before})


@pytest.mark.parametrize("compare, low, high, value, truth", TRUTH)
def test_conditions_follow_their_truth_table(compare, low, high, value, truth):
    assert holds(Condition(Value("m"), compare, high, low), seen(value)) is truth


def test_the_truth_table_has_every_comparison_on_both_sides():
    assert {(compare, truth) for compare, _, _, _, truth in TRUTH} == {(c, t) for c in HOLDS for t in (True, False)}


@pytest.mark.parametrize("compare", HOLDS)
def test_no_comparison_is_true_or_false_of_what_does_not_exist(compare):
    one = Condition(Value("m"), compare, 2.0, -2.0)
    assert holds(one, seen(NAN)) is None
    assert begins(one, seen(NAN, 1.0)) is None


@pytest.mark.parametrize(
    "compare, before, now, truth",
    [
        ("crosses_above", 1.9, 2.1, True),
        ("crosses_above", 2.0, 2.1, True),
        ("crosses_above", 2.1, 2.2, False),
        ("crosses_above", 2.1, 1.9, False),
        ("crosses_above", NAN, 2.1, False),
        ("crosses_below", 2.1, 1.9, True),
        ("crosses_below", 1.8, 1.9, False),
        (">", 2.1, 2.2, True),
    ],
)
def test_a_crossing_begins_where_the_level_is_passed(compare, before, now, truth):
    assert begins(Condition(Value("m"), compare, 2.0), seen(now, before)) is truth


# Kleene's logic: what is known decides.
TABLE = {
    "AND": {(1, 1): 1, (1, 0): 0, (0, 0): 0, (1, None): None, (0, None): 0, (None, None): None},
    "OR": {(1, 1): 1, (1, 0): 1, (0, 0): 0, (1, None): 1, (0, None): None, (None, None): None},
}
VALUE = {1: 3.0, 0: 1.0, None: NAN}


@pytest.mark.parametrize("word", TABLE)
def test_what_is_known_decides_a_combination(word):
    node = parse(f"a > 2 {word} b > 2")
    for (a, b), truth in TABLE[word].items():
        for left, right in ((a, b), (b, a)):
            found = holds(node, Seen({Value("a"): VALUE[left], Value("b"): VALUE[right]}, {}))
            assert found is (None if truth is None else bool(truth))


READ = [
    ("zscore > 2", "zscore > 2"),
    ("Z_Score>=-1.5e0", "zscore >= -1.5"),
    ("z crosses above 2", "zscore crosses above 2"),
    ("z crosses_below -2", "zscore crosses below -2"),
    ("zscore outside 2", "zscore outside -2 .. 2"),
    ("price inside 1..3", "price inside 1 .. 3"),
    ("abs(zscore) > 2", "abs(zscore) > 2"),
    ("change(price, 5m) < -10", "change(price, 300s) < -10"),
    ("abs(change_pct(price, 1h)) > 1", "abs(change_pct(price, 3600s)) > 1"),
    ("a > 1 or b > 1 and c > 1", "a > 1 OR (b > 1 AND c > 1)"),
    ("(a > 1 OR b > 1) AND c > 1", "(a > 1 OR b > 1) AND c > 1"),
    ("((a > 1))", "a > 1"),
]


@pytest.mark.parametrize("text, canonical", READ)
def test_an_expression_is_read_as_it_is_meant(text, canonical):
    assert str(parse(text)) == canonical


# text, place (from 1), words of the message
WRONG = [
    ("", 1, "a metric"),
    ("zscore", 7, "a comparison"),
    ("zscore >", 9, "a number"),
    ("zscore > two", 10, "a number"),
    ("zscore > 2 AND", 15, "a metric"),
    ("zscore > 2 pvalue < 1", 12, "the end"),
    ("(zscore > 2", 12, "')'"),
    ("zscore > 2)", 11, "the end"),
    ("zscore = 2", 8, "cannot read"),
    ("__import__('os')", 12, "cannot read"),
    ("a.b > 2", 2, "cannot read"),
    ("sqrt(zscore) > 2", 1, "abs, change"),
    ("change(zscore) > 2", 14, "','"),
    ("change(zscore, 5d) > 2", 17, "s, m or h"),
    ("zscore crosses 2", 16, "above or below"),
    ("zscore > 1e999", 10, "finite"),
    ("zscore > nan", 10, "a number"),
]


@pytest.mark.parametrize("text, place, words", WRONG)
def test_what_cannot_be_read_is_told_with_its_place(text, place, words):
    with pytest.raises(InputError) as caught:
        parse(text)
    assert caught.value.field == "expression"
    assert words in str(caught.value) and f"at {place}" in str(caught.value)


@pytest.mark.parametrize(
    "text, words",
    [
        ("a > 1 " + " " * MAX_LENGTH, "at most 500"),
        ("(" * (MAX_DEPTH + 1) + "a > 1" + ")" * (MAX_DEPTH + 1), "at most 8 deep"),
        (" OR ".join(["a > 1"] * (MAX_CONDITIONS + 1)), "at most 20 conditions"),
        ("price inside 3..1", "must end above"),
        ("change(price, 0s) > 1", "1 to 86400"),
        ("change(price, 25h) > 1", "1 to 86400"),
    ],
)
def test_an_expression_has_limits(text, words):
    with pytest.raises(InputError, match=words):
        parse(text)
    assert parse("(" * MAX_DEPTH + "a > 1" + ")" * MAX_DEPTH)


PIECES = st.sampled_from(
    ["zscore", "price", "abs", "change", "(", ")", ",", "..", ">", "<", ">=", "2", "-1.5", "5m", "AND", "or", "crosses",
     "above", "outside", "inside", "\x00", "=", "é", "1e400", "__class__", "'", "  "]
)  # fmt: skip


@given(st.one_of(st.text(max_size=600), st.lists(PIECES, max_size=40).map(" ".join)))
def test_any_text_is_read_or_refused_and_nothing_else_happens(text):
    try:
        node = parse(text)
    except InputError as exc:
        assert exc.field == "expression"
    else:
        assert 1 <= sum(1 for _ in conditions(node)) <= MAX_CONDITIONS


numbers = st.floats(-1e6, 1e6, allow_nan=False).map(lambda value: float(f"{value:.12g}"))
values = st.builds(
    Value,
    st.sampled_from(["zscore", "price", "half_life"]),
    st.sampled_from(["", "abs", "change", "abs change", "change_pct", "abs change_pct"]),
    st.integers(1, 86_400).map(float),
).map(lambda value: value if "change" in value.of else Value(value.metric, value.of))
levels = st.builds(
    Condition, values, st.sampled_from([">", ">=", "<", "<=", "crosses_above", "crosses_below"]), numbers
)
bands = st.builds(
    lambda value, compare, low, width: Condition(value, compare, low + width, low),
    values,
    st.sampled_from(["outside", "inside"]),
    st.integers(-1_000, 1_000).map(float),
    st.integers(1, 1_000).map(float),
)


def combined(word, found):
    """Those parts under a word that are not joined by the same one."""
    parts = [part for part in found if getattr(part, "word", "") != word]
    return Several(word, tuple(parts)) if len(parts) > 1 else found[0]


def joined(parts):
    return st.builds(combined, st.sampled_from(["AND", "OR"]), st.lists(parts, min_size=2, max_size=3))


nodes = st.recursive(st.one_of(levels, bands), joined, max_leaves=8)


@given(nodes)
def test_writing_and_reading_gives_the_same_expression(node):
    text = str(node)
    if len(text) <= MAX_LENGTH:
        assert repr(parse(text)) == repr(node)


# --- what is remembered -----------------------------------------------------------------------------


def changes(of, window_s, samples):
    """The value of a change at each of (second, value)."""
    value, memory, found = Value("m", of, float(window_s)), EMPTY, []
    for second, number in samples:
        seen_now, memory = look([value], [], {"m": number}, memory, second * S)
        found.append(seen_now.now[value])
    return found


def test_a_change_is_taken_from_the_newest_value_as_old_as_its_window():
    rows = [(i, float(i * i)) for i in range(6)]
    found = changes("change", 3, rows)
    assert [math.isnan(value) for value in found] == [True] * 3 + [False] * 3
    assert found[3:] == [9.0, 16.0 - 1.0, 25.0 - 4.0]
    assert changes("change_pct", 2, [(0, 50.0), (2, 60.0)])[-1] == pytest.approx(20.0)
    assert changes("abs change", 2, [(0, 50.0), (2, 40.0)])[-1] == 10.0
    assert math.isnan(changes("change_pct", 2, [(0, 0.0), (2, 60.0)])[-1])
    assert math.isnan(changes("change", 2, [(0, 1.0), (2, NAN)])[-1])
    assert [changes("change", 2, [(0, 1.0), (second, 3.0)])[-1] for second in (3, 4)] == [2.0, 2.0]
    assert math.isnan(changes("change", 2, [(0, 1.0), (5, 3.0)])[-1])  # a hole of more than two windows


@given(st.integers(1, 50_000), st.integers(1, 300))
def test_the_samples_of_a_long_window_stay_few(window_s, step):
    value, memory = Value("m", "change", float(window_s)), EMPTY
    for second in range(0, 400 * step, step):
        _, memory = look([value], [], {"m": float(second)}, memory, second * S)
    samples = memory[str(value)]
    assert len(samples) <= 62
    newest = (400 - 1) * step
    assert samples[0][0] <= (newest - window_s) * S or samples[0][0] == 0


def test_the_value_before_a_crossing_is_the_last_that_existed():
    value, memory, before = Value("m"), EMPTY, []
    for second, number in enumerate([1.0, NAN, 3.0, 4.0]):
        seen_now, memory = look([value], [value], {"m": number}, memory, second * S)
        before.append(seen_now.before.get(value))
    assert before == [None, 1.0, 1.0, 3.0]
