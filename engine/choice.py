"""Source auto: the exchange while it answers or once it has, the demo market otherwise."""

from collections.abc import Callable

from config import Settings
from data.feeds.feed import Feed
from data.session import Session
from data.trades import Trades
from utils import logger

LOG = logger.get("engine.choice")

EXCHANGE, FALLBACK = "binance-um", "demo"
BLOCKED_RETRY_S = 300.0  # 451 and 403 do not go away by asking again soon
REFUSED_S = 3.0  # a connection that fails outright is an answer this soon, before the deadline for data


class Choice:
    """Which market is due: has the exchange answered, why not, and when is it asked again."""

    def __init__(self, settings: Settings, feed: Callable[[str], Feed]) -> None:
        self._settings = settings
        self._feed = feed  # makes the feed of a market
        self.why = ""  # the exchange is not followed
        self.retry_at_s: float | None = None
        self._reached = False
        self._probe: Feed | None = None
        self._probe_until_s = 0.0

    def due(self, session: Session, now_s: float) -> str | None:
        """The market to open now in place of the one that is open; None where it stays."""
        if session.live:
            return FALLBACK if self._is_given_up(session, now_s) else None
        if self._probe is not None:
            return EXCHANGE if self._has_answered(self._probe, now_s) else None
        if self.retry_at_s is not None and now_s >= self.retry_at_s:
            self._probe = self._feed(EXCHANGE)
            self._probe_until_s = now_s + self._settings.live_deadline_s
            self._probe.start(_Nowhere())
        return None

    def hurry(self, now_s: float) -> None:
        """Ask the exchange again now, not at the time that was planned."""
        if self._probe is None:
            self.retry_at_s = now_s

    def forget(self) -> None:
        """Begin anew, as if the exchange had never been asked."""
        self.end()
        self.why, self.retry_at_s, self._reached = "", None, False

    def end(self) -> None:
        """Stop what asks the exchange."""
        if self._probe is not None:
            self._probe.stop()
            self._probe = None

    def _is_given_up(self, session: Session, now_s: float) -> bool:
        """Whether the exchange, which is followed, has never answered and was waited for long enough."""
        state = session.feed.state
        self._reached = self._reached or state.mode == "LIVE"
        patience_s = self._settings.live_deadline_s
        if state.mode == "RECONNECTING":
            patience_s = min(patience_s, REFUSED_S)
        if self._reached or (state.mode != "BLOCKED" and now_s - session.opened_s < patience_s):
            return False
        self._plan(session.feed, now_s)
        return True

    def _has_answered(self, probe: Feed, now_s: float) -> bool:
        """Whether the exchange answers again; the next attempt is planned when it does not."""
        if probe.state.mode == "LIVE":
            self.forget()
            self._reached = True
        elif now_s >= self._probe_until_s or probe.state.mode == "BLOCKED":
            self._plan(probe, now_s)
            self.end()
        return self._reached

    def _plan(self, feed: Feed, now_s: float) -> None:
        """Say why the exchange is given up, and when it is asked again."""
        state = feed.state
        self.why = state.detail or f"no trade arrived within {self._settings.live_deadline_s:g} s"
        self.retry_at_s = now_s + (BLOCKED_RETRY_S if state.mode == "BLOCKED" else self._settings.live_retry_s)
        if state.retry_at_s is not None:  # the exchange may have asked for more
            self.retry_at_s = max(self.retry_at_s, state.retry_at_s)
        LOG.warning("the exchange cannot be reached: %s", self.why)


class _Nowhere:
    """A sink for a probe: whether the exchange answers is all that counts."""

    def offer(self, trades: Trades) -> None:
        """Forget them."""

    def reject(self, symbol: str | None, reason: str, count: int = 1) -> None:
        """Forget them."""
