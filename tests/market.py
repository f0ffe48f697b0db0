"""The recorded market data that some tests read; it lies beside the repository and is never copied into it."""

from pathlib import Path

import pytest

MARKET = Path(__file__).resolve().parents[2] / "shared" / "market"


def market(name: str) -> Path:
    """The path of one recording; the test is skipped, with the reason, where it is absent."""
    path = MARKET / name
    if not path.is_file():
        pytest.skip(f"recorded market data is not on this machine: {name}")
    return path
