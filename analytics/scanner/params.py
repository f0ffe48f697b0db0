"""What a scan may be told."""

from dataclasses import dataclass

from analytics.cointegrating_regression import PairTrend
from analytics.cointegration import MIN_OBS
from analytics.dickey_fuller import Lags
from utils.errors import InputError


@dataclass(frozen=True, slots=True)
class ScanParams:
    """How every pair of a table is tested and measured.

    Raises
    ------
    InputError
    """

    trend: PairTrend = "c"  # "ct": the spread may drift along a line
    lags: Lags = "aic"  # "bic", or a number for all
    log_prices: bool = False  # the ratio is then an elasticity, the spread dimensionless
    min_bars: int = MIN_OBS  # bars that both symbols must have
    windows: int = 4  # parts of the sample in which the relation is looked at again
    fee_bps: float = 5.0  # of one fill, hundredths of a percent of its notional
    horizon_bars: int = 100  # within which the spread is expected to come back: the edge counts no more

    def __post_init__(self) -> None:
        if self.trend not in ("c", "ct"):
            raise InputError(f"trend must be c or ct, was {self.trend!r}", "trend")
        if self.lags not in ("aic", "bic") and not (isinstance(self.lags, int) and self.lags >= 0):
            raise InputError(f"lags must be aic, bic or a number from 0 on, was {self.lags!r}", "lags")
        for name, least in (("min_bars", MIN_OBS), ("windows", 2), ("horizon_bars", 1), ("fee_bps", 0)):
            value = getattr(self, name)
            if not least <= value < float("inf"):
                raise InputError(f"{name} must be >= {least} and finite, was {value:g}", name)
