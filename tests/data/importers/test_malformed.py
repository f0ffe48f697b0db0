"""Malformed input (section 2.F of the reliability research): refused, or rejected row by row."""

import io
import json
import os
import re
import struct
import zipfile

import numpy as np
import openpyxl
import pyarrow as pa
import pyarrow.parquet
import pytest

from data.importers import files
from data.importers.plan import Options, plan, preview
from tests.data.importers import hostile
from tests.data.importers.files import START_US, archive_csv, gzipped, trades, zipped
from utils.errors import InputError

HEAD = "trade_id,ts_us,price,qty,buyer_is_maker\n"
SOON = "BTCUSDT-aggTrades-2025-01-01.zip"


def row(trade_id, ts=None, price="1.5", qty="2", maker="true"):
    return f"{trade_id},{START_US + trade_id * 1_000 if ts is None else ts},{price},{qty},{maker}\n"


def refused(place, path, options=None):
    """The reason why a file is refused; nothing was stored."""
    with pytest.raises(InputError) as caught:
        place.take(path, options)
    assert place.archive.owners() == [] and place.bars() == [] and place.left_over() == []
    return str(caught.value)


def member(name, data=b"1", **more):
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w", zipfile.ZIP_DEFLATED) as archive:
        info = zipfile.ZipInfo(name)
        for key, value in more.items():
            setattr(info, key, value)
        archive.writestr(info, data, zipfile.ZIP_DEFLATED)
    return into.getvalue()


@pytest.mark.parametrize("ending", ["csv", "ndjson", "parquet", "zip", "gz"])
def test_random_bytes_are_refused(place, file, ending):
    noise = np.random.default_rng(5).bytes(1 << 20)
    assert refused(place, file(noise, f"BTCUSDT.{ending}"))


@pytest.mark.parametrize("mark", [b"PAR1", b"SQLite format 3\0", b"PK\x03\x04", b"\x1f\x8b\x08\0"])
def test_noise_behind_a_right_beginning_is_refused(place, file, mark):
    assert refused(place, file(mark + np.random.default_rng(5).bytes(1 << 16), "BTCUSDT.data"))


@pytest.mark.parametrize(
    "name, reason",
    [
        ("../../evil.csv", "leads out of its folder"),
        ("/etc/evil.csv", "leads out of its folder"),
        ("C:\\evil.csv", "leads out of its folder"),
        ("..\\evil.csv", "leads out of its folder"),
        ("inner.zip", "packed file within a packed file"),
    ],
)
def test_zips_with_odd_names_are_refused(place, file, name, reason):
    assert reason in refused(place, file(member(name), SOON))


def test_zips_with_links_secrets_and_many_files_are_refused(place, file):
    assert "a link" in refused(place, file(member("a.csv", external_attr=0o120777 << 16), SOON))
    locked = bytearray(member("a.csv"))
    locked[6] |= 1  # of the member itself ...
    locked[locked.find(b"PK\x01\x02") + 8] |= 1  # ... and of the list at the end
    assert "encrypted" in refused(place, file(bytes(locked), SOON))
    many = io.BytesIO()
    with zipfile.ZipFile(many, "w") as archive:
        for number in range(10_000):
            archive.writestr(f"{number}.csv", b"")
    assert "10,000 files" in refused(place, file(many.getvalue(), SOON))
    two = io.BytesIO()
    with zipfile.ZipFile(two, "w") as archive:
        archive.writestr("a.csv", b"1")
        archive.writestr("b.csv", b"1")
    assert "one file of data" in refused(place, file(two.getvalue(), SOON))


@pytest.mark.parametrize("pack, name", [(hostile.zip_bomb, "BTCUSDT.zip"), (hostile.gzip_bomb, "BTCUSDT.csv.gz")])
def test_bombs_are_refused_before_they_are_unpacked(place, file, monkeypatch, pack, name):
    path = file(pack(1_024), name)
    monkeypatch.setattr(files.Source, "chunks", None)  # the first byte of it would fail
    assert "times its" in refused(place, path)


def test_a_bomb_that_lies_about_its_size_is_refused_by_what_comes_out_of_it(place, file, monkeypatch):
    monkeypatch.setattr(files, "RATIO_FROM", 1 << 20)
    path = file(gzipped(HEAD.encode() + row(1).encode() * (1 << 18))[:-4] + bytes(4), "BTCUSDT.csv.gz")
    monkeypatch.setattr(files, "MOST_RATIO", 20)
    assert "times its" in refused(place, path)


def test_a_zip_that_lies_about_its_size_is_refused(place, file):
    honest = bytearray(zipped(archive_csv(trades(5_000))))
    at = honest.find(b"PK\x01\x02")
    honest[at + 24 : at + 28] = struct.pack("<I", 1_000)  # the size that the list states
    assert "cannot be unpacked" in refused(place, file(bytes(honest), SOON))


