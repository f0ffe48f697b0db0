"""The states of a market that every page has to show, as changes to a fake engine."""

from collections.abc import Callable

from tests.dashboard.fake_engine import START_US, FakeEngine, symbol_status

BARS = 1_190  # the drawn part of the charts does not move on for a while


def live(engine: FakeEngine) -> None:
    """All is well; also what every other state begins from."""
    engine.bars_held, engine.failing = BARS, False
    engine.mode, engine.detail, engine.retry_in_s = "LIVE", "", None
    engine.replay = engine.storage_error = engine.storage_note = None
    engine.source = "auto"
    engine.rows = {symbol: symbol_status() for symbol in engine.symbols}


def collecting(engine: FakeEngine) -> None:
    """Nothing was traded yet."""
    engine.bars_held = 0


def stale(engine: FakeEngine) -> None:
    """One leg is silent."""
    engine.mode, engine.detail = "STALE", "no trade for a while: ETHUSDT"
    engine.rows["ETHUSDT"] = symbol_status(stale=True, last_trade_age_s=34.0)


def blocked(engine: FakeEngine) -> None:
    """The exchange refuses."""
    engine.mode, engine.detail, engine.retry_in_s = "BLOCKED", "the exchange refuses this place (451)", 290.0


def demo(engine: FakeEngine) -> None:
    """The exchange is out of reach, the demo market is shown."""
    engine.mode, engine.detail, engine.retry_in_s = "DEMO", "name not resolved", 42.0


def replay(engine: FakeEngine) -> None:
    """A recording."""
    engine.mode, engine.source = "REPLAY", "replay"
    engine.replay = {"speed": 20.0, "bytes_read": 50, "bytes_total": 100, "last_us": None}
    engine.replay |= {"position_us": START_US + 60_000_000, "first_us": START_US, "share": 0.5, "paused": False}


def memory_only(engine: FakeEngine) -> None:
    """The disk is full."""
    engine.mode, engine.storage_error = "MEMORY-ONLY", "database or disk is full"


def error(engine: FakeEngine) -> None:
    """A bug in what panels read."""
    engine.failing = True


STATES: dict[str, Callable[[FakeEngine], None]] = {
    "live": live,
    "collecting": collecting,
    "stale": stale,
    "blocked": blocked,
    "demo": demo,
    "replay": replay,
    "memory-only": memory_only,
    "error": error,
}


def put(engine: FakeEngine, name: str) -> None:
    """Bring an engine into a state, from whatever it was in."""
    live(engine)
    STATES[name](engine)
