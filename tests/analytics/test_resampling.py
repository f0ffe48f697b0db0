"""Bars: what one holds, how they widen, and that they equal what others compute from the same trades."""

import gzip
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics import resampling
from analytics.resampling import BarColumns, aggregate, bars, join, summarise, timeframe_us
from data.trades import Trades
from tests.market import market
from utils.errors import InputError, TimeframeError

MINUTE = 60_000_000
START = 1_700_000_040_000_000  # a whole minute
COLUMNS = ["open", "high", "low", "close", "volume", "vwap", "trades", "taker_buy_volume", "complete"]
EXACT = ["open", "high", "low", "close", "trades"]
SUMS = ["volume", "vwap", "taker_buy_volume"]


def tape(*rows):
    """Trades from (id, seconds after START, price, qty, buyer_is_maker)."""
    return Trades.of("T", *zip(*((i, START + round(s * 1e6), p, q, m) for i, s, p, q, m in rows), strict=True))


def recorded_trades():
    """Spot BTCUSDT of 2026-02-03, 40,003 rows that are not in order of id."""
    table = pd.read_csv(market("trades/spot_btcusdt_trades_20260203.csv.gz"))
    maker = table.IsBuyerMaker == "t"
    return Trades.of("BTCUSDT", table.TradeId, table.TradeTime * 1_000, table.Price, table.Quantity, maker)


def with_pandas(trades, width):
    """The same bars by pandas' resample; holes NaN."""
    frame = pd.DataFrame({"id": trades.trade_id, "p": trades.price, "q": trades.qty, "m": trades.buyer_is_maker})
    frame.index = pd.to_datetime(trades.ts_us, unit="us", utc=True)
    groups = (
        frame.assign(v=frame.p * frame.q, b=frame.q * (1 - frame.m)).sort_values("id").resample(width, origin="epoch")
    )
    table = groups.p.ohlc()
    table["volume"], table["trades"], table["taker_buy_volume"] = groups.q.sum(), groups.p.count(), groups.b.sum()
    table["vwap"] = groups.v.sum() / table.volume
    return table


@st.composite
def tapes(draw, span_s=200):
    """Arbitrary trades of unique ids in arbitrary order; times and ids need not agree."""
    size = draw(st.integers(1, 60))
    ids = draw(st.lists(st.integers(0, 10_000), min_size=size, max_size=size, unique=True))
    column = lambda values: draw(st.lists(values, min_size=size, max_size=size))  # noqa: E731
    times = column(st.integers(0, span_s * 1_000))
    prices, amounts = column(st.floats(1e-6, 1e6)), column(st.floats(1e-6, 1e6))
    return Trades.of("T", ids, START + np.array(times) * 1_000, prices, amounts, column(st.booleans()))


def renumbered(trades):
    """The same trades with ids that follow time, as on a real tape."""
    order = np.argsort(trades.ts_us, kind="stable")
    return Trades.of("T", np.arange(len(trades)), *trades[order].columns[1:])


@pytest.mark.parametrize(
    "text, seconds",
    [("1s", 1), ("15s", 15), ("3m", 180), ("90m", 5400), ("4h", 14400), ("1d", 86400), ("86400s", 86400)],
)
def test_a_timeframe_is_a_number_and_a_unit(text, seconds):
    assert timeframe_us(text) == seconds * 1_000_000


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "s",
        "0s",
        "01s",
        "-1s",
        "1.5m",
        "1M",
        "1w",
        "2d",
        "25h",
        "86401s",
        "tick",
        "1 s",
        "1s ",
        "1s\n",
        "１s",
        "9" * 99 + "s",
    ],
)
def test_another_text_is_refused_with_value_and_limit(text):
    with pytest.raises(TimeframeError, match="1s to 1d, was") as caught:
        timeframe_us(text)
    assert repr(text[:40]) in str(caught.value)
    assert caught.value.field == "timeframe"


def test_a_bar_sums_its_trades():
    table = bars(tape((1, 0, 10.0, 1.0, 0), (2, 1, 12.0, 2.0, 1), (3, 59.999999, 9.0, 1.0, 0)), "1m")
    assert list(table.columns) == COLUMNS
    assert table.iloc[0].tolist() == [10.0, 12.0, 9.0, 9.0, 4.0, 43.0 / 4.0, 3, 2.0, False]


def test_the_index_is_the_open_time_in_microseconds_utc():
    table = bars(tape((1, 61.5, 10.0, 1.0, 0)), "1m")
    assert table.index.name == "time"
    assert str(table.index.dtype) == "datetime64[us, UTC]"
    assert table.index.asi8.tolist() == [START + MINUTE]
    assert {name: str(kind) for name, kind in table.dtypes.items()} == dict.fromkeys(COLUMNS, "float64") | {
        "trades": "int64",
        "complete": "bool",
    }


def test_a_bar_includes_its_open_and_excludes_its_end():
    table = bars(tape((1, 0, 1.0, 1.0, 0), (2, 60, 2.0, 1.0, 0)), "1m")
    assert table.trades.tolist() == [1, 1]
    assert table.open.tolist() == [1.0, 2.0]


