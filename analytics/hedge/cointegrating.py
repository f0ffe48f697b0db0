"""Cointegrating regressions: ratios that stay unbiased where x moves with the errors of the spread.

In a pair the shocks of x and of the spread are rarely independent. OLS then keeps a bias that shrinks with 1/n, as
fast as its own error: no interval around it can hold. Both methods here take that dependence out. They are arch's
DynamicOLS and FullyModifiedOLS to 1e-8; arch itself needs 20 to 380 ms where these need less than 2.
"""

import numpy as np

from analytics.checks import pair
from analytics.hedge.fit import HedgeFit, fitted
from analytics.hedge.least_squares import bartlett, hac_lags
from utils.errors import DegenerateSeries

MIN_OBS = 30
DOLS_MEMORY = 0.95  # from this memory of the errors on, changes of x further back than `reach` still act
FMOLS_MEMORY = 0.75  # from here on its kernel sees too little of the memory to take the bias out


def dols(y: np.ndarray, x: np.ndarray, reach: int | None = None) -> HedgeFit:
    """Dynamic least squares: y on x, a constant and the changes of x from `reach` bars before to `reach` after.

    The changes absorb what the errors share with x; the rest is exogenous. The hedge ratio's `stderr` is
    sqrt(omega (Z'Z)^-1), omega the Bartlett long-run variance of the residual with floor(4 (n/100)^(2/9)) lags and Z
    all regressors; the interval allows for longer memory.

    Parameters
    ----------
    y, x : float arrays, shape (n,), oldest first, n >= 30
    reach : bars; floor(4 (n/100)^(1/4)) by default

    Raises
    ------
    InputError, TooFewObservations, DegenerateSeries

    References
    ----------
    J. H. Stock and M. W. Watson, Econometrica 61 (1993); P. Saikkonen, Econometric Theory 7 (1991).
    """
    y, x = pair(y, x, MIN_OBS)
    reach = dols_reach(y.size) if reach is None else reach
    rows = slice(reach + 1, y.size - reach)
    change = np.diff(x)
    shifted = [change[reach + k : change.size - reach + k] for k in range(-reach, reach + 1)]
    seen, told = y[rows] - y[rows].mean(), x[rows] - x[rows].mean()
    nuisance = np.column_stack(shifted)
    nuisance = nuisance - nuisance.mean(axis=0)
    own = told - nuisance @ _solve(nuisance, told)  # x that no change of it explains
    sxx = float(own @ own)
    if sxx <= 1e-20 * float(told @ told):
        raise DegenerateSeries("x is explained by its own changes: it does not wander")
    slope = float(own @ seen) / sxx
    rest = seen - slope * told
    around = _solve(nuisance, rest)
    residual = rest - nuisance @ around
    n = residual.size
    omega = float(bartlett(residual[:, None], hac_lags(y.size))[0, 0]) / n
    means = float(y[rows].mean() - slope * x[rows].mean())
    constant = means - float(np.column_stack(shifted).mean(axis=0) @ around)
    return fitted(
        y,
        x,
        slope,
        constant,
        float(np.sqrt(omega / sxx)),
        own / sxx,
        residual,
        "dols",
        most_memory=DOLS_MEMORY,
        classical=float(np.sqrt(residual @ residual / (n - nuisance.shape[1] - 2) / sxx)),
    )


def fmols(y: np.ndarray, x: np.ndarray) -> HedgeFit:
    """Fully modified least squares: OLS with the part of y that moves with x's shocks, and its bias, taken out.

    Long-run covariances of (OLS residual, change of x) by the Bartlett kernel with floor(4 (n/100)^(2/9)) lags:
    y+ = y - omega_12 / omega_22 dx, slope = (S_xy+ - n lambda_12+) / S_xx over the bars from the second;
    `stderr` = sqrt((omega_11 - omega_12^2 / omega_22) / S_xx). The interval allows for longer memory, and for the
    whole step from OLS being wrong. With slow spreads much of the bias remains, at any practical number of lags:
    `interval_holds` is then False, and `dols` the better choice.

    Raises
    ------
    InputError, TooFewObservations, DegenerateSeries

    References
    ----------
    P. C. B. Phillips and B. E. Hansen, Review of Economic Studies 57 (1990).
    """
    y, x = pair(y, x, MIN_OBS)
    dy, dx = y - y.mean(), x - x.mean()
    plain = float(dx @ dy) / float(dx @ dx)
    shocks = np.column_stack(((dy - plain * dx)[1:], np.diff(x)))
    n = len(shocks)
    omega, one_sided = _long_run(shocks, hac_lags(y.size))
    if omega[1, 1] <= 0:
        raise DegenerateSeries("the changes of x have no long-run variance")
    share = omega[0, 1] / omega[1, 1]
    modified = y[1:] - share * shocks[:, 1]
    bias = one_sided[0, 1] - share * one_sided[1, 1]
    told = x[1:] - x[1:].mean()
    sxx = float(told @ told)
    slope = (float(told @ (modified - modified.mean())) - n * bias) / sxx
    residual = modified - modified.mean() - slope * told
    left = max(float(omega[0, 0] - share * omega[0, 1]), 0.0)
    return fitted(
        y,
        x,
        slope,
        float(modified.mean() - slope * x[1:].mean()),
        float(np.sqrt(left / sxx)),
        told / sxx,
        residual,
        "fmols",
        doubt=slope - plain,
        most_memory=FMOLS_MEMORY,
        classical=float(np.sqrt(residual @ residual / (n - 2) / sxx)),
    )


def dols_reach(n: int) -> int:
    """Leads and lags of `dols`: floor(4 (n/100)^(1/4)), at most a tenth of the sample."""
    return min(int(4 * (n / 100) ** 0.25), n // 10)


def _solve(design: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Least squares by the normal equations of centred changes, which are well conditioned."""
    return np.linalg.lstsq(design.T @ design, design.T @ target, rcond=None)[0]


def _long_run(shocks: np.ndarray, lags: int) -> tuple[np.ndarray, np.ndarray]:
    """Long-run covariance, and its one-sided part that begins with the present, Bartlett weights."""
    n = len(shocks)
    present = shocks.T @ shocks / n
    later = np.zeros_like(present)
    for lag in range(1, lags + 1):
        later += (1 - lag / (lags + 1)) * (shocks[lag:].T @ shocks[:-lag]) / n
    return present + later + later.T, present + later
