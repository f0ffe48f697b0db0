"""The first start compiles every kernel, so that no reader of a page waits for one."""

import importlib
import pkgutil
import subprocess
import sys
from collections.abc import Iterator

import analytics
from config import ROOT

NOT_REACHED = "from tests.analytics.test_warm import not_reached; print(*not_reached())"


def kernels() -> Iterator[tuple[str, object]]:
    """Name and dispatcher of each compiled function of the package."""
    for found in pkgutil.walk_packages(analytics.__path__, "analytics."):
        for name, value in vars(importlib.import_module(found.name)).items():
            if hasattr(value, "py_func") and value.py_func.__module__ == found.name:
                yield f"{found.name}.{name}", value


def not_reached() -> list[str]:
    """Kernels that the warm-up neither called nor reached through one that it called.

    A kernel that came from the disk does not load those that it was compiled with, so these are told by name.
    """
    importlib.import_module("analytics.warm").warm()
    known = dict(kernels())
    by_identity = {id(kernel): name for name, kernel in known.items()}
    reached, waiting = set(), [name for name, kernel in known.items() if kernel.signatures]
    while waiting:
        name = waiting.pop()
        reached.add(name)
        called = known[name].py_func
        inner = (id(called.__globals__.get(each)) for each in called.__code__.co_names)
        waiting += [by_identity[each] for each in inner if each in by_identity and by_identity[each] not in reached]
    return sorted(known.keys() - reached)


def test_the_first_start_compiles_every_kernel():
    command = [sys.executable, "-c", NOT_REACHED]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300, check=True)
    assert done.stdout.split() == []