@pytest.mark.parametrize("pack, name", [(zipped, SOON), (gzipped, "BTCUSDT.csv.gz")])
def test_packed_files_that_are_cut_off_store_nothing(place, file, pack, name):
    whole = pack(archive_csv(trades(50_000)))
    assert refused(place, file(whole[: len(whole) * 6 // 10], name))


def test_a_checksum_that_does_not_agree_is_refused(place, file):
    path = file(zipped(archive_csv(trades(100))), SOON)
    beside = path.with_name(path.name + ".CHECKSUM")
    beside.write_text(f"{'0' * 64}  {path.name}\n")
    assert "does not agree" in refused(place, path)
    beside.write_text(f"{files.sha256(path)}  {path.name}\n")
    assert plan(path).checksum
    assert place.take(path).added == 100


def test_a_parquet_bomb_and_a_cut_off_parquet_file_are_refused(place, file):
    zeros = pa.table(
        {"ts_us": np.zeros(20_000_000, np.int64), "price": np.zeros(20_000_000), "qty": np.zeros(20_000_000)}
    )
    into = io.BytesIO()
    pa.parquet.write_table(zeros, into, compression="zstd", row_group_size=20_000_000)
    assert len(into.getvalue()) < 300_000
    assert "rows in" in refused(place, file(into.getvalue(), "BTCUSDT.parquet"))
    into = io.BytesIO()
    pa.parquet.write_table(zeros.slice(0, 1_000), into)
    assert "as Parquet" in refused(place, file(into.getvalue()[:300], "BTCUSDT.parquet"))


@pytest.mark.parametrize(
    "encode", [lambda text: b"\xef\xbb\xbf" + text.encode(), lambda text: text.encode("utf-16")], ids=["BOM", "UTF-16"]
)
def test_marks_and_wide_text_of_spreadsheets_are_read(place, file, encode):
    done = place.take(file(encode(HEAD + "".join(map(row, range(1, 9))))))
    assert (done.added, done.rejected_rows) == (8, 0)


def test_text_that_is_no_utf_8_is_read_and_named(file):
    seen = preview(plan(file(("ts,price,qty,remark\n" + f"{START_US},1,1,\xfc\n").encode("latin-1"))))
    assert (seen.taken, seen.form) == (1, "delimited text, LATIN-1")


@pytest.mark.parametrize("mark", [";", "\t", "|", ","])
def test_delimiters_are_found(file, mark):
    lines = (HEAD + row(1) + row(2)).replace(",", mark)
    assert preview(plan(file(lines))).taken == 2


def test_decimal_commas_are_read_and_said(place, file):
    path = file("timestamp;price;qty\n" + "".join(f"{START_US + i};12,5;0,{i}\n" for i in range(1, 5)))
    assert "numbers have a decimal comma" in preview(plan(path)).notes
    place.take(path)
    found = place.trades("binance-um", "ticks", "BTCUSDT")
    assert found.price.tolist() == [12.5] * 4 and found.qty.tolist() == [0.1, 0.2, 0.3, 0.4]


def test_a_quoted_line_end_is_part_of_its_row(place, file):
    lines = "ts_us,price,qty,remark\n" + f'{START_US},1,1,"two\nlines"\n' + f"{START_US + 1},2,1,x\n"
    done = place.take(file(lines))
    assert (done.rows, done.added, done.rejected_rows) == (2, 2, 0)
    assert place.trades("binance-um", "ticks", "BTCUSDT").price.tolist() == [1.0, 2.0]


def test_units_are_told_row_by_row(place, file):
    us = START_US + 5_000_000
    values = [us, us // 1_000, us * 1_000, us // 1_000_000, f"{us / 1e6:.3f}", "57111", "99999999999999999999", "", "x"]
    path = file("id,time,price,qty\n" + "".join(f"{i},{value},1,1\n" for i, value in enumerate(values)))
    seen = preview(plan(path))
    assert seen.units == {"us": 1, "ms": 1, "ns": 1, "s": 2}
    assert [(bad.line, bad.reason) for bad in seen.rejected] == [(line, "time") for line in (7, 8, 9, 10)]
    place.take(path)
    assert set(place.trades("binance-um", "aggTrade", "BTCUSDT").ts_us.tolist()) == {us}


def test_bad_rows_are_listed_by_line_and_reason_and_the_rest_is_taken(place, file):
    bad = {5: ("price", {"price": "nan"}), 9: ("quantity", {"qty": "-1"}), 14: ("price", {"price": "1e400"})}
    bad |= {
        20: ("quantity", {"qty": ""}),
        31: ("time", {"ts": "0"}),
        40: ("price", {"price": "15x"}),
    }
    lines = [HEAD, *(row(i, **bad.get(i, ("", {}))[1]) for i in range(2, 1_000))]
    lines[499] = "only,two\n"
    lines[600] = "\n"
    done = place.take(file("".join(lines)))
    told = {(rejected.line, rejected.reason) for rejected in done.rejected}
    assert told == {(line, reason) for line, (reason, _) in bad.items()} | {(500, "2 columns, expected 5")}
    assert done.added == 998 - 6 - 2
    assert done.rows == done.added + done.rejected_rows


def test_all_or_nothing_stores_nothing_where_one_row_is_bad(place, file):
    path = file(HEAD + row(1) + row(2, price="0") + row(3))
    assert "1 of 3 rows" in refused(place, path, Options(whole=True))
    bars = "time,open,high,low,close,volume\n" + f"{START_US},1,2,0.5,1,1\n{START_US + 60_000_000},1,0.5,2,1,1\n"
    assert "line 3" in refused(place, file(bars, "BTCUSDT-1m.csv"), Options(whole=True))


@pytest.mark.parametrize(
    "text, reason",
    [
        ("", "empty"),
        ("\n\n", "empty"),
        (HEAD, "no rows"),
        ("price\n1\n2\n", "one column"),
        (",".join(f"c{i}" for i in range(5_000)) + "\n" + "1," * 4_999 + "1\n", "5,000 columns"),
        ("ts_us,price,qty\n1," + "9" * (3 << 20) + ",1\n", "line longer"),
        ("ts_us,pri\0ce,qty\n1,2,3\n", "not text"),
        ("a,b,c\n1,2,3\n", "neither trades"),
        ("1,2,3\n4,5,6\n", "no known order"),
        ("ts_us,price,price,qty\n1,2,3,4\n", "one name"),
    ],
)
def test_what_holds_no_rows_says_why(place, file, text, reason):
    assert reason in refused(place, file(text))


def test_json_lines_with_line_ends_of_windows_blanks_and_broken_ones(place, file):
    good = [f'{{"symbol":"ETHUSDT","ts":"2025-01-01T00:00:0{i}Z","price":{i}.5,"size":1}}' for i in range(1, 5)]
    lines = [good[0], "", good[1], "{broken", good[2], '{"symbol":"ETHUSDT","ts":1,"price":NaN,"size":1}', good[3]]
    done = place.take(file("\r\n".join(lines), "ticks.ndjson"))
    assert [(bad.line, bad.reason) for bad in done.rejected] == [(4, "no JSON object"), (6, "no JSON object")]
    assert done.added == 4


def test_a_row_of_no_symbol_needs_the_users_word(place, file):
    path = file(HEAD + row(1), "trades.csv")
    assert "which symbol" in refused(place, path)
    assert place.take(path, Options(symbol="ethusdt")).symbols == ("ETHUSDT",)


def test_excel_bombs_and_links_are_refused(place, file, monkeypatch):
    book = openpyxl.Workbook()
    book.active.append(["ts_us", "price", "qty"])
    book.active.append([START_US, 1.5, 2])
    into = io.BytesIO()
    book.save(into)
    path = file(into.getvalue(), "BTCUSDT.xlsx")
    assert preview(plan(path)).taken == 1
    monkeypatch.setattr("data.importers.tables.RATIO_FROM", 10)
    monkeypatch.setattr("data.importers.tables.MOST_RATIO", 1)
    assert "times its size" in refused(place, path)


def test_files_of_other_kinds_are_named(place, file, tmp_path):
    assert "xz" in refused(place, file(b"\xfd7zXZ\0" + b"1" * 100))
    assert "not a file" in refused(place, tmp_path)
    assert "cannot be read" in refused(place, tmp_path / "gone.csv")
    os.mkfifo(tmp_path / "pipe.csv")
    assert "not a file" in refused(place, tmp_path / "pipe.csv")


@pytest.mark.parametrize("name", ["../../evil", "..", "/etc/cron", "A/../../B", "BTC\0USDT", "C:\\evil"])
def test_symbols_and_markets_of_a_file_lead_nowhere(place, file, name):
    """Day files lie under market and symbol, whatever a row, a user or a manifest calls these."""
    lines = "symbol,ts_us,price,qty\n" + f"{name},{START_US},1,1\n" + f"BTCUSDT,{START_US},2,1\n"
    if "\0" in name:
        assert "not text" in refused(place, file(lines))
    else:
        done = place.take(file(lines))
        assert place.archive.owners() == [("binance-um", "ticks", symbol) for symbol in done.symbols]
        assert all(re.fullmatch("[A-Z0-9]+", symbol) for symbol in done.symbols)
    for option in ({"symbol": name}, {"venue": name}, {"stream": name}):
        with pytest.raises(InputError):
            plan(file(HEAD + row(1)), Options(**option))
    path = file(HEAD + row(1), "BTCUSDT.csv")
    path.with_name(path.name + ".manifest.json").write_text(json.dumps({"source": {"venue": name, "symbol": name}}))
    with pytest.raises(InputError):
        plan(path)
