"""REST of the fake exchange: answers over its ledger, request weight, refusals, and a log of every call."""

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

from websockets.datastructures import Headers
from websockets.http11 import Response

from data.feeds.binance import MARKETS, SPOT, USDM, Market, plain_decimal
from data.trades import Trade
from tests.fakes.tape import STEP_SIZE, TICK_SIZE, Tape
from utils.clock import US_PER_MS, US_PER_S, now_us

MINUTE_US = 60 * US_PER_S
MINUTE_WEIGHT = {SPOT.venue: 6000, USDM.venue: 2400}  # as the exchange grants an address
WEIGHTS = {  # of a call that does not cost 1
    SPOT.venue: {"/aggTrades": 4, "/historicalTrades": 25, "/exchangeInfo": 20, "/klines": 2, "/ticker/24hr": 80},
    USDM.venue: {"/aggTrades": 20, "/ticker/24hr": 40},
}
KLINE_WEIGHTS = ((100, 1), (500, 2), (1_001, 5), (1_501, 10))  # of futures, by how many are asked for, less than
Row = Callable[[Trade, Market], dict[str, object]]
FIREWALL_PAGE = "<html><body><script>alert(1)</script>Request blocked.</body></html>"  # a 403 carries no JSON


@dataclass(frozen=True)
class Refusal:
    """An answer that is none."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)

    def response(self) -> Response:
        """A firewall's page for 403, JSON for the rest."""
        if self.status == 403:
            return response(403, FIREWALL_PAGE, {"Content-Type": "text/html", **self.headers})
        return response(self.status, {"code": 0, "msg": "refused"}, self.headers)


class FakeRest:
    """What answers plain HTTP requests. Fields may be set from any thread."""

    def __init__(self, tape: Tape) -> None:
        self.tape = tape
        self.log: list[tuple[float, str, int]] = []  # monotonic time, path with query, status
        self.minute_weight = dict(MINUTE_WEIGHT)
        self.ban_s = 120  # how long who asks on after a 429 is banned
        self.oldest_id: dict[str, int] = {}  # symbol -> older ids are answered with -4166
        self.holes: dict[str, set[int]] = {}  # symbol -> ids that pages leave out
        self.klines: dict[tuple[str, str], dict[int, float]] = {}  # symbol and interval -> open in ms -> close
        self.volumes: dict[str, float] = {}  # symbol -> of a day, quote currency
        self.statuses: dict[str, str] = {}  # symbol -> other status than TRADING
        self._used = dict.fromkeys(MARKETS, (0, 0))  # venue -> UTC minute, weight
        self._warned_until_us = self._banned_until_us = 0
        self._refusal: Refusal | None = None
        self._refusals_left: int | None = 0

    def refuse(self, status: int, headers: Mapping[str, str] | None = None, times: int | None = None) -> None:
        """Answer the next requests with a status; without `times` all, until `admit`."""
        self._refusals_left, self._refusal = times, Refusal(status, headers or {})

    def admit(self) -> None:
        """Answer again; a ban ends too."""
        self._refusal = None
        self._warned_until_us = self._banned_until_us = 0

    def answer(self, path: str) -> Response:
        """The answer to one GET, entered in the log."""
        parts = urlsplit(path)
        market = next((m for m in MARKETS.values() if parts.path.startswith(m.rest_path + "/")), USDM)
        name = parts.path.removeprefix(market.rest_path)
        query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        used = self._spend(market, _weight(market, name, query))
        reply = self._refused() or self._over(market, used)
        if reply is None:
            reply = response(*self._find(market, name, query))
        reply.headers["X-MBX-USED-WEIGHT-1M"] = str(used)
        self.log.append((time.monotonic(), path, reply.status_code))
        return reply

    # --- limits -----------------------------------------------------------------------------------

    def _spend(self, market: Market, weight: int) -> int:
        """Weight used in this UTC clock minute; refused requests cost too."""
        minute, used = self._used[market.venue]
        now = now_us() // MINUTE_US
        used = weight + (used if now == minute else 0)
        self._used[market.venue] = now, used
        return used

    def _refused(self) -> Response | None:
        refusal = self._refusal
        if refusal is None:
            return None
        if self._refusals_left is not None:
            self._refusals_left -= 1
            if self._refusals_left <= 0:
                self._refusal = None
        return refusal.response()

    def _over(self, market: Market, used: int) -> Response | None:
        """429 to who spends too much, 418 to who does not listen."""
        at_us = now_us()
        if at_us < self._warned_until_us and at_us >= self._banned_until_us:
            self._banned_until_us = at_us + self.ban_s * US_PER_S
        if at_us < self._banned_until_us:
            text = f"Way too much request weight used; IP banned until {self._banned_until_us // US_PER_MS}."
            return self._limited(418, text, self._banned_until_us - at_us)
        if used > self.minute_weight[market.venue]:
            wait_us = MINUTE_US - at_us % MINUTE_US
            self._warned_until_us = at_us + wait_us
            return self._limited(429, "Too many requests.", wait_us)
        return None

    def _limited(self, status: int, text: str, wait_us: int) -> Response:
        return response(status, {"code": -1003, "msg": text}, {"Retry-After": str(math.ceil(wait_us / US_PER_S))})

    # --- answers ----------------------------------------------------------------------------------

    def _find(self, market: Market, name: str, query: dict[str, str]) -> tuple[int, object]:
        match name:
            case "/ping":
                return 200, {}
            case "/time":
                return 200, {"serverTime": now_us() // 1000}
            case "/exchangeInfo":
                return 200, self._exchange_info(market)
            case "/aggTrades":
                return self._page(market, query, agg_trade_row)
            case "/historicalTrades" if market is SPOT:
                return self._page(market, query, trade_row)
            case "/klines":
                return self._klines(market, query)
            case "/ticker/24hr":
                return 200, [{"symbol": s, "quoteVolume": plain_decimal(v)} for s, v in self.volumes.items()]
            case _:
                return 404, {"code": -1, "msg": "no such path"}

    def _page(self, market: Market, query: dict[str, str], row: Row) -> tuple[int, object]:
        symbol = query.pop("symbol", "")
        if not symbol:
            return 400, {"code": -1102, "msg": "Mandatory parameter 'symbol' was not sent."}
        if symbol not in self.tape.symbols:
            return 400, {"code": -1121, "msg": "Invalid symbol."}
        if not all(value.isdecimal() for value in query.values()):
            return 400, {"code": -1100, "msg": "Illegal characters found in a parameter."}
        asked = {key: int(value) for key, value in query.items()}
        if asked.get("fromId", math.inf) < self.oldest_id.get(symbol, 0):
            return 400, {"code": -4166, "msg": "Search window is restricted to recent 2 days only."}
        holes = self.holes.get(symbol, ())
        page = [trade for trade in self.tape.page(symbol, asked) if trade.trade_id not in holes]
        return 200, [row(trade, market) for trade in page]

    def _klines(self, market: Market, query: dict[str, str]) -> tuple[int, object]:
        """Bars by time, the newest that open at `endTime` or before."""
        symbol, interval = query.get("symbol", ""), query.get("interval", "")
        if symbol not in self.tape.symbols:
            return 400, {"code": -1121, "msg": "Invalid symbol."}
        if interval not in market.intervals:
            return 400, {"code": -1120, "msg": "Invalid interval."}
        count, until_ms = int(query.get("limit", "500")), int(query.get("endTime", "99999999999999"))
        known = sorted(at for at in self.klines.get((symbol, interval), {}) if at <= until_ms)[-count:]
        return 200, [_kline(at, self.klines[symbol, interval][at]) for at in known]

    def _exchange_info(self, market: Market) -> dict[str, object]:
        """As far as a client of trades reads it."""
        weight = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1}
        return {
            "timezone": "UTC",
            "rateLimits": [weight | {"limit": self.minute_weight[market.venue]}],
            "symbols": [_listed(symbol, self.statuses.get(symbol, "TRADING"), market) for symbol in self.tape.symbols],
        }


