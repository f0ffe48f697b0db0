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
    ("ws/spot_btcusdt_20240808.gz", "", 9_757, 0, ("binance-spot", "trade")),
    ("ws/usdm_btcusdt_20230404.dat.gz", "", 2_197, 0, ("binance-um", "trade")),
    ("ws/cryptofeed_usdm_20210722.ws.txt.gz", "", 91, 0, ("binance-um", "aggTrade")),
    ("ws/cryptofeed_spot_20211012.ws.txt.gz", "", 2, 0, ("binance-spot", "aggTrade")),
]
BARS = [
    ("trades/spot_btcusdt_ohlcv_1min_202602.csv.gz", "1m", 40_320),
    ("klines/dump_format_1m/ADABTC-1m-2021-11-27.csv", "1m", 10),
    ("klines/usdm_1h_202510/4USDT_1h.csv", "1h", 365),
    ("klines/usdm_1h_202510/LABUSDT_1h.csv", "1h", 146),
    ("klines/usdm_1h_2024_tz3/BTCUSDT_1h.csv.gz", "1h", 2_000),
]
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


def test_every_hourly_file_is_previewed_whole():
    files = sorted(MARKET.glob("klines/usdm_1h_*/*.csv*"))
    if not files:
        pytest.skip("recorded market data is not on this machine")
    plans = {path.name.split("_")[0]: plan(path) for path in files}
    assert len(files) == 128
    assert {made.options.symbol for made in plans.values()} == plans.keys()
    assert {made.options.timeframe for made in plans.values()} == {"1h"}


def test_bars_of_imported_trades_are_those_of_another_program(place):
    """Minutes 00:00 to 00:04 and 00:06 to 00:08 of the recorded trades, to the last digit."""
    place.take(market("trades/spot_btcusdt_trades_20260203.csv.gz"))
    bars = "select ts_us, open, high, low, close, round(volume, 8) from bar order by 1"
    ours = place.query(bars)
    place.write(lambda connection: connection.execute("delete from bar"))
    place.take(market("trades/spot_btcusdt_ohlcv_1min_202602.csv.gz"))
    theirs = set(place.query(bars))
    assert [row in theirs for row in ours] == [True] * 5 + [False] + [True] * 3 + [False]
