"""A hedge ratio that moves: the Kalman filter of a line whose slope and level walk at random.

    y[t] - y0 = level[t] + hedge_ratio[t] (x[t] - x0) + noise,  noise ~ N(0, observation)
    level[t] = level[t-1] + N(0, intercept),  hedge_ratio[t] = hedge_ratio[t-1] + N(0, hedge_ratio)

x0 and y0 are the first prices: a centre that no later bar moves, and that keeps the digits of prices far from 0. The
covariance is updated in Joseph's form, which keeps it positive, and held as its three numbers. One bar is one call of
`_step` in plain floats; the replay runs the same lines compiled, and both give the same bits.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import chdtrc, fdtr, fdtri

from analytics.checks import pair
from analytics.hedge.fit import FLAT, MIN_OBS, HedgeFit
from analytics.normal import Z_95
from utils.compiled import compiled
from utils.errors import DegenerateSeries, InputError, TooFewObservations

TRAIN = 250  # first bars from which the noise is found
MIN_TRAIN = 50
VAGUE = 1e7  # variances of the first state over those of one observation: it is not known at all
LAGS = 10  # of the Ljung-Box test
MANY = 1e9  # degrees of freedom of a noise that was set, not estimated
SHARES = tuple(10.0**power for power in range(-8, 3, 2))  # first guesses of state noise over observation noise
LEAST_SHARE, MOST_SHARE, SMALL_SHARE = 1e-12, 1e6, 1e-7
DOUBT = 0.5  # of the log-likelihood: what a noise one standard error off lacks of the greatest
FINEST = 0.05  # last step of the search, in natural logarithms of the shares


@dataclass(frozen=True, slots=True)
class KalmanNoise:
    """Variances per bar: of one observation, and of the steps of hedge ratio and level.

    Raises
    ------
    InputError
    """

    observation: float  # squared price units of y, > 0
    hedge_ratio: float  # squared units of the ratio, >= 0; 0 = it does not move
    intercept: float  # squared price units of y, >= 0

    def __post_init__(self) -> None:
        for name, value in (("hedge_ratio", self.hedge_ratio), ("intercept", self.intercept)):
            if not 0 <= value < math.inf:
                raise InputError(f"{name} must be a finite variance >= 0, was {value:g}", name)
        if not 0 < self.observation < math.inf:
            raise InputError(f"observation must be a finite variance > 0, was {self.observation:g}", "observation")

    @classmethod
    def by_ratio(cls, observation: float, hedge_ratio: float, intercept: float) -> "KalmanNoise":
        """From the observation's variance and the shares of it by which the states step."""
        return cls(observation, observation * hedge_ratio, observation * intercept)


@dataclass(frozen=True, slots=True)
class KalmanState:
    """What is known after a bar, and how that bar surprised."""

    hedge_ratio: float
    level: float  # of y - y0 at x0
    var_level: float
    covariance: float  # of level and hedge ratio
    var_ratio: float
    y0: float
    x0: float
    innovation: float  # y less its forecast from the bar before, price units of y
    innovation_std: float

    @property
    def intercept(self) -> float:
        """Where the line meets x = 0, price units of y."""
        return self.y0 + self.level - self.hedge_ratio * self.x0

    @property
    def stderr(self) -> float:
        """Standard error of the hedge ratio."""
        return math.sqrt(self.var_ratio)

    @property
    def intercept_stderr(self) -> float:
        """Standard error of the intercept."""
        variance = self.var_level - 2 * self.x0 * self.covariance + self.x0 * self.x0 * self.var_ratio
        return math.sqrt(max(variance, 0.0))

    @property
    def zscore(self) -> float:
        """The surprise in its standard deviations."""
        return self.innovation / self.innovation_std


@dataclass(frozen=True, slots=True)
class Consistency:
    """Whether the filter is surprised as much, and as independently, as it says."""

    surprise: float  # mean of innovation^2 / its variance: 1 where the noise is right
    surprise_low: float  # 95 % band of that mean
    surprise_high: float
    autocorrelation: float  # of the standardised innovations, at one bar: 0 where the model is right
    ljung_box_pvalue: float  # of ten such
    n_obs: int
    consistent: bool  # the smaller p-value of the two, doubled for having looked twice, is 5 % or more


