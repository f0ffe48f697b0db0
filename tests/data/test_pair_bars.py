"""Bars for a look back: the same wherever they are kept, with every hole and loss marked."""

import numpy as np
import pandas as pd
import pytest

from analytics.resampling import aggregate, bars
from data import pair_bars, sqlite
from data.history import stored_bars
from data.pair_bars import of_file, of_recordings
from data.trades import Trades
from tests.fakes.feed import T0, S
from tests.fakes.recordings import PAIR, made_up, recorded
from utils.errors import Cancelled, InputError, NotFound

MINUTE = 60 * S
OPEN = T0 // MINUTE * MINUTE + MINUTE
Y, X = "ETHUSDT", "BTCUSDT"


@pytest.fixture(scope="module")
def tape(tmp_path_factory):
    """Ten minutes of the demo market: its trades by symbol, the same in a file, and in a database."""
    folder = tmp_path_factory.mktemp("tape")
    trades = made_up(600, at_us=OPEN)
    by_symbol = {s: Trades.from_rows(s, [t for t in trades if t.symbol == s]).sorted_by_id() for s in PAIR}
    return by_symbol, recorded(folder / "tape.gz", trades)


def written(folder, by_symbol, widths=(), keep_trades=True):
    path = folder / "tape.db"
    connection = sqlite.open_writer(path)
    for symbol, trades in by_symbol.items():
        with sqlite.transaction(connection):
            if keep_trades:
                owner = sqlite.instrument(connection, "binance-um", "aggTrade", symbol)
                sqlite.insert_trades(connection, owner, trades)
            for width in widths:
                sqlite.put_bars(connection, "binance-um", symbol, width, bars(trades, width)[:-1])
    connection.close()
    return path


def test_a_recording_gives_the_bars_of_its_trades(tape):
    by_symbol, file = tape
    found = of_recordings([file], (Y, X), "15s", 1_000)
    y, x = (bars(by_symbol[symbol], "15s")[:-1] for symbol in (Y, X))
    assert found.ts_us.tolist() == y.index.intersection(x.index).asi8.tolist()
    assert found.y.tolist() == y["close"].loc[x.index.intersection(y.index)].tolist()
    assert found.x.tolist() == x["close"].loc[y.index.intersection(x.index)].tolist()
    assert not found.complete[0] and found.complete[1:].all() and found.missing == 0
    assert found.what == "recording tape.gz"
    newest = of_recordings([file], (Y, X), "15s", 7)
    assert newest.ts_us.tolist() == found.ts_us[-7:].tolist() and newest.y.tolist() == found.y[-7:].tolist()


def test_stored_bars_wider_bars_and_trades_agree(tape, tmp_path):
    by_symbol, _ = tape
    stored = {}
    for name, widths, trades in (("bars", ["1m"], False), ("narrow", ["15s"], False), ("trades", [], True)):
        folder = tmp_path / name
        folder.mkdir()
        stored[name] = of_file(written(folder, by_symbol, widths, trades), "binance-um", (Y, X), "1m", 100)
    assert [found.what for found in stored.values()] == [
        "stored bars, binance-um",
        "stored 15s bars, binance-um",
        "stored trades, binance-um",
    ]
    whole = stored["bars"]
    wide = aggregate(bars(by_symbol[Y], "15s")[:-1], "1m")
    shared = np.isin(wide.index.asi8, stored["narrow"].ts_us)
    assert stored["narrow"].y.tolist() == wide["close"].to_numpy()[shared].tolist()
    assert stored["narrow"].complete.tolist() == wide["complete"].to_numpy()[shared].tolist()
    assert stored["trades"].ts_us.tolist() == whole.ts_us.tolist()
    for leg in ("y", "x"):
        assert getattr(stored["trades"], leg).tolist() == getattr(whole, leg).tolist()


