"""Closes of many symbols from the exchange's bars over REST, as fast as its weight budget allows and no faster."""

import math
import time
from collections.abc import Callable, Iterable
from typing import TypeVar

import numpy as np
import pandas as pd

from analytics.resampling import timeframe_us
from data.closes import table_of_closes
from data.feeds.rest import LISTING_WEIGHT, Rest
from utils import logger
from utils.clock import US_PER_S, now_us
from utils.errors import Cancelled, FeedBlocked, FeedError, FeedPaused, InputError

TRIES = 3  # of a request that is not answered
AGAIN_S = 1.0  # before the second; twice as long before each further one
LOOK_S = 0.2  # how often a wait asks whether to go on
SHOW_S = 2.0  # waits that are not worth a word
CLOSED_US = 2 * US_PER_S  # after its end a bar counts as closed: the exchange's clock and ours differ

log = logger.get("klines")
Answer = TypeVar("Answer")


class Klines:
    """Bars of one market, asked by one thread.

    Parameters
    ----------
    cancelled : asked often; True ends the work with `Cancelled`
    told : hears in plain words what is being done, or waited for
    pause : waits so many seconds
    """

    def __init__(
        self,
        rest: Rest,
        cancelled: Callable[[], bool] = lambda: False,
        told: Callable[[str], None] = lambda words: None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rest, self._cancelled, self._told, self._pause = rest, cancelled, told, pause
        self._done, self._total = 0, 0

    def symbols(self, wanted: Iterable[str], most: int, quote: str = "USDT") -> tuple[str, ...]:
        """The symbols asked for, where they trade; without any, the `most` with the largest volume of a day in `quote`.

        Raises
        ------
        InputError
            A symbol that does not trade.
        FeedError, Cancelled
        """
        trading = self._ask(LISTING_WEIGHT, "the list of symbols", self._rest.listing).trading
        chosen = tuple(dict.fromkeys(wanted))
        unknown = [symbol for symbol in chosen if symbol not in trading]
        if unknown:
            raise InputError(f"{', '.join(unknown[:10])} is not traded on {self._rest.market.venue}", "symbols")
        if chosen:
            return chosen
        volumes = self._ask(self._rest.market.volumes_weight, "volumes", self._rest.volumes)
        offered = [symbol for symbol in volumes if symbol in trading and symbol.endswith(quote)]
        return tuple(sorted(offered, key=lambda symbol: (-volumes[symbol], symbol))[:most])

    def closes(
        self, symbols: Iterable[str], timeframe: str, bars: int, progress: Callable[[int, int], None]
    ) -> pd.DataFrame:
        """The newest `bars` closes of closed bars, one column a symbol.

        `progress` is told requests done and requests in all.

        Raises
        ------
        InputError
            Bars of this width are not served.
        FeedBlocked, FeedError, Cancelled
        """
        if timeframe not in self._rest.market.intervals:
            served = ", ".join(sorted(self._rest.market.intervals, key=timeframe_us))
            raise InputError(f"{self._rest.market.venue} serves bars of {served}, not of {timeframe!r}", "timeframe")
        symbols = tuple(symbols)
        self._done, self._total = 0, len(symbols) * math.ceil(bars / self._rest.market.klines[0])
        width_us = timeframe_us(timeframe)
        last_us = (now_us() - CLOSED_US) // width_us * width_us - width_us
        first_us = last_us - (bars - 1) * width_us
        return table_of_closes(
            {symbol: self._symbol(symbol, timeframe, first_us, last_us, progress) for symbol in symbols}
        )

    def _symbol(
        self, symbol: str, timeframe: str, first_us: int, last_us: int, progress: Callable[[int, int], None]
    ) -> pd.Series:
        """Closes of one symbol between two opens, newest page first."""
        width_us, (rows, weight) = timeframe_us(timeframe), self._rest.market.klines
        pages: list[tuple[np.ndarray, np.ndarray]] = []
        until_us, planned = last_us, self._done + math.ceil(((last_us - first_us) // width_us + 1) / rows)
        while until_us >= first_us:
            count = min(rows, (until_us - first_us) // width_us + 1)
            times, closes = self._page(symbol, timeframe, until_us, count, weight)
            pages.insert(0, (times, closes))
            self._done += 1
            progress(min(self._done, planned), self._total)
            if times.size < count:
                break  # it was listed later
            until_us = int(times[0]) - width_us
        self._done = planned
        progress(planned, self._total)
        times, closes = (np.concatenate(parts) for parts in zip(*pages, strict=True))
        found = pd.Series(closes, times)
        return found[(found.index >= first_us) & (found.index <= last_us) & ~found.index.duplicated()]

    def _page(
        self, symbol: str, timeframe: str, until_us: int, count: int, weight: int
    ) -> tuple[np.ndarray, np.ndarray]:
        what = f"bars of {symbol}"
        return self._ask(weight, what, lambda: self._rest.klines(symbol, timeframe, until_us, count))

    def _ask(self, weight: int, what: str, request: Callable[[], Answer]) -> Answer:
        """The answer to a request, once the budget allows it; what fails is tried again a few times.

        Raises
        ------
        FeedBlocked, FeedError, Cancelled
        """
        tries = 0
        while True:
            self._wait(weight)
            self._told(f"asking for {what}")
            try:
                return request()
            except FeedBlocked:
                raise
            except FeedPaused as exc:
                log.warning("%s waits: %s", what, exc)  # the wait is kept by the client
            except FeedError:
                tries += 1
                if tries >= TRIES:
                    raise
                self._rest_for(AGAIN_S * 2 ** (tries - 1), "trying again")

    def _wait(self, weight: int) -> None:
        while (left_s := self._rest.wait_s(weight)) > 0:
            why = "the exchange asks for a pause" if self._rest.closed else "the minute's request budget is spent"
            self._rest_for(min(left_s, 1.0), f"{why}: {left_s:.0f} s" if left_s > SHOW_S else "")
        self._check()

    def _rest_for(self, seconds: float, words: str) -> None:
        """Wait, and end where that is asked for."""
        if words:
            self._told(words)
        for _ in range(math.ceil(seconds / LOOK_S)):
            self._check()
            self._pause(LOOK_S)

    def _check(self) -> None:
        if self._cancelled():
            raise Cancelled(self._done, self._total)
