"""A steady load: no trade and no alert is lost, memory does not grow, what comes is soon readable and on disk."""

import json
import random
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil

from data.alert_rows import read_alert_history
from tests.chaos.proof import first_ids, reading, stored_all
from tests.chaos.subject import SEED, SYMBOLS, capture, finish, folder, live, unbalanced
from tests.fakes.exchange import FakeExchange
from tests.fakes.tape import Ledger
from tests.running import Running
from tests.table import Row, Size, at_most, equal, shown, soon
from utils.clock import US_PER_S, now_us

NAME = "sustained"
HELD = 50_000  # trades kept in memory for each symbol: soon as many as there ever will be
SETTLED = 0.4  # share of the time after which memory counts
PROBE_S = 0.05  # mean pause between two looks at what is readable and on disk
READABLE_MS, ON_DISK_MS = 100.0, 1_000.0
GROWTH_MB_MIN = 0.5
CPU = {1_000: 50.0, 5_000: 100.0}  # % of a core, by trades a second


def sustained(size: Size) -> Iterator[Row]:
    """1,000 trades a second, then 5,000; by hand for hours at 1,000."""
    if size.hours:
        yield from _sustained(1_000, size.hours * 3_600)
    else:
        yield from _sustained(1_000, size.pick(10, 1_200))
        if not size.short:
            yield from _sustained(5_000, 300)


class Probe(threading.Thread):
    """Looks at random moments how old the newest trade is that the API gives, and that is on disk."""

    def __init__(self, app: Running, exchange: FakeExchange, database: Path) -> None:
        super().__init__(name="probe", daemon=True)
        self.readable_ms: list[float] = []
        self.on_disk_ms: list[float] = []
        self.memory: list[tuple[float, float]] = []  # monotonic seconds, MB
        self.unbalanced = 0
        self.over = threading.Event()
        self._app, self._exchange, self._database = app, exchange, database
        self._process = psutil.Process(app.process.pid)

    def run(self) -> None:
        moments = random.Random(SEED)
        looked = 0
        while not self.over.wait(moments.expovariate(1 / PROBE_S)):
            symbol = moments.choice(SYMBOLS)
            row = self._app.get(f"/api/v1/ticks/{symbol}?limit=1")[0]
            self.readable_ms.append((now_us() - row["ts_us"]) / 1_000)
            self._look_on_disk(symbol)
            if looked % 20 == 0:
                self.memory.append((time.monotonic(), self._process.memory_info().rss / 1e6))
                self.unbalanced += bool(unbalanced(self._app.status()))
            looked += 1

    def _look_on_disk(self, symbol: str) -> None:
        newest = "select max(trade_id) from trade join instrument using (instrument) where symbol = ?"
        with reading(self._database) as file:
            (trade_id,) = file.execute(newest, (symbol,)).fetchone()
        ledger = self._exchange.tape.trades[symbol]
        if trade_id is not None:
            self.on_disk_ms.append((now_us() - ledger.times[trade_id - ledger.first_id]) / 1_000)

    def growth_mb_min(self) -> float:
        """Slope of the memory once it has settled; NaN where there is too little to see one."""
        at_s, megabytes = np.array(self.memory).T
        settled = at_s > at_s[0] + SETTLED * (at_s[-1] - at_s[0])
        if settled.sum() < 3:
            return float("nan")
        return float(np.polyfit(at_s[settled] / 60, megabytes[settled], 1)[0])


def add_rule(app: Running, threshold: float) -> None:
    """A rule that fires again and again: the volume of a second rises above its mean."""
    rule = {"metric": "volume", "condition": ">", "threshold": threshold, "symbol_y": SYMBOLS[0], "symbol_x": ""}
    body = json.dumps(rule | {"timeframe": "1s", "cooldown_s": 0}).encode()
    ask = urllib.request.Request(f"{app.url}/api/v1/alerts", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(ask, timeout=10) as answer:
        assert answer.status == 201


def fired_at(database: Path) -> list[int]:
    """When the rule fired, by its history: the closes of these bars, microseconds, oldest first."""
    return [row["at_us"] for row in read_alert_history(database, 1_000_000, state="firing")][::-1]


def due_at(ledger: Ledger, threshold: float, first_us: int, last_us: int) -> list[int]:
    """When it had to, by what the exchange printed, in a span that begins after the first bar it was judged on."""
    printed = ledger.columns()
    seconds = printed.ts_us // US_PER_S
    began = int(seconds[0])
    above = np.bincount(seconds - began, printed.qty) > threshold
    closes_us = (began + 1 + np.flatnonzero(above & ~np.roll(above, 1))) * US_PER_S
    return closes_us[(closes_us >= first_us) & (closes_us <= last_us)].tolist()


def _sustained(rate: int, seconds: float) -> Iterator[Row]:
    name = f"{NAME}-{rate}"
    with FakeExchange(symbols=SYMBOLS, seed=SEED, rate=rate) as exchange, folder() as path:
        database = path / "tape.db"
        with capture(exchange, database, buffer=HELD) as app:
            live(app)
            ledger = exchange.tape.trades[SYMBOLS[0]]
            threshold = float(np.mean(ledger.columns().qty)) * rate / len(SYMBOLS)
            add_rule(app, threshold)
            probe, process = Probe(app, exchange, database), psutil.Process(app.process.pid)
            used_s, began_s = _cpu_s(process), time.monotonic()
            probe.start()
            time.sleep(seconds)  # the length is the test
            share = 100 * (_cpu_s(process) - used_s) / (time.monotonic() - began_s)
            probe.over.set()
            probe.join()
            status = app.status()
            gaps = app.get("/api/v1/gaps")
            finish(app, exchange)
        found = stored_all(database, list(exchange.tape.trades.values()), first_ids(database))
        began, *fired = fired_at(database) or [0]  # at first the rule did not know the bar before
        due = due_at(ledger, threshold, began + 1, fired[-1] if fired else began)
        megabytes = database.stat().st_size / 1e6
    yield shown(name, "length", f"{seconds / 60:.3g} min, {found.rows:,} trades, {megabytes:.3g} MB on disk")
    yield equal(name, "lost", 0, found.missed)
    yield equal(name, "stored twice, or with other values", 0, found.repeated + found.invented)
    yield equal(name, f"of {len(due):,} alerts, missed", 0, len(set(due) - set(fired)))
    yield equal(name, "alerts twice, or without a reason", 0, len(fired) - len(set(fired) & set(due)))
    yield equal(name, "gaps", 0, len(gaps))
    yield equal(name, "reconnects", 0, status["reconnects"])
    yield equal(name, f"of {len(probe.memory)} status reads, books that do not add up", 0, probe.unbalanced)
    for what, taken, most in (
        ("readable", probe.readable_ms, READABLE_MS),
        ("on disk", probe.on_disk_ms, ON_DISK_MS),
    ):
        for rank in (50, 99):
            at_ms = float(np.percentile(taken, rank))
            yield soon(name, f"made to {what}, p{rank} of {len(taken):,}", most, at_ms, "ms")
    growth = f"memory, of {probe.memory[-1][1]:.0f} MB, grows"
    if seconds < 600:
        yield shown(name, growth, f"{probe.growth_mb_min():.3g} MB a minute: too short to judge")
    else:
        yield at_most(name, growth, GROWTH_MB_MIN, probe.growth_mb_min(), "MB a minute")
    yield at_most(name, "processor, the looks included", CPU[rate], share, "% of a core")


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
