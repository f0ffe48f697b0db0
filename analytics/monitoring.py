"""Is the pair still what it was calibrated as? A monitor that may be looked at after every bar.

A relation is calibrated once, on `trained` bars, and every later bar is judged by a boundary that a steady pair crosses
in at most 5 % of whole sessions. Three things are watched in the errors of the one-bar forecasts: whether they keep to
one side, whether they move with x, and whether a spread that no longer comes back explains the bars better.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from statsmodels.tsa.adfvalues import mackinnonp

from analytics.checks import pair, series
from analytics.session import both_directions
from utils.compiled import compiled
from utils.errors import DegenerateSeries, InputError

LEVEL = 0.05  # most false alarms, of whole sessions; also the p-value of the calibration
FEWEST = 100  # bars of a calibration
ENOUGH = 250  # bars from which the promise holds for a spread with noise of its own (bid-ask bounce) as well
LONGEST, MOST_BARS = 10, 1_440  # horizon: in calibrations, in bars
MOST_LAGS = 4
CLIP = 2.0  # standard errors at which one forecast error stops counting for more
SMALL, SMALL_RMS = 0.5, 0.4304  # standard deviations at which a change of x stops counting for more; rms of the rest
STEP = 1.0  # most evidence of a wandering spread from one bar
MEMORY = 0.06  # weight of the newest squared error in the variance: a busier market is not a broken pair
SHORTEST = 4  # bars of a sum: one odd price is no break
WINDOWS = np.unique(np.ceil(SHORTEST * 2 ** (np.arange(18) / 2)).astype(np.int64))  # 4, 6, 8, 12 ... 1449

UNRELATED = "not cointegrated at calibration"
WITHIN = "the forecast errors stay within the boundary"
BROKEN = (  # by detector
    "the spread left the level it was calibrated at",
    "y no longer answers to x as it was calibrated to",
    "the spread no longer comes back as it was calibrated to",
)


@dataclass(frozen=True, slots=True, eq=False)
class Monitor:
    """A session after its calibration. Null hypothesis: the pair stays as it was calibrated. Indices are of y and x."""

    status: Literal["steady", "alarm", "not calibrated"]
    reason: str  # in plain words
    calibrated_at: int  # index of the last bar of the calibration
    pvalue: float  # of Engle-Granger at calibration, doubled for its two directions
    hedge_ratio: float  # of the calibration (OLS), as frozen
    intercept: float
    detector: np.ndarray  # one value a monitored bar, as a share of the boundary: 1 raises the alarm
    alarm_at: int | None
    break_at: int | None  # first bar after the break, as estimated when the alarm was raised
    looks: int  # bars monitored so far
    horizon: int  # bars of the session
    level: float
    holds: bool  # whether the calibration is long enough for the 5 % whatever noise the spread carries


@dataclass(frozen=True, slots=True)
class _Errors:
    """Forecast errors of the session, in standard errors, and the evidence of a wandering spread, by bar."""

    scaled: np.ndarray
    answer: np.ndarray  # the same times the clipped change of x
    wander: np.ndarray


def monitor(y: np.ndarray, x: np.ndarray, trained: int, horizon: int = 288) -> Monitor:
    """Whether a pair is still what its first `trained` bars said, judged after every later bar.

    The calibration fits e = y - hedge_ratio x - intercept by least squares, then the error correction

        e[t] - e[t-1] = c + d x[t-1] + a e[t-1] + b (x[t] - x[t-1]) + lagged changes + noise

    with 0 to 4 lags by AIC. w[t], the error of its forecast of bar t in standard errors, counts the uncertainty of
    every coefficient (recursive residuals), so that neither an estimated ratio nor a wandering x raises an alarm. The
    detector is the largest of three shares of their boundaries:

        drift:  max over windows k of |w[t-k+1] + ... + w[t]| / sqrt(k)                    intercept or ratio jumped
        answer: the same sums of w[t] g(x[t] - x[t-1]), g: change over its sd, at most half, scaled    ratio jumped
        wander: max(0, previous + log(density of bar t if a = c = d = 0 / density as calibrated))

    Bars after the horizon are not looked at. A pair without cointegration at calibration (p > 0.05) is not monitored.

    Parameters
    ----------
    y, x : float arrays, shape (n,), oldest first; n >= trained
    trained : bars of the calibration, >= 100; `holds` from 250 on
    horizon : bars of the session, 1 to 10 x trained and 1,440

    Raises
    ------
    InputError, TooFewObservations
    DegenerateSeries
        In the calibration a leg is constant, the legs are the same, or the spread follows its past without error.

    References
    ----------
    R. L. Brown, J. Durbin and J. M. Evans, Journal of the Royal Statistical Society B 37 (1975); E. S. Page, Biometrika
    41 (1954); C.-S. J. Chu, M. Stinchcombe and H. White, Econometrica 64 (1996). The boundaries are simulated.
    """
    y, x = pair(y, x, max(trained, FEWEST))
    _check(trained, horizon)
    y, x = y[: trained + horizon], x[: trained + horizon]
    legs = series(y[:trained], "y", FEWEST), series(x[:trained], "x", FEWEST)
    evidence = float(both_directions(*legs, trained)[0])
    pvalue = min(1.0, 2 * float(mackinnonp(evidence, regression="c", N=2)))
    slope, spread = _spread(y, x, trained)
    calibrated = pvalue <= LEVEL
    detector, alarm_at, break_at, reason = np.empty(0), None, None, UNRELATED
    if calibrated:
        detector, alarm_at, break_at, reason = _watched(spread, x, trained, boundaries(trained, horizon, evidence))
    return Monitor(
        status="not calibrated" if not calibrated else "steady" if alarm_at is None else "alarm",
        reason=reason,
        calibrated_at=trained - 1,
        pvalue=pvalue,
        hedge_ratio=slope,
        intercept=float(legs[0].mean() - slope * legs[1].mean()),
        detector=detector,
        alarm_at=alarm_at,
        break_at=break_at,
        looks=detector.size,
        horizon=horizon,
        level=LEVEL,
        holds=calibrated and trained >= ENOUGH,
    )


def boundaries(trained: int, horizon: int, evidence: float) -> tuple[float, float, float]:
    """Boundaries of drift, answer and wander, which together a steady pair reaches in about 5 % of sessions at most.

        drift = sqrt(2 ln L + 5.9) + s,  answer = sqrt(2 ln L + 7.1),  wander = 5.9 + 0.8 ln(L / 288) + 6.9 s
        s = clip((5.8 - |evidence|) / 1.3, 0, 1) r / (r + 0.3),  r = L / m

    for m trained bars, L bars of session, and the Engle-Granger statistic of the calibration. A calibration that only
    just passed has probably taken the spread for faster than it is; s is the price of that. Recipe: steady pairs of
    m = 100, 250, 500, 1000, 2000, half-life 1, 2, 5, 10, 20 (50), shocks correlated -0.7, 0, 0.7 with those of x, with
    and without white noise of the size of the shocks on the spread; 1,600 of each that pass the calibration; running
    maxima of the detectors at L = 12 to 1,440. In every such cell with m >= 250 and half-life <= 20 the boundaries are
    crossed by at most 5.2 % at L = 288 and 5.8 % anywhere (3.2 % on average: one boundary has to serve them all). At
    half-life 50 it is 6 to 8 % for m = 250, and 9 % for m = 100; with shocks of Student's t (3) or a volatility that
    doubles, 10 to 13 %.
    """
    ratio = horizon / trained
    slow = min(max((5.8 + evidence) / 1.3, 0.0), 1.0) * ratio / (ratio + 0.3)
    drift, answer = (math.sqrt(2 * math.log(horizon) + room) for room in (5.9, 7.1))
    return drift + slow, answer, 5.9 + 0.8 * math.log(horizon / 288) + 6.9 * slow


def _check(trained: int, horizon: int) -> None:
    if trained < FEWEST:
        raise InputError(f"trained must be >= {FEWEST}, was {trained}", "trained")
    most = min(LONGEST * trained, MOST_BARS)
    if not 1 <= horizon <= most:
        raise InputError(f"horizon must be 1 to {most} after {trained} bars, was {horizon}", "horizon")


def _spread(y: np.ndarray, x: np.ndarray, trained: int) -> tuple[float, np.ndarray]:
    """Slope of the calibration, and what it leaves of all bars."""
    dy, dx = y - y[:trained].mean(), x - x[:trained].mean()
    slope = float(dx[:trained] @ dy[:trained]) / float(dx[:trained] @ dx[:trained])
    return slope, dy - slope * dx


def _watched(
    spread: np.ndarray, x: np.ndarray, trained: int, limits: tuple[float, float, float]
) -> tuple[np.ndarray, int | None, int | None, str]:
    """Detector, bar of the alarm, bar of the break, and the reason."""
    errors = _forecast_errors(spread, x, trained)
    paths = _sided(errors.scaled, WINDOWS), _sided(errors.answer, WINDOWS), _page(errors.wander)
    shares = np.stack([path / limit for path, limit in zip(paths, limits, strict=True)])
    detector = shares.max(axis=0)
    over = np.flatnonzero(detector >= 1)
    if not over.size:
        return detector, None, None, WITHIN
    alarm = int(over[0])
    which = int(np.argmax(shares[:, alarm]))
    sums = errors.scaled, errors.answer
    began = _split(sums[which][: alarm + 1]) if which < len(sums) else _grew(errors.wander[: alarm + 1])
    return detector, trained + alarm, trained + began, BROKEN[which]


def _forecast_errors(spread: np.ndarray, x: np.ndarray, trained: int) -> _Errors:
    """One-bar forecast errors after a fit to the first `trained` bars.

    Raises
    ------
    DegenerateSeries
    """
    spread = spread / spread[:trained].std()
    x = (x - x[:trained].mean()) / x[:trained].std()
    lags = _lags(*_regression(spread[:trained], x[:trained], MOST_LAGS))
    change, columns = _regression(spread, x, lags)
    n = trained - 1 - lags
    q, r = np.linalg.qr(columns[:n])
    if np.abs(np.diag(r)).min() <= 1e-10 * np.abs(np.diag(r)).max():
        raise DegenerateSeries("the changes of the legs do not vary enough for a forecast")
    inverse = np.linalg.inv(r)
    fitted = inverse @ (q.T @ change[:n])
    residual = change[:n] - columns[:n] @ fitted
    variance = float(residual @ residual) / (n - fitted.size)
    if not variance > 1e-20 * float(change[:n] @ change[:n]) / n:
        raise DegenerateSeries("the spread follows its own past without any error")
    residual = residual * math.sqrt(n / (n - fitted.size))
    variances = np.array([_variance_now(part, float(part @ part) / n) for part in (residual, columns[:n, 3])])
    return _Errors(*_recursive(change[n:], columns[n:], fitted, inverse @ inverse.T, variances))


def _regression(spread: np.ndarray, x: np.ndarray, lags: int) -> tuple[np.ndarray, np.ndarray]:
    """Changes of the spread, and what explains them: constant, level of x, level of spread, change of x, lags."""
    change, dx = np.diff(spread), np.diff(x)
    columns = [np.ones(change.size - lags), x[lags:-1], spread[lags:-1], dx[lags:]]
    for lag in range(1, lags + 1):
        columns += [change[lags - lag : change.size - lag], dx[lags - lag : dx.size - lag]]
    return change[lags:], np.column_stack(columns)


def _lags(change: np.ndarray, columns: np.ndarray) -> int:
    """Lags with the least AIC, all judged on one sample: each pair of columns takes its share of the error away."""
    shares = np.cumsum((np.linalg.qr(columns)[0].T @ change) ** 2)
    terms = np.arange(4, columns.shape[1] + 1, 2)
    left = np.maximum(float(change @ change) - shares[terms - 1], np.finfo(float).tiny)
    return int(np.argmin(change.size * np.log(left) + 2 * terms))


@compiled
def _variance_now(values: np.ndarray, variance: float) -> float:
    """Exponentially weighted variance at the end of the calibration, begun at that of all of it."""
    for value in values:
        variance *= 1.0 + MEMORY * (min(CLIP * CLIP, value * value / variance) - 1.0)
    return variance


@compiled
def _clipped(value: float, limit: float) -> float:
    return min(limit, max(-limit, value))


@compiled
def _recursive(
    change: np.ndarray, columns: np.ndarray, fitted: np.ndarray, inverse: np.ndarray, variances: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Recursive residuals in standard errors; the same times the change of x; the log density ratio of a wandering
    spread, which keeps the short-run terms of the calibration. inverse = (X'X)^-1 of the calibration; variances are
    those of the error and of the change of x.
    """
    variance, variance_x = variances
    n, terms = columns.shape
    now, inverse = fitted.copy(), inverse.copy()
    scaled, answer, wander, gain = np.empty(n), np.empty(n), np.empty(n), np.empty(terms)
    for t in range(n):
        row = columns[t]
        widening, error, step_alone = 1.0, change[t], change[t]  # forecast variance over that of the noise
        for i in range(terms):
            gain[i] = 0.0
            for j in range(terms):
                gain[i] += inverse[i, j] * row[j]
            widening += row[i] * gain[i]
            error -= row[i] * now[i]
            if i >= 3:
                step_alone -= row[i] * fitted[i]
        w = error / math.sqrt(variance * widening)
        wander[t] = _clipped(0.5 * (w * w - step_alone * step_alone / variance + math.log(widening)), STEP)
        w, moved = _clipped(w, CLIP), row[3] / math.sqrt(variance_x)
        scaled[t], answer[t] = w, w * _clipped(moved, SMALL) / SMALL_RMS
        for i in range(terms):
            now[i] += gain[i] * w * math.sqrt(variance / widening)
            for j in range(terms):
                inverse[i, j] -= gain[i] * gain[j] / widening
        variance *= 1.0 + MEMORY * (w * w - 1.0)
        variance_x *= 1.0 + MEMORY * (_clipped(moved, CLIP) ** 2 - 1.0)
    return scaled, answer, wander


