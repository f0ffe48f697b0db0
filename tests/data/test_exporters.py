"""Exports: what is read back is what was there, to the last bit; no text is a formula; and memory does not grow."""

import csv
import io
import math
import struct
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from analytics.resampling import bars as bars_of
from data import exporters, stored
from data.exporters import FORMATS, Table, csv_text, numbered, overlaid, parquet, table_of
from data.stored import Span
from data.trades import Trades
from tests.data.test_stored import OWNER, START_US, S, event, tape, write

KEY = ("v", "T", "1s")


def rows(text):
    """Cells of a CSV as text, by the standard library."""
    return list(csv.DictReader(io.StringIO(text, newline="")))


def as_csv(table):
    return b"".join(exporters.csv(table)).decode()


def as_frame(table):
    return pyarrow.parquet.read_table(io.BytesIO(b"".join(parquet(table)))).to_pandas()


def unmarked(cell):
    """The text that a cell stands for."""
    return cell.removeprefix("'")


def bits(value):
    return struct.pack("<d", value)


# --- the writers ----------------------------------------------------------------------------------


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
@example([-0.0, 5e-324, 0.1, 1e22, 1.7976931348623157e308, 123456789.123456789])
def test_floats_come_back_to_the_last_bit(values):
    frame = pd.DataFrame({"value": values})
    assert [bits(float(row["value"])) for row in rows(csv_text(frame))] == [bits(value) for value in values]
    assert [bits(value) for value in as_frame(table_of(frame))["value"]] == [bits(value) for value in values]


@given(st.lists(st.text(st.characters(codec="utf-8")), min_size=1))
@example(["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\0=1", "＝1", "'", "'=1", "a,b", 'a"b', "", "a\nb"])
def test_text_comes_back_and_none_is_a_formula(texts):
    found = [row["text"] for row in rows(csv_text(pd.DataFrame({"text": texts, "n": 1})))]
    assert [unmarked(cell) for cell in found] == texts
    assert not [cell for cell in found if cell[:1] in tuple("=+-@\t\r\n\0＝＋－＠")]


def test_numbers_stay_numbers_and_what_does_not_exist_is_an_empty_cell():
    frame = pd.DataFrame({"z": [-1.5, math.nan], "n": [-3, 4], "flag": [True, False], "name": ["-x", None]})
    assert csv_text(frame) == 'z,n,flag,name\n-1.5,-3,true,"\'-x"\n,4,false,\n'
    assert as_frame(table_of(frame))["z"].isna().tolist() == [False, True]
    schema = pyarrow.parquet.read_schema(io.BytesIO(b"".join(parquet(table_of(frame)))))
    assert schema.names == ["z", "n", "flag", "name"]
    assert pyarrow.parquet.read_table(io.BytesIO(b"".join(parquet(table_of(frame)))))["z"].null_count == 1


def test_a_table_without_rows_still_names_its_columns():
    frame = pd.DataFrame({"ts_us": np.array([], np.int64), "close": np.array([], float)})
    assert csv_text(frame) == "ts_us,close\n"
    assert list(as_frame(table_of(frame)).columns) == ["ts_us", "close"]


@pytest.mark.parametrize("form", FORMATS)
def test_pieces_leave_as_parts_are_read(form):
    schema, taken = pa.schema({"n": pa.int64()}), []

    def parts():
        for number in range(5):
            taken.append(number)
            yield pa.record_batch([pa.array(range(1_000))], schema=schema)

    write, _ = FORMATS[form]
    pieces = write(Table(schema, parts()))
    assert next(pieces) and taken == [0]
    assert next(pieces) is not None and taken == [0, 1]  # a zip may hold back what it has not packed yet


# --- the tables -----------------------------------------------------------------------------------


def test_trades_of_the_file_are_followed_by_those_that_wait(tmp_path, monkeypatch):
    monkeypatch.setattr(stored, "PAGE_ROWS", 7)
    path, whole = write(tmp_path / "a.db", tape(range(40))), tape(range(45))
    found = as_frame(exporters.ticks(path, OWNER, Span(), whole[20:]))
    for name, column in zip(found, whole.columns, strict=True):
        np.testing.assert_array_equal(found[name], column)
    assert found["buyer_is_maker"].dtype == bool
    for limit, first in ((3, 42), (5, 40), (8, 37), (100, 0)):
        table = exporters.ticks(path, OWNER, Span(limit=limit), whole[20:])
        assert as_frame(table)["trade_id"].tolist() == list(range(first, 45))
    span = Span(START_US + 38 * S, START_US + 42 * S)
    assert [row["trade_id"] for row in rows(as_csv(exporters.ticks(path, OWNER, span, whole)))] == [
        "38",
        "39",
        "40",
        "41",
    ]


def test_repaired_trades_that_wait_for_the_disk_take_their_places(tmp_path, monkeypatch):
    monkeypatch.setattr(stored, "PAGE_ROWS", 7)
    whole = tape(range(45))
    path = write(tmp_path / "a.db", whole[np.r_[0:12, 15:40]])
    held = whole[10:]
    assert as_frame(exporters.ticks(path, OWNER, Span(), held))["trade_id"].tolist() == list(range(45))
    assert as_frame(exporters.ticks(path, OWNER, Span(limit=32), held))["trade_id"].tolist() == list(range(13, 45))