def test_a_lost_trade_marks_the_bars_around_it(tape, tmp_path):
    by_symbol, _ = tape
    y = by_symbol[Y]
    lost = np.flatnonzero(y.ts_us >= OPEN + 300 * S)[0]
    cut = {X: by_symbol[X], Y: Trades.concat(Y, (y[:lost], y[lost + 1 :]))}
    found = of_file(written(tmp_path, cut), "binance-um", (Y, X), "5s", 1_000)
    around = {int(y.ts_us[row]) // (5 * S) * 5 * S for row in (lost - 1, lost + 1)}
    told = {int(ts_us) for ts_us in found.ts_us[~found.complete]}
    assert around <= told and len(told) <= 3 and found.incomplete == len(told)


def test_a_hole_is_counted_and_the_bar_after_it_is_not_complete(tape, tmp_path):
    by_symbol, _ = tape
    apart = {}
    for symbol, trades in by_symbol.items():
        outside = (trades.ts_us < OPEN + 200 * S) | (trades.ts_us >= OPEN + 300 * S)
        apart[symbol] = trades[outside]
    path = tmp_path / "tape.db"
    connection = sqlite.open_writer(path)
    for symbol, trades in apart.items():
        with sqlite.transaction(connection):
            frame = bars(trades, "10s")
            lost = (frame.index.asi8 >= OPEN + 200 * S) & (frame.index.asi8 < OPEN + 300 * S)
            sqlite.put_bars(connection, "demo", symbol, "10s", frame[~lost][:-1])
    connection.close()
    found = of_file(path, "demo", (Y, X), "10s", 1_000)
    assert found.missing == 10
    assert found.ts_us[~found.complete].tolist() == [OPEN + 300 * S]
    wider = of_file(path, "demo", (Y, X), "1m", 1_000)
    partial = [OPEN + 180 * S, OPEN + 300 * S]  # one lost part of its bars, one follows the hole
    assert set(partial) <= set(wider.ts_us[~wider.complete].tolist())


def test_what_is_not_there_is_refused_by_name(tape, tmp_path, monkeypatch):
    by_symbol, file = tape
    path = written(tmp_path, by_symbol, ["1m"])
    with pytest.raises(NotFound, match="DOGEUSDT is not in this recording; it holds"):
        of_recordings([file], ("DOGEUSDT", X), "1s", 100)
    with pytest.raises(NotFound, match="nothing of DOGEUSDT is stored of binance-um"):
        of_file(path, "binance-um", ("DOGEUSDT", X), "1s", 100)
    with pytest.raises(NotFound, match="is stored of binance-spot"):
        of_file(path, "binance-spot", (Y, X), "1s", 100)
    with pytest.raises(Cancelled):
        of_recordings([file], (Y, X), "1s", 100, lambda: True)
    monkeypatch.setattr(pair_bars, "MOST_TRADES", 1_000)
    with pytest.raises(InputError, match="at most 1,000 trades"):
        of_file(path, "binance-um", (Y, X), "1s", 100_000)


def test_minutes_lead_up_to_wider_bars(tape, tmp_path):
    """A width that is looked at since a while only: of it the file has few bars, of minutes it has all."""
    by_symbol, _ = tape
    path, whole = written(tmp_path, by_symbol, ["1m"], keep_trades=False), {}
    connection = sqlite.open_writer(path)
    for symbol, trades in by_symbol.items():
        whole[symbol] = bars(trades, "2m")[:-1]
        with sqlite.transaction(connection):
            sqlite.put_bars(connection, "binance-um", symbol, "2m", whole[symbol][-2:])
    connection.close()
    found = of_file(path, "binance-um", (Y, X), "2m", 100)
    assert found.ts_us.tolist() == whole[Y].index.asi8.tolist() and found.n == 4
    assert found.y.tolist() == whole[Y]["close"].tolist() and found.x.tolist() == whole[X]["close"].tolist()
    until_us = int(whole[Y].index.asi8[-1])
    cut = of_file(path, "binance-um", (Y, X), "2m", 3, until_us=until_us)
    assert cut.ts_us.tolist() == found.ts_us[:3].tolist() and cut.y.tolist() == found.y[:3].tolist()
    for symbol in (Y, X):
        frame = stored_bars(path, "binance-um", symbol, "2m")
        pd.testing.assert_frame_equal(frame, whole[symbol].assign(complete=frame["complete"]), check_freq=False)
        assert frame["complete"].iloc[1:].all()
        part = stored_bars(path, "binance-um", symbol, "2m", int(frame.index.asi8[1]), until_us)
        pd.testing.assert_frame_equal(part, frame[1:3], check_freq=False)
        seconds = stored_bars(path, "binance-um", symbol, "1s")
        assert seconds.empty and list(seconds) == list(frame)


def test_minutes_before_a_hole_are_left_out(tape, tmp_path):
    by_symbol, _ = tape
    path = written(tmp_path, by_symbol, ["1m", "2m"], keep_trades=False)
    connection = sqlite.open_writer(path)
    newest = int(stored_bars(path, "binance-um", Y, "2m").index.asi8[-1])
    connection.execute("delete from bar where timeframe = '2m' and ts_us < ?", (newest,))
    connection.execute("delete from bar where timeframe = '1m' and ts_us = ?", (newest - 4 * MINUTE,))
    connection.commit()
    found = stored_bars(path, "binance-um", Y, "2m")
    assert found.index.asi8.tolist() == [newest - 4 * MINUTE, newest - 2 * MINUTE, newest]
    assert not found["complete"].iloc[0]  # of its minutes one is lost
    connection.execute("delete from bar where timeframe = '1m' and ts_us = ?", (newest - MINUTE,))
    connection.commit()
    connection.close()
    assert stored_bars(path, "binance-um", Y, "2m").index.asi8.tolist() == [newest]
