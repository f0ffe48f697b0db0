"""How often two unrelated walks look like a pair, in samples as long as the one at hand.

MacKinnon's p-values hold for endless samples. With lags chosen by AIC among 250 bars a doubled p-value below 0.05 comes
up in 5.9 % of unrelated pairs, which is near enough; but one below 0.0001 in 0.037 %, nearly four times as often as it
says, and it is those that a universe of hundreds of pairs is decided by: 11 % of scans of 32 walks had a false
find, where 5 % was the promise. So the q-values rest on p-values corrected for the length of the sample.

As normal scores, what has to be added to the doubled p-value is a parabola whose COEFFICIENTS fall with n^-1,
n^(-3/2) and n^-2. They come from a million pairs of Gaussian walks at each of 9 lengths from 30 to 2,000 bars; they
miss the simulated scores by 0.05 as a rule. `python -m tests.calibrate.scanner_surface` makes them anew.
"""

import numpy as np
from scipy.special import ndtr, ndtri

from analytics.dickey_fuller import Lags

POWERS = (1.0, 1.5, 2.0)  # of 1 / n
LEAST_SCORE = -6.0  # beyond it the correction stays what it is there

# [trend, rule][power][power of the score]
COEFFICIENTS = {
    ("c", "aic"): np.array(
        ((-150.304, -108.468, -9.754), (1854.809, 1057.155, 81.415), (-5490.962, -2645.13, -122.14))
    ),
    ("c", "bic"): np.array(((-142.404, -57.506, -0.949), (1639.814, 515.986, -2.816), (-4707.752, -1295.539, 66.347))),
    ("ct", "aic"): np.array(
        ((-117.241, -129.861, -13.955), (1725.397, 1439.932, 149.805), (-5591.184, -4096.164, -373.297))
    ),
    ("ct", "bic"): np.array(
        ((-123.741, -68.769, -4.521), (1542.309, 684.794, 53.428), (-4516.52, -1886.518, -140.089))
    ),
}


def corrected(pvalues: np.ndarray, n: np.ndarray, trend: str, lags: Lags) -> np.ndarray:
    """P-values for both directions of pairs with n bars, never below the doubled ones given; NaN stays NaN.

    With a fixed number of lags those of BIC are taken, which choose few.

    Parameters
    ----------
    pvalues : shape (pairs,), doubled
    n : shape (pairs,)
    """
    scores = ndtri(pvalues)
    rule = lags if isinstance(lags, str) else "bic"
    added = terms(np.clip(scores, LEAST_SCORE, 0.0), n) @ COEFFICIENTS[trend, rule].ravel()
    return np.maximum(pvalues, ndtr(scores + added))


def terms(scores: np.ndarray, n: np.ndarray | float) -> np.ndarray:
    """What the correction is linear in, shape (pairs, terms)."""
    size = np.broadcast_to(np.maximum(n, 1.0), scores.shape)  # pairs without bars have no p-value either
    return np.column_stack([size**-power * scores**k for power in POWERS for k in range(3)])
