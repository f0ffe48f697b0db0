"""Tables of closes: from stored bars, and from files."""

import io

import numpy as np
import pandas as pd
import pytest

from data import closes as closes_module
from data import sqlite
from data.closes import read_closes, stored_closes
from utils.errors import InputError

MINUTE_US = 60_000_000
BEGIN_US = 1_723_161_600_000_000


@pytest.fixture
def file(tmp_path):
    """A file with 50 minutes of A, the last 20 of B, and A of another venue."""
    path = tmp_path / "tape.db"
    connection = sqlite.open_writer(path)
    for venue, symbol, first in (("demo", "A", 0), ("demo", "B", 30), ("other", "A", 10)):
        at = np.arange(first, 50)
        ones = np.ones(at.size)
        columns = {"open": ones, "high": ones, "low": ones, "close": 100.0 + at, "volume": ones, "vwap": ones}
        columns |= {"trades": at, "taker_buy_volume": ones, "complete": ones.astype(bool)}
        times = pd.DatetimeIndex((BEGIN_US + at * MINUTE_US).astype("datetime64[us]"), tz="UTC")
        with sqlite.transaction(connection):
            sqlite.put_bars(connection, venue, symbol, "1m", pd.DataFrame(columns, times))
    connection.close()
    return path


def test_stored_closes_stand_on_one_grid_and_end_at_the_newest(file):
    table = stored_closes(file, "demo", "1m", ("A", "B", "NONE"), 40)
    assert list(table.columns) == ["A", "B", "NONE"]
    assert table.index.asi8.tolist() == [BEGIN_US + at * MINUTE_US for at in range(10, 50)]
    assert table["A"].tolist() == [100.0 + at for at in range(10, 50)]
    assert table["B"].isna().sum() == 20 and table["B"].iloc[-1] == 149.0
    assert table["NONE"].isna().all()
    assert stored_closes(file, "demo", "5m", ("A", "B"), 40).empty
    earlier = stored_closes(file, "demo", "1m", ("A", "B"), 40, until_us=int(table.index.asi8[-1]))
    assert earlier.index.asi8.tolist() == [BEGIN_US + at * MINUTE_US for at in range(9, 49)]


TIMES = pd.date_range("2025-10-02", periods=4, freq="h", tz="UTC")
VALUES = {"BTC": [1.0, 2.0, np.nan, 4.0], "ETH": [5.0, 6.0, 7.0, 8.5]}


def as_csv(times: list[object], order: tuple[int, ...] = (0, 1, 2, 3)) -> bytes:
    return pd.DataFrame({"time": times} | VALUES).iloc[list(order)].to_csv(index=False).encode()


def as_parquet(times: object) -> bytes:
    file = io.BytesIO()
    pd.DataFrame({"time": times} | VALUES).to_parquet(file, index=False)
    return file.getvalue()


SECONDS = [int(at.timestamp()) for at in TIMES]


@pytest.mark.parametrize(
    "body",
    [
        as_csv([at.isoformat() for at in TIMES]),
        as_csv([f"{at:%Y-%m-%d %H:%M:%S}" for at in TIMES]),
        as_csv(SECONDS),
        as_csv([at * 1_000 for at in SECONDS]),
        as_csv([at * 10**6 for at in SECONDS], order=(3, 1, 0, 2)),
        as_csv([f"{at:%Y-%m-%d %H:%M:%S}+02:00" for at in TIMES + pd.Timedelta("2h")]),
        as_parquet(TIMES),
        as_parquet([at * 1_000 for at in SECONDS]),
    ],
)
def test_files_of_one_table_in_many_forms_are_one_table(body):
    table = read_closes("closes", body)
    assert list(table.columns) == ["BTC", "ETH"]
    assert (table.index == TIMES).all()
    np.testing.assert_array_equal(table.to_numpy(), np.array(list(VALUES.values())).T)


@pytest.mark.parametrize(
    "body, message",
    [
        (b"time,A,B\n2025-10-02T00:00Z,1,x\n", "closes must be numbers, the column B is of string"),
        (b"time,A,B\n2025-10-02T00:00Z,1,0\n", "closes must be > 0 and finite, B was 0 in row 1"),
        (b"time,A,B\n2025-10-02T00:00Z,-1,2\n", "A was -1 in row 1"),
        (b"time,A,B\n2025-10-02T00:00Z,1,inf\n", "B was inf"),
        (b"time,A,A\n2025-10-02T00:00Z,1,2\n", "A has 2"),
        (b"time,A\n2025-10-02T00:00Z,1\n", "2 to 1,000 of closes, had 1"),
        (b"time,A,B\n", "1 to 100,000 rows, had 0"),
        (b"time,A,B\nyesterday,1,2\n", "the first column must be times"),
        (b"A,B,C\n1.5,1,2\n", "the first column must be times"),
        (b"time,A,B\n,1,2\n", "needs a time in its first column"),
        (b"time,A,B\n1759363200,1,2\n1759363200,1,3\n", "stands twice"),
        (b"time,A,B\n1,2\n", "cannot be read as CSV"),
        (b"time,A,\n1759363200,1,2\n", "headed by a symbol"),
        (b"", "cannot be read as CSV"),
        (b"\xff\xfe\x00", "CSV"),
        (b"PAR1 and nothing more", "cannot be read as Parquet"),
    ],
)
def test_files_that_are_no_such_table_are_told_why(body, message):
    with pytest.raises(InputError, match=message.replace("(", r"\(")) as caught:
        read_closes("closes.csv", body)
    assert caught.value.field == "table"


def test_files_beyond_the_limits_are_refused_by_name_of_the_limit(monkeypatch):
    body = as_csv(SECONDS)
    for name, value, message in (
        ("MOST_BYTES", 10, "at most 0 MB"),
        ("MOST_ROWS", 3, "1 to 3 rows, had 4"),
        ("MOST_SYMBOLS", 1, "2 to 1 of closes"),
        ("MOST_CELLS", 7, "at most 7 closes, had 8"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(closes_module, name, value)
            for file in (body, as_parquet(TIMES)):
                with pytest.raises(InputError, match=message):
                    read_closes("closes", file)
