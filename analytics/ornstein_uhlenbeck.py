"""A spread as an Ornstein-Uhlenbeck process, ds = theta (mean - s) dt + sigma dW, and the time that it takes back."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import erfcx

from analytics.checks import series
from analytics.mean_reversion import MIN_OBS, HalfLife
from utils.errors import DegenerateSeries, InputError

# How far, in standard deviations of one step, a walk without drift lies beyond a level that a step first shows it to
# have passed: -zeta(1/2) / sqrt(2 pi). A drift of d a step adds d / 4; the variance of that distance is 1/4 of a step.
OVERSHOOT = 0.5825971579390106
NODES, WEIGHTS = np.polynomial.legendre.leggauss(48)


@dataclass(frozen=True, slots=True)
class OrnsteinUhlenbeck:
    """A fitted process, with standard errors; one bar is the unit of time."""

    theta: float  # speed of reversion, per bar; the half-life is ln 2 / theta
    mean: float  # price units of y
    sigma: float  # price units of y per square root of a bar
    std: float  # stationary standard deviation, sigma / sqrt(2 theta)
    theta_stderr: float
    mean_stderr: float
    sigma_stderr: float
    std_stderr: float
    phi: float  # exp(-theta), the autocorrelation of neighbouring bars
    n_obs: int

    def zscore(self, value: float) -> float:
        """(value - mean) / std: the distance to the mean in stationary standard deviations."""
        return (value - self.mean) / self.std


@dataclass(frozen=True, slots=True)
class ExitTime:
    """Expected bars until the exit; low and high are the same expectation at the ends of the half-life's interval."""

    bars: float
    low: float
    high: float  # inf where the half-life may be infinite


def ornstein_uhlenbeck(spread: np.ndarray, phi: float | None = None) -> OrnsteinUhlenbeck:
    """Speed, mean and volatility of a reverting spread, by its exact discrete form.

    s[t] = a + phi s[t-1] + e, by least squares (the likelihood given the first bar): theta = -ln phi,
    mean = a / (1 - phi), std = sd(e) / sqrt(1 - phi^2), sigma = std sqrt(2 theta). Standard errors by the delta method.

    Parameters
    ----------
    spread : float array, shape (n,), oldest first, n >= 20
    phi : to be used in place of the least-squares one, which is too small in small samples: `half_life(...).phi`

    Raises
    ------
    DegenerateSeries
        Also where phi is not between 0 and 1: such a spread has no such process.
    InputError, TooFewObservations
    """
    values = series(spread, "spread", MIN_OBS)
    start, values = float(values[0]), values - values[0]
    before, after = float(values[:-1].mean()), float(values[1:].mean())
    level, then, n = values[:-1] - before, values[1:] - after, values.size - 1
    square = float(level @ level)
    phi = _reverting(float(level @ then) / square if phi is None else phi)
    variance = float(np.sum((then - phi * level) ** 2)) / n
    if variance == 0:
        raise DegenerateSeries("the spread moves without chance: it has no volatility")
    mean = (after - phi * before) / (1 - phi)
    phi_stderr = math.sqrt(variance / square)
    theta, std = -math.log(phi), math.sqrt(variance / (1 - phi * phi))
    sigma = std * math.sqrt(2 * theta)
    by_std = phi / (1 - phi * phi)  # d ln(std) / d phi
    by_sigma = by_std - 1 / (2 * phi * theta)
    return OrnsteinUhlenbeck(
        theta=theta,
        mean=start + mean,
        sigma=sigma,
        std=std,
        theta_stderr=phi_stderr / phi,
        mean_stderr=math.sqrt(variance / n + ((mean - before) * phi_stderr) ** 2) / (1 - phi),
        sigma_stderr=sigma * math.hypot(by_sigma * phi_stderr, math.sqrt(0.5 / n)),
        std_stderr=std * math.hypot(by_std * phi_stderr, math.sqrt(0.5 / n)),
        phi=phi,
        n_obs=values.size,
    )