def _weight(market: Market, name: str, query: Mapping[str, str]) -> int:
    """What a call costs; of bars on futures by how many are asked for."""
    if name == "/klines" and market is USDM:
        count = int(query.get("limit", "500"))
        return next((weight for below, weight in KLINE_WEIGHTS if count < below), 10)
    return WEIGHTS[market.venue].get(name, 1)


def _kline(open_ms: int, close: float) -> list[object]:
    """One row of the answer to `klines`."""
    price = plain_decimal(close)
    return [open_ms, price, price, price, price, "1", open_ms + 1, price, 1, "0.5", price, "0"]


def agg_trade_row(trade: Trade, market: Market) -> dict[str, object]:
    """One row of the answer to `aggTrades`."""
    row: dict[str, object] = {"a": trade.trade_id, "p": plain_decimal(trade.price), "q": plain_decimal(trade.qty)}
    row |= {"f": trade.trade_id, "l": trade.trade_id, "T": trade.ts_us // US_PER_MS, "m": trade.buyer_is_maker}
    return row | ({"M": True} if market is SPOT else {"nq": row["q"]})


def trade_row(trade: Trade, market: Market) -> dict[str, object]:
    """One row of the answer to `historicalTrades`."""
    row: dict[str, object] = {"id": trade.trade_id, "price": plain_decimal(trade.price)}
    row |= {"qty": plain_decimal(trade.qty), "time": trade.ts_us // US_PER_MS, "isBuyerMaker": trade.buyer_is_maker}
    return row | ({"isBestMatch": True} if market is SPOT else {})


def _listed(symbol: str, status: str, market: Market) -> dict[str, object]:
    base, quote = symbol.removesuffix("USDT"), "USDT"
    filters: Sequence[Mapping[str, str]] = [
        {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000", "tickSize": str(TICK_SIZE)},
        {"filterType": "LOT_SIZE", "minQty": "0.001", "maxQty": "1000", "stepSize": str(STEP_SIZE)},
    ]
    listed: dict[str, object] = {"symbol": symbol, "status": status, "baseAsset": base, "quoteAsset": quote}
    return listed | ({} if market is SPOT else {"pair": symbol, "contractType": "PERPETUAL"}) | {"filters": filters}


def response(status: int, body: object, headers: Mapping[str, str] | None = None) -> Response:
    """An HTTP answer: text as it is, anything else as JSON."""
    text = body if isinstance(body, str) else json.dumps(body, separators=(",", ":"))
    data = text.encode()
    fields = {"Content-Type": "application/json", "Content-Length": str(len(data)), "Connection": "close"}
    phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Refused"
    return Response(status, phrase, Headers(fields | dict(headers or {})), data)
