"""The view: what a reader looks at and how, as one frozen value, and as the query of the address."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, astuple, dataclass, fields, replace
from typing import Any, Self

import config
from analytics.pair import PairParams
from analytics.resampling import timeframe_us
from analytics.signals import SignalParams, Weights
from dashboard.scan_view import ScanView
from utils.clock import UTC_ZONE, is_zone
from utils.errors import InputError, TimeframeError

METHODS = {  # hedge methods offered, with their screen text
    "ols": "OLS, rolling",
    "huber": "Huber, rolling",
    "theil_sen": "Theil-Sen, rolling",
    "tls": "total least squares, rolling",
    "ewm": "OLS, fading weights",
    "kalman": "Kalman filter",
}
SCALES = {"std": "standard deviation", "ewm": "fading weights", "robust": "median and MAD"}  # of the z-score
INDICATORS = {  # offered with the candles, with their screen text
    "sma": "SMA 20",
    "ema": "EMA 20",
    "bollinger": "Bollinger 20, 2",
    "vwap": "VWAP of the day",
    "rsi": "RSI 14",
    "macd": "MACD 12, 26, 9",
    "atr": "ATR 14",
}
TOPICS = {  # of the Advanced page
    "correlation": "Correlation",
    "trades": "Lead and lag",
    "distribution": "Distribution",
    "season": "Trend and season",
}
SUBJECTS = ("y", "x", "spread")  # series that distribution and season are of
SEASONS = ("minute", "hour", "day", "week")
LEGS = {"bp": "linear", "log": "logarithmic"}  # scales of the legs
SPANS = (60, 120, 300, config.CHART_BARS)  # bars, offered
# Stretches of the coverage map, and minutes of each and of one of its cells.
COVERS = {
    "1h": (60, 1),
    "6h": (360, 3),
    "1d": (1_440, 10),
    "7d": (10_080, 60),
    "30d": (43_200, 360),
}
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")  # least severity of the log lines shown
SIGNAL = SignalParams()
WEIGHTS = tuple(round(100 * weight) for weight in astuple(SIGNAL.weights))
SIZE_LIMITS = (1.0, 1e9)  # quote currency
AVERAGES = (1, 1_000)  # bars, limits of fast and slow
MIN_WINDOW = 3
MAX_WINDOW = 5_000
REFRESH_LIMITS_S = (0.5, 60.0)
Z_LIMITS = (0.1, 20.0)
STOP_LIMITS = (0.1, 100.0)


@dataclass(frozen=True, slots=True)
class View:
    """Everything that decides what is on the screen, but the page and the colours."""

    symbol_y: str
    symbol_x: str
    symbol: str  # drawn as candles on the overview
    timeframe: str = config.DEFAULT_TIMEFRAME
    window: int = config.DEFAULT_WINDOW  # bars
    method: str = "ols"
    scale: str = "std"
    log_prices: bool = False
    entry_z: float = config.ENTRY_Z
    exit_z: float = config.EXIT_Z
    stop_z: float = config.STOP_Z
    fast: int = SIGNAL.fast  # bars of the averages of the momentum
    slow: int = SIGNAL.slow
    weights: tuple[int, ...] = WEIGHTS  # of the terms of the opportunity score, percent
    notional: float = config.NOTIONAL  # of y, quote currency: whose round trip is priced
    indicators: tuple[str, ...] = ()  # drawn with the candles
    topic: str = "correlation"  # of the Advanced page
    subject: str = "y"  # series that it looks at
    season: str = "minute"
    span: int = config.CHART_BARS  # newest bars drawn
    legs: str = "bp"  # how the legs are drawn
    cover: str = "1d"  # stretch of the coverage map
    level: str = "INFO"  # least severity of the log lines shown
    scan: str = ""  # of the Scanner page, as `ScanView.text`
    zone: str = UTC_ZONE  # of the times shown
    refresh_s: float = config.REFRESH_S
    paused: bool = False

    @classmethod
    def default(cls, symbols: Iterable[str]) -> Self:
        """The view before anything is chosen: the second symbol explained by the first."""
        followed = list(symbols)
        x = followed[0]
        y = followed[1] if len(followed) > 1 else x
        return cls(symbol_y=y, symbol_x=x, symbol=x)

    @classmethod
    def from_query(cls, query: Mapping[str, str], symbols: Iterable[str]) -> tuple[Self, list[str]]:
        """The view of an address, and one notice for each value that cannot be used and fell back."""
        followed = tuple(symbols)
        values: dict[str, Any] = {}
        notices = []
        for name, (field, read) in PARAMETERS.items():
            if name not in query:
                continue
            try:
                values[field] = read(query[name])
                if field in ("symbol_y", "symbol_x", "symbol") and values[field] not in followed:
                    raise InputError(f"{values[field]} is not followed; followed are {', '.join(followed)}")
            except (InputError, ValueError) as exc:
                values.pop(field, None)
                notices.append(f"{name}={query[name][:40]!r} in the address is not used: {exc}")
        view = replace(cls.default(followed), **values)
        if "symbol" not in values and "symbol_y" in values:
            view = replace(view, symbol=view.symbol_y)
        if view.exit_z >= view.entry_z:
            notices.append(f"leave |z| must be below enter |z| {view.entry_z:g}, was {view.exit_z:g}")
            view = replace(view, exit_z=min(config.EXIT_Z, view.entry_z / 2))
        if view.stop_z <= view.entry_z:
            notices.append(f"stop |z| must be above enter |z| {view.entry_z:g}, was {view.stop_z:g}")
            view = replace(view, stop_z=2 * view.entry_z)
        if view.fast >= view.slow:
            notices.append(f"the fast average needs fewer bars than the slow one, {view.slow}, had {view.fast}")
            view = replace(view, fast=SIGNAL.fast, slow=SIGNAL.slow)
        return view, notices

    def to_query(self) -> dict[str, str]:
        """The view as query parameters; reading them back gives the same view."""
        values = asdict(self)
        return {name: _write(values[field]) for name, (field, _) in PARAMETERS.items()}

    def part(self, names: Iterable[str]) -> dict[str, str]:
        """The query parameters of some fields only: what one figure depends on."""
        wanted = set(names)
        query = self.to_query()
        return {name: query[name] for name, (field, _) in PARAMETERS.items() if field in wanted}

    @property
    def pair(self) -> str:
        """`ETHUSDT/BTCUSDT`."""
        return f"{self.symbol_y}/{self.symbol_x}"

    @property
    def rule(self) -> SignalParams:
        """Parameters of the signal that this view shows."""
        weights = Weights(*(weight / 100 for weight in self.weights))
        thresholds = self.entry_z, self.exit_z, self.stop_z
        return SignalParams.around(*thresholds, fast=self.fast, slow=self.slow, weights=weights)

    @property
    def params(self) -> PairParams:
        """Parameters of the analysis that this view shows."""
        return PairParams(
            window=self.window,
            method=self.method,
            scale=self.scale,
            log_prices=self.log_prices,
            entry_z=self.entry_z,
            exit_z=self.exit_z,
            fee_bps=config.FEE_BPS,
            **config.ANALYSIS,
        )


def _write(value: object) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, tuple | list):
        return "-".join(map(str, value))
    return repr(value) if isinstance(value, float) else str(value)


def _symbol(text: str) -> str:
    return config.clean_symbol(text)


def bar_width(text: str) -> str:
    """A bar width as it is typed or stands in an address.

    Raises
    ------
    InputError
        It cannot be read; in the word of the screen, which has bar widths where the code has timeframes.
    """
    text = text.strip()
    try:
        timeframe_us(text)
    except TimeframeError as exc:
        raise InputError(str(exc).replace("timeframe", "bar width", 1), exc.field) from exc
    return text


def _bars(name: str, limits: tuple[int, int]) -> Callable[[str], int]:
    low, high = limits

    def read(text: str) -> int:
        value = int(text)
        if not low <= value <= high:
            raise InputError(f"{name} must be {low} to {high} bars, was {value}")
        return value

    return read


def _weights(text: str) -> tuple[int, ...]:
    """Four shares in percent, such as `30-25-25-20`."""
    shares = tuple(int(part) for part in text.split("-"))
    if len(shares) != len(WEIGHTS) or not all(0 <= share <= 100 for share in shares) or sum(shares) != 100:
        raise InputError(f"weights must be {len(WEIGHTS)} shares of 0 to 100 that sum to 100")
    return shares


def _indicators(text: str) -> tuple[str, ...]:
    chosen = tuple(dict.fromkeys(part for part in text.split("-") if part))
    for name in chosen:
        if name not in INDICATORS:
            raise InputError(f"an indicator must be one of {', '.join(INDICATORS)}")
    return chosen


def _one_of(name: str, known: Iterable[str]) -> Callable[[str], str]:
    known = tuple(known)

    def read(text: str) -> str:
        if text not in known:
            raise InputError(f"{name} must be one of {', '.join(known)}")
        return text

    return read


def _number(name: str, limits: tuple[float, float]) -> Callable[[str], float]:
    low, high = limits

    def read(text: str) -> float:
        value = float(text)
        if not (math.isfinite(value) and low <= value <= high):
            raise InputError(f"{name} must be {low:g} to {high:g}, was {text[:20]}")
        return value

    return read


def _zone(text: str) -> str:
    if not is_zone(text):
        raise InputError("must be a time zone such as UTC or Europe/Vienna")
    return text


def _scan(text: str) -> str:
    return ScanView.of(text).text()


def _flag(text: str) -> bool:
    if text not in ("0", "1"):
        raise InputError("must be 0 or 1")
    return text == "1"


# Name in the address -> field and reader.
PARAMETERS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "y": ("symbol_y", _symbol),
    "x": ("symbol_x", _symbol),
    "symbol": ("symbol", _symbol),
    "tf": ("timeframe", bar_width),
    "window": ("window", _bars("window", (MIN_WINDOW, MAX_WINDOW))),
    "method": ("method", _one_of("method", METHODS)),
    "scale": ("scale", _one_of("scale", SCALES)),
    "log": ("log_prices", _flag),
    "entry": ("entry_z", _number("enter |z|", Z_LIMITS)),
    "exit": ("exit_z", _number("leave |z|", (0.0, Z_LIMITS[1]))),
    "stop": ("stop_z", _number("stop |z|", STOP_LIMITS)),
    "fast": ("fast", _bars("the fast average", AVERAGES)),
    "slow": ("slow", _bars("the slow average", AVERAGES)),
    "weights": ("weights", _weights),
    "size": ("notional", _number("size", SIZE_LIMITS)),
    "show": ("indicators", _indicators),
    "topic": ("topic", _one_of("topic", TOPICS)),
    "of": ("subject", _one_of("of", SUBJECTS)),
    "season": ("season", _one_of("season", SEASONS)),
    "span": ("span", _bars("span", (SPANS[0], config.CHART_BARS))),
    "legs": ("legs", _one_of("legs", LEGS)),
    "cover": ("cover", _one_of("cover", COVERS)),
    "level": ("level", _one_of("level", LEVELS)),
    "scan": ("scan", _scan),
    "zone": ("zone", _zone),
    "refresh": ("refresh_s", _number("refresh", REFRESH_LIMITS_S)),
    "paused": ("paused", _flag),
}
assert {field for field, _ in PARAMETERS.values()} == {field.name for field in fields(View)}
