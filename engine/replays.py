"""What the source `replay` plays: which recordings, how fast, and from where."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Protocol

from config import Settings
from data.feeds.control import ReplayControl
from data.feeds.gate import Gate, Moment
from data.feeds.replay import ReplayFeed
from data.session import Session
from data.state_hash import TIMEFRAMES
from utils.errors import InputError, PairscopeError, RecordingError


class Host(Protocol):
    """What replays need of the engine."""

    settings: Settings

    @property
    def session(self) -> Session: ...
    @property
    def symbols(self) -> tuple[str, ...]: ...
    @property
    def source(self) -> str: ...


class Replays:
    """Recordings of the engine.

    Parameters
    ----------
    switching : held while the market is changed
    open_anew : closes the open market and opens a replay
    """

    def __init__(self, host: Host, switching: AbstractContextManager[object], open_anew: Callable[[], None]) -> None:
        self._host, self._switching, self._open_anew = host, switching, open_anew
        self.files = host.settings.replay
        self._speed = host.settings.speed
        self._begin: tuple[int, bool] | None = None  # where the next one goes to first, and whether it plays
        self.control = ReplayControl(self._opened, self._again)

    def choose(self, files: Iterable[Path]) -> None:
        """Play these from now on.

        Raises
        ------
        InputError
            None, or files that cannot be replayed together.
        """
        wanted = tuple(files)
        try:
            ReplayFeed(wanted)  # refused before the open market is closed
        except RecordingError as exc:
            raise InputError(str(exc), "recordings") from exc
        self.files = wanted

    def feed(self) -> ReplayFeed:
        """A feed that has not started: of the symbols followed those that the recordings hold, or all of theirs.

        Raises
        ------
        RecordingError
        """
        if self._begin is None:
            with suppress(PairscopeError):  # no replay is open
                self._speed = self._opened().position.speed
        feed = ReplayFeed(self.files, self._speed)
        known = tuple(symbol for symbol in self._host.symbols if symbol in feed.symbols)
        return ReplayFeed(self.files, self._speed, known) if 0 < len(known) < len(feed.symbols) else feed

    def prepare(self, session: Session, is_due: Callable[[Session, Moment], bool]) -> None:
        """Where a replay begins, and where it waits to be judged; before it starts. Nothing for other markets."""
        feed = session.feed
        if not isinstance(feed, ReplayFeed):
            return
        feed.gate = Gate(lambda moment: is_due(session, moment))
        if self._begin is not None:
            feed.begin_at(*self._begin)
        for symbol in self._host.symbols:  # from the first trade on, whoever looks at them later
            for timeframe in TIMEFRAMES:
                session.resampler(symbol, timeframe)

    def _opened(self) -> ReplayFeed:
        """The open replay."""
        feed = self._host.session.feed
        if not isinstance(feed, ReplayFeed):
            raise InputError(f"no recording is being replayed, the source is {self._host.source}", "source")
        return feed

    def _again(self, at_us: int, plays: bool, speed: float) -> None:
        """Begin the open replay anew, go to a time, and play or stand there."""
        with self._switching:
            self._opened()
            self._speed, self._begin = speed, (at_us, plays)
            try:
                self._open_anew()
            finally:
                self._begin = None
