"""Loops compiled to machine code, kept on disk so that only the first start of a version waits for them."""

import hashlib
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

from numba import njit
from numba.core import caching, config

ROOT = Path(__file__).parents[1]
SETTINGS: Any = config  # whose names are made at run time
IMPORT = re.compile(r"^(?:from ([\w.]+) import (\([^)]*\)|.*)|import ([\w.]+))", re.MULTILINE)

Given = ParamSpec("Given")
Result = TypeVar("Result")


def compiled(kernel: Callable[Given, Result]) -> Callable[Given, Result]:
    """The function compiled at its first call, without the interpreter's lock and without reordered arithmetic.

    The machine code is kept beside the source or in the user's cache, as long as neither the function's module nor any
    of ours that it imports changes; where neither can be written it is made anew in each process.
    """
    return _compiled(kernel)


def inlined(kernel: Callable[Given, Result]) -> Callable[Given, Result]:
    """A `compiled` function whose code is put where it is called.

    For a short stretch of work that takes many arrays: to hand over each of them costs a call eight values.
    """
    return _compiled(kernel, forceinline=True)


def stamp(path: Path) -> str:
    """Digest of the module and of all modules of the project that it imports, directly or not.

    Machine code holds the constants of other modules and the functions it calls there; the library, left alone, looks
    at the module itself and would go on with what these were in the version before.
    """
    found: dict[Path, None] = {}
    waiting = [path]
    while waiting:
        module = waiting.pop()
        if module not in found:
            found[module] = None
            waiting += _read(module)[1]
    return hashlib.sha256(b"".join(_read(module)[0] for module in sorted(found))).hexdigest()


class _Stamped:
    """Of a place for machine code: what the code was made of."""

    _py_file: str

    def get_source_stamp(self) -> str:
        """Ours in place of the library's."""
        return stamp(Path(self._py_file))


class InGivenFolder(_Stamped, caching.UserProvidedCacheLocator):
    """Under NUMBA_CACHE_DIR."""


class BesideSource(_Stamped, caching.InTreeCacheLocator):
    """In __pycache__."""


class InUserFolder(_Stamped, caching.UserWideCacheLocator):
    """In the user's cache."""


PLACES = ",".join(f"{place.__module__}.{place.__name__}" for place in (InGivenFolder, BesideSource, InUserFolder))


def _compiled(kernel: Callable[Given, Result], **options: Any) -> Callable[Given, Result]:
    usual, SETTINGS.CACHE_LOCATOR_CLASSES = SETTINGS.CACHE_LOCATOR_CLASSES, PLACES
    try:
        return cast(Callable[Given, Result], njit(cache=True, nogil=True, **options)(kernel))
    except RuntimeError:  # no folder for the cache
        return cast(Callable[Given, Result], njit(nogil=True, **options)(kernel))
    finally:
        SETTINGS.CACHE_LOCATOR_CLASSES = usual


@cache
def _read(module: Path) -> tuple[bytes, tuple[Path, ...]]:
    """Digest of a file, and the modules of the project that it imports."""
    source = module.read_bytes()
    names: list[str] = []
    for package, parts, whole in IMPORT.findall(source.decode()):
        names += [package, *(f"{package}.{part}" for part in re.findall(r"\w+", parts))] if package else [whole]
    places = [ROOT.joinpath(*name.split(".")) for name in names]
    files = [file for place in places for file in (place.with_suffix(".py"), place / "__init__.py")]
    return hashlib.sha256(source).digest(), tuple(file for file in files if file.is_file())
