"""What every estimator asks of its input, said once."""

import numpy as np

from utils.errors import DegenerateSeries, InputError, TooFewObservations


def series(values: object, name: str, need: int) -> np.ndarray:
    """A float array of finite values that vary.

    Raises
    ------
    InputError
        Not one-dimensional, or a value is not finite; its index is named.
    TooFewObservations, DegenerateSeries
    """
    array = np.asarray(values, np.float64)
    if array.ndim != 1:
        raise InputError(f"{name} must have one dimension, had {array.ndim}", name)
    bad = np.flatnonzero(~np.isfinite(array))
    if bad.size:
        raise InputError(f"{name} must be finite, was {array[bad[0]]} at index {bad[0]}", name)
    if array.size < need:
        raise TooFewObservations(have=array.size, need=need, what="observations")
    if np.ptp(array) == 0:
        raise DegenerateSeries(f"{name} is constant at {array[0]:g}")
    return array


def pair(y: object, x: object, need: int) -> tuple[np.ndarray, np.ndarray]:
    """Two such arrays of one length.

    Raises
    ------
    InputError, TooFewObservations, DegenerateSeries
    """
    y, x = series(y, "y", need), series(x, "x", need)
    if y.size != x.size:
        raise InputError(f"y and x must have one length, had {y.size} and {x.size}", "x")
    return y, x
