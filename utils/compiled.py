"""Loops compiled to machine code, kept on disk so that only the first start of a version waits for them."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

from numba import njit

Given = ParamSpec("Given")
Result = TypeVar("Result")


def compiled(kernel: Callable[Given, Result]) -> Callable[Given, Result]:
    """The function compiled at its first call, without the interpreter's lock and without reordered arithmetic.

    The machine code is kept beside the source or in the user's cache; where neither can be written it is made anew
    in each process.
    """
    try:
        return cast(Callable[Given, Result], njit(cache=True, nogil=True)(kernel))
    except RuntimeError:  # no folder for the cache
        return cast(Callable[Given, Result], njit(nogil=True)(kernel))
