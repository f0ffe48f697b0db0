"""Is a series normal, and if not, how heavy are its tails? Jarque-Bera, a fitted Student t, and Q-Q lines."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import optimize, special, stats

from analytics.checks import series
from analytics.normal import Z_95
from utils.errors import InputError

MIN_OBS = 20
MOST_POINTS = 200  # of a Q-Q line: nearly evenly apart on the axis of quantiles, so that no tail is thinned
HEAVIEST, LIGHTEST = 1.0, 200.0  # degrees of freedom looked for; from 200 on nobody tells it from the normal

# Upper quantiles of the statistic on independent normal data, one row a sample size, one column a level: 500,000
# samples a size (120,000 at 8,000), numpy PCG64, seed 20240601; the last row is chi-squared with two degrees.
LEVELS = np.array([0.9, 0.7, 0.5, 0.3, 0.2, 0.1, 0.05, 0.025, 0.01, 0.005, 0.001])
SIZES = np.array([20, 30, 50, 100, 200, 400, 800, 2_000, 8_000, np.inf])
QUANTILES = np.array(
    [
        [0.204, 0.537, 0.859, 1.254, 1.567, 2.354, 3.804, 5.894, 9.770, 13.529, 24.951],
        [0.202, 0.567, 0.946, 1.433, 1.820, 2.735, 4.361, 6.750, 11.168, 15.656, 30.353],
        [0.200, 0.600, 1.047, 1.651, 2.135, 3.191, 4.959, 7.567, 12.329, 17.105, 33.975],
        [0.202, 0.634, 1.151, 1.886, 2.477, 3.656, 5.381, 7.924, 12.543, 16.990, 32.173],
        [0.201, 0.660, 1.235, 2.079, 2.753, 4.029, 5.683, 7.918, 11.779, 15.492, 27.193],
        [0.205, 0.680, 1.293, 2.215, 2.948, 4.289, 5.829, 7.748, 10.976, 14.018, 22.893],
        [0.206, 0.692, 1.333, 2.297, 3.061, 4.426, 5.922, 7.595, 10.187, 12.680, 19.817],
        [0.209, 0.703, 1.359, 2.354, 3.148, 4.529, 5.983, 7.514, 9.754, 11.611, 16.650],
        [0.208, 0.710, 1.384, 2.410, 3.225, 4.615, 6.015, 7.436, 9.423, 10.944, 14.495],
        [0.211, 0.713, 1.386, 2.408, 3.219, 4.605, 5.991, 7.378, 9.210, 10.597, 13.816],
    ]
)
# (observations, level): 5 % quantile of the least two-sided Beta probability over the points of a line of normal data,
# mean and standard deviation estimated; 8,000 samples a size (4,000 from 8,000 on), numpy PCG64, seed 7.
BAND_LEVELS = np.array(
    [
        (20, 0.0818),
        (30, 0.0608),
        (50, 0.0409),
        (100, 0.0273),
        (200, 0.0172),
        (400, 0.0120),
        (800, 0.0084),
        (2_000, 0.0058),
        (8_000, 0.0040),
        (30_000, 0.0024),
    ]
)


@dataclass(frozen=True, slots=True)
class JarqueBera:
    """Jarque-Bera test. Null hypothesis: the values are independent draws from one normal distribution."""

    statistic: float
    pvalue: float  # from simulated quantiles for this number of observations
    pvalue_is_bound: bool  # beyond the table: the truth is below 0.001
    skewness: float  # m3 / m2^1.5, without correction, as the statistic uses it
    excess_kurtosis: float  # m4 / m2^2 - 3
    n_obs: int


@dataclass(frozen=True, slots=True)
class StudentFit:
    """A Student t distribution, moved and scaled, of greatest likelihood; few degrees of freedom = heavy tails."""

    df: float  # 200 where the data is as good as normal
    df_low: float  # 95 % interval, for independent draws
    df_high: float
    loc: float  # units of the data
    scale: float  # units of the data; not the standard deviation
    n_obs: int


@dataclass(frozen=True, slots=True, eq=False)
class QuantileLine:
    """Quantiles of the data against those of a fitted distribution, and the band of an honest fit."""

    against: str  # "normal" or "student"
    expected: np.ndarray  # quantiles of the fitted distribution, units of the data, ascending
    found: np.ndarray  # the data's own
    low: np.ndarray  # the whole line of data from that distribution stays inside with 95 %
    high: np.ndarray
    outside: float  # share of the points beyond the band
    n_obs: int


def jarque_bera(x: np.ndarray) -> JarqueBera:
    """Jarque-Bera test of normality, n / 6 (S^2 + K^2 / 4), S skewness and K excess kurtosis.

    The textbook p-value is that of chi-squared with two degrees; at a hundred observations it rejects normal data
    in 4.2 % for nominal 5 %, in 1.9 % for 1 %. Here it is read from simulated quantiles, linear
    in 1 / sqrt(n) between sizes, log-linear between levels: within 12 % of itself from 20 observations on.

    Parameters
    ----------
    x : float array, shape (n,), n >= 20

    Raises
    ------
    InputError, TooFewObservations, DegenerateSeries

    References
    ----------
    C. M. Jarque and A. K. Bera, International Statistical Review 55 (1987); P. Deb and M. Sefton, Economics Letters
    51 (1996), on the sizes.
    """
    values = series(x, "x", MIN_OBS)
    centred = (values - values.mean()) / np.ptp(values)  # its own unit: no power under- or overflows
    second, third, fourth = (float(np.mean(centred**power)) for power in (2, 3, 4))
    skewness, excess = third / second**1.5, fourth / second**2 - 3
    statistic = values.size / 6 * (skewness**2 + excess**2 / 4)
    quantiles = _quantiles(values.size)
    log_pvalue = np.interp(statistic, np.append(0.0, quantiles), np.log(np.append(1.0, LEVELS)))
    beyond = bool(statistic > quantiles[-1])
    return JarqueBera(
        statistic=statistic,
        pvalue=float(LEVELS[-1] if beyond else np.exp(log_pvalue)),
        pvalue_is_bound=beyond,
        skewness=skewness,
        excess_kurtosis=excess,
        n_obs=values.size,
    )


def _quantiles(n: int) -> np.ndarray:
    """Quantiles of the Jarque-Bera statistic of n observations, one a level."""
    roots = 1 / np.sqrt(SIZES[::-1])
    return np.array([np.interp(1 / np.sqrt(n), roots, column) for column in QUANTILES[::-1].T])


def student_fit(x: np.ndarray) -> StudentFit:
    """Degrees of freedom, location and scale of a Student t distribution, by greatest likelihood.

    The interval of the degrees of freedom is exp(log df -+ 1.96 stderr / df), with the error from the expected
    information. Returns cluster: their tails are those of the mixture that was seen.

    Parameters
    ----------
    x : float array, shape (n,), n >= 20

    Raises
    ------
    InputError, TooFewObservations, DegenerateSeries

    References
    ----------
    K. L. Lange, R. J. A. Little and J. M. G. Taylor, Journal of the American Statistical Association 84 (1989).
    """
    values = series(x, "x", MIN_OBS)
    centre = float(np.median(values))
    unit = float(np.median(np.abs(values - centre))) or float(values.std())
    best = optimize.minimize(
        _unlikely,
        (0.0, 0.2, np.log(6.0)),
        ((values - centre) / unit,),
        method="L-BFGS-B",
        jac=True,
        bounds=((None, None), (-30.0, 30.0), (np.log(HEAVIEST), np.log(LIGHTEST))),
    )
    df = float(np.exp(best.x[2]))
    apart = float(np.exp(Z_95 * _df_stderr(df, values.size) / df))
    return StudentFit(
        df=df,
        df_low=max(df / apart, HEAVIEST),
        df_high=df * apart if df * apart < LIGHTEST else np.inf,
        loc=centre + unit * float(best.x[0]),
        scale=unit * float(np.exp(best.x[1])),
        n_obs=values.size,
    )


def _unlikely(params: np.ndarray, values: np.ndarray) -> tuple[float, np.ndarray]:
    """Mean negative log-likelihood of loc, log scale and log df, and its gradient."""
    loc, log_scale, df = params[0], params[1], np.exp(params[2])
    z = (values - loc) / np.exp(log_scale)
    square = z**2
    log_term = np.log1p(square / df)
    weight = (df + 1) / (df + square)
    constant = special.gammaln((df + 1) / 2) - special.gammaln(df / 2) - np.log(df * np.pi) / 2 - log_scale
    by_df = special.digamma((df + 1) / 2) - special.digamma(df / 2) - 1 / df
    by_df += np.mean(weight * square) / df - np.mean(log_term)
    gradient = (np.mean(weight * z) / np.exp(log_scale), np.mean(weight * square) - 1, df * by_df / 2)
    return float((df + 1) / 2 * np.mean(log_term) - constant), -np.array(gradient)


def _df_stderr(df: float, n: int) -> float:
    """Standard error of the degrees of freedom, the scale being estimated too; the location does not matter."""
    own = (special.polygamma(1, df / 2) - special.polygamma(1, (df + 1) / 2)) / 4
    own -= (df + 5) / (2 * df * (df + 1) * (df + 3))
    with_scale, scale = -2 / ((df + 1) * (df + 3)), 2 * df / (df + 3)
    return float(1 / np.sqrt(n * (own - with_scale**2 / scale)))


def quantile_line(x: np.ndarray, against: Literal["normal", "student"] = "normal") -> QuantileLine:
    """Ordered values against the quantiles of a fitted normal or Student t, units of the data.

    Point i of n lies at probability (i - 1/2) / n. The band has one level for every point, that of the i-th of n
    uniform numbers, Beta(i, n - i + 1), chosen so that the *whole* line of normal data stays inside with 95 %,
    mean and standard deviation being estimated from it. With a band made point by point, almost every sample of honest
    data leaves it somewhere.

    Parameters
    ----------
    x : float array, shape (n,), n >= 20

    Raises
    ------
    InputError, TooFewObservations, DegenerateSeries

    References
    ----------
    S. Aldor-Noiman et al., The American Statistician 67 (2013).
    """
    values = np.sort(series(x, "x", MIN_OBS))
    if against == "normal":
        fitted = stats.norm(values.mean(), values.std(ddof=1))
    elif against == "student":
        fit = student_fit(values)
        fitted = stats.t(fit.df, fit.loc, fit.scale)
    else:
        raise InputError(f"against must be normal or student, was {against!r}", "against")
    orders = _orders(values.size)
    found = values[orders - 1]
    low, high = (fitted.ppf(level) for level in _band(orders, values.size))
    return QuantileLine(
        against=against,
        expected=fitted.ppf((orders - 0.5) / values.size),
        found=found,
        low=low,
        high=high,
        outside=float(np.mean((found < low) | (found > high))),
        n_obs=values.size,
    )


def _orders(n: int) -> np.ndarray:
    """Which of n ordered values are shown, counted from 1: all of few, else nearly evenly spaced quantiles."""
    if n <= MOST_POINTS:
        return np.arange(1, n + 1)
    edge = special.ndtri(0.5 / n)
    probability = special.ndtr(np.linspace(edge, -edge, MOST_POINTS))
    return np.unique(np.clip(np.round(probability * n + 0.5).astype(int), 1, n))


def _band(orders: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities between which each ordered value lies, all of them at once with 95 %."""
    tail = _point_level(n) / 2
    return stats.beta.ppf(tail, orders, n - orders + 1), stats.beta.isf(tail, orders, n - orders + 1)


def _point_level(n: int) -> float:
    """Level of each point that makes 5 % of the line as a whole; linear in logarithms between simulated sizes."""
    sizes, levels = np.log(BAND_LEVELS).T
    return float(np.exp(np.interp(np.log(n), sizes, levels)))
