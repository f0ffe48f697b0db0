"""The one door through which time enters: wall clock, monotonic clock and conversions between units.

Inside Pairscope a time is an integer of microseconds since the epoch, UTC, named `..._us`. The exchange
prints milliseconds (futures) or microseconds (spot archives, on request); pandas wants an index.
"""

import time
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

UTC_ZONE = "UTC"
US_PER_MS = 1_000
US_PER_S = 1_000_000

# Tapes begin with the exchange in 2017; a number outside 2010..2100 is in another unit or broken.
EARLIEST_US = 1_262_304_000_000_000  # 2010-01-01
LATEST_US = 4_102_444_800_000_000  # 2100-01-01


def now_us() -> int:
    """Wall-clock time, microseconds since the epoch."""
    return time.time_ns() // 1_000


def monotonic_s() -> float:
    """Seconds on a clock that never steps; for durations and ages only."""
    return time.monotonic()


class SteadyClock:
    """Wall time as it was when this was made, carried on by the monotonic clock: it never steps, whoever sets the wall
    clock meanwhile. For timers that have to end in time."""

    def __init__(self) -> None:
        self._wall_us, self._began_s = now_us(), monotonic_s()

    def __call__(self) -> int:
        """Microseconds since the epoch."""
        return self._wall_us + round((monotonic_s() - self._began_s) * US_PER_S)


def us_from_ms(ms: int) -> int:
    """Microseconds from the exchange's milliseconds."""
    return ms * US_PER_MS


def us_from_epoch(value: int) -> int:
    """Microseconds from an epoch integer in s, ms, us or ns, told by its magnitude.

    Raises
    ------
    ValueError
        In no unit does the value fall between 2010 and 2100.
    """
    for multiply, divide in ((1, 1), (US_PER_MS, 1), (1, 1_000), (US_PER_S, 1)):
        us = value * multiply // divide
        if EARLIEST_US <= us < LATEST_US:
            return us
    raise ValueError(f"time {value} is between 2010 and 2100 in no unit (s, ms, us, ns)")


def us_from_iso(text: str) -> int:
    """Microseconds from ISO 8601 text; a time without an offset is taken as UTC."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * US_PER_S + delta.microseconds


def iso_from_us(us: int) -> str:
    """ISO 8601 text with microseconds and Z: `2024-08-08T23:54:16.322000Z`."""
    moment = datetime.fromtimestamp(us // US_PER_S, UTC).replace(microsecond=us % US_PER_S)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def utc_stamp(us: int) -> str:
    """A time as part of a file name, to the second: `20240808T235416Z`."""
    return datetime.fromtimestamp(us // US_PER_S, UTC).strftime("%Y%m%dT%H%M%SZ")


def hhmmss(us: int, zone: str = UTC_ZONE) -> str:
    """Time of day in a zone, `23:54:16`: for labels."""
    return _moment(us, zone).strftime("%H:%M:%S")


def date_hhmmss(us: int, zone: str = UTC_ZONE) -> str:
    """Date and time of day in a zone, `2024-08-08 23:54:16`: for labels."""
    return _moment(us, zone).strftime("%Y-%m-%d %H:%M:%S")


def zone_name(us: int, zone: str = UTC_ZONE) -> str:
    """What a zone is called at that time: `UTC`, `CEST`, `+03`."""
    return _moment(us, zone).strftime("%Z")


def zone_offset_us(us: int, zone: str) -> int:
    """Microseconds by which the clocks of a zone are ahead of UTC at that time."""
    offset = _moment(us, zone).utcoffset()
    return 0 if offset is None else int(offset.total_seconds()) * US_PER_S


def is_zone(name: str) -> bool:
    """Whether this machine knows a time zone of that name."""
    try:
        ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # the last: a name that is not among them
        return False
    return True


def _moment(us: int, zone: str) -> datetime:
    return datetime.fromtimestamp(us // US_PER_S, UTC if zone == UTC_ZONE else ZoneInfo(zone))
