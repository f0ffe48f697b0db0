"""Made-up universes for the scanner: walks, families that share one, and spreads with every kind of memory."""

import numpy as np
import pandas as pd
from scipy.signal import lfilter


def walks(symbols: int, bars: int, seed: int) -> pd.DataFrame:
    """Unrelated random walks around 100."""
    steps = np.random.default_rng(seed).standard_normal((bars, symbols))
    return table(100 + steps.cumsum(axis=0))


def families(sizes: list[int], bars: int, half_life: float, seed: int) -> pd.DataFrame:
    """Walks, one a family; its members follow it at their own ratio, with a spread of the half-life."""
    rng = np.random.default_rng(seed)
    columns = []
    for size in sizes:
        trend = rng.standard_normal(bars).cumsum()
        for _ in range(size):
            own = memory(rng.standard_normal(bars), 0.5 ** (1 / half_life)) if size > 1 else 0.0
            columns.append(100 + rng.uniform(0.5, 2) * (trend + own))
    return table(np.transpose(columns))


def awkward(symbols: int, bars: int, seed: int) -> pd.DataFrame:
    """Symbols of one family: loose, tight to three digits, and with shocks that come back after up to `bars` / 12."""
    rng = np.random.default_rng(seed)
    trend, columns = rng.standard_normal(bars).cumsum(), []
    for k in range(symbols):
        shocks = rng.standard_normal(bars)
        back = shocks - (0.7 if k % 2 else 0.0) * np.roll(shocks, 1 + (3 * k) % max(2, bars // 12))
        own = memory(back, (0.0, 0.6, 0.97, 1.0)[k % 4])
        share = (0.3, 0.3, 5e-3, 0.3, 1.3e-3)[k % 5]  # of the trend's deviation
        columns.append(50 + (k + 1) * (trend + share * trend.std() * own / own.std()))
    return table(np.transpose(columns))


def memory(shocks: np.ndarray, phi: float) -> np.ndarray:
    """The first-order autoregression of shocks."""
    values: np.ndarray = lfilter([1.0], [1.0, -phi], shocks)
    return values


def table(values: np.ndarray) -> pd.DataFrame:
    """One column a symbol, one row an hour."""
    index = pd.date_range("2025-01-01", periods=len(values), freq="h", tz="UTC")
    return pd.DataFrame(values, index, [f"S{k:02d}" for k in range(values.shape[1])])
