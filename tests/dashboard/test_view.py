"""The view in the address: whole, exact, and forgiving with what cannot be used."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import config
from dashboard.view import (
    COVERS,
    INDICATORS,
    LEVELS,
    MAX_WINDOW,
    MIN_WINDOW,
    REFRESH_LIMITS_S,
    SEASONS,
    SUBJECTS,
    TOPICS,
    View,
)

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")

views = st.builds(
    View,
    symbol_y=st.sampled_from(SYMBOLS),
    symbol_x=st.sampled_from(SYMBOLS),
    symbol=st.sampled_from(SYMBOLS),
    timeframe=st.sampled_from(("1s", "3m", "45s", "1h")),
    window=st.integers(MIN_WINDOW, MAX_WINDOW),
    method=st.just("ols"),
    entry_z=st.floats(1.0, 20.0),
    exit_z=st.floats(0.0, 0.99),
    stop_z=st.floats(20.1, 100.0),
    fast=st.integers(1, 20),
    slow=st.integers(21, 1_000),
    weights=st.permutations((10, 20, 30, 40)).map(tuple),
    cover=st.sampled_from(sorted(COVERS)),
    level=st.sampled_from(LEVELS),
    indicators=st.lists(st.sampled_from(sorted(INDICATORS)), unique=True).map(tuple),
    topic=st.sampled_from(sorted(TOPICS)),
    subject=st.sampled_from(SUBJECTS),
    season=st.sampled_from(SEASONS),
    refresh_s=st.floats(*REFRESH_LIMITS_S),
    paused=st.booleans(),
)


@given(views)
def test_the_address_holds_the_whole_view(view):
    assert View.from_query(view.to_query(), SYMBOLS) == (view, [])


@given(
    st.dictionaries(
        st.sampled_from(
            (
                "y",
                "x",
                "symbol",
                "tf",
                "window",
                "entry",
                "exit",
                "refresh",
                "paused",
                "method",
                "stop",
                "fast",
                "weights",
                "show",
                "topic",
                "of",
                "season",
            )
        ),
        st.text(max_size=12),
    )
)
def test_any_address_gives_a_view_that_can_be_shown(query):
    view, _ = View.from_query(query, SYMBOLS)
    assert View.from_query(view.to_query(), SYMBOLS) == (view, [])
    assert view.exit_z < view.entry_z < view.stop_z
    assert view.rule.weights.zscore == view.weights[0] / 100


BAD = [
    ("y", "DOGEUSDT", "DOGEUSDT is not followed"),
    ("x", "", "1 to 32 letters"),
    ("tf", "0s", "tf='0s'"),
    ("tf", "soon", "tf='soon' in the address is not used: bar width must be a whole number"),
    ("window", "1", "window must be 3 to"),
    ("window", "sixty", "window='sixty'"),
    ("method", "magic", "method must be one of ols"),
    ("entry", "nan", "enter |z| must be 0.1 to 20, was nan"),
    ("refresh", "0.1", "refresh must be 0.5 to 60"),
    ("paused", "yes", "must be 0 or 1"),
    ("weights", "50-50-50-50", "shares of 0 to 100 that sum to 100"),
    ("weights", "100", "weights must be 4 shares"),
    ("fast", "30", "needs fewer bars than the slow one"),
    ("stop", "1.5", "stop |z| must be above enter |z| 2, was 1.5"),
    ("show", "sma-magic", "an indicator must be one of sma"),
]


@pytest.mark.parametrize(("name", "value", "reason"), BAD)
def test_a_bad_value_falls_back_with_one_notice_that_names_it(name, value, reason):
    view, notices = View.from_query({name: value}, SYMBOLS)
    assert view == View.default(SYMBOLS)
    assert len(notices) == 1
    assert reason in notices[0]


def test_an_exit_above_the_entry_falls_back_with_a_notice():
    view, notices = View.from_query({"entry": "2", "exit": "3"}, SYMBOLS)
    assert (view.entry_z, view.exit_z) == (2.0, config.EXIT_Z)
    assert "leave |z| must be below enter" in notices[0]


def test_the_second_symbol_is_explained_by_the_first():
    assert View.default(("BTCUSDT", "ETHUSDT")).pair == "ETHUSDT/BTCUSDT"


def test_a_single_symbol_makes_a_view_too():
    assert View.default(("BTCUSDT",)).symbol == "BTCUSDT"


def test_a_part_of_the_view_holds_only_what_a_figure_depends_on():
    assert View.default(SYMBOLS).part(("symbol", "timeframe")) == {"symbol": "BTCUSDT", "tf": "1s"}
