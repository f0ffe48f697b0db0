"""What the REST API takes and gives, as OpenAPI shows it."""

from dataclasses import fields
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

import config
from analytics.backtest import BacktestParams


class ErrorBody(BaseModel):
    """Why a request was refused."""

    code: str = Field(examples=["unknown_symbol"])
    message: str = Field(examples=["symbol 'FOO' is not followed; followed are BTCUSDT, ETHUSDT"])
    details: dict[str, object] = {}


class Error(BaseModel):
    """Every error has this shape."""

    error: ErrorBody


class Body(BaseModel):
    """What a client sends: nothing that is not known, and nothing of another kind (true is no number)."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Tick(BaseModel):
    """One trade."""

    trade_id: int = Field(examples=[3477868433])
    ts_us: int = Field(description="Trade time, microseconds UTC", examples=[1791382992338000])
    price: float = Field(examples=[83091.7])
    qty: float = Field(description="Base currency", examples=[0.022])
    buyer_is_maker: bool = Field(description="True: the taker sold")


class Bar(BaseModel):
    """One bar; `complete` is false while it forms and where trades are known to be missing."""

    ts_us: int = Field(description="Open of the bar, microseconds UTC")
    open: float
    high: float
    low: float
    close: float
    volume: float = Field(description="Base currency")
    vwap: float | None = Field(description="null in a bar without a trade")
    trades: int
    taker_buy_volume: float
    complete: bool
    revised: bool = Field(description="Late or repaired trades have changed it since it was first given as closed")


class AnalyticsRow(BaseModel):
    """The pair at the close of one bar; null where the window is not full or the number does not exist."""

    model_config = ConfigDict(extra="allow")

    ts_us: int
    hedge_ratio: float | None
    hedge_ratio_stderr: float | None = Field(description="the method's own: see the methodology")
    spread: float | None = Field(description="y - hedge_ratio * x, price units of y, or logarithms")
    zscore: float | None = Field(description="(spread - spread_mean) / spread_std")
    correlation: float | None = Field(description="of log returns over the window")


class SymbolStatus(BaseModel):
    """Counts of one symbol; received = stored + deduped + rejected + dropped + queued at every read."""

    model_config = ConfigDict(extra="allow")

    received: int
    stored: int
    deduped: int
    rejected: dict[str, int]
    dropped: dict[str, int]
    queued: int
    last_trade_id: int | None
    last_trade_age_s: float | None
    gaps_open: int
    gaps_filled: int
    trades_per_s: float


class Replay(BaseModel):
    """How far a replay is. A command that takes longer goes on: `standing` is true when nothing is left to do."""

    files: int
    position_us: int = Field(description="Market time reached")
    first_us: int = Field(description="Time of the first trade")
    last_us: int | None = Field(description="Time of the last trade; null until it is known")
    bytes_read: int
    bytes_total: int
    speed: float = Field(description="Times real time; 0 is as fast as possible")
    share: float = Field(description="Of the recording that was played, 0 to 1")
    paused: bool
    seeking_us: int | None = Field(description="Where it is going to without pause, if so")
    standing: bool
    ended: bool


class Status(BaseModel):
    """How the capture stands."""

    model_config = ConfigDict(extra="allow")

    status: Literal["ok", "failing"]
    source: str
    mode: str
    symbols: dict[str, SymbolStatus]
    reconnects: int
    uptime_s: float
    rss_bytes: int
    storage_error: str | None = Field(description="Why trades only wait in memory, if so")
    storage_note: str | None = Field(description="What happened to the database file, until it is dismissed")
    schema_version: int
    sqlite_version: str
    sqlite_writers: str = Field(description="Connections that write or fold the log")
    sqlite_breaks_shared_logs: bool = Field(description="This version needs that there is one such connection only")
    log_bytes: int = Field(description="Size of the write-ahead log")
    replay: Replay | None = Field(description="How far the replay is, if one is open")
    recording: dict[str, object] | None = Field(description="How the newest recording stands, once there was one")


class Gap(BaseModel):
    """A run of trade ids that did not arrive; `filled_us` is null while it is open."""

    symbol: str
    first_id: int
    last_id: int
    cause: str
    found_us: int
    filled_us: int | None
    note: str  # why it stays open, where it does


class RuleFields(Body):
    """What a rule may be told; what is left out keeps its default, or what it was."""

    metric: str | None = Field(None, description="See /alerts/metrics; `z_score` is `zscore`")
    condition: str | None = Field(None, description="> >= < <= crosses_above crosses_below outside inside")
    threshold: float | None = Field(None, description="Level, or upper end of a band")
    low: float | None = Field(None, description="Lower end of a band; without it the absolute value counts")
    change_s: float | None = Field(None, description="Compare the change over so many seconds")
    expression: str | None = Field(
        None,
        description="In place of metric, condition and threshold: conditions joined by AND, OR and brackets",
        examples=["zscore outside 2 AND (pvalue < 0.05 OR change_pct(price, 5m) > 1)"],
    )
    until: str | None = Field(None, description="An expression; a firing rule resolves when it holds")
    recovery: float | None = Field(None, description="Level at which a firing rule resolves")
    symbol: str | None = Field(None, description="Watch one symbol instead of a pair")
    symbol_y: str | None = None
    symbol_x: str | None = None
    timeframe: str | None = None
    on: str | None = Field(None, description="`close` of each bar, or `intrabar`: every second")
    for_s: float | None = Field(None, description="Seconds that the condition has to hold")
    cooldown_s: float | None = Field(None, description="Least seconds between two firings")
    repeat_s: float | None = Field(None, description="Seconds after which it is told again while it fires; 0 = once")
    nodata_s: float | None = Field(None, description="Seconds without data after which that is told")
    severity: str | None = Field(None, description="info, warning or critical")
    channels: list[str] | None = Field(None, description="Names of channels; none = all, `screen` = nothing is sent")
    enabled: bool | None = None
    name: str | None = None


class NewRule(RuleFields):
    """An alert rule to be made; the pair defaults to the configured one."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"metric": "zscore", "condition": ">", "threshold": 2.0}]}
    )


