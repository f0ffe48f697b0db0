"""The engine of this process."""

from engine.engine import Engine
from utils.errors import PairscopeError

_current: Engine | None = None


def install(engine: Engine | None) -> None:
    """Make this the engine of the process; None takes it away."""
    global _current
    _current = engine


def current() -> Engine:
    """The engine of the process.

    Raises
    ------
    PairscopeError
        None has been installed.
    """
    if _current is None:
        raise PairscopeError("the engine has not started")
    return _current
