"""What runs: Pairscope, Python, SQLite and the libraries that its numbers and pages rest on."""

import platform
import re
import sqlite3
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

CHANGELOG = Path(__file__).resolve().parents[1] / "CHANGELOG.md"
LIBRARIES = ("streamlit", "plotly", "numpy", "pandas", "numba", "scipy", "statsmodels", "arch", "pyarrow", "fastapi")


@lru_cache(1)
def versions() -> dict[str, str]:
    """Names and versions, Pairscope's own first."""
    own = {"pairscope": pairscope_version(), "python": platform.python_version(), "sqlite": sqlite3.sqlite_version}
    return own | {name: version(name) for name in LIBRARIES}


@lru_cache(1)
def pairscope_version() -> str:
    """The newest version that the change log tells of."""
    return next(iter(re.findall(r"^## (\S+)", CHANGELOG.read_text("utf-8"), re.MULTILINE)), "unknown")
