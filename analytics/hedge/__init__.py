"""Hedge ratios: how many units of x offset one unit of y.

fit            HedgeFit, the line with its uncertainty, and the 95 % interval that is shown
serial         what serial correlation of the errors does to that interval
least_squares  ols, tls
robust         huber, theil_sen
selection      order statistics inside compiled loops
slopes         order statistics of the slopes between all pairs of points
cointegrating  dols, fmols
state_space    kalman: filter, noise by likelihood, consistency, live step
rolling        the same methods as paths over the bars
"""

from analytics.hedge.cointegrating import dols, fmols
from analytics.hedge.fit import MIN_OBS, HedgeFit
from analytics.hedge.least_squares import hac_lags, ols, tls
from analytics.hedge.robust import huber, theil_sen
from analytics.hedge.rolling import RatioPath, ewm_ols, rolling_huber, rolling_kalman, rolling_theil_sen, rolling_tls
from analytics.hedge.state_space import (
    KalmanNoise,
    KalmanPath,
    KalmanState,
    kalman,
    kalman_noise,
    kalman_path,
    kalman_step,
)

__all__ = [
    "MIN_OBS",
    "HedgeFit",
    "KalmanNoise",
    "KalmanPath",
    "KalmanState",
    "RatioPath",
    "dols",
    "ewm_ols",
    "fmols",
    "hac_lags",
    "huber",
    "kalman",
    "kalman_noise",
    "kalman_path",
    "kalman_step",
    "ols",
    "rolling_huber",
    "rolling_kalman",
    "rolling_theil_sen",
    "rolling_tls",
    "theil_sen",
    "tls",
]
