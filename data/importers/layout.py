"""What the columns of a file mean, told by their names, or where they have none by their places and values."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from utils.clock import us_from_epoch
from utils.errors import InputError

TICKS, BARS = "ticks", "bars"
MOST_COLUMNS = 200

# Role -> names it goes by, the best first; compared in lower case without anything but letters and digits.
TICK_NAMES: dict[str, tuple[str, ...]] = {
    "ts": ("tsus", "transactiontime", "transacttime", "tradetime", "timestamp", "ts", "time", "datetime", "date"),
    "price": ("price", "tradeprice", "lastprice", "last", "ltp"),
    "qty": ("qty", "quantity", "size", "amount", "volume", "lastqty", "tradesize"),
    "trade_id": ("tradeid", "aggtradeid", "aggid", "tid", "id"),
    "maker": ("buyerismaker", "isbuyermaker", "isbuyermarketmaker"),
    "side": ("side", "takerside", "direction"),
    "symbol": ("symbol", "instrument", "ticker", "pair", "market", "s"),
    "market": ("xunknownparameter",),
}
BAR_NAMES: dict[str, tuple[str, ...]] = {
    "ts": ("tsus", "opentime", "timestamp", "time", "ts", "datetime", "date", "starttime", "bucket", "t"),
    "open": ("open", "openprice", "o"),
    "high": ("high", "highprice", "h"),
    "low": ("low", "lowprice", "l"),
    "close": ("close", "closeprice", "c"),
    "volume": ("volume", "vol", "basevolume", "v"),
    "vwap": ("vwap",),
    "quote_volume": ("quotevolume", "quoteassetvolume"),
    "trades": ("trades", "count", "numberoftrades", "tradecount", "numtrades"),
    "taker_buy_volume": ("takerbuyvolume", "takerbuybase", "takerbuybasevolume", "takerbuybaseassetvolume"),
    "complete": ("complete",),
    "symbol": ("symbol", "instrument", "ticker", "pair", "market"),
}
EXCHANGE = {"p": "price", "q": "qty", "T": "ts", "m": "maker", "s": "symbol", "X": "market"}  # of frames and REST
NEEDED = {TICKS: ("ts", "price", "qty"), BARS: ("ts", "open", "high", "low", "close")}
# Columns of the archives by place: what each holds of ours, and how many there are.
ARCHIVES: dict[str, tuple[str, ...]] = {
    "spot trades": ("trade_id", "price", "qty", "", "ts", "maker", ""),
    "um trades": ("trade_id", "price", "qty", "", "ts", "maker"),
    "spot aggTrades": ("trade_id", "price", "qty", "", "", "ts", "maker", ""),
    "um aggTrades": ("trade_id", "price", "qty", "", "", "ts", "maker"),
    "klines": (
        *("ts", "open", "high", "low", "close", "volume", "", "quote_volume", "trades", "taker_buy_volume", "", ""),
    ),
    "ohlcv": ("ts", "open", "high", "low", "close", "volume"),
}
AGGREGATE = ("aggtradeid", "aggid", "firsttradeid", "firstid")
BOOLEANS = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}


@dataclass(frozen=True, slots=True)
class Columns:
    """What columns mean: role -> name in the file."""

    kind: str  # "ticks" or "bars"
    roles: Mapping[str, str]
    archive: str = ""  # which of the archive's orders, where there were no names
    stream: str = ""  # "aggTrade" or "trade", where the columns tell
    venue: str = ""  # where the columns tell


def plain(name: str) -> str:
    """A name as it is compared."""
    return re.sub("[^a-z0-9]", "", name.lower())


def by_name(names: Sequence[str]) -> Columns | None:
    """What columns of these names mean; None where they are neither trades nor bars."""
    if {"p", "q", "T"} <= set(names):
        return _of_exchange(names)
    known = {plain(name): name for name in reversed(names)}
    bars = _roles(known, BAR_NAMES)
    if all(role in bars for role in NEEDED[BARS]):
        return Columns(BARS, bars)
    ticks = _roles(known, TICK_NAMES)
    if not all(role in ticks for role in NEEDED[TICKS]):
        return None
    return Columns(TICKS, ticks, stream=_stream(known, "trade_id" in ticks), venue=_venue(names))


def _of_exchange(names: Sequence[str]) -> Columns:
    roles = {role: name for name, role in EXCHANGE.items() if name in names}
    stream = "aggTrade" if "a" in names else "trade" if "t" in names else ""
    if stream:
        roles["trade_id"] = "a" if stream == "aggTrade" else "t"
    return Columns(TICKS, roles, stream=stream, venue="binance-spot" if "M" in names else "")


def _roles(known: Mapping[str, str], wanted: Mapping[str, Iterable[str]]) -> dict[str, str]:
    found = {role: next((known[name] for name in names if name in known), None) for role, names in wanted.items()}
    return {role: name for role, name in found.items() if name is not None}


def _stream(known: Mapping[str, str], has_id: bool) -> str:
    if not has_id:
        return ""
    if any(name in known for name in AGGREGATE):
        return "aggTrade"
    return "trade" if {"quoteqty", "quotequantity", "eventtype"} & known.keys() else ""


def _venue(names: Sequence[str]) -> str:
    """The archive of futures names its columns with underscores; only that of spot tells of a best match."""
    if {plain(name) for name in names} & {"isbestmatch", "munknownparameter"}:
        return "binance-spot"
    if {"is_buyer_maker", "transact_time"} & set(names) or "XUnknownParameter" in names:
        return "binance-um"
    return ""


def by_place(row: Sequence[str]) -> Columns | None:
    """What columns without names mean, by the first row of values; None where they are in no known order."""
    for archive, roles in ARCHIVES.items():
        if len(roles) == len(row) and _fits(roles, row):
            kind = BARS if "open" in roles else TICKS
            places = {role: str(place) for place, role in enumerate(roles) if role}
            market, _, type_ = archive.partition(" ")
            venue = {"spot": "binance-spot", "um": "binance-um"}.get(market, "")
            return Columns(kind, places, archive, type_.removesuffix("s") if kind == TICKS else "", venue)
    return None


def _fits(roles: Sequence[str], row: Sequence[str]) -> bool:
    for role, value in zip(roles, row, strict=True):
        if role == "ts" and not _is_time(value):
            return False
        if role == "maker" and value.strip().lower() not in BOOLEANS:
            return False
        if role == "trade_id" and not value.strip().isdigit():
            return False
        if role not in ("", "ts", "maker", "trade_id") and not is_number(value):
            return False
    return True


def _is_time(value: str) -> bool:
    try:
        us_from_epoch(int(value))
    except ValueError:
        return False
    return True


def is_number(value: str) -> bool:
    """Whether a text is a number."""
    try:
        float(value.replace(",", "."))
    except ValueError:
        return False
    return True


def columns_of(names: Sequence[str], where: str) -> Columns:
    """What named columns mean.

    Raises
    ------
    InputError
    """
    if len(names) > MOST_COLUMNS:
        raise InputError(f"{where} has {len(names):,} columns, the most is {MOST_COLUMNS}", "file")
    found = by_name(names)
    if found is None:
        some = ", ".join(name[:30] for name in names[:20])
        raise InputError(
            f"{where} has neither trades (time, price, quantity) nor bars (time, open, high, low, close); "
            f"its columns are {some}",
            "file",
        )
    return found