def exit_bars(z: float, exit_z: float, theta: float, continuous: bool = False) -> float:
    """Expected bars until a process at z stationary standard deviations first stands at exit_z or nearer the mean.

    sqrt(pi / 2) / theta * integral from exit_z to |z| of erfcx(u / sqrt 2) du, the mean first-passage time. A spread
    that is looked at once a bar is first seen there some way beyond: the level is moved by `overshoot`, its variance
    enters at second order, and the answer is one bar or more. Against the exact integral equation that is within 2 %
    from a half-life of 5 bars on for |z| >= 2 and exits to 1, and too short by 5 % at 2 bars, by 15 % at one.

    Parameters
    ----------
    z : of either sign
    exit_z : on the side of z; below 0 beyond the mean
    theta : per bar; 0 never reverts
    continuous : watched at every instant rather than at the close of bars

    Raises
    ------
    InputError

    References
    ----------
    L. M. Ricciardi and S. Sato, Journal of Applied Probability 25 (1988); the move of the level is that of D. Siegmund
    (Advances in Applied Probability 11, 1979) and M. Broadie, P. Glasserman and S. Kou, Mathematical Finance 7 (1997).
    """
    if not theta >= 0:
        raise InputError(f"theta must be >= 0, was {theta:g}", "theta")
    if not (math.isfinite(z) and math.isfinite(exit_z)):
        raise InputError(f"z and exit_z must be finite, were {z:g} and {exit_z:g}", "z")
    z = abs(z)
    if z <= exit_z:
        return 0.0
    if theta == 0:
        return math.inf
    if continuous:
        return _passage(exit_z, z) / theta
    level = exit_z - overshoot(theta, exit_z)
    scatter = (1 - level * _slowness(level)) * step_variance(theta) / 8
    return max(1.0, (_passage(level, z) + scatter) / theta)


def expected_exit(z: float, exit_z: float, life: HalfLife) -> ExitTime:
    """Expected bars until the exit, with what the uncertainty of the half-life makes of it.

    The uncertainty of the expectation only: a single exit may take three times as long by chance.

    Parameters
    ----------
    z : in stationary standard deviations, `OrnsteinUhlenbeck.zscore`
    exit_z : on the side of z

    Raises
    ------
    InputError
    """
    return ExitTime(*(exit_bars(z, exit_z, _theta(bars)) for bars in (life.bars, life.low, life.high)))


def step_variance(theta: float) -> float:
    """1 - phi^2: the variance of one bar's chance, in stationary variances."""
    return -math.expm1(-2 * theta)


def overshoot(theta: float, drift_level: float) -> float:
    """How far beyond a level, in stationary standard deviations, a spread is when a close first shows it there.

    `drift_level` is the level where the mean draws the spread across it, its negative where the mean holds it back.
    """
    return OVERSHOOT * math.sqrt(step_variance(theta)) - drift_level * math.expm1(-theta) / 4


def _passage(low: float, high: float) -> float:
    """Mean time from high down to low in units of 1 / theta; Gauss-Legendre, the integrand is smooth."""
    half = (high - low) / 2
    return half * float(WEIGHTS @ _slowness(low + half * (1 + NODES)))


def _slowness(z: Any) -> Any:
    """Mean time that a unit of way towards the mean takes at z, in units of 1 / theta."""
    return math.sqrt(math.pi / 2) * erfcx(z / math.sqrt(2))


def _theta(half_life_bars: float) -> float:
    return math.inf if half_life_bars == 0 else math.log(2) / half_life_bars


def _reverting(phi: float) -> float:
    if phi >= 1:
        raise DegenerateSeries(f"the spread does not revert: phi must be below 1, was {phi:.4g}")
    if not phi > 0:
        raise DegenerateSeries(f"the spread turns round within one bar: phi must be above 0, was {phi:.4g}")
    return phi