class RuleChange(RuleFields):
    """The fields of a rule to be changed; others stay."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"threshold": 2.5, "enabled": False}]})

    version: int | None = Field(None, description="The version edited; 409 where there is a newer one")


class Rule(BaseModel):
    """An alert rule in force."""

    model_config = ConfigDict(extra="allow")

    id: str
    version: int
    title: str
    state: str = Field(description="OK, PENDING, FIRING, NODATA or SILENCED")
    since_us: int | None
    silenced_until_us: int | None
    suppressed: int


class SilenceFor(Body):
    """How long a rule is silent."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"for_s": 3600}]})

    for_s: float = Field(gt=0, examples=[3600])


class Rehearsal(Body):
    """A rule to be tried on the past, without being made."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"rule": {"metric": "zscore", "condition": "outside", "threshold": 2.0}, "bars": 600}]
        },
    )

    rule: NewRule
    bars: int | None = Field(
        None, ge=1, le=20_000, description="The newest ones; by default 3,600, or 1,000 where the rule asks for tests"
    )
    thresholds: list[float] | None = Field(None, max_length=25)


class AlertRow(BaseModel):
    """One change of state of one rule; a firing and its end share an event_id."""

    model_config = ConfigDict(extra="allow")

    event_id: str
    rule_id: str
    state: str = Field(description="firing, repeat, resolved, nodata, unsilenced or missed")
    at_us: int
    value: float | None
    number: int = Field(description="Ask with `before` for those before it")


class ReplayCommand(Body):
    """What a replay is to do; the fields that the action needs."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"action": "seek", "share": 0.5}]})

    action: Literal["open", "play", "pause", "speed", "step", "seek"]
    recordings: list[str] = Field([], description="open: names of recorded files")
    speed: float | None = Field(None, description="speed: 0.01 to 1000 times real time; 0 is as fast as possible")
    to: str = Field("trade", description="step: to the next `trade`, or full `second` of market time")
    at_us: int | None = Field(None, description="seek: to this market time ...")
    share: float | None = Field(None, description="... or to this share of the recording")


class Recorded(BaseModel):
    """One recorded file."""

    name: str
    bytes: int
    venue: str
    stream: str
    symbols: list[str]
    began_us: int = Field(description="Wall clock, of the recording")
    ended_us: int | None = Field(description="Newest receipt in the file")
    session: str = Field(description="The same for all parts of one recording")
    part: int
    running: bool


class Recording(BaseModel):
    """How the newest recording stands."""

    name: str
    venue: str
    began_us: int
    frames: int
    bytes: int
    parts: int
    waiting_bytes: int
    dropped: int = Field(description="Frames that came faster than they could be written")
    running: bool
    reason: str = Field(description="Why it ended, once it has")


class RecordingCommand(Body):
    """What the recorder is to do."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"action": "start"}]})

    action: Literal["start", "stop"]


class NewScan(Body):
    """What to scan, and how; what is left out keeps its default."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"source": "live", "timeframe": "1s", "bars": 300}]})

    source: str | None = Field(None, description="`live`, `stored`, `exchange` or `table`")
    timeframe: str | None = Field(None, description="Width of a bar; a table has its own")
    bars: int | None = Field(None, description="Newest closed ones, 30 to 20,000")
    symbols: list[str] | None = Field(None, description="None: all of the source; of the exchange the most traded")
    venue: str | None = Field(None, description="stored: whose bars; exchange: binance-um or binance-spot")
    most: int | None = Field(None, description="exchange without symbols: how many of the most traded, 2 to 500")
    table: str | None = Field(None, description="Name under which it was handed in")
    trend: str | None = Field(None, description="`c` or `ct`")
    lags: int | str | None = Field(None, description="`aic`, `bic` or a number for all")
    log_prices: bool | None = None
    fdr: str | None = Field(None, description="`bh` Benjamini-Hochberg or `by` Benjamini-Yekutieli")
    alpha: float | None = Field(None, description="Share of false finds among the found that is accepted")


