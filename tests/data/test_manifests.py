"""Every export comes back as it was, in every format, and its manifest says the same of it each time."""

import io
import json

import numpy as np
import openpyxl
import pandas as pd
import pyarrow as pa
import pytest

from analytics.resampling import bars as bars_of
from data import rows_as_text, sqlite, stored
from data.exporters import FORMATS, Table, manifest, noted, numbered, summary, table_of, ticks
from data.importers.plan import Options
from data.stored import Span
from data.trades import Trades
from tests.data.importers.files import Place, archive_csv, trades
from tests.data.test_stored import OWNER, tape, write

ODD = Trades.of(
    "BTCUSDT",
    [1, 2, 3, 2**53 + 1, 2**60],
    1_735_689_600_000_000 + np.arange(5),
    [0.1, 1e22, 5e-324, 1.7976931348623157e308, 123456789.123456789],
    [1e-9, 0.1 + 0.2, 1.0, 2.5, 1e15],
    [0, 1, 0, 1, 1],
)


def exported(table, form):
    return b"".join(FORMATS[form][0](table))


def tape_table(path, held):
    return ticks(path, ("binance-um", "aggTrade", "BTCUSDT"), Span(), held)


@pytest.mark.parametrize("form", FORMATS)
def test_trades_come_back_equal_through_every_format(tmp_path, form):
    place = Place(tmp_path)
    source = {"venue": "binance-um", "stream": "aggTrade", "symbol": "BTCUSDT"}
    path = tmp_path / f"BTCUSDT-ticks.{form}"
    path.write_bytes(exported(noted(tape_table(place.database, ODD), source), form))
    done = place.take(path)
    assert (done.added, done.rejected_rows, done.venue, done.stream) == (5, 0, "binance-um", "aggTrade")
    found = place.trades("binance-um", "aggTrade", "BTCUSDT")
    for ours, theirs in zip(found.columns, ODD.columns, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    place.close()


@pytest.mark.parametrize("form", FORMATS)
def test_an_empty_instance_that_imports_an_export_exports_the_same_again(tmp_path, form):
    """The hash of the rows is that of the export that was imported, and the bars are those of the trades."""
    place, owner = Place(tmp_path), ("binance-um", "aggTrade", "BTCUSDT")
    whole = trades(3_000, step_us=7_000_000)
    table = noted(tape_table(place.database, whole), dict(zip(("venue", "stream", "symbol"), owner, strict=True)))
    path = tmp_path / f"BTCUSDT-ticks.{form}"
    path.write_bytes(exported(table, form))
    place.take(path)
    again = ticks(place.database, owner, Span(), Trades.empty("BTCUSDT"), place.archive)
    assert summary(again)["sha256_of_csv"] == summary(tape_table(place.database, whole))["sha256_of_csv"]
    theirs = bars_of(whole, "1m")
    found = place.query("select ts_us, open, high, low, close, volume, trades from bar order by ts_us")
    assert [row[0] for row in found] == theirs.index.asi8.tolist()
    for at, name in enumerate(("open", "high", "low", "close", "volume", "trades"), 1):
        assert [row[at] for row in found] == pytest.approx(theirs[name].tolist(), rel=1e-12), name
    place.close()


@pytest.mark.parametrize("form", FORMATS)
def test_bars_come_back_equal_through_every_format(tmp_path, form):
    place = Place(tmp_path)
    whole = numbered(bars_of(trades(5_000, step_us=7_000_000), "1m"))
    path = tmp_path / f"BTCUSDT-1m-bars.{form}"
    path.write_bytes(exported(table_of(whole), form))
    assert place.take(path, Options(venue="v")).added == len(whole)
    columns = list(whole)
    found = pd.DataFrame(place.query(f"select {', '.join(columns)} from bar order by ts_us"), columns=columns)
    pd.testing.assert_frame_equal(found.astype(whole.dtypes), whole, check_exact=True)
    place.close()


def test_json_lines_hold_numbers_texts_and_null():
    frame = pd.DataFrame({"z": [-1.5, np.nan], "n": [-3, 4], "flag": [True, False], "name": ['a"\n', None]})
    lines = exported(table_of(frame), "ndjson").decode().splitlines()
    assert [json.loads(line) for line in lines] == [
        {"z": -1.5, "n": -3, "flag": True, "name": 'a"\n'},
        {"z": None, "n": 4, "flag": False, "name": None},
    ]


def test_excel_holds_numbers_as_numbers_and_no_formula():
    frame = pd.DataFrame({"z": [-1.5, np.nan], "n": [-3, 4], "flag": [True, False], "name": ["=1+1 <&>\n", None]})
    book = openpyxl.load_workbook(io.BytesIO(exported(table_of(frame), "xlsx")))
    rows = list(book.active.iter_rows())
    assert [[cell.value for cell in row] for row in rows] == [
        ["z", "n", "flag", "name"],
        [-1.5, -3, True, "=1+1 <&>\n"],
        [None, 4, False, None],
    ]
    assert [cell.data_type for cell in rows[1]] == ["n", "n", "b", "s"]


def test_excel_goes_on_in_another_sheet(monkeypatch):
    monkeypatch.setattr(rows_as_text, "SHEET_ROWS", 11)
    schema = pa.schema({"n": pa.int64()})
    parts = [pa.record_batch([pa.array(range(i, i + 7))], schema=schema) for i in range(0, 28, 7)]
    book = openpyxl.load_workbook(io.BytesIO(exported(Table(schema, parts), "xlsx")))
    read = [[row[0] for row in sheet.iter_rows(values_only=True)] for sheet in book.worksheets]
    assert read == [["n", *range(10)], ["n", *range(10, 20)], ["n", *range(20, 28)]]


def test_a_manifest_says_what_there_is_and_the_same_each_time(tmp_path):
    path = write(tmp_path / "a.db", tape([0, 1, 2, 5, 6]))

    def made():
        table = ticks(path, OWNER, Span(), Trades.empty("T"))
        return manifest(table, {"kind": "ticks"}, Span(), {}, "/again", "1.0")

    first = made()
    assert (first["rows"], first["coverage"]) == (5, {"ids_missing": 2})
    assert first == made()
    other = summary(ticks(write(tmp_path / "b.db", tape([0, 1, 2, 5, 7])), OWNER, Span(), Trades.empty("T")))
    assert other["sha256_of_csv"] != first["sha256_of_csv"]


def test_the_hash_does_not_depend_on_how_rows_come_in_parts():
    frame = pd.DataFrame({"ts_us": range(10), "complete": [True] * 9 + [False]})
    whole = table_of(frame)
    (part,) = whole.parts
    cut = Table(whole.schema, [part.slice(0, 3), part.slice(3)])
    found = summary(Table(whole.schema, [part]))
    assert summary(cut) == found
    assert (found["rows"], found["last_us"], found["coverage"]) == (10, 9, {"bars_complete": 9})


def test_trades_of_the_archive_are_exported_with_those_of_the_file_by_id(tmp_path, monkeypatch):
    """Ids 1 to 3000 were imported; 2001 to 2500 and 2991 to 3100 were captured, and are the ones that stand."""
    place = Place(tmp_path)
    whole = trades(3_100, step_us=60_000_000)
    (tmp_path / "BTCUSDT-a.csv").write_bytes(archive_csv(whole[:3_000]))
    place.take(tmp_path / "BTCUSDT-a.csv", Options(venue="binance-um"))
    captured = np.r_[2_000:2_500, 2_990:3_050]
    owner = ("binance-um", "aggTrade", "BTCUSDT")
    mine = Trades.of("BTCUSDT", *whole.columns[:2], whole.price + 1, *whole.columns[3:])
    place.write(
        lambda connection: sqlite.insert_trades(connection, sqlite.instrument(connection, *owner), mine[captured])
    )
    monkeypatch.setattr(stored, "PAGE_ROWS", 97)
    expected = whole.price.copy()
    expected[np.r_[captured, 3_050:3_100]] += 1

    def found(span):
        parts = [part.to_pandas() for part in ticks(place.database, owner, span, mine[3_040:], place.archive).parts]
        return pd.concat(parts)

    everything = found(Span())
    assert everything["trade_id"].tolist() == list(range(1, 3_101))
    np.testing.assert_array_equal(everything["price"], expected)
    for limit in (1, 30, 90, 105, 700, 2_900, 9_999):
        assert found(Span(limit=limit))["trade_id"].tolist() == list(range(max(1, 3_101 - limit), 3_101))
    part = Span(int(whole.ts_us[100]), int(whole.ts_us[2_100]), 50)
    assert found(part)["trade_id"].tolist() == list(range(2_051, 2_101))
    place.close()