@compiled
def _sided(errors: np.ndarray, windows: np.ndarray) -> np.ndarray:
    """Largest |sum| / sqrt(bars) of the newest errors, over the windows and all bars of the session."""
    sums = np.zeros(errors.size + 1)
    largest = np.zeros(errors.size)
    for t in range(1, sums.size):
        sums[t] = sums[t - 1] + errors[t - 1]
        if t >= windows[0]:
            largest[t - 1] = abs(sums[t]) / math.sqrt(t)
        for window in windows:
            if window > t:
                break
            largest[t - 1] = max(largest[t - 1], abs(sums[t] - sums[t - window]) / math.sqrt(window))
    return largest


@compiled
def _page(evidence: np.ndarray) -> np.ndarray:
    """Page's cumulative sum, which never falls below zero."""
    total, found = 0.0, np.empty(evidence.size)
    for t in range(evidence.size):
        total = max(0.0, total + evidence[t])
        found[t] = total
    return found


def _split(errors: np.ndarray) -> int:
    """First bar of the newest errors whose |sum| / sqrt(bars) is largest."""
    sums = np.cumsum(errors[::-1])
    share = np.abs(sums) / np.sqrt(np.arange(1, sums.size + 1))
    share[: SHORTEST - 1] = 0
    return errors.size - 1 - int(np.argmax(share))


def _grew(evidence: np.ndarray) -> int:
    """First bar since which Page's cumulative sum has been above zero."""
    zero = np.flatnonzero(_page(evidence) == 0)
    return int(zero[-1]) + 1 if zero.size else 0
