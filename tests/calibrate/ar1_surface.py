"""Makes the coefficients of `analytics.ar1`: the distribution of an estimated first-order autocorrelation.

    python -m tests.calibrate.ar1_surface            prints them; about ten minutes on one core

For each number of transitions T in LENGTHS and each phi, REPS Gaussian AR(1) paths of T + 1 values start from their
stationary distribution (phi = 1: from zero). With fitted = 1 each path is first regressed, with a constant, on an
independent random walk and replaced by the residual: what is done to a spread whose hedge ratio was estimated. The
path is then regressed on its own last value with a constant; `analytics.ar1.deviation` scales the error of that slope.
Its 2.5 %, 50 % and 97.5 % quantiles are fitted by least squares to the terms of `analytics.ar1.terms`, by T.
"""

import sys

import numpy as np

from analytics.ar1 import LEAST_PHI, LEVELS, deviation, distance, normal_quantiles, terms
from utils.compiled import compiled

LENGTHS = (19, 24, 32, 48, 64, 99, 160, 249, 499, 999, 1_999, 4_999)
REPS = 60_000
DISTANCES = (0, 0.25, 0.5, 1, 1.5, 2, 3, 4, 6, 8, 11, 16, 22, 32, 45, 64, 90, 128, 200, 300, 450, 700, 1_000, 2_000)
PLAIN, FITTED = 0, 1


@compiled
def slope(values: np.ndarray) -> float:
    """Least-squares slope of each value on the one before it, with a constant."""
    n = values.size - 1
    before = after = 0.0
    for t in range(n):
        before += values[t]
        after += values[t + 1]
    before, after = before / n, after / n
    square = product = 0.0
    for t in range(n):
        level = values[t] - before
        square += level * level
        product += level * (values[t + 1] - after)
    return product / square


@compiled
def residual(values: np.ndarray, x: np.ndarray) -> np.ndarray:
    """What a line of the values on x, with a constant, leaves."""
    level, mean = values - values.mean(), x - x.mean()
    return level - np.sum(level * mean) / np.sum(mean * mean) * mean


@compiled
def slopes(n: int, phis: np.ndarray, reps: int, seed: int) -> np.ndarray:
    """Estimated phi of simulated paths of n + 1 values, shape (2, phis, reps): plain, and of a fitted residual."""
    np.random.seed(seed)  # the generator that compiled loops have
    found = np.empty((2, phis.size, reps))
    shocks, walk, values = np.empty(n + 1), np.empty(n + 1), np.empty(n + 1)
    for rep in range(reps):
        total = 0.0
        for t in range(n + 1):
            shocks[t] = np.random.standard_normal()
            total += np.random.standard_normal()
            walk[t] = total
        for i in range(phis.size):
            phi = phis[i]
            values[0] = shocks[0] / np.sqrt(1 - phi * phi) if abs(phi) < 1 else 0.0
            for t in range(1, n + 1):
                values[t] = phi * values[t - 1] + shocks[t]
            found[0, i, rep] = slope(values)
            found[1, i, rep] = slope(residual(values, walk))
    return found


def grid(n: int) -> np.ndarray:
    """The phi simulated for n transitions: dense near 1, down to LEAST_PHI."""
    near = 1 - np.array(DISTANCES, float) / n
    low = np.array([0.75, 0.5, 0.25, 0.0, -0.25, LEAST_PHI])
    return np.concatenate((near[near > 0.8], low[low < near[near > 0.8].min()]))


def quantiles(n: int, reps: int = REPS, seed: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """The phi of the grid, and the quantiles of the scaled deviation there, shape (2, phis, levels)."""
    phis = grid(n)
    found = deviation(slopes(n, phis, reps, seed), phis[None, :, None], n)
    return phis, np.moveaxis(np.quantile(found, LEVELS, axis=2), 0, -1)


def surface(reps: int = REPS) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients, shape (2, terms, levels), and what they miss at each node of the grid."""
    rows, targets = [], []
    for n in LENGTHS:
        phis, found = quantiles(n, reps)
        rows.append(terms(distance(phis, n), n))
        targets.append(found - normal_quantiles())
    design = np.concatenate(rows)
    target = np.concatenate(targets, axis=1)
    fits = np.array([np.linalg.lstsq(design, target[kind], rcond=None)[0] for kind in (PLAIN, FITTED)])
    return fits, np.array([design @ fits[kind] - target[kind] for kind in (PLAIN, FITTED)])


if __name__ == "__main__":
    coefficients, missed = surface(int(sys.argv[1]) if len(sys.argv) > 1 else REPS)
    sys.stdout.write(np.array2string(coefficients, precision=3, separator=", ", suppress_small=True, threshold=10_000))
    sys.stdout.write(f"\nlargest miss, in standard deviations: {np.abs(missed).max(axis=(1, 2))}\n")