@dataclass(frozen=True, slots=True, eq=False)
class KalmanPath:
    """The filter at each bar, arrays of shape (n,), NaN until the noise is known and the filter has begun.

    hedge_ratio, intercept and stderr include the bar's own close; the innovation does not: it is y less the forecast
    by the ratio and intercept of the bar before, and zscore = innovation / innovation_std. All deviations take the
    noise for known: where it was found, +- 1.96 stderr hold the ratio at about 85 % of bars (500 to find it from).
    """

    hedge_ratio: np.ndarray
    intercept: np.ndarray
    stderr: np.ndarray
    innovation: np.ndarray
    innovation_std: np.ndarray
    noise: KalmanNoise
    noise_dof: float  # observations from which the noise was found, before any that have values
    state: KalmanState  # after the last bar

    @property
    def zscore(self) -> np.ndarray:
        """innovation / innovation_std."""
        return self.innovation / self.innovation_std

    @property
    def loglikelihood(self) -> float:
        """Of the bars that have values, given the noise."""
        terms = np.log(2 * np.pi) + 2 * np.log(self.innovation_std) + self.zscore**2
        return float(-0.5 * np.nansum(terms))

    @property
    def consistency(self) -> Consistency:
        """Whether the innovations are as large and as independent as the filter says."""
        surprises = self.zscore
        return _consistency(surprises[np.isfinite(surprises)], self.noise_dof)


def kalman(y: np.ndarray, x: np.ndarray, noise: KalmanNoise | None = None) -> HedgeFit:
    """The hedge ratio after the last bar by the Kalman filter, its standard error and 95 % interval.

    The noise is found by likelihood on all bars given unless it is set; r_squared is that of the forecasts. A noise
    that was found is not known: the interval spans those of the likeliest noise and of the most restless ratio and
    level within one standard error of it, while `stderr` takes the likeliest for true.
    `interval_holds` says whether the filter is consistent.

    Raises
    ------
    InputError, TooFewObservations, DegenerateSeries
    """
    y, x = pair(y, x, MIN_TRAIN if noise is None else MIN_OBS + 2)
    path, *others = (_filtered(y, x, each, 0, MANY) for each in ([noise] if noise else _noises(y, x)))
    state, seen = path.state, ~np.isnan(path.innovation)
    ends = [state, *(other.state for other in others)]
    told = y[seen] - y[seen].mean()
    missed = path.innovation[seen]
    return HedgeFit(
        hedge_ratio=state.hedge_ratio,
        intercept=state.intercept,
        stderr=state.stderr,
        stderr_classical=state.stderr,
        intercept_stderr=state.intercept_stderr,
        r_squared=float(1 - missed @ missed / (told @ told)) if np.ptp(told) > 0 else math.nan,
        n_obs=y.size,
        method="kalman",
        low=min(end.hedge_ratio - Z_95 * end.stderr for end in ends),
        high=max(end.hedge_ratio + Z_95 * end.stderr for end in ends),
        memory=math.nan,
        interval_holds=path.consistency.consistent,
    )


def kalman_path(y: np.ndarray, x: np.ndarray, noise: KalmanNoise | None = None, train: int = TRAIN) -> KalmanPath:
    """The filter over all bars, never ahead of its time.

    Parameters
    ----------
    y, x : float arrays, shape (n,), oldest first
    noise : set by hand; found by likelihood on the first `train` bars otherwise, which then have no values
    train : bars, >= 50

    Raises
    ------
    InputError, TooFewObservations, DegenerateSeries

    References
    ----------
    J. Durbin and S. J. Koopman, Time Series Analysis by State Space Methods (2012), ch. 4 and 7; R. S. Bucy and
    P. D. Joseph, Filtering for Stochastic Processes (1968); Y. Bar-Shalom, X.-R. Li, T. Kirubarajan, Estimation with
    Applications to Tracking and Navigation (2001), ch. 5.4, for the consistency.
    """
    if noise is not None:
        return _filtered(*pair(y, x, MIN_OBS + 2), noise, 0, MANY)
    if train < MIN_TRAIN:
        raise InputError(f"train must be >= {MIN_TRAIN} bars, was {train}", "train")
    if np.size(y) <= train + 1:
        raise TooFewObservations(have=np.size(y), need=train + 2, what="bars")
    y, x = pair(y, x, train + 2)
    return _filtered(y, x, kalman_noise(y[:train], x[:train]), train, train - MIN_OBS)