def test_open_and_close_follow_the_trade_id_inside_one_millisecond():
    table = bars(tape((7, 5, 3.0, 1.0, 0), (5, 5, 1.0, 1.0, 0), (6, 5, 2.0, 1.0, 0)), "1m")
    assert table[["open", "close"]].iloc[0].tolist() == [1.0, 3.0]


def test_the_id_decides_even_where_the_clock_disagrees():
    table = bars(tape((1, 30, 1.0, 1.0, 0), (2, 20, 2.0, 1.0, 0), (3, 10, 3.0, 1.0, 0)), "1m")
    assert table[["open", "close"]].iloc[0].tolist() == [1.0, 3.0]


def test_intervals_without_trades_are_explicit_and_carry_the_close():
    table = bars(tape((1, 0, 10.0, 1.0, 0), (2, 1, 11.0, 1.0, 0), (3, 180, 12.0, 1.0, 0)), "1m")
    empty = table.iloc[1:3]
    assert (empty[["open", "high", "low", "close"]] == 11.0).all(axis=None)
    assert (empty[["volume", "trades", "taker_buy_volume"]] == 0).all(axis=None)
    assert empty.vwap.isna().all()
    assert table.complete.tolist() == [True, True, True, False]


def test_a_repeated_id_counts_once_and_the_first_row_stays():
    table = bars(tape((2, 1, 11.0, 1.0, 0), (1, 0, 10.0, 1.0, 0), (2, 1, 99.0, 7.0, 0)), "1m")
    assert table[["high", "volume", "trades"]].iloc[0].tolist() == [11.0, 2.0, 2]


def test_no_trades_are_no_bars():
    table = bars(Trades.empty("T"), "1m")
    assert table.empty
    assert list(table.columns) == COLUMNS
    assert str(table.index.dtype) == "datetime64[us, UTC]"


def test_a_tape_over_too_many_bars_is_refused_before_memory_is_taken():
    with pytest.raises(InputError, match="at most 10000000 bars"):
        bars(tape((1, 0, 1.0, 1.0, 0), (2, 3e8, 1.0, 1.0, 0)), "1s")


@given(tapes(), st.sampled_from(["1s", "7s", "1m"]))
def test_arguments_stay_as_they_were(trades, timeframe):
    before = [column.copy() for column in trades.columns]
    bars(trades, timeframe)
    assert all(np.array_equal(a, b) for a, b in zip(before, trades.columns, strict=True))


@given(tapes(), st.sampled_from(["1s", "7s", "1m"]), st.randoms(use_true_random=False))
def test_order_of_arrival_changes_nothing(trades, timeframe, random):
    order = np.array(random.sample(range(len(trades)), len(trades)))
    pd.testing.assert_frame_equal(bars(trades, timeframe), bars(trades[order], timeframe))


@given(tapes(), st.sampled_from(["1s", "7s", "1m"]))
def test_every_bar_is_consistent_in_itself(trades, timeframe):
    table = bars(trades, timeframe)
    assert table.trades.sum() == len(trades)
    assert table.volume.sum() == pytest.approx(trades.qty.sum(), rel=1e-12)
    assert (table.low <= table[["open", "close"]].min(axis=1)).all()
    assert (table.high >= table[["open", "close"]].max(axis=1)).all()
    traded = table[table.trades > 0]
    assert ((traded.low <= traded.vwap) & (traded.vwap <= traded.high)).all()
    assert (table.taker_buy_volume <= table.volume * (1 + 1e-12)).all()
    assert np.array_equal(table.vwap.isna(), table.trades == 0)


@given(tapes(), st.sampled_from(["7s", "1m", "90m"]))
@settings(max_examples=50)
def test_bars_equal_pandas_on_arbitrary_trades(trades, timeframe):
    ordered = renumbered(trades)  # pandas sorts by time: it cannot follow an id
    ours, theirs = bars(ordered, timeframe), with_pandas(ordered, timeframe.replace("m", "min"))
    assert np.array_equal(ours.index.asi8, theirs.index.as_unit("us").asi8)
    assert np.array_equal(ours.close, theirs.close.ffill())
    traded = (ours.trades > 0).to_numpy()
    assert np.array_equal(traded, (theirs.trades > 0).to_numpy())
    assert np.array_equal(ours[EXACT][traded], theirs[EXACT][traded])
    np.testing.assert_allclose(ours[SUMS][traded], theirs[SUMS][traded], rtol=1e-12, atol=1e-12)


@given(tapes(), st.integers(1, 7))
@settings(max_examples=50)
def test_long_tapes_are_summed_in_blocks_with_the_same_result(trades, block):
    whole = bars(trades, "7s")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resampling, "BLOCK", block)
        pieces = bars(trades, "7s")
    assert whole[EXACT].equals(pieces[EXACT])
    pd.testing.assert_frame_equal(whole[SUMS], pieces[SUMS], rtol=1e-12, atol=0)


