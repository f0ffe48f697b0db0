"""What every measure asks of its columns, said once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from analytics.resampling import Tape
from utils.errors import InputError


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Columns of some trades."""

    trade_id: np.ndarray
    ts_us: np.ndarray
    price: np.ndarray
    qty: np.ndarray
    buyer_is_maker: np.ndarray

    @classmethod
    def of(cls, trades: Tape, rows: np.ndarray) -> Self:
        """Some rows of a tape."""
        return cls(*(np.asarray(getattr(trades, name))[rows] for name in cls.__slots__))

    @classmethod
    def joined(cls, tapes: Sequence[Tape]) -> Self:
        """The rows of several tapes, one after the other."""
        return cls(*(np.concatenate([getattr(tape, name) for tape in tapes]) for name in cls.__slots__))


def positive(values: object, name: str) -> np.ndarray:
    """Floats in one dimension, finite and > 0; none at all is no fault.

    Raises
    ------
    InputError
        Its index is named.
    """
    array = np.ascontiguousarray(one_dimension(values, name), np.float64)
    if array.size and not (array.min() > 0 and array.max() < np.inf):
        at = np.flatnonzero(~((array > 0) & (array < np.inf)))[0]
        raise InputError(f"{name} must be finite and > 0, was {array[at]:g} at index {at}", name)
    return array


def flags(values: object, name: str = "buyer_is_maker") -> np.ndarray:
    """Truths in one dimension, from booleans or from 0 and 1.

    Raises
    ------
    InputError
    """
    array = one_dimension(values, name)
    if array.size == 0 or array.dtype.kind == "b":
        return array.astype(np.bool_, copy=False)
    if array.dtype.kind not in "iu" or array.min() < 0 or array.max() > 1:
        raise InputError(f"{name} must hold booleans, or 0 and 1", name)
    return array.astype(np.bool_)


def times(values: object, name: str = "ts_us") -> np.ndarray:
    """Microseconds in one dimension, whole and not decreasing.

    Raises
    ------
    InputError
    """
    array = one_dimension(values, name)
    if array.size and array.dtype.kind not in "iu":
        raise InputError(f"{name} must hold whole microseconds, held {array.dtype}", name)
    array = np.ascontiguousarray(array, np.int64)
    back = array[1:] < array[:-1]
    if back.any():
        raise InputError(f"{name} must not step back, does at index {int(back.argmax()) + 1}", name)
    return array


def same_length(**columns: np.ndarray) -> None:
    """Nothing, where the columns are of one length.

    Raises
    ------
    InputError
    """
    if len({column.size for column in columns.values()}) > 1:
        sizes = ", ".join(str(column.size) for column in columns.values())
        raise InputError(f"{', '.join(columns)} must have one length, had {sizes}", next(iter(columns)))


def one_dimension(values: object, name: str) -> np.ndarray:
    """The values as an array of one dimension.

    Raises
    ------
    InputError
    """
    array = np.asarray(values)
    if array.ndim != 1:
        raise InputError(f"{name} must have one dimension, had {array.ndim}", name)
    return array