def kalman_noise(y: np.ndarray, x: np.ndarray) -> KalmanNoise:
    """The noise of maximum likelihood.

    The observation's variance has a closed form given the shares of the states' noise in it; those two are searched,
    first on a grid of powers of a hundred, then by steps that halve.

    Raises
    ------
    InputError, TooFewObservations
    DegenerateSeries
        The prices lie on one line: there is no noise.
    """
    y, x = pair(y, x, MIN_TRAIN)
    return _noises(y, x, others=False)[0]


def _noises(y: np.ndarray, x: np.ndarray, others: bool = True) -> list[KalmanNoise]:
    """The likeliest noise, and those with the most restless ratio and level that the data does not speak against."""
    begin, spread = _beginning(x)
    y_way, x_way = y - y[0], x - x[0]
    dy, dx = y_way - y_way.mean(), x_way - x_way.mean()
    if np.std(dy - float(dx @ dy) / float(dx @ dx) * dx) <= FLAT * float(np.abs(y).max()):
        raise DegenerateSeries("the prices lie on one line: there is no noise to find")
    ratio, level, observation = _likeliest(y_way, x_way, begin, spread, np.array(SHARES))
    found = [(ratio, level, observation)]
    if others:
        found += [_most_restless(y_way, x_way, begin, spread, (ratio, level), pushed) for pushed in (0, 1)]
    return [KalmanNoise.by_ratio(observation, ratio / spread, level) for ratio, level, observation in found]


def kalman_step(state: KalmanState, y: float, x: float, noise: KalmanNoise) -> KalmanState:
    """The state after one more bar, in plain floats; the same bits as the replay. Costs the same at any history."""
    known = state.level, state.hedge_ratio, state.var_level, state.covariance, state.var_ratio
    bar = y - state.y0, x - state.x0
    level, ratio, p00, p01, p11, innovation, variance = _step(
        *known, *bar, noise.observation, noise.hedge_ratio, noise.intercept
    )
    return KalmanState(ratio, level, p00, p01, p11, state.y0, state.x0, innovation, math.sqrt(variance))


def _step(
    level: float,
    ratio: float,
    p00: float,
    p01: float,
    p11: float,
    y: float,
    x: float,
    observation: float,
    ratio_noise: float,
    level_noise: float,
) -> tuple[float, float, float, float, float, float, float]:
    """Level, ratio, their covariance (00, 01, 11) after a bar; its innovation and the variance of that."""
    p00 += level_noise
    p11 += ratio_noise
    innovation = y - level - ratio * x
    h0, h1 = p00 + p01 * x, p01 + p11 * x
    variance = h0 + h1 * x + observation
    k0, k1 = h0 / variance, h1 / variance
    i00, i01, i10, i11 = 1.0 - k0, -k0 * x, -k1, 1.0 - k1 * x  # Joseph: (I - KH) P (I - KH)' + K R K'
    t00, t01 = i00 * p00 + i01 * p01, i00 * p01 + i01 * p11
    t10, t11 = i10 * p00 + i11 * p01, i10 * p01 + i11 * p11
    return (
        level + k0 * innovation,
        ratio + k1 * innovation,
        t00 * i00 + t01 * i01 + observation * k0 * k0,
        t00 * i10 + t01 * i11 + observation * k0 * k1,
        t10 * i10 + t11 * i11 + observation * k1 * k1,
        innovation,
        variance,
    )


_compiled_step = compiled(_step)


