"""What every test starts from: no setting of the developer's own reaches it, and no engine of another test."""

import socket
from pathlib import Path

import pytest
from hypothesis import settings

import config
import engine

# The same examples in every run, and none fails for the time that it takes: the first call of a kernel compiles it.
settings.register_profile("pairscope", deadline=None, derandomize=True)
settings.load_profile("pairscope")

FOLDER = Path(__file__).parent
# Files that take minutes: begun first, so that no process is left with one when the others have nothing to do.
SLOWEST_FIRST = ("bench", "dashboard/test_browser", "chaos", "calibrate", "alerts", "analytics/test_scanner", "test_")


def pytest_collection_modifyitems(items):
    """The slow files first, the others as they are."""
    items.sort(key=lambda item: _turn(item.path.relative_to(FOLDER).as_posix()))


def _turn(path: str) -> int:
    return next((turn for turn, slow in enumerate(SLOWEST_FIRST) if path.startswith(slow)), len(SLOWEST_FIRST))


@pytest.fixture(autouse=True)
def clean_settings(monkeypatch, tmp_path):
    """Neither PAIRSCOPE_ variables nor a .env file of this machine are read."""
    for name in config.Settings.model_fields:
        monkeypatch.delenv(f"PAIRSCOPE_{name.upper()}", raising=False)
    monkeypatch.setitem(config.Settings.model_config, "env_file", tmp_path / ".env")


@pytest.fixture(autouse=True)
def no_engine_left():
    """The engine that a test installs is gone after it."""
    yield
    engine.install(None)


@pytest.fixture
def unused_port():
    """A port of this machine at which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]
