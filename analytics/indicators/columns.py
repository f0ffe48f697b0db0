"""What every indicator asks of its input, said once."""

import math

import numpy as np

from utils.errors import InputError


def column(values: object, name: str) -> np.ndarray:
    """Floats in one dimension, contiguous and writable: the one kind of array that the kernels are compiled for."""
    array = np.atleast_1d(np.asarray(values, np.float64))
    if array.ndim != 1:
        raise InputError(f"{name} must have one dimension, had {array.ndim}", name)
    return np.require(array, None, ["C", "W"])


def columns(**named: object) -> tuple[np.ndarray, ...]:
    """Such arrays, all of one length."""
    arrays = tuple(column(values, name) for name, values in named.items())
    if len({array.size for array in arrays}) > 1:
        sizes = ", ".join(str(array.size) for array in arrays)
        raise InputError(f"{', '.join(named)} must have one length, had {sizes}", next(iter(named)))
    return arrays


def checked(window: int, least: int = 1, name: str = "window") -> int:
    """A number of bars that is enough."""
    if window < least:
        raise InputError(f"{name} must be >= {least}, was {window}", name)
    return int(window)


def last(values: np.ndarray, otherwise: float = math.nan) -> float:
    """The newest value; `otherwise` where there is none."""
    return float(values[-1]) if values.size else otherwise
