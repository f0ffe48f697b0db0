"""What a scan is asked, and what came of it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self

import pandas as pd

import config
from analytics.correlation.matrix import CorrelationMatrix
from analytics.dickey_fuller import Lags
from analytics.resampling import timeframe_us
from analytics.scanner import ScanChanges, ScanParams
from data.closes import MOST_BYTES
from data.feeds.binance import MARKETS, USDM
from utils.errors import InputError

LIVE, STORED, TABLE, EXCHANGE = "live", "stored", "table", "exchange"
SOURCES = (LIVE, STORED, TABLE, EXCHANGE)
LIMITS = {"bars": (30, 20_000), "most": (2, 500)}
FDR = ("bh", "by")
SERVED = {venue: market.intervals for venue, market in MARKETS.items()}  # bar widths that the exchange serves
VENUES = tuple(MARKETS)  # of the exchange, the usual one first
MOST_LAGS = 100
MOST_TABLE_BYTES = MOST_BYTES  # of a file that is handed in


@dataclass(frozen=True, slots=True)
class ScanRequest:
    """Where prices come from, and how every pair of them is tested.

    Raises
    ------
    InputError
        `field` names the field that is out of its limits.
    """

    source: str = LIVE  # live symbols held in memory, bars stored in the file, an uploaded table, the exchange's REST
    timeframe: str = "1m"  # of a table it is that of its rows, and is not looked at
    bars: int = 500  # newest closed ones
    symbols: tuple[str, ...] = ()  # none: all that the source has; of the exchange the most traded
    venue: str = ""  # stored: whose bars, none = the open market's; exchange: binance-um or binance-spot
    most: int = 50  # exchange without symbols: how many of the most traded
    table: str = ""  # name of the uploaded one
    trend: Literal["c", "ct"] = "c"
    lags: Lags = "aic"  # "bic", or a number for all
    log_prices: bool = False
    fdr: Literal["bh", "by"] = "bh"
    alpha: float = 0.05  # share of false finds among the found that is accepted

    def __post_init__(self) -> None:
        _one_of("source", self.source, SOURCES)
        _one_of("fdr", self.fdr, FDR)
        timeframe_us(self.timeframe)
        for name, (least, largest) in LIMITS.items():
            if not least <= getattr(self, name) <= largest:
                raise InputError(f"{name} must be {least} to {largest:,}, was {getattr(self, name)}", name)
        if not 0 < self.alpha < 1:
            raise InputError(f"alpha must be above 0 and below 1, was {self.alpha:g}", "alpha")
        if isinstance(self.lags, int) and self.lags > MOST_LAGS:
            raise InputError(f"lags must be aic, bic or 0 to {MOST_LAGS}, was {self.lags}", "lags")
        if len(self.symbols) == 1 or len(self.symbols) > config.MAX_SYMBOLS:
            raise InputError(f"needs 2 to {config.MAX_SYMBOLS:,} symbols or none, got {len(self.symbols)}", "symbols")
        if self.source == EXCHANGE:
            _one_of("venue", self.venue or USDM.venue, tuple(MARKETS))
        if self.source == TABLE and not self.table:
            raise InputError("a scan of a table needs its name", "table")
        _ = self.params  # refuses what it does not know

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Self:
        """A request from its fields, as JSON has them; what is left out keeps its default.

        Raises
        ------
        InputError
        """
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(body) - known)
        if unknown:
            raise InputError(f"a scan knows {', '.join(sorted(known))}, not {unknown[0]!r}", unknown[0])
        values = dict(body)
        try:
            if "symbols" in values:
                values["symbols"] = tuple(dict.fromkeys(config.clean_symbol(str(name)) for name in values["symbols"]))
            return cls(**values)
        except (TypeError, ValueError) as exc:
            raise InputError(f"a scan cannot be read: {exc}", "symbols") from None

    @property
    def params(self) -> ScanParams:
        """How pairs are tested and measured."""
        return ScanParams(trend=self.trend, lags=self.lags, log_prices=self.log_prices, fee_bps=config.FEE_BPS)

    @property
    def place(self) -> str:
        """What one scan has to share with another to be compared with it: `stored demo 1m`."""
        if self.source == TABLE:
            return f"table {self.table}"
        return " ".join(part for part in (self.source, self.venue, self.timeframe) if part)

    def as_dict(self) -> dict[str, Any]:
        """The fields, for JSON; `of` reads them back."""
        return asdict(self) | {"symbols": list(self.symbols)}


@dataclass(frozen=True, slots=True, eq=False)
class ScanResult:
    """Every pair of a universe, with the prices that it was computed from."""

    scan_id: str
    request: ScanRequest
    at_us: int  # when it was done, by the wall clock
    took_s: float  # of the computation; prices had been there
    prices: pd.DataFrame
    found: pd.DataFrame  # as of `analytics.scanner.scan`
    correlations: CorrelationMatrix | None  # None where a price is not above 0
    before_us: int | None  # when the scan before was done that `changes` compares with
    before: ScanRequest | None
    changes: ScanChanges | None  # None at the first scan of its place

    def summary(self) -> dict[str, Any]:
        """How much was looked at and found, for JSON."""
        index = self.prices.index.asi8
        return {
            "symbols": self.prices.shape[1],
            "bars": len(self.prices),
            "first_us": int(index[0]),
            "last_us": int(index[-1]),
            "pairs": len(self.found),
            "tested": int(self.found["pvalue"].notna().sum()),
            "found": int(self.found["found"].sum()),
            "took_s": self.took_s,
            "at_us": self.at_us,
        }


def _one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise InputError(f"{name} must be one of {', '.join(known)}, was {str(value)[:40]!r}", name)
