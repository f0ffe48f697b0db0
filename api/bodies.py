"""Answers of the API that are made of many parts, as OpenAPI shows them; where a part is long, its names are here."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from api.schemas import AlertRow, NewScan

Numbers = dict[str, float | None]
Parts = dict[str, object]


class Open(BaseModel):
    """An answer that may grow: clients must ignore names that they do not know."""

    model_config = ConfigDict(extra="allow")


class Pair(Open):
    """The whole analysis of a pair. A test or estimate that does not exist is null, and `missing` says why."""

    symbol_y: str
    symbol_x: str
    timeframe: str
    mode: str
    params: Parts
    n_obs: int = Field(description="Closed bars it rests on")
    last_ts_us: int | None = Field(description="Open of the newest one")
    reading: Numbers = Field(description="The newest values by the names that alert rules know")
    fit: Parts | None = Field(description="Hedge ratio of the test bars with its interval")
    other_fits: list[Parts]
    engle_granger: Parts | None = Field(description="y on x")
    engle_granger_xy: Parts | None = Field(description="x on y")
    phillips_ouliaris: Parts | None
    johansen: Parts | None
    adf: Parts | None = Field(description="Of the spread; see plain_adf_note")
    kpss: Parts | None
    half_life: Parts | None
    ornstein_uhlenbeck: Parts | None
    legs: dict[str, Parts | None]
    cointegration_pvalue: float | None = Field(description="Engle-Granger in both directions, for one look")
    watch: Parts = Field(description="The session so far: monitor, alarm, break, p-value of all looks")
    provisional: Numbers | None = Field(description="The bar in progress, should it close where it stands")
    coverage: float = Field(description="Share of the bars without a known loss")
    missing: dict[str, str]
    verdict: str
    caveats: list[str]


class Microstructure(Open):
    """All measures of one symbol's tape."""

    symbol: str
    reading: Numbers = Field(description="By the names that alert rules know")
    now_us: int
    price: float
    velocity: Parts
    flow: Parts
    sizes: Parts
    missing: dict[str, str]
    quotes: Parts | None = Field(description="Best bid and ask, where there are any")


class Signal(Open):
    """What a fixed rule says to a pair at its newest close, and what speaks against it."""

    symbol_y: str
    symbol_x: str
    timeframe: str
    mode: str
    entry: str = Field(description="none, or which way to enter")
    leg_y: Parts
    leg_x: Parts
    zscore: float | None
    breakeven_z: float | None = Field(description="|z| that pays the costs")
    cost: float | None
    position: int = Field(description="1 holds the spread, -1 is short of it")
    momentum: float | None
    opportunity: Parts = Field(description="Score of 0 to 100, its terms, and the reasons that cap it")
    pays: bool
    reading: Numbers


class Rehearsed(Open):
    """What a rule would have done over the bars of the past."""

    rule: str
    exact: bool = Field(description="False where a metric of the live tape is in it, which no bar holds")
    bars: int
    first_us: int | None
    last_us: int | None
    firings: int
    firings_per_day: float | None
    log: list[Parts]
    by_threshold: list[Parts]


class MetricNames(BaseModel):
    """Metrics that a rule may name, with a few words."""

    pair: dict[str, str]
    symbol: dict[str, str]


class AlertEvent(AlertRow):
    """One change of one alert with what was true then, and what came of it."""

    context: Parts | None
    outcome: Parts | None


class RuleStatistics(Open):
    """Firings of one rule with one severity."""

    rule_id: str
    severity: str
    name: str
    firings: int
    outcomes: int = Field(description="Of these the outcome is known")
    reverted: int | None


class Statistics(BaseModel):
    """Firings and outcomes by rule and severity, and how the evaluation stands."""

    rules: list[RuleStatistics]
    evaluation: dict[str, float]


class Channel(Open):
    """How one channel stands; its address is masked."""

    name: str
    service: str
    target: str
    state: str
    waiting: int
    sent: int
    failed: int
    dead: int
    last_error: str


class Result(BaseModel):
    """What came of it."""

    result: str = Field(examples=["ok"])


class Message(Open):
    """A message to one channel."""

    number: int = Field(description="Ask with `before` for those before it")
    key: str = Field(description="The same however often it is sent")
    channel: str
    event_id: str
    rule_id: str
    status: Literal["waiting", "sent", "digest", "dead", "dropped"]
    attempts: int
    detail: str
    title: str
    body: str


class Manifest(Open):
    """What a download is, with the hash of its rows, and an address that gives the same rows again."""

    pairscope_export: int
    source: Parts
    range: Parts
    parameters: Parts
    version: str
    request: str
    rows: int
    columns: list[str]


class ScanChanges(Open):
    """What changed since the scan before; pairs as two symbols."""

    before_us: int
    before: Parts
    appeared: list[list[str]]
    gone: list[list[str]]
    turned: list[list[str]]
    new: list[str]
    lost: list[str]
    kept: list[Parts]


class TableTaken(BaseModel):
    """A table that was handed in."""

    name: str
    symbols: int
    rows: int


class Plan(BaseModel):
    """A scan that is made again and again."""

    request: NewScan
    every_s: float


class Standing(Open):
    """Where a watched pair stands."""

    symbol_y: str
    symbol_x: str
    timeframe: str
    state: str
    zscore: float | None
    edge_bps: float | None
    half_life: float | None
    pvalue: float | None
    opportunity: float | None
    detail: str


class ListRule(BaseModel):
    """A rule for every watched pair."""

    id: str
    fields: Parts
    rules: dict[str, str] = Field(description="Watched pair -> id of its rule")


class ListRuleNow(ListRule):
    """And where it fires."""

    firing: list[str]
