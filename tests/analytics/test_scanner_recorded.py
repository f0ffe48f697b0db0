"""The scan of recorded bars that docs/ shows."""

import re

import numpy as np
import pytest

from analytics.cointegration import both_directions
from analytics.scanner import scan
from tests.market import market
from tests.universe import DOCUMENT, closes, document


@pytest.fixture(scope="module")
def prices():
    market("klines/usdm_1h_202510/BTCUSDT_1h.csv")
    return closes()


def test_the_page_in_docs_is_what_the_bars_give(prices):
    words, numbers = parted(document(prices))
    expected_words, expected_numbers = parted(DOCUMENT.read_text("utf-8"))
    assert words == expected_words
    # Digits shown; another processor may round the last one differently.
    np.testing.assert_allclose(numbers, expected_numbers, rtol=0.06, atol=1.01e-3)


def parted(text: str) -> tuple[list[str], list[float]]:
    """The words of a page, and the numbers that stand by themselves."""
    parts = text.split()
    is_number = [bool(re.fullmatch(r"-?[\d,.]+(e-\d+)?", part)) and part.strip(",.-") != "" for part in parts]
    words = [part for part, number in zip(parts, is_number, strict=True) if not number]
    numbers = [
        float(part.strip(",.").replace(",", "")) for part, number in zip(parts, is_number, strict=True) if number
    ]
    return words, numbers


def test_every_recorded_pair_is_tested_on_its_own_bars(prices):
    found = scan(prices)
    assert len(found) == 4_950 and found["pvalue"].notna().all()
    for row in found.iloc[::200].itertuples():
        both = prices[[row.y, row.x]].dropna()
        alone = both_directions(both[row.y].to_numpy(), both[row.x].to_numpy())
        assert row.n_obs == len(both)
        assert row.statistic == pytest.approx(alone.y_on_x.statistic, abs=1e-8)
        assert row.pvalue == pytest.approx(alone.pvalue, abs=1e-9)
    assert found["n_obs"].min() == 145  # the latest listing
