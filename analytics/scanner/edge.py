"""What is left of the way back of a spread once its round trip is paid."""

from typing import TypeVar

import numpy as np

Amount = TypeVar("Amount", float, np.ndarray)

BPS = 10_000


def edge_bps(gap: Amount, half_life: Amount, cost: Amount, notional: Amount, horizon_bars: float) -> Amount:
    """(gap (1 - 2^(-horizon_bars / half_life)) - cost) / notional, hundredths of a percent.

    Parameters
    ----------
    gap : distance of the spread from its mean, units of the spread, >= 0
    half_life : bars, > 0; inf where it does not come back
    cost : of a round trip, units of the spread
    notional : of both legs for one unit of y, units of the spread
    horizon_bars : within which the spread is expected to come back
    """
    with np.errstate(divide="ignore"):
        back = 1 - 2.0 ** (-horizon_bars / half_life)
    return BPS * (gap * back - cost) / notional
