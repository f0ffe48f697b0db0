"""What users do with a replay: play, pause, speed, step and seek, back too."""

from collections.abc import Callable

from data.feeds.replay import ReplayFeed, ReplayPosition
from utils.errors import InputError

SLOWEST, FASTEST = 0.01, 1_000.0  # times real time; 0 is as fast as possible

Reopen = Callable[[int, bool, float], None]  # time to go to, whether it plays there, at which speed


class ReplayControl:
    """Commands to the open replay; each returns how far it is then, and what takes longer goes on meanwhile.

    `feed` gives the open replay, or raises InputError where there is none. Time runs forward only: to go back, `reopen`
    begins the replay anew, and everything is as it was the first time that it came there.
    """

    def __init__(self, feed: Callable[[], ReplayFeed], reopen: Reopen) -> None:
        self._feed, self._reopen = feed, reopen

    def position(self) -> ReplayPosition:
        """How far it is."""
        return self._feed().position

    def play(self) -> ReplayPosition:
        """Go on; at its end, begin again."""
        feed = self._feed()
        if feed.ended:
            self._reopen(feed.position.first_us, True, feed.position.speed)
        feed.play()
        return self.position()

    def pause(self) -> ReplayPosition:
        """Stand still."""
        self._feed().pause()
        return self.position()

    def speed(self, speed: float) -> ReplayPosition:
        """Another speed, in times real time; 0 is as fast as possible. It plays or stands as before.

        Raises
        ------
        InputError
        """
        if not (speed == 0 or SLOWEST <= speed <= FASTEST):
            limit = f"0 (as fast as possible) or {SLOWEST:g} to {FASTEST:g}"
            raise InputError(f"speed must be {limit} times real time, was {speed!r}", "speed")
        self._feed().set_speed(speed)
        return self.position()

    def step(self, to: str = "trade") -> ReplayPosition:
        """Go to the next time at which anything traded, or to the next full "second", and stand there.

        Raises
        ------
        InputError
        """
        self._feed().step(to)
        return self.position()

    def seek(self, at_us: int | None = None, share: float | None = None) -> ReplayPosition:
        """Go to a time, or to a share of the recording from 0 to 1; there it plays or stands, as now.

        Raises
        ------
        InputError
            Not exactly one of the two, or outside the recording.
        """
        feed = self._feed()
        if (at_us is None) == (share is None):
            raise InputError("a seek needs at_us or share, one of them", "at_us")
        where_us = feed.time_at(share) if share is not None else at_us
        assert where_us is not None
        now = feed.position
        last = "" if now.last_us is None else f" and at most {now.last_us}"
        if where_us < now.first_us or (now.last_us is not None and where_us > now.last_us):
            raise InputError(f"at_us must be at least {now.first_us}{last}, was {where_us}", "at_us")
        if where_us < now.position_us or now.ended:
            self._reopen(where_us, not (now.paused or now.ended), now.speed)
        else:
            feed.seek(where_us)
        return self.position()
