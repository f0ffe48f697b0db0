"""The view: what a reader looks at and how, as one frozen value, and as the query of the address."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Self

import config
from analytics.pair import PairParams
from analytics.resampling import timeframe_us
from utils.errors import InputError

METHODS = {  # hedge methods offered, with their screen text
    "ols": "OLS, rolling",
    "huber": "Huber, rolling",
    "theil_sen": "Theil-Sen, rolling",
    "tls": "total least squares, rolling",
    "ewm": "OLS, fading weights",
    "kalman": "Kalman filter",
}
SCALES = {"std": "standard deviation", "ewm": "fading weights", "robust": "median and MAD"}  # of the z-score
MIN_WINDOW = 3
MAX_WINDOW = 5_000
REFRESH_LIMITS_S = (0.5, 60.0)
Z_LIMITS = (0.1, 20.0)


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
            notices.append(f"exit |z| must be below entry |z| {view.entry_z:g}, was {view.exit_z:g}")
            view = replace(view, exit_z=min(config.EXIT_Z, view.entry_z / 2))
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
    return repr(value) if isinstance(value, float) else str(value)


def _symbol(text: str) -> str:
    return config.clean_symbol(text)


def _timeframe(text: str) -> str:
    text = text.strip()
    timeframe_us(text)
    return text


def _window(text: str) -> int:
    value = int(text)
    if not MIN_WINDOW <= value <= MAX_WINDOW:
        raise InputError(f"window must be {MIN_WINDOW} to {MAX_WINDOW} bars, was {value}")
    return value


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


def _flag(text: str) -> bool:
    if text not in ("0", "1"):
        raise InputError("must be 0 or 1")
    return text == "1"


# Name in the address -> field and reader.
PARAMETERS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "y": ("symbol_y", _symbol),
    "x": ("symbol_x", _symbol),
    "symbol": ("symbol", _symbol),
    "tf": ("timeframe", _timeframe),
    "window": ("window", _window),
    "method": ("method", _one_of("method", METHODS)),
    "scale": ("scale", _one_of("scale", SCALES)),
    "log": ("log_prices", _flag),
    "entry": ("entry_z", _number("entry |z|", Z_LIMITS)),
    "exit": ("exit_z", _number("exit |z|", (0.0, Z_LIMITS[1]))),
    "refresh": ("refresh_s", _number("refresh", REFRESH_LIMITS_S)),
    "paused": ("paused", _flag),
}
assert {field for field, _ in PARAMETERS.values()} == {field.name for field in fields(View)}
