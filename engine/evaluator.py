"""The evaluator thread: it moves the open market on and judges the alert rules, by our clock or by that of a replay."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from alerts.alert_engine import AlertEngine
from alerts.market import Market, Quiet, Readings
from analytics.pair import PairParams
from data.feeds.gate import Gate, Moment
from data.feeds.replay import ReplayFeed
from data.feeds.socket import SocketFeed
from data.session import Session
from engine.analyses import bars_needed
from engine.scans import Scans
from engine.status import STALE_MOST_S, STALE_TRADES, symbol_status
from utils import logger
from utils.clock import US_PER_S, monotonic_s
from utils.errors import StorageError

LOG = logger.get("engine.evaluator")

STEP_S = 0.1  # pause between rounds
EVALUATE_S = 1.0  # seconds between judgements of the alert rules
LATE_S = 10 * EVALUATE_S  # without one the rules count as not judged
SETTLE_US = 300_000  # after the end of a second its trades are waited for, before rules are judged on its bar
BACKLOG = 200_000  # trades that wait for the disk before a replay waits for it too
STORE_US = 60 * US_PER_S  # market time after which a hasty replay writes its bars


class Host(Market, Protocol):
    """What the evaluator needs of the engine."""

    alerts: AlertEngine
    scans: Scans

    @property
    def session(self) -> Session: ...
    @property
    def symbols(self) -> tuple[str, ...]: ...
    def now_us(self) -> int: ...


class Evaluator:
    """Starts once, stops once.

    Parameters
    ----------
    switching : held while the market is changed
    choose : opens another market in place of the open one where that is due
    params : of the analyses that rules are judged on
    """

    def __init__(
        self,
        host: Host,
        switching: AbstractContextManager[object],
        choose: Callable[[], None],
        params: PairParams,
    ) -> None:
        self._host, self._switching, self._choose = host, switching, choose
        self._readings = Readings(host, params, bars_needed(params), host.alerts.wanted)
        self._judged_s, self._judged_second = 0.0, 0
        self._relieved: set[str] = set()  # silent symbols for which a second connection was tried
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="evaluator", daemon=True)

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread. Safe to call twice."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def judges(self) -> bool:
        """Whether rules have been judged lately."""
        return monotonic_s() - self._judged_s < LATE_S

    def take_up(self, anew: bool) -> None:
        """Judge the rules on the market that is open now."""
        self._readings.forget()
        self._host.alerts.take_up(self._host.session.feed.venue, self._host.now_us(), anew)

    def is_due(self, session: Session, moment: Moment) -> bool:
        """Whether a moment of a replay asks for anything."""
        return moment.last or moment.at_us % STORE_US == 0 or session.unsettled or bool(self._host.alerts.rules())

    # --- inside -------------------------------------------------------------------------------

    def _run(self) -> None:
        """The thread."""
        while not self._stop.is_set():
            try:
                gate = self._gate()
                if gate is None:
                    self._stop.wait(STEP_S)
                    self._round()
                elif (moment := gate.next(STEP_S)) is not None:
                    self._judge(gate, moment)
                else:
                    self._store_replayed(gate)
                self._host.scans.tick(monotonic_s())
            except StorageError as exc:
                LOG.error("storage: %s", exc)
            except Exception:  # a bug must not end capture and alerts; it is logged and the next round goes on
                LOG.exception("the evaluator failed")

    def _gate(self) -> Gate | None:
        """Where the open replay waits; None where time passes by itself."""
        feed = self._host.session.feed
        return feed.gate if isinstance(feed, ReplayFeed) and not feed.ended else None

    def _round(self) -> None:
        """What is due by this machine's clock."""
        with self._switching:
            self._choose()
            session = self._host.session
            session.housekeep()
            if session.feed.venue == "replay":
                return  # its rules are judged by its own clock
        self._evaluate()

    def _evaluate(self) -> None:
        """Judge the alert rules, on the analyses that pages and API see: once a second, when its trades are here."""
        now_s, second = monotonic_s(), (self._host.now_us() - SETTLE_US) // US_PER_S
        if second == self._judged_second and now_s - self._judged_s < EVALUATE_S:
            return
        self._judged_s, self._judged_second = now_s, second
        self._relieve_mute()
        self._judge_rules(now_s)

    def _judge(self, gate: Gate, moment: Moment) -> None:
        """What is due at a moment of a replay, which waits meanwhile."""
        try:
            self._let_mirror_catch_up(gate)
            with self._switching:
                if self._gate() is not gate:
                    return  # another market was opened since
                session = self._host.session
                session.settle(moment.last)
                if not moment.last and self._host.alerts.rules():
                    self._judge_rules(monotonic_s(), whole=True)
                if moment.last or moment.at_us % STORE_US == 0:  # rarely: it costs more than all else
                    session.store_bars(moment.last)
                if moment.last:
                    session.mirror.hurry()
        finally:
            gate.done()

    def _store_replayed(self, gate: Gate) -> None:
        """Write the bars of a replay while it takes its time."""
        with self._switching:
            if self._gate() is gate:
                self._host.session.store_bars()

    def _let_mirror_catch_up(self, gate: Gate) -> None:
        """A replay is not to be faster than a disk that works: what cannot wait would be dropped."""
        while self._gate() is gate:
            mirror = self._host.session.mirror
            if mirror.error is not None or mirror.waiting <= BACKLOG or self._stop.wait(STEP_S / 10):
                return

    def _relieve_mute(self) -> None:
        """A symbol that falls silent while others trade may be missing on this connection: another is tried, once."""
        session = self._host.session
        if not isinstance(session.feed, SocketFeed) or session.feed.state.mode != "LIVE":
            return
        rows = symbol_status(session, monotonic_s())
        usual = {symbol: counts.usual_trades_per_s for symbol, counts in session.ingestion.counts().items()}
        busy = [symbol for symbol in self._host.symbols if usual.get(symbol, 0.0) > STALE_TRADES / STALE_MOST_S]
        mute = {symbol for symbol in busy if rows[symbol].stale and rows[symbol].last_trade_age_s is not None}
        if mute - self._relieved and len(mute) < len(busy):
            session.feed.relieve(f"no trade of {', '.join(sorted(mute))} while others trade")
        self._relieved = mute

    def _judge_rules(self, now_s: float, whole: bool = False) -> None:
        """Judge every rule on the market as it is now."""
        with self._switching:
            session = self._host.session
            quiet = {
                name: Quiet(row.stale, row.last_trade_age_s if session.live else None)
                for name, row in symbol_status(session, now_s).items()
            }
            self._readings.begin(quiet)
            self._host.alerts.evaluate(self._readings, self._host.now_us(), session.feed.venue, whole)