@compiled
def _replay(
    y: np.ndarray,
    x: np.ndarray,
    begin: int,
    spread: float,
    observation: float,
    ratio_noise: float,
    level_noise: float,
    out: np.ndarray,
) -> tuple[float, float, float, float, float, float, float]:
    """What `_step` gives at the last bar; from `begin` on ratio, intercept, variances and innovation into `out`."""
    start, y0, x0 = VAGUE * observation, y[0], x[0]
    level, ratio, p00, p01, p11, innovation, variance = 0.0, 0.0, start, 0.0, start / spread, 0.0, 1.0
    for t in range(y.size):
        level, ratio, p00, p01, p11, innovation, variance = _compiled_step(
            level, ratio, p00, p01, p11, y[t] - y0, x[t] - x0, observation, ratio_noise, level_noise
        )
        if t >= begin:
            out[0, t], out[1, t] = ratio, y0 + level - ratio * x0
            out[2, t], out[3, t], out[4, t] = p11, innovation, variance
    return level, ratio, p00, p01, p11, innovation, variance


@compiled
def _likelihood(
    y: np.ndarray, x: np.ndarray, begin: int, spread: float, ratio_share: float, level_share: float
) -> tuple[float, float]:
    """Log-likelihood, less its constant, at the best variance of the observation, and that variance."""
    level, ratio, p00, p01, p11 = 0.0, 0.0, VAGUE, 0.0, VAGUE / spread
    squares, logs, product = 0.0, 0.0, 1.0
    for t in range(y.size):
        level, ratio, p00, p01, p11, innovation, variance = _compiled_step(
            level, ratio, p00, p01, p11, y[t], x[t], 1.0, ratio_share / spread, level_share
        )
        if t >= begin:
            squares += innovation * innovation / variance
            product *= variance
            if product > 1e200 or product < 1e-200:  # one logarithm for many bars
                logs += math.log(product)
                product = 1.0
    n = y.size - begin
    if squares <= 0.0:
        return -np.inf, 0.0
    return -0.5 * (n * math.log(squares / n) + logs + math.log(product)), squares / n


@compiled
def _likeliest(
    y: np.ndarray, x: np.ndarray, begin: int, spread: float, shares: np.ndarray
) -> tuple[float, float, float]:
    """The shares of the states' noise, and the observation's variance, at the greatest likelihood."""
    best, ratio, level = -np.inf, 0.0, 0.0
    for one in shares:
        for other in shares:
            found = _likelihood(y, x, begin, spread, one, other)[0]
            if found > best:
                best, ratio, level = found, math.log(one), math.log(other)
    least, most, step = math.log(LEAST_SHARE), math.log(MOST_SHARE), 2.0
    while step > FINEST:
        from_ratio, from_level, moved = ratio, level, False
        for across in (-1, 0, 1):
            for up in (-1, 0, 1):
                one = min(max(from_ratio + across * step, least), most)
                other = min(max(from_level + up * step, least), most)
                found = _likelihood(y, x, begin, spread, math.exp(one), math.exp(other))[0]
                if found > best:
                    best, ratio, level, moved = found, one, other, True
        if not moved:
            step /= 2
    observation = _likelihood(y, x, begin, spread, math.exp(ratio), math.exp(level))[1]
    return math.exp(ratio), math.exp(level), observation


@compiled
def _most_restless(
    y: np.ndarray, x: np.ndarray, begin: int, spread: float, shares: tuple[float, float], pushed: int
) -> tuple[float, float, float]:
    """The largest share of the ratio's (`pushed` 0) or the level's noise (1) that the data allows.

    Its likelihood, at the best share of the other, is not DOUBT below the greatest. With the observation's variance.
    """
    best, observation = _likelihood(y, x, begin, spread, shares[0], shares[1])
    found = shares[0], shares[1], observation
    push, other = max(shares[pushed], SMALL_SHARE), shares[1 - pushed]
    while push < MOST_SHARE:
        here, step, best_near = (-np.inf, 0.0), 2.0, other
        while step > 1.2:
            moved = False
            for way in (1.0, 1 / step, step):
                near = min(max(other * way, LEAST_SHARE), MOST_SHARE)
                one, two = (push, near) if pushed == 0 else (near, push)
                there = _likelihood(y, x, begin, spread, one, two)
                if there[0] > here[0]:
                    here, best_near, moved = there, near, way != 1.0
            other = best_near
            if not moved:
                step = math.sqrt(step)
        if here[0] < best - DOUBT:
            break
        found = (push, other, here[1]) if pushed == 0 else (other, push, here[1])
        push *= 2.0
    return found


