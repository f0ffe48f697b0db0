"""What the exchange answers over HTTP: pages of past trades and the symbols it lists, within what it allows.

Every refusal becomes an error that says when to come back, and until then no request leaves: a caller that asks
nevertheless gets the same error again, without a word to the exchange.
"""

import json
import re
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import numpy as np
import requests

from data.feeds.binance import Listing, Market, parse_exchange_info, parse_klines, parse_page, parse_volumes
from data.feeds.connection import BAN_RETRY_S, BLOCKED_RETRY_S, refusal
from data.trades import Trades
from utils import logger
from utils.clock import US_PER_MS, US_PER_S, monotonic_s, now_us, us_from_ms
from utils.errors import FeedBlocked, FeedError, FeedPaused, FrameError, HistoryTooOld

PAGE = 1_000  # most trades a page
BUDGET_SHARE = 0.5  # of the weight that the exchange allows this address: others may share it
LISTING_WEIGHT = 20  # exchangeInfo, on the dearer of the markets
TIMEOUT_S = (5.0, 15.0)  # to connect, and between two bytes
ANSWER_S, ANSWER_BYTES = 30.0, 64 << 20  # most time and size of an answer
LEAST_PAUSE_S = 5.0  # after a 429 or 418
TOO_OLD = -4166
MINUTE_US = 60 * US_PER_S
BANNED_UNTIL = re.compile(r"banned until (\d{13})")
USED_WEIGHT = "X-MBX-USED-WEIGHT-1M"

log = logger.get("rest")


class Budget:
    """Request weight of one UTC clock minute, as the exchange counts it."""

    def __init__(self, minute_weight: int) -> None:
        self.minute_weight = minute_weight
        self._minute = -1
        self._used = 0

    def wait_s(self, weight: int, at_us: int) -> float:
        """Seconds until so much may be spent; 0 if now."""
        if self._minute != at_us // MINUTE_US or self._used + weight <= BUDGET_SHARE * self.minute_weight:
            return 0.0
        return (MINUTE_US - at_us % MINUTE_US) / US_PER_S

    def spend(self, weight: int, at_us: int) -> None:
        """Count a request before its answer tells."""
        if self._minute != at_us // MINUTE_US:
            self._minute, self._used = at_us // MINUTE_US, 0
        self._used += weight

    def told(self, used: int) -> None:
        """What the exchange has counted in this minute, of everybody behind this address."""
        self._used = used


