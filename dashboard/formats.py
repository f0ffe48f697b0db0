"""Numbers and times as text: fixed decimals, units, a true minus, and a dash for what does not exist."""

import math

from utils.clock import US_PER_S, date_hhmmss, hhmmss, zone_name

NONE = "–"
MINUS = "−"
SIZES = ("B", "kB", "MB", "GB", "TB")


def exists(value: float | None) -> bool:
    """Whether there is a finite number to show."""
    return value is not None and math.isfinite(value)


def number(value: float | None, decimals: int = 2, sign: bool = False) -> str:
    """Fixed decimals with thousands separated: `61,234.10`; what rounds to zero has no sign."""
    if value is None or not math.isfinite(value):
        return NONE
    text = f"{value:+z,.{decimals}f}" if sign else f"{value:z,.{decimals}f}"
    return text.replace("-", MINUS) if text.strip("+0.") else text.removeprefix("+")


def significant(value: float | None, digits: int = 4) -> str:
    """Plain decimals with about `digits` significant ones: `0.0431`, `2,111.07`."""
    if value is None or not math.isfinite(value):
        return NONE
    if value == 0:
        return "0"
    decimals = digits - 1 - math.floor(math.log10(abs(value)))
    if decimals > 12:
        return f"{value:.{digits - 1}e}".replace("-", MINUS)
    return number(value, max(decimals, 2 if abs(value) >= 100 else 0))


def price_decimals(price: float | None, step: float | None = None) -> int:
    """Decimals of a price: from its step where one is seen, else from its size."""
    if step is not None and 0 < step < math.inf:
        return min(10, max(0, math.ceil(-math.log10(step) - 1e-9)))
    if price is None or not math.isfinite(price) or price <= 0:
        return 2
    return min(10, max(2, 4 - math.floor(math.log10(price))))


def pvalue(value: float | None) -> str:
    """A p-value: three decimals, and `< 0.001` below."""
    if value is None or not math.isfinite(value):
        return NONE
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def percent(share: float | None, decimals: int = 2, sign: bool = False) -> str:
    """A share as per cent: `98.50 %`."""
    return NONE if not exists(share) else f"{number(100 * share, decimals, sign)} %"  # type: ignore[operator]


def duration(seconds: float | None) -> str:
    """A length of time with one unit: `0.4 s`, `41 s`, `3.2 min`, `5.0 h`, `2.1 d`; infinity stays itself."""
    if seconds is None or math.isnan(seconds):
        return NONE
    if math.isinf(seconds):
        return "∞"
    for limit, size, unit, decimals in (
        (10, 1, "s", 1),
        (90, 1, "s", 0),
        (5_400, 60, "min", 1),
        (172_800, 3_600, "h", 1),
    ):
        if abs(seconds) < limit:
            return f"{seconds / size:.{decimals}f} {unit}"
    return f"{seconds / 86_400:.1f} d"


def size(count: float | None) -> str:
    """Bytes with one unit: `12.4 MB`, in powers of 1,000."""
    if count is None:
        return NONE
    value, unit = float(count), 0
    while value >= 1_000 and unit < len(SIZES) - 1:
        value, unit = value / 1_000, unit + 1
    return f"{value:.0f} {SIZES[unit]}" if not unit or value >= 100 else f"{value:.1f} {SIZES[unit]}"


def timeframe(text: str) -> str:
    """A bar width for people: `1 s` for `1s`."""
    return f"{text[:-1]} {text[-1:]}"


def width(us: int) -> str:
    """A bar width in its largest whole unit: `0.25 s`, `15 s`, `5 min`, `1 h`."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if us and us % (size * US_PER_S) == 0:
            return f"{us // (size * US_PER_S)} {unit}"
    return f"{us / US_PER_S:g} s"


def age(seconds: float | None) -> str:
    """How long ago: `0.1 s`, and a dash where nothing has come yet."""
    return duration(seconds)


def base(symbol: str) -> str:
    """The short name of a symbol: `ETH` for `ETHUSDT`."""
    for quote in ("USDT", "USDC", "FDUSD", "BUSD", "USD"):
        if symbol.endswith(quote) and len(symbol) > len(quote):
            return symbol[: -len(quote)]
    return symbol


def quote(symbol: str) -> str:
    """The quote currency of a symbol where it is known: `USDT` for `ETHUSDT`."""
    return symbol.removeprefix(base(symbol))


def clock(ts_us: int, zone: str) -> str:
    """Time of day with its zone: `23:54:16 UTC`."""
    return f"{hhmmss(ts_us, zone)} {zone_name(ts_us, zone)}"


def date(ts_us: int, zone: str) -> str:
    """Date and time of day with its zone: `2024-08-08 23:54:16 UTC`."""
    return f"{date_hhmmss(ts_us, zone)} {zone_name(ts_us, zone)}"
