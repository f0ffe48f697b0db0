"""What tests that need a browser share."""

import os

import pytest

from tests.chromium import CHROMIUM, chromium

__all__ = ["CHROMIUM", "chromium", "needs_browser"]

# In continuous integration a missing browser is a failure, not a reason to skip.
needs_browser = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None and not os.environ.get("CI"), reason="no Chromium on this machine"),
]
