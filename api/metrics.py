"""`GET /metrics`: the figures of the System page for Prometheus, read from the engine at each scrape.

It follows the rule of `/healthz`: no token. Both only tell how the capture stands, change nothing, and are asked by
machines that watch from outside; no price, rule, setting or secret is among the figures. The names of the symbols
followed are: whoever listens on other than loopback and minds that puts a proxy in front.
"""

from collections.abc import Iterator, Mapping

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response

from engine import Engine, System, current
from utils.delays import BOUNDS_S, PER_DECADE, Delays
from utils.errors import PairscopeError

BUCKETS = range(0, len(BOUNDS_S), PER_DECADE // 2)  # of a histogram as it is exported: each a factor of 3.2 wide
COUNTS = {  # fields of a symbol that only grow -> what they count
    "received": "Trades that arrived",
    "stored": "Trades that are new in the database",
    "deduped": "Trades that were there already",
    "gaps_filled": "Gaps that were repaired",
}
REASONS = {"rejected": "Trades that were refused", "dropped": "Trades that could not be kept"}


def metrics(request: Request) -> Response:
    """The figures as text, or 503 while there is no engine."""
    try:
        body = exposition(current())
    except PairscopeError as exc:
        return Response(f"# {exc}\n", 503, media_type="text/plain")
    return Response(body, media_type=CONTENT_TYPE_LATEST, headers={"Cache-Control": "no-store"})


def exposition(engine: Engine) -> bytes:
    """The figures of one moment."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(_EngineCollector(engine))
    return bytes(generate_latest(registry))


class _EngineCollector(Collector):
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def collect(self) -> Iterator[Metric]:
        """Every figure; those that do not exist now are left out."""
        system = self._engine.system()
        yield _info(system)
        yield from _symbols(system)
        yield from _process(system)
        for name, delays in self._engine.delays().items():
            yield _histogram(name, delays)


def _info(system: System) -> Metric:
    status = system.status
    about = {**system.versions, "source": status.source, "venue": status.venue, "schema": str(status.schema_version)}
    return InfoMetricFamily("pairscope", "Versions, and where trades come from", value=about)


def _symbols(system: System) -> Iterator[Metric]:
    rows = system.status.symbols
    for field, text in COUNTS.items():
        family = CounterMetricFamily(f"pairscope_{field}", text, labels=["symbol"])
        for symbol, row in rows.items():
            family.add_metric([symbol], getattr(row, field))
        yield family
    for field, text in REASONS.items():
        family = CounterMetricFamily(f"pairscope_{field}", text, labels=["symbol", "reason"])
        for symbol, row in rows.items():
            for reason, count in getattr(row, field).items():
                family.add_metric([symbol, reason], count)
        yield family
    yield from _symbol_gauges(system)


def _symbol_gauges(system: System) -> Iterator[Metric]:
    rows, more = system.status.symbols, system.symbols
    gauges: dict[str, tuple[str, Mapping[str, float | None]]] = {
        "queued": ("Trades that wait for the database, or for a missing one", {s: r.queued for s, r in rows.items()}),
        "gaps_open": ("Runs of trades that are missing", {s: r.gaps_open for s, r in rows.items()}),
        "trade_age_seconds": ("Since the last trade", {s: r.last_trade_age_s for s, r in rows.items()}),
        "trades_per_second": ("Over the last seconds", {s: r.trades_per_s for s, r in rows.items()}),
        "stale": ("1: silent for much longer than usual", {s: r.stale for s, r in rows.items()}),
        "lag_seconds": ("Clock minus time of the newest trade", {s: r.lag_s for s, r in more.items()}),
        "trades_held": ("Trades in memory", {s: r.held_in_memory for s, r in more.items()}),
    }
    for name, (text, values) in gauges.items():
        family = GaugeMetricFamily(f"pairscope_{name}", text, labels=["symbol"])
        for symbol, value in values.items():
            if value is not None:
                family.add_metric([symbol], value)
        yield family


def _process(system: System) -> Iterator[Metric]:
    status, disk = system.status, system.disk
    counters = {
        "reconnects": ("Connections after the first", status.reconnects),
        "alert_events": ("Changes of state of alert rules", system.alert_events),
    }
    for name, (text, count) in counters.items():
        yield CounterMetricFamily(f"pairscope_{name}", text, value=count)
    yield _by("pairscope_mode", "1 at the mode in force", "mode", {status.mode: 1})
    running = {worker.name: worker.state == "running" for worker in system.workers}
    yield _by("pairscope_thread_up", "1 while it runs", "thread", running)
    yield _by("pairscope_waiting", "Rows that wait", "queue", {queue.name: queue.waiting for queue in system.queues})
    gauges: dict[str, tuple[str, float | None]] = {
        "up": ("1 while every thread lives and storage works", status.status == "ok"),
        "uptime_seconds": ("Since the start", status.uptime_s),
        "rss_bytes": ("Memory of the process", status.rss_bytes),
        "held_bytes": ("Memory of the trades held", status.memory_bytes),
        "database_bytes": ("The database file", disk.file_bytes),
        "log_bytes": ("The write-ahead log of the database", disk.log_bytes),
        "disk_free_bytes": ("Left on the disk of the database", disk.free_bytes),
        "alert_rules": ("Alert rules", system.alert_rules),
        "alerts_firing": ("Alert rules that fire now", system.alerts_firing),
    }
    for name, (text, value) in gauges.items():
        if value is not None:
            yield GaugeMetricFamily(f"pairscope_{name}", text, value=value)


def _by(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _histogram(name: str, delays: Delays) -> Metric:
    counts = list(delays.counts)
    below = [sum(counts[: bucket + 1]) for bucket in BUCKETS]
    buckets = [(f"{BOUNDS_S[bucket]:.4g}", count) for bucket, count in zip(BUCKETS, below, strict=True)]
    text = f"Seconds from the hand-over of a trade by the feed until it is {name}"
    family = HistogramMetricFamily(f"pairscope_{name}_seconds", text)
    family.add_metric([], [*buckets, ("+Inf", sum(counts))], sum_value=delays.sum_s)
    return family