def _beginning(x: np.ndarray) -> tuple[int, float]:
    """Bars that the filter needs to have begun, and the mean square of x's way from its first value over them."""
    begin = max(MIN_OBS, int(_first_move(x)) + 2)
    way = x[:begin] - x[0]
    return begin, float(way @ way) / way.size


@compiled
def _first_move(values: np.ndarray) -> int:
    """Index of the first value that differs from the first of all."""
    t = 1
    while t < values.size - 1 and values[t] == values[0]:
        t += 1
    return t


def _filtered(y: np.ndarray, x: np.ndarray, noise: KalmanNoise, train: int, known_by: float) -> KalmanPath:
    """The replay, with values from the bar on from which they are honest."""
    begin, spread = _beginning(x)
    begin = max(begin, train)
    if y.size <= begin + 1:
        raise TooFewObservations(have=y.size, need=begin + 2, what="bars")
    columns = np.empty((5, y.size))
    columns[:, :begin] = np.nan
    variances = noise.observation, noise.hedge_ratio, noise.intercept
    level, ratio, p00, p01, p11, innovation, variance = _replay(y, x, begin, spread, *variances, columns)
    for row in (2, 4):  # variances to deviations, here because arrays take roots faster than loops
        np.sqrt(columns[row], out=columns[row])
    return KalmanPath(
        hedge_ratio=columns[0],
        intercept=columns[1],
        stderr=columns[2],
        innovation=columns[3],
        innovation_std=columns[4],
        noise=noise,
        noise_dof=known_by,
        state=KalmanState(ratio, level, p00, p01, p11, float(y[0]), float(x[0]), innovation, math.sqrt(variance)),
    )


def _consistency(surprises: np.ndarray, known_by: float) -> Consistency:
    """From standardised innovations; the variance they were divided by rests on `known_by` observations of its own."""
    n = surprises.size
    lags = range(1, min(LAGS, n - 1) + 1)
    mean, correlations = _memory(surprises, len(lags))
    below = float(fdtr(n, known_by, mean))
    box = n * (n + 2) * sum(float(value) ** 2 / (n - lag) for lag, value in zip(lags, correlations, strict=True))
    pvalue = float(chdtrc(len(lags), box))
    return Consistency(
        surprise=mean,
        surprise_low=float(fdtri(n, known_by, 0.025)),
        surprise_high=float(fdtri(n, known_by, 0.975)),
        autocorrelation=float(correlations[0]),
        ljung_box_pvalue=pvalue,
        n_obs=n,
        consistent=min(2 * min(below, 1 - below), pvalue) * 2 >= 0.05,
    )


@compiled
def _products(one: np.ndarray, other: np.ndarray, mean: float) -> float:
    """Sum of products about the mean, in four sums side by side; BLAS would wake its threads for it."""
    a, b, c, d, n = 0.0, 0.0, 0.0, 0.0, one.size
    for t in range(0, n - 3, 4):
        a += (one[t] - mean) * (other[t] - mean)
        b += (one[t + 1] - mean) * (other[t + 1] - mean)
        c += (one[t + 2] - mean) * (other[t + 2] - mean)
        d += (one[t + 3] - mean) * (other[t + 3] - mean)
    for t in range(n - n % 4, n):
        a += (one[t] - mean) * (other[t] - mean)
    return a + b + c + d


@compiled
def _memory(values: np.ndarray, lags: int) -> tuple[float, np.ndarray]:
    """Mean square, and autocorrelations at 1 to `lags` bars about the mean."""
    mean = values.mean()
    squares, found = _products(values, values, mean), np.zeros(lags)
    if squares > 0:
        for lag in range(1, lags + 1):
            found[lag - 1] = _products(values[lag:], values[:-lag], mean) / squares
    return squares / values.size + mean * mean, found
