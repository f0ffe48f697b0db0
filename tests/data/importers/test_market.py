"""Every recorded file of a supported kind imports with the counts that its own description states."""

import pytest

from data.importers.plan import Options, plan
from tests.market import MARKET, market
from utils.errors import InputError

# file, what the user has to say -> rows taken, rows rejected, by symbol (from the README of the recorded market data)
TICKS = [
    ("trades/usdm_trxusdt_trade_stream_20250304.csv.gz", "", 9_999, 1, ("binance-um", "trade")),
    ("trades/spot_trxusdt_trade_stream_20250304.csv.gz", "", 10_000, 0, ("binance-spot", "trade")),
    ("trades/spot_btcusdt_trades_20260203.csv.gz", "", 40_003, 0, ("binance-spot", "trade")),
    ("trades/ccxt_public_trades_list_20230202.csv", "ETHUSDT", 1_000, 0, ("binance-um", "aggTrade")),
    ("ticks/ticks_2025-11-04T10-24-59.033Z.ndjson.gz", "", 28_469 - 42, 42, ("binance-um", "ticks")),
    ("ticks/ticks_2025-11-01T09-54-08.557Z.ndjson", "", 993, 0, ("binance-um", "ticks")),
    ("ticks/sanket_ticks_20251216.db.gz", "", 45_030 - 63, 63, ("binance-um", "ticks")),
    ("ticks/rushi_ticks_20251217.db.gz", "", 8_470 - 17, 17, ("binance-um", "ticks")),
    ("ws/usdm_btcusdt_20240808.gz", "", 21_313, 0, ("binance-um", "trade")),
    ("ws/usdm_ethusdt_20240808.gz", "", 14_076, 0, ("binance-um", "trade")),
    ("ws/spot_btcusdt_20240808.gz", "", 9_757, 0, ("binance-spot", "trade")),
    ("ws/spot_ethusdt_20240808.gz", "", 6_106, 0, ("binance-spot", "trade")),
    ("ws/usdm_btcusdt_20230404.dat.gz", "", 2_197, 0, ("binance-um", "trade")),
    ("ws/cryptofeed_usdm_20210722.ws.txt.gz", "", 91, 0, ("binance-um", "aggTrade")),
    ("ws/cryptofeed_spot_20211012.ws.txt.gz", "", 2, 0, ("binance-spot", "aggTrade")),
]
BARS = [
    ("trades/spot_btcusdt_ohlcv_1min_202602.csv.gz", "1m", 40_320),
    ("klines/dump_format_1m/ADABTC-1m-2021-11-27.csv", "1m", 10),
]
HOURLY = ("usdm_1h_202510", "usdm_1h_2024_tz3")  # folders of 100 and 28 files, all whole
LISTED_LATE = {"4USDT": 365, "KGENUSDT": 386, "LYNUSDT": 417, "CLOUSDT": 221, "LABUSDT": 146}
MOST_HOURS = range(501, 504)  # of the others of 2025-10
HOURS_2024 = 2_000
REFUSED = [
    "econometrics/macrodata.csv",
    "econometrics/crude.csv.gz",
    "econometrics/johansen_test_coint.csv",
    "econometrics/sp100_prices.csv.gz",
    "ws/cryptofeed_usdm_20210722.depth_http.txt.gz",
    "ws/cryptofeed_usdm_20210722.exchangeInfo.txt.gz",
]


@pytest.mark.parametrize("name, symbol, taken, rejected, where", TICKS)
def test_trades_of_the_recorded_files_are_counted_right_and_added_once(place, name, symbol, taken, rejected, where):
    path, options = market(name), Options(symbol=symbol)
    done = place.take(path, options)
    assert (done.added, done.known, done.rejected_rows) == (taken, 0, rejected)
    assert (done.venue, done.stream) == where
    again = place.take(path, options)
    assert (again.added, again.known, again.rejected_rows) == (0, taken, rejected)
    assert sum(place.archive.rows(owner) for owner in place.archive.owners()) == taken


@pytest.mark.parametrize("name, width, rows", BARS)
def test_bars_of_the_recorded_files_are_counted_right_and_added_once(place, name, width, rows):
    path = market(name)
    done = place.take(path)
    assert (done.added, done.rejected_rows, done.timeframe) == (rows, 0, width)
    assert place.take(path).added == 0
    assert [row[3] for row in place.bars()] == [rows]


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_market_data_is_refused(name):
    with pytest.raises(InputError):
        plan(market(name))


def recorded(pattern):
    """The recordings of a pattern, as names; the test is skipped where there are none."""
    found = sorted(path.relative_to(MARKET).as_posix() for path in MARKET.glob(pattern) if path.is_file())
    if not found:
        pytest.skip("recorded market data is not on this machine")
    return found


@pytest.mark.parametrize("folder", HOURLY)
def test_every_hourly_file_imports_with_its_rows(place, folder):
    names = recorded(f"klines/{folder}/*.csv*")
    done = {result.symbols[0]: result for result in (place.take(MARKET / name) for name in names)}
    assert len(done) == {"usdm_1h_202510": 100, "usdm_1h_2024_tz3": 28}[folder]
    assert {(one.rejected_rows, one.known, one.timeframe, one.venue) for one in done.values()} == {
        (0, 0, "1h", "binance-um")
    }
    if folder == "usdm_1h_2024_tz3":
        assert {one.added for one in done.values()} == {HOURS_2024}
    else:
        assert {symbol: one.added for symbol, one in done.items() if one.added not in MOST_HOURS} == LISTED_LATE
    stored = {symbol: (rows, whole) for _, symbol, _, rows, whole, _ in place.bars()}
    assert stored == {symbol: (one.added, one.added - 1) for symbol, one in done.items()}  # the last may be open


def test_no_recorded_file_is_left_out():
    told = {case[0] for case in (*TICKS, *BARS)} | set(REFUSED)
    hourly = {name for folder in HOURLY for name in recorded(f"klines/{folder}/*.csv*")}
    assert told | hourly == {name for name in recorded("*/**/*") if not name.endswith("SHA256SUMS")}


def test_bars_of_imported_trades_are_those_of_another_program(place):
    """Minutes 00:00 to 00:04 and 00:06 to 00:08 of the recorded trades, to the last digit."""
    place.take(market("trades/spot_btcusdt_trades_20260203.csv.gz"))
    bars = "select ts_us, open, high, low, close, round(volume, 8) from bar order by 1"
    ours = place.query(bars)
    place.write(lambda connection: connection.execute("delete from bar"))
    place.take(market("trades/spot_btcusdt_ohlcv_1min_202602.csv.gz"))
    theirs = set(place.query(bars))
    assert [row in theirs for row in ours] == [True] * 5 + [False] + [True] * 3 + [False]
