"""The trade and its columns."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.trades import Trade, Trades
from utils.clock import EARLIEST_US, LATEST_US
from utils.errors import InputError

GOOD = {
    "symbol": "BTCUSDT",
    "trade_id": 7,
    "ts_us": 1_723_161_256_322_000,
    "price": 61_800.3,
    "qty": 0.006,
    "buyer_is_maker": False,
}

trades = st.builds(
    Trade,
    symbol=st.just("BTCUSDT"),
    trade_id=st.integers(0, 2**63 - 1),
    ts_us=st.integers(EARLIEST_US, LATEST_US - 1),
    price=st.floats(1e-12, 1e12, allow_subnormal=False),
    qty=st.floats(1e-12, 1e12, allow_subnormal=False),
    buyer_is_maker=st.booleans(),
)

BAD = [
    ("price", math.nan),
    ("price", math.inf),
    ("price", 0.0),
    ("price", -1.0),
    ("qty", math.nan),
    ("qty", 0.0),
    ("qty", math.inf),
    ("trade_id", -1),
    ("trade_id", 2**63),
    ("ts_us", 1_723_161_256_322),  # milliseconds
    ("ts_us", 2**62),
    ("symbol", ""),
]


@pytest.mark.parametrize("field, value", BAD)
def test_a_trade_that_cannot_be_is_not_made(field, value):
    with pytest.raises(InputError) as caught:
        Trade(**{**GOOD, field: value})
    assert caught.value.field in {"price", "qty", "time", "id", "symbol"}


@given(st.lists(trades, max_size=20))
def test_rows_survive_as_columns(rows):
    assert list(Trades.from_rows("BTCUSDT", rows)) == rows


@given(st.lists(trades, max_size=20, unique_by=lambda trade: trade.trade_id), st.integers(0, 20))
def test_concat_undoes_a_split_and_sorting_orders_by_id(rows, cut):
    whole = Trades.from_rows("BTCUSDT", rows)
    joined = Trades.concat("BTCUSDT", [whole[:cut], whole[cut:]])
    assert list(joined) == rows
    assert list(joined.sorted_by_id()) == sorted(rows, key=lambda trade: trade.trade_id)


def test_columns_have_the_types_that_memory_and_file_expect():
    types = [column.dtype for column in Trades.empty("X").columns]
    assert types == [np.int64, np.int64, np.float64, np.float64, np.uint8]
