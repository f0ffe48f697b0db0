"""Repairs gaps: asks the exchange for what is missing, by id, page by page, until nothing is.

    open gaps of the books -> newest first -> pages by id -> back into the books, like any late trade

By id and never by time: trades of one millisecond would be lost or doubled. What the exchange does not serve stays
open, with the reason.
"""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from data.feeds.binance import Listing
from data.ingestion import Gap, Ingestion
from data.trades import Trades
from utils import logger
from utils.clock import monotonic_s
from utils.errors import FeedBlocked, FeedError, FeedPaused, HistoryTooOld

STEP_S = 0.1  # how soon a new gap is noticed
LISTING_S = 3_600.0  # how long a listing is good for
FAILED_S = (1.0, 60.0)  # first and longest pause after a failed request
ABSENT_TRIES = 5  # pages without a missing id before it counts as not served: REST may lag behind the stream
JOIN_S = 2.0

log = logger.get("backfill")


class History(Protocol):
    """Where past trades come from: `data.feeds.rest.Rest`."""

    reach: str  # how far back it goes, for people

    def wait_s(self) -> float: ...
    def trades(self, symbol: str, first_id: int, count: int) -> Trades: ...
    def listing(self) -> Listing: ...
    def hang_up(self) -> None: ...


@dataclass(frozen=True, slots=True)
class BackfillState:
    """How the repair stands; replaced, never changed."""

    missing: int = 0  # ids that are still to be asked for
    repaired: int = 0  # trades that came back since the start
    detail: str = ""  # why nothing is asked for now, in plain words
    retry_at_s: float | None = None  # monotonic time of the next request, where one is waited for
    unlisted: tuple[str, ...] = ()  # symbols followed that the exchange does not list


@dataclass(slots=True)
class _Effort:
    """What was tried for one gap."""

    tries: int = 0  # pages without one of its ids
    not_before_s: float = 0.0


