"""The way that spreads took, in few points: for small pictures beside the rows of a scan."""

import numpy as np
import pandas as pd

POINTS = 60


def spread_paths(prices: pd.DataFrame, found: pd.DataFrame, log_prices: bool, points: int = POINTS) -> np.ndarray:
    """Spreads of rows of a scan, standard deviations, at evenly spaced bars up to the newest, shape (rows, points).

    y - intercept - hedge_ratio x, over spread_std. A bar that a leg does not have keeps the value before it; NaN where
    there is none, or where the pair has no numbers.

    Parameters
    ----------
    prices : of the scan
    found : some rows of its result
    """
    values = prices.to_numpy(np.float64)
    values = np.log(values) if log_prices else values
    place = {str(symbol): at for at, symbol in enumerate(prices.columns)}
    rows = np.unique(np.linspace(0, len(values) - 1, min(points, len(values))).round().astype(np.int64))
    y, x = (values[:, [place[symbol] for symbol in found[leg]]] for leg in "yx")
    ratio, intercept, std = (found[name].to_numpy(np.float64) for name in ("hedge_ratio", "intercept", "spread_std"))
    spreads = pd.DataFrame((y - intercept - ratio * x) / std).ffill().to_numpy()
    return spreads[rows].T
