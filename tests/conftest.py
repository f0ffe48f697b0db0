"""What every test starts from: no setting of the developer's own reaches it, and no engine of another test."""

import socket

import pytest
from hypothesis import settings

import config
import engine

# The same examples in every run, and none fails for the time that it takes: the first call of a kernel compiles it.
settings.register_profile("pairscope", deadline=None, derandomize=True)
settings.load_profile("pairscope")


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
