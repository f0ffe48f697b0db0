"""The long-run variance of a series: what its partial sums vary by, autocorrelation included."""

import numpy as np

BARTLETT_CONSTANT = 1.1447


def autocovariances(values: np.ndarray, most: int) -> np.ndarray:
    """Mean product of the series with itself `lag` steps back, lags 0 to `most`, shape (most + 1,); not centred."""
    return np.array([values[lag:] @ values[: values.size - lag] for lag in range(most + 1)]) / values.size


def bartlett_parts(values: np.ndarray, bandwidth: float) -> tuple[float, float]:
    """Variance, and the sum of autocovariances at positive lags under Bartlett's weights 1 - lag / (bandwidth + 1).

    The long-run variance is the first plus twice the second.

    References
    ----------
    W. K. Newey and K. D. West, Econometrica 55 (1987).
    """
    covariances = autocovariances(values, int(bandwidth))
    weights = 1 - np.arange(1, covariances.size) / (bandwidth + 1)
    return float(covariances[0]), float(weights @ covariances[1:])


def automatic_bandwidth(values: np.ndarray, pilot_lags: int) -> float:
    """Bandwidth of Bartlett's weights, in lags: 1.1447 (alpha n)^(1/3), alpha from `pilot_lags` autocovariances.

    References
    ----------
    W. K. Newey and K. D. West, Review of Economic Studies 61 (1994); B. Hobijn et al., Statistica Neerlandica 58
    (2004).
    """
    covariances = autocovariances(values, pilot_lags)
    lags = np.arange(1, pilot_lags + 1)
    slope = 2 * (lags @ covariances[1:]) / (covariances[0] + 2 * covariances[1:].sum())
    return float(min(BARTLETT_CONSTANT * np.cbrt(slope**2 * values.size), values.size - 1))
