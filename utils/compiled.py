"""Loops compiled to machine code, kept on disk so that only the first start of a version waits for them."""

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit

Kernel = TypeVar("Kernel", bound=Callable[..., Any])


def compiled(kernel: Kernel) -> Kernel:
    """The function compiled at its first call, without the interpreter's lock and without reordered arithmetic.

    The machine code is kept beside the source or in the user's cache; where neither can be written it is made anew
    in each process.
    """
    try:
        return njit(cache=True, nogil=True)(kernel)
    except RuntimeError:  # no folder for the cache
        return njit(nogil=True)(kernel)