@given(tapes(), st.lists(st.integers(0, 60), max_size=4))
def test_parts_join_in_any_split_and_order(trades, cuts):
    edges = [0, *sorted(min(cut, len(trades)) for cut in cuts), len(trades)]
    pieces = [summarise(trades[a:b], MINUTE) for a, b in pairwise(edges)]
    joined, whole = join(resampling.Parts.concat(*reversed(pieces))), summarise(trades, MINUTE)
    assert np.array_equal(joined.whole, whole.whole)
    assert np.array_equal(joined.real[:4], whole.real[:4])
    np.testing.assert_allclose(joined.real[4:], whole.real[4:], rtol=1e-12)


@given(tapes(), st.sampled_from([("1s", "1m"), ("7s", "21s"), ("5s", "5s"), ("1s", "4h")]))
def test_wider_bars_from_bars_equal_wider_bars_from_trades(trades, timeframes):
    narrow, wide = timeframes
    ordered = renumbered(trades)  # a narrow bar knows its ids no more
    table = bars(ordered, narrow)
    got, expected = aggregate(table, wide), bars(ordered, wide)
    pd.testing.assert_frame_equal(got[EXACT], expected[EXACT], rtol=0, atol=0)
    pd.testing.assert_frame_equal(got[SUMS], expected[SUMS], rtol=1e-12, atol=0)


def test_a_wide_bar_is_complete_when_complete_bars_cover_it():
    table = bars(tape(*((i, i, 1.0, 1.0, 0) for i in range(30, 200))), "1s")
    assert aggregate(table, "1m").complete.tolist() == [False, True, True, False]
    table.loc[table.index[40], "complete"] = False
    assert aggregate(table, "1m").complete.tolist() == [False, False, True, False]


def test_widening_carries_the_close_through_bars_without_trades():
    table = bars(tape((1, 0, 5.0, 1.0, 0), (2, 200, 6.0, 1.0, 0)), "1s").iloc[10:]
    wide = aggregate(table, "1m")
    assert wide.close.tolist() == [5.0, 5.0, 5.0, 6.0]
    assert wide.trades.tolist() == [0, 0, 0, 1]


def test_widening_leaves_the_frame_as_it_was():
    table = bars(tape((1, 0, 5.0, 1.0, 0), (2, 200, 6.0, 1.0, 0)), "1s")
    before = table.copy(deep=True)
    aggregate(table, "1m")
    pd.testing.assert_frame_equal(table, before)


def test_widening_no_bars_gives_no_bars():
    assert aggregate(bars(Trades.empty("T"), "1s"), "1m").empty


def test_bars_cannot_be_split_nor_joined_across_holes():
    table = bars(tape((1, 0, 5.0, 1.0, 0), (2, 200, 6.0, 1.0, 0)), "2s")
    with pytest.raises(TimeframeError, match="multiple of 2s, was 1s"):
        aggregate(table, "1s")
    with pytest.raises(InputError, match="one distance"):
        aggregate(table.drop(table.index[3]), "1m")


@given(tapes())
def test_columns_and_frame_are_inverse(trades):
    table = bars(trades, "1s")
    pd.testing.assert_frame_equal(BarColumns.of(table).frame(), table)
    assert len(BarColumns.of(table)[2:5]) == len(table.iloc[2:5])


# Spot BTCUSDT of 2026-02-03: minutes on which another program's bars and the trades hold the same trades. That program
# lost half of 00:05, and the trades end inside 00:09.
KNOWN_MINUTES = [0, 1, 2, 3, 4, 6, 7, 8]


def test_recorded_trades_give_the_bars_another_program_published():
    with gzip.open(market("trades/spot_btcusdt_ohlcv_1min_202602.csv.gz")) as file:
        known = pd.read_csv(file).set_index("OpenTime").sort_index()
    ours = bars(recorded_trades(), "1m")
    assert len(ours) == 10
    for minute in KNOWN_MINUTES:
        row, expected = ours.iloc[minute], known.loc[1_770_076_800_000 + minute * 60_000]
        assert row.name.value == expected.name * 1_000_000
        assert row[["open", "high", "low", "close"]].tolist() == expected.iloc[1:5].tolist()
        assert row.volume == pytest.approx(expected.Volume, rel=1e-12)


@pytest.mark.parametrize("width", ["1s", "15s", "1min", "7min"])
def test_recorded_trades_give_the_bars_of_pandas(width):
    trades = recorded_trades()
    ours, theirs = bars(trades, width.replace("min", "m")), with_pandas(trades, width)
    traded = (ours.trades > 0).to_numpy()
    assert np.array_equal(ours.index.asi8, theirs.index.as_unit("us").asi8)
    assert np.array_equal(ours[EXACT][traded], theirs[EXACT][traded])
    np.testing.assert_allclose(ours[SUMS][traded], theirs[SUMS][traded], rtol=1e-12, atol=1e-12)
    assert np.array_equal(ours.close, theirs.close.ffill())


def test_sums_beyond_floats_are_infinite_and_not_an_error():
    row = bars(tape((1, 0, 1e308, 1e308, 0), (2, 1, 1e308, 1e308, 1)), "1m").iloc[0]
    assert row.volume == np.inf
    assert row.taker_buy_volume == 1e308
    assert np.isnan(row.vwap)