class Scan(BaseModel):
    """A scan as a job."""

    model_config = ConfigDict(extra="allow")

    id: str
    title: str
    state: str = Field(description="waiting, running, done, failed or cancelled")
    done: int = Field(description="Parts of the work: requests or symbols first, then pairs")
    total: int
    share: float = Field(description="0 to 1, of the stage")
    stage: str = Field(description="What it is doing, in plain words")
    message: str = Field(description="Why it failed")
    request: dict[str, object] | None
    summary: dict[str, object] | None = Field(description="Symbols, bars, pairs tested and found, once it is done")


class ScanPairs(BaseModel):
    """Some rows of a scan; the columns are those of `analytics.scanner.scan`."""

    total: int
    offset: int
    pairs: list[dict[str, object]]


class ScanPlan(Body):
    """A scan to be made again and again."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"request": {"source": "stored", "timeframe": "5m"}, "every_s": 600}]},
    )

    request: NewScan
    every_s: float | None = Field(description="60 to 604,800 seconds; null ends the plan")


class WatchedPair(Body):
    """A pair to be watched."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"symbol_y": "ETHUSDT", "symbol_x": "BTCUSDT", "timeframe": "1s"}]},
    )

    symbol_y: str = Field(examples=["ETHUSDT"])
    symbol_x: str = Field(examples=["BTCUSDT"])
    timeframe: str = "1m"


class Job(BaseModel):
    """Long work; its result is kept for a while."""

    id: str
    kind: str = Field(examples=["backtest"])
    title: str
    state: Literal["waiting", "running", "done", "failed", "cancelled"]
    done: int = Field(description="Parts of the work")
    total: int = Field(description="0 while it is not known")
    share: float
    asked_us: int
    began_us: int | None
    ended_us: int | None
    message: str = Field(description="Why it failed")


NO_LIMIT = ("stop_z", "time_stop")  # null: none
DEFINED: Any = {
    one.name: (one.type | None, None) if one.name in NO_LIMIT else (one.type, one.default)  # type: ignore[operator]
    for one in fields(BacktestParams)
}
BacktestParameters: Any = create_model(  # the fields of the one class that knows them
    "BacktestParameters", __base__=Body, **DEFINED
)


class GridAxes(Body):
    """Values to try; one left out has that of the run alone."""

    method: list[str] = []
    window: list[int] = []
    entry_z: list[float] = []
    exit_z: list[float] = []


class WalkForward(Body):
    """How a walk-forward is cut and chosen."""

    folds: int = 5
    train_parts: int = 2
    anchored: bool = False
    choose: str = Field("sharpe", description="sharpe or plateau")


class NewBacktest(Body):
    """What a backtest is asked to do."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "timeframe": "1s",
                    "params": {"window": 60, "entry_z": 2.0, "exit_z": 0.5},
                    "grid": {"window": [30, 60], "entry_z": [1.5, 2.0], "exit_z": [0.0, 0.5]},
                    "walk_forward": {"folds": 2},
                }
            ]
        },
    )

    symbol_y: str | None = Field(None, description="By default the configured pair")
    symbol_x: str | None = None
    timeframe: str = config.DEFAULT_TIMEFRAME
    params: BacktestParameters | None = Field(None, description="Those left out have their defaults")
    source: str = Field("market", description="See /backtests/sources")
    bars: int = Field(5_000, description="Newest ones")
    funding: list[float] | None = Field(
        None, min_length=2, max_length=2, description="Rate per 8 hours of y and x; null is not known"
    )
    shuffles: int = Field(100, description="Pairs of the benchmark; 0 leaves it out")
    grid: GridAxes | None = None
    walk_forward: WalkForward | None = None


class Backtest(Job):
    """A backtest: its job, and once it is done, what came of it."""

    request: dict[str, object]
    result: dict[str, object] | None = Field(
        description="metrics, look_ahead, bars, honesty (bands, benchmark, deflated Sharpe ratio, overfitting, walk), "
        "trades, equity, grid, folds; `missing` says why a part is not there. null until it is done, and once newer "
        "backtests have taken its place"
    )


class BarSource(BaseModel):
    """Where bars can be taken from."""

    key: str = Field(description="As `source` names it")
    title: str
    first_us: int | None
    last_us: int | None
    bars: int | None = Field(description="Stored in this width, of the leg with fewer")
    complete: int | None