def test_stored_trades_of_another_run_are_left_out(tmp_path):
    path = write(tmp_path / "a.db", tape(range(40)))
    found = as_frame(exporters.ticks(path, OWNER, Span(), tape(range(20, 33)), run=(10, 32)))
    assert found["trade_id"].tolist() == list(range(10, 33))


def test_a_symbol_without_trades_gives_the_names_alone(tmp_path):
    path = write(tmp_path / "a.db", tape(range(3)))
    table = exporters.ticks(path, ("v", "s", "NONE"), Span(), Trades.empty("NONE"))
    assert as_csv(table) == "trade_id,ts_us,price,qty,buyer_is_maker\n"


@settings(max_examples=25)
@given(st.lists(st.tuples(st.floats(1e-12, 1e12), st.floats(1e-12, 1e12)), min_size=1, max_size=30))
def test_trades_read_from_csv_and_parquet_are_those_of_the_file(tmp_path_factory, amounts):
    price, qty = np.array(amounts).T
    ids = np.arange(len(amounts))
    trades = replace(tape(ids), price=price, qty=qty)
    path = write(tmp_path_factory.mktemp("ticks") / "a.db", trades)
    read = pd.read_csv(io.StringIO(as_csv(exporters.ticks(path, OWNER, Span(), Trades.empty("T")))))
    whole = as_frame(exporters.ticks(path, OWNER, Span(), Trades.empty("T")))
    for frame in (read, whole):
        for name, column in zip(frame, trades.columns, strict=True):
            np.testing.assert_array_equal(frame[name], column)


def test_bars_of_file_and_memory_join_without_a_seam(tmp_path, monkeypatch):
    monkeypatch.setattr(stored, "PAGE_ROWS", 7)
    whole = numbered(bars_of(tape(range(60)), "1s"))
    path = write(tmp_path / "a.db", tape(range(50)), timeframes=("1s",))
    held = whole.iloc[30:].assign(trades=lambda frame: frame["trades"] + 1)  # memory knows of a late trade
    held.loc[30, "complete"] = False  # and has only a part of its first one
    found = as_frame(exporters.bars(path, KEY, Span(), held))
    assert found["ts_us"].tolist() == whole["ts_us"].tolist()
    assert list(found) == ["ts_us", *stored.BAR_COLUMNS]
    extra = found["trades"] - whole["trades"]
    assert extra.tolist() == [0] * 31 + [1] * 29
    newest = as_frame(exporters.bars(path, KEY, Span(limit=40), held))
    assert newest["ts_us"].tolist() == whole["ts_us"].tolist()[-40:]
    assert len(as_frame(exporters.bars(path, KEY, Span(limit=5), held))) == 5
    span = Span(START_US + 10 * S, START_US + 35 * S)
    assert as_frame(exporters.bars(path, KEY, span, held))["ts_us"].tolist() == whole["ts_us"].tolist()[10:35]
    early = Span(START_US + 10 * S, START_US + 20 * S, 4)
    assert as_frame(exporters.bars(path, KEY, early, held))["ts_us"].tolist() == whole["ts_us"].tolist()[16:20]


def test_bars_of_which_the_file_has_none_come_from_memory(tmp_path):
    path = write(tmp_path / "a.db", tape(range(3)))
    held = numbered(bars_of(tape(range(20)), "5s"))
    found = as_frame(exporters.bars(path, ("v", "T", "5s"), Span(), held))
    pd.testing.assert_frame_equal(found, held[list(found)])
    assert as_csv(exporters.bars(path, ("v", "X", "5s"), Span(), held.iloc[:0])).count("\n") == 1


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=1, max_size=20))
def test_of_two_bars_of_one_time_the_one_of_memory_stands_where_complete(drawn):
    frame = numbered(bars_of(tape(range(len(drawn))), "1s"))
    in_file, in_memory, complete = np.array(drawn).T
    merged = overlaid(
        frame[in_file].assign(volume=1.0), frame[in_memory].assign(volume=2.0, complete=complete[in_memory])
    )
    assert merged["ts_us"].tolist() == frame["ts_us"][in_file | in_memory].tolist()
    from_memory = in_memory & (complete | ~in_file)
    assert merged["volume"].tolist() == np.where(from_memory, 2.0, 1.0)[in_file | in_memory].tolist()


def test_alerts_keep_their_texts_and_lack_what_they_lack(tmp_path):
    events = [event(START_US, name="=cmd|' /C calc'!A0", value=None), event(START_US + S, name="plain", value=-2.5)]
    path = write(tmp_path / "a.db", events=events)
    found = rows(as_csv(exporters.alerts(path, Span())))
    assert [row["name"] for row in found] == ["'=cmd|' /C calc'!A0", "plain"]
    assert [row["value"] for row in found] == ["", "-2.5"]
    frame = as_frame(exporters.alerts(path, Span()))
    assert frame["name"].tolist() == ["=cmd|' /C calc'!A0", "plain"]
    assert frame["at_us"].tolist() == [START_US, START_US + S]
