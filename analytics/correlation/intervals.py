"""The 95 % interval of a correlation: blocks of consecutive observations, each left out once.

Fisher's interval, tanh(atanh r -+ 1.96 / sqrt(n - 3)), holds for independent normal returns. Under returns with the
tails of t(4) it covers 60 to 85 % of the time, however many there are, because the variance of r hangs on fourth
moments. Here the spread of z = atanh r is measured instead: r is computed with each of G blocks left out,

    stderr = sqrt((G - 1) / G * sum((z_without - z)^2)),   interval = tanh(z -+ t(G - 1) stderr)

which lets variance change over time, tails be heavy and observations inside a block depend on each other. It assumes
that dependence fades within a block and that the correlation itself is one number over the sample.

References: R. A. Fisher, Metron 1 (1921); H. R. Künsch, Annals of Statistics 17 (1989), the jackknife over blocks.
"""

import numpy as np
from scipy.special import stdtrit

BLOCKS = 20  # more blocks are shorter: they would cut dependence apart
LEAST_BLOCKS = 5
PER_BLOCK = 5  # observations; below 100 of them there are fewer blocks
MIN_OBS = 25  # PER_BLOCK in each of LEAST_BLOCKS
SAME = 1e-12  # a correlation this near to -1 or 1 is one series twice


def block_count(n_obs: int) -> int:
    """Blocks for so many observations: n / 5, from 5 to 20."""
    return min(BLOCKS, max(LEAST_BLOCKS, n_obs // PER_BLOCK))


def block_starts(n_obs: int) -> np.ndarray:
    """First position of each block of nearly equal length, shape (block_count,)."""
    blocks = block_count(n_obs)
    return np.arange(blocks) * n_obs // blocks


def interval(correlation: float, without: np.ndarray) -> tuple[float, float]:
    """Ends of the 95 % interval, from the correlation and those with one block left out, shape (G,).

    NaN where any of them is not inside -1..1: Fisher's z knows no such number.
    """
    every = np.append(without, correlation)
    if not (np.abs(every) < 1 - SAME).all():
        return np.nan, np.nan
    z = np.arctanh(every)
    low, high = spread(z[-1], float(np.sum((z[:-1] - z[-1]) ** 2)), without.size)
    return float(low), float(high)


def spread(z: np.ndarray | float, squares: np.ndarray | float, blocks: np.ndarray | int) -> np.ndarray:
    """Both ends for z = atanh r, the sum of squares of its moves and the number of blocks; shape (2, ...)."""
    reach = stdtrit(blocks - 1.0, 0.975) * np.sqrt((blocks - 1.0) / blocks * squares)
    return np.tanh([z - reach, z + reach])