class Backfill:
    """The thread that repairs the gaps of one market.

    Parameters
    ----------
    most : ids of one gap that are asked for, the newest; older ones stay missing
    """

    def __init__(
        self,
        ingestion: Ingestion,
        history: History,
        symbols: Callable[[], Iterable[str]],
        *,
        most: int,
        page: int = 1_000,
    ) -> None:
        self._ingestion, self._history, self._symbols = ingestion, history, symbols
        self._most, self._page = most, page
        self._efforts: dict[tuple[str, int, int], _Effort] = {}
        self._oldest_id: dict[str, int] = {}  # older ones are not served any more
        self._least_id: dict[tuple[str, int], int] = {}  # symbol, time found -> older ones are beyond the limit
        self._failures = 0
        self._not_before_s = 0.0
        self._listing: Listing | None = None
        self._listing_due_s = 0.0
        self._state = BackfillState()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="backfill", daemon=True)

    @property
    def state(self) -> BackfillState:
        """How the repair stands."""
        return self._state

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    @property
    def listing(self) -> Listing | None:
        """The exchange's symbols, once they are known."""
        return self._listing

    def start(self) -> None:
        """Begin to repair."""
        self._thread.start()

    def stop(self) -> None:
        """End after the request in progress; what is missing stays in the books."""
        self._stop.set()
        if self._thread.is_alive():
            self._history.hang_up()
            self._thread.join(JOIN_S)

    # --- the thread -------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stop.wait(STEP_S):
            try:
                while self._step() and not self._stop.is_set():
                    pass
            except Exception:  # a bug must not end repairs for ever; it is logged and the next round goes on
                log.exception("the backfill failed")
                self._pause(FeedError("error of our own, see the log"))

    def _step(self) -> bool:
        """One request, if one is due; whether another may follow at once."""
        now_s = monotonic_s()
        gaps = [gap for gap in self._ingestion.open_gaps() if not gap.note]
        self._show(missing=sum(gap.last_id - gap.first_id + 1 for gap in gaps))
        due = [gap for gap in gaps if self._effort(gap).not_before_s <= now_s]
        wants_listing = now_s >= self._listing_due_s
        if not due and not wants_listing:
            return False
        wait_s = max(self._not_before_s - now_s, self._history.wait_s())
        if wait_s > 0:
            self._show(retry_at_s=now_s + wait_s)
            return False
        try:
            if wants_listing:  # first: the budget comes with it
                self._listing_due_s = now_s + LISTING_S
                self._listing = self._history.listing()
            else:
                newest = max(due, key=lambda gap: (gap.found_us, gap.last_id))
                try:
                    self._repair([gap for gap in due if gap.symbol == newest.symbol], newest)
                except FeedError:
                    self._effort(newest).not_before_s = now_s + 2 * self._pause_s()  # another gap goes first
                    raise
        except FeedError as exc:
            self._pause(exc)
            return False
        self._failures = 0
        self._show(detail="", retry_at_s=None)
        return True

    def _repair(self, gaps: list[Gap], newest: Gap) -> None:
        """Ask for the page that ends with a gap, and with it for what other gaps of its symbol miss there."""
        symbol, last = newest.symbol, newest.last_id
        least_id = self._least_id.setdefault((symbol, newest.found_us), last + 1 - self._most)
        oldest_id = self._oldest_id.get(symbol, 0)
        if last < max(oldest_id, least_id):
            limit = f"beyond the limit of {self._most} trades" if least_id > oldest_id else self._history.reach
            self._ingestion.explain(newest, limit)
            return
        floor = max(last + 1 - self._page, oldest_id)
        sharing = [gap for gap in gaps if gap.last_id >= floor and gap.first_id <= last]
        first = max(min(gap.first_id for gap in sharing), floor, min(least_id, newest.first_id))
        first = max(first, least_id) if first >= newest.first_id else first
        while True:
            try:
                trades = self._history.trades(symbol, first, last + 1 - first)
                break
            except HistoryTooOld:  # newer ones of the page may be served: look by halves for where that begins
                self._oldest_id[symbol] = first + 1
                if first >= last:
                    return
                first = (first + 1 + last + 1) // 2
        self._take([gap for gap in sharing if gap.last_id >= first], first, last, trades)

    def _take(self, gaps: list[Gap], first: int, last: int, trades: Trades) -> None:
        """Hand over what gaps miss; what the answer skipped is asked for again, a few times."""
        ids = trades.trade_id
        missed = np.zeros(len(ids), bool)
        for gap in gaps:
            inside = (ids >= max(gap.first_id, first)) & (ids <= min(gap.last_id, last))
            missed |= inside
            if not inside.any():
                self._note_absence(gap, max(gap.first_id, first), min(gap.last_id, last))
        if missed.any():
            self._ingestion.offer(trades[missed])
            self._show(repaired=self._state.repaired + int(missed.sum()))

    def _note_absence(self, gap: Gap, first: int, last: int) -> None:
        """Count an answer without the ids asked for; after some, they and they alone count as not served."""
        effort = self._effort(gap)
        effort.tries += 1
        effort.not_before_s = monotonic_s() + min(2.0 ** (effort.tries - 1), FAILED_S[1])
        if effort.tries >= ABSENT_TRIES:
            self._ingestion.explain(gap, "not served by the exchange", first, last)
            open_now = {(gap.symbol, gap.first_id, gap.last_id) for gap in self._ingestion.open_gaps()}
            self._efforts = {key: effort for key, effort in self._efforts.items() if key in open_now}

    def _effort(self, gap: Gap) -> _Effort:
        return self._efforts.setdefault((gap.symbol, gap.first_id, gap.last_id), _Effort())

    def _pause(self, error: FeedError) -> None:
        """Wait before the next request: as long as the exchange asks, else ever longer."""
        pause_s = self._pause_s()
        if not isinstance(error, FeedPaused | FeedBlocked):  # those are kept by the client itself
            self._failures = min(self._failures + 1, 30)
            self._not_before_s = monotonic_s() + pause_s
        if self._state.detail != str(error):
            log.warning("gaps wait: %s", error)
        self._show(detail=str(error), retry_at_s=monotonic_s() + max(pause_s, self._history.wait_s()))

    def _pause_s(self) -> float:
        return min(FAILED_S[0] * 2.0**self._failures, FAILED_S[1])

    def _show(self, **changes: Any) -> None:
        unlisted: tuple[str, ...] = ()
        if self._listing is not None:
            unlisted = tuple(symbol for symbol in self._symbols() if symbol not in self._listing.trading)
        self._state = replace(self._state, unlisted=unlisted, **changes)