class Rest:
    """REST of one market, asked by one thread.

    Parameters
    ----------
    base_url : scheme, host and port; the market's path is added
    stream : whose trades are asked for
    """

    def __init__(self, market: Market, base_url: str, stream: str = "aggTrade") -> None:
        self.stream = stream
        self.path, self.page_weight = market.pages[stream]
        self.reach = f"older than the {market.history} that the exchange serves"
        self.budget = Budget(market.minute_weight)
        self.on_closed: Callable[[int], None] = lambda until_us: None  # told a wall-clock time, for the next run
        self.market = market
        self._base_url, self._host = f"{base_url.rstrip('/')}{market.rest_path}", urlsplit(base_url).netloc
        self._closed: FeedError | None = None
        self._closed_until_s = 0.0
        self._hung_up = False
        self._session = requests.Session()

    def stay_away(self, until_us: int) -> None:
        """Obey what an earlier run was told: no request before this wall-clock time."""
        wait_s = (until_us - now_us()) / US_PER_S
        if wait_s > 0:
            self._close(FeedPaused(f"{self._host} asked an earlier run to stay away", wait_s), wait_s)

    def wait_s(self, weight: int | None = None) -> float:
        """Seconds until a request of this weight may leave, or without one a page of trades or a listing; 0 if now."""
        weight = max(self.page_weight, LISTING_WEIGHT) if weight is None else weight
        return max(self._closed_until_s - monotonic_s(), self.budget.wait_s(weight, now_us()), 0.0)

    @property
    def closed(self) -> FeedError | None:
        """Why no request may leave now."""
        return self._closed if monotonic_s() < self._closed_until_s else None

    def trades(self, symbol: str, first_id: int, count: int = PAGE) -> Trades:
        """Up to `count` trades from `first_id` on, by id; an id that the exchange does not know is left out.

        Raises
        ------
        HistoryTooOld
            The exchange serves only newer ones.
        FeedPaused, FeedBlocked
            No request may leave for a while.
        FeedError
            No answer, or one that cannot be read; worth another attempt.
        """
        query = {"symbol": symbol, "fromId": str(first_id), "limit": str(min(count, PAGE))}
        body = self._get(self.path, query, self.page_weight)
        try:
            trades, refused = parse_page(body, symbol, self.stream)
        except FrameError as exc:
            raise FeedError(f"{self._host}: {exc}") from None
        if refused:
            log.warning("%s: %d rows of a page are no trades", symbol, refused)
        return trades

    def listing(self) -> Listing:
        """The symbols that trade; the budget follows the limit that comes with them.

        Raises
        ------
        FeedPaused, FeedBlocked, FeedError
        """
        try:
            listing = parse_exchange_info(self._get("/exchangeInfo", {}, LISTING_WEIGHT))
        except FrameError as exc:
            raise FeedError(f"{self._host}: {exc}") from None
        if listing.minute_weight:
            self.budget.minute_weight = listing.minute_weight
        return listing

    def klines(self, symbol: str, interval: str, until_us: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Open times, microseconds, and closes of the newest `count` bars that open at a time or before, by time.

        Raises
        ------
        FeedPaused, FeedBlocked, FeedError
        """
        rows, weight = self.market.klines
        query = {"symbol": symbol, "interval": interval, "endTime": str(until_us // US_PER_MS)}
        body = self._get("/klines", query | {"limit": str(min(count, rows))}, weight)
        try:
            return parse_klines(body)
        except FrameError as exc:
            raise FeedError(f"{self._host}: {exc}") from None

    def volumes(self) -> dict[str, float]:
        """What was traded of each symbol within a day, quote currency.

        Raises
        ------
        FeedPaused, FeedBlocked, FeedError
        """
        try:
            return parse_volumes(self._get("/ticker/24hr", {}, self.market.volumes_weight))
        except FrameError as exc:
            raise FeedError(f"{self._host}: {exc}") from None

    def clock_us(self) -> int:
        """What time it is for the exchange, microseconds; its own is in milliseconds.

        Raises
        ------
        FeedPaused, FeedBlocked, FeedError
        """
        body = self._get("/time", {}, 1)
        try:
            return us_from_ms(int(json.loads(body)["serverTime"]))
        except (ValueError, TypeError, KeyError):
            raise FeedError(f"{self._host} answers something else than its time: is it the exchange?") from None

    def hang_up(self) -> None:
        """Close the connection, and break off an answer that is being read."""
        self._hung_up = True
        self._session.close()

    def _get(self, path: str, query: Mapping[str, str], weight: int) -> bytes:
        if self.closed is not None:
            raise self.closed
        self.budget.spend(weight, now_us())
        try:
            with self._session.get(self._base_url + path, params=query, timeout=TIMEOUT_S, stream=True) as answer:
                body = self._read(answer)
        except requests.RequestException as exc:
            raise FeedError(f"{self._host} does not answer: {type(exc).__name__}") from None
        used = answer.headers.get(USED_WEIGHT, "")
        if used.isdecimal():
            self.budget.told(int(used))
        if answer.status_code != 200:
            raise self._refused(answer, body)
        return body

    def _read(self, answer: requests.Response) -> bytes:
        """The body, within time and size: an answer may drip for hours."""
        end_s, body = monotonic_s() + ANSWER_S, bytearray()
        for part in answer.iter_content(65_536):
            body += part
            if monotonic_s() > end_s or self._hung_up or len(body) > ANSWER_BYTES:
                raise FeedError(f"{self._host} answers too slowly, or with more than {ANSWER_BYTES >> 20} MB")
        return bytes(body)

    def _refused(self, answer: requests.Response, body: bytes) -> FeedError:
        """The error for an answer that is not 200; what it forbids is obeyed from here on."""
        status = answer.status_code
        code, message = _complaint(body)
        blocked = refusal(status, self._host)
        if blocked is not None:
            return self._close(blocked, BLOCKED_RETRY_S)
        if status in BAN_RETRY_S:
            wait_s = _asked_wait_s(answer.headers.get("Retry-After", ""), message, BAN_RETRY_S[status])
            wait_s = max(wait_s, LEAST_PAUSE_S)  # "0", or an end that our clock has passed, is no invitation
            word = "asks for fewer requests" if status == 429 else "has banned this address for a while"
            return self._close(FeedPaused(f"{self._host} {word} (HTTP {status})", wait_s), wait_s)
        if code == TOO_OLD:
            return HistoryTooOld(self.reach)
        return FeedError(f"{self._host} answers HTTP {status}" + (f": {message}" if message else ""))

    def _close(self, why: FeedError, wait_s: float) -> FeedError:
        self._closed, self._closed_until_s = why, monotonic_s() + wait_s
        log.warning("%s; no request for %.0f s", why, wait_s)
        if not isinstance(why, FeedBlocked):
            self.on_closed(now_us() + int(wait_s * US_PER_S))
        return why


def _complaint(body: bytes) -> tuple[int, str]:
    """Code and message of an error body; of a firewall's page, nothing."""
    try:
        found = json.loads(body)
        return int(found.get("code", 0)), " ".join(str(found.get("msg", "")).split())[:200]
    except (ValueError, TypeError, AttributeError, RecursionError):
        return 0, ""


def _asked_wait_s(retry_after: str, message: str, default_s: float) -> float:
    """Seconds to stay away, by header or by the end of the ban in the message."""
    text = retry_after.strip()
    if text.isascii() and text.isdigit() and len(text) <= 7:
        return float(text)
    banned = BANNED_UNTIL.search(message)
    return max(int(banned[1]) / 1_000 - now_us() / US_PER_S, 0.0) if banned else default_s
