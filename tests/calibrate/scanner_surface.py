"""Makes the coefficients of `analytics.scanner.chance`: how often two unrelated walks look like a pair.

    python -m tests.calibrate.scanner_surface        prints them; about half an hour on one core

For each number of bars in LENGTHS, REPS universes of SYMBOLS independent Gaussian walks are tested as the scanner
does, every pair in both directions. How often the smaller statistic lies below each of EDGES, over how often the
asymptotic table (doubled) says, both as normal scores, is fitted to the terms of `analytics.scanner.chance` by
weighted least squares.
"""

import sys

import numpy as np
from scipy.special import ndtri

from analytics.dickey_fuller import TREND_TERMS, without_trends
from analytics.scanner.chance import LEAST_SCORE, POWERS, terms
from analytics.scanner.shared_sums import engle_granger_statistics
from analytics.scanner.tiles import lag_rule
from analytics.significance import mackinnon_pvalues

LENGTHS = (30, 40, 60, 100, 160, 250, 500, 1_000, 2_000)
SYMBOLS = 64
REPS = 500
EDGES = np.arange(-12.0, -1.0, 0.05)  # statistics
LEAST_COUNT = 30  # pairs below an edge, or it says nothing


def counts(trend: str, lags: str, n: int, reps: int, seed: int = 6) -> np.ndarray:
    """Pairs whose smaller statistic lies below each of EDGES, shape (edges,)."""
    rng, total = np.random.default_rng(seed), np.zeros(EDGES.size)
    pairs = np.array(np.tril_indices(SYMBOLS, -1))
    most, cost = lag_rule(n, lags)
    mixed, turned = np.empty((most + 1, SYMBOLS, SYMBOLS)), np.empty((SYMBOLS, n - 1))
    for _ in range(reps):
        walks = without_trends(rng.standard_normal((SYMBOLS, n)).cumsum(axis=1), TREND_TERMS[trend])
        found = engle_granger_statistics(walks, walks, pairs, most, cost, mixed, turned)[0].min(axis=0)
        total += np.searchsorted(np.sort(found), EDGES)
    return total


def shares(trend: str, lags: str, reps: int) -> dict[int, np.ndarray]:
    """Share of pairs below each of EDGES by number of bars."""
    pairs = reps * SYMBOLS * (SYMBOLS - 1) / 2
    return {n: counts(trend, lags, n, reps) / pairs for n in LENGTHS}


def fitted(trend: str, below: dict[int, np.ndarray], reps: int) -> tuple[np.ndarray, float]:
    """Coefficients, shape (powers of n, powers of the score), and the root mean square of what they miss."""
    pvalues, pairs = 2 * mackinnon_pvalues(EDGES, trend, 2), reps * SYMBOLS * (SYMBOLS - 1) / 2
    rows, targets, weights = [], [], []
    for n, share in below.items():
        seen = (pvalues < 0.5) & (ndtri(pvalues) > LEAST_SCORE) & (share * pairs >= LEAST_COUNT)
        before, after = ndtri(pvalues[seen]), ndtri(share[seen])
        rows.append(terms(before, n))
        targets.append(after - before)
        noise = np.sqrt(share[seen] / pairs) * np.sqrt(2 * np.pi) * np.exp(after**2 / 2)
        weights.append(1 / np.hypot(noise, 0.03))
    design, target, weight = np.concatenate(rows), np.concatenate(targets), np.concatenate(weights)
    found = np.linalg.lstsq(design * weight[:, None], target * weight, rcond=None)[0]
    return found.reshape(len(POWERS), -1), float(np.sqrt(np.mean((design @ found - target) ** 2)))


if __name__ == "__main__":
    reps = int(sys.argv[1]) if len(sys.argv) > 1 else REPS
    for trend in ("c", "ct"):
        for lags in ("aic", "bic"):
            coefficients, missed = fitted(trend, shares(trend, lags, reps), reps)
            text = np.array2string(coefficients, precision=3, separator=", ", suppress_small=True)
            sys.stdout.write(f"{trend} {lags}, misses {missed:.3f} standard deviations\n{text}\n")
