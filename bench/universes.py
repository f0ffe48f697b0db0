"""Made-up universes of symbols for the scanner's benches."""

import numpy as np
import pandas as pd


def made_up_universe(symbols: int, bars: int, seed: int = 1) -> pd.DataFrame:
    """Random walks around 100, half of their steps shared."""
    random = np.random.default_rng(seed)
    steps = random.standard_normal((bars, symbols)) + random.standard_normal((bars, 1))
    return pd.DataFrame(100 + 0.1 * steps.cumsum(axis=0), columns=[f"S{k:03d}" for k in range(symbols)])
