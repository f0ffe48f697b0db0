"""A real engine on a scripted feed, and a pair of prices to print through it."""

from typing import Any

import numpy as np

from config import Settings
from data.feeds.feed import Feed
from engine import Engine
from tests.fakes.feed import T0, ScriptedFeed


class ScriptedEngine(Engine):
    """An engine whose feed is held by the test."""

    def __init__(self, settings: Settings, venue: str = "demo") -> None:
        super().__init__(settings)
        self.scripted = ScriptedFeed(venue)

    def _feed(self, market: str) -> Feed:
        return self.scripted


def settings(folder: Any, **options: Any) -> Settings:
    """Settings of a test: the demo market, into a file of its own."""
    return Settings(**{"database": folder / "tape.db", "source": "demo", **options})


def walk(n: int, seed: int, start: float) -> np.ndarray:
    """A random walk of prices with cents, away from zero."""
    return np.round(start + np.random.default_rng(seed).standard_normal(n).cumsum(), 2)


def print_pair(engine: ScriptedEngine, n: int, first_id: int = 1, at_us: int = T0) -> None:
    """Print n seconds of two legs that belong together."""
    x = walk(n, 1, 60_000.0)
    engine.scripted.print("BTCUSDT", x, first_id, at_us)
    engine.scripted.print("ETHUSDT", np.round(0.04 * x + 100 + walk(n, 2, 10.0) / 10, 2), first_id, at_us)


class StillEngine(ScriptedEngine):
    """A scripted engine without an evaluator thread: rules are judged when the test says so."""

    def start(self) -> None:
        self._open("demo")
        self.alerts.load()
        self._evaluator.take_up(anew=False)
        self.notifier.start()

    def judge(self, at_us: int | None = None) -> None:
        """One round of the evaluator, at a market time."""
        self.scripted.clock_us = self.scripted.clock_us if at_us is None else at_us
        self.session.housekeep()
        self._evaluator._judged_second, self._evaluator._judged_s = -1, -1e9
        self._evaluator._evaluate()
