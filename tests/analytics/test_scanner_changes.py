"""What is new since the last scan."""

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from analytics.scanner import changes, scan
from tests.analytics.universes import families


def result(*rows: tuple[str, str, float]) -> pd.DataFrame:
    """A scan cut down to what is compared: y, x and q; a pair is found below 0.05."""
    table = pd.DataFrame(rows, columns=["y", "x", "qvalue"])
    numbers = {"hedge_ratio": 2.0, "half_life": 9.0, "zscore": 1.0, "edge_bps": 5.0}
    return table.assign(found=table["qvalue"] < 0.05, **numbers)


BEFORE = result(
    ("A", "B", 0.01), ("C", "A", 0.02), ("B", "C", 0.5), ("D", "A", 0.03), ("D", "B", 0.04), ("D", "C", np.nan)
)
AFTER = result(
    ("C", "B", 0.001), ("B", "A", 0.01), ("C", "D", 0.01), ("A", "E", 0.02), ("B", "D", np.nan), ("C", "A", 0.4)
)


def test_each_pair_is_in_its_place():
    found = changes(BEFORE, AFTER)
    assert found.appeared == (("C", "B"),)
    assert found.gone == (("C", "A"),)
    assert found.turned == (("B", "A"),)
    assert found.new == (("C", "D"), ("A", "E"))
    assert found.lost == (("B", "D"), ("D", "A"))  # one has no numbers, the other is no longer scanned
    assert found.any


def test_what_stayed_is_shown_with_its_numbers_before():
    before = result(("A", "B", 0.01), ("A", "C", 0.03))
    after = result(("C", "A", 0.01), ("A", "B", 0.02)).assign(hedge_ratio=3.0)
    kept = changes(before, after).kept
    assert kept[["y", "x"]].to_numpy().tolist() == [["C", "A"], ["A", "B"]]
    assert kept["qvalue_before"].tolist() == [0.03, 0.01]
    assert kept["hedge_ratio"].tolist() == [3.0, 3.0]
    assert kept["hedge_ratio_before"].tolist() == pytest.approx([np.nan, 2.0], nan_ok=True)  # another direction's ratio


def test_the_same_scan_twice_has_no_news_and_neither_is_changed():
    found = scan(families([3, 2, 1], bars=300, half_life=6, seed=1))
    before = found.copy()
    news = changes(found, found)
    assert not news.any and len(news.kept) == found["found"].sum() > 0
    assert_frame_equal(found, before)


def test_an_empty_side_is_no_error():
    none = BEFORE.iloc[:0]
    assert changes(none, AFTER).new == tuple(zip(AFTER["y"][:4], AFTER["x"][:4], strict=True))
    assert changes(BEFORE, none).lost == (("A", "B"), ("C", "A"), ("D", "A"), ("D", "B"))
    assert not changes(none, none).any
