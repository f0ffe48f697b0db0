"""Pairs that are watched: where each stands now, and alert rules that hold for every one of them.

The list and its rules are notes of the database. A rule of the list is one rule of the alert engine for each pair:
it is told, silenced and seen there as any other.
"""

import json
import math
import threading
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple, Protocol

import config
from alerts.alert_engine import AlertEngine
from alerts.rules import Rule
from analytics.entry import round_trip_cost
from analytics.pair import PairAnalysis, PairParams
from analytics.resampling import timeframe_us
from analytics.scanner import ScanParams, edge_bps
from analytics.signals import Signal, SignalParams
from utils import logger
from utils.errors import AnalysisError, InputError, NotFound

LOG = logger.get("watchlist")

MOST_PAIRS = 50  # as many analyses stay in memory
MOST_RULES = 5
PAIRS, RULES = "watchlist", "watchlist rules"  # notes
HORIZON_BARS = ScanParams().horizon_bars
OF_A_PAIR = ("symbol", "symbol_y", "symbol_x", "timeframe")  # fields that a rule of the list takes from each pair
STATES = {-1: "short the spread", 0: "flat", 1: "long the spread"}


class Host(Protocol):
    """What a watchlist needs of the engine."""

    alerts: AlertEngine

    @property
    def symbols(self) -> tuple[str, ...]: ...
    def analysis(self, symbol_y: str, symbol_x: str, timeframe: str, params: PairParams) -> PairAnalysis: ...
    def signal(
        self, symbol_y: str, symbol_x: str, timeframe: str, params: PairParams, rule: SignalParams
    ) -> Signal: ...
    def notes(self, prefix: str = "") -> dict[str, str]: ...
    def put_note(self, key: str, value: str) -> None: ...


class Watched(NamedTuple):
    """One pair of the list, and the bars that it is watched on."""

    symbol_y: str
    symbol_x: str
    timeframe: str

    @property
    def name(self) -> str:
        """`ETHUSDT/BTCUSDT 1m`."""
        return f"{self.symbol_y}/{self.symbol_x} {self.timeframe}"


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a watched pair stands at its newest close; NaN is not known."""

    pair: Watched
    state: str  # "long the spread", "short the spread", "flat", or "not followed", "collecting"
    zscore: float = math.nan
    edge_bps: float = math.nan  # as in a scan, at the hedge ratio and costs of now
    half_life: float = math.nan
    pvalue: float = math.nan
    opportunity: float = math.nan
    detail: str = ""  # why a number is missing

    def as_dict(self) -> dict[str, Any]:
        """The same, for JSON."""
        return self.pair._asdict() | {name: value for name, value in asdict(self).items() if name != "pair"}


@dataclass(frozen=True, slots=True)
class ListRule:
    """A rule of the whole list, and the rules of its pairs."""

    list_rule_id: str
    fields: Mapping[str, Any]
    members: Mapping[str, str]  # name of the pair -> rule_id


class Watchlist:
    """The watched pairs of a process; any thread may call."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._params = PairParams(window=config.DEFAULT_WINDOW, fee_bps=config.FEE_BPS, **config.ANALYSIS)
        self._lock = threading.RLock()

    # --- the list -----------------------------------------------------------------------------

    def pairs(self) -> list[Watched]:
        """The pairs, in the order they were put on the list."""
        return [Watched(*row) for row in self._noted(PAIRS)]

    def add(self, symbol_y: str, symbol_x: str, timeframe: str) -> Watched:
        """Put a pair on the list, and the rules of the list on it. One that is there already stays as it is.

        Raises
        ------
        InputError
        """
        try:
            pair = Watched(config.clean_symbol(symbol_y), config.clean_symbol(symbol_x), timeframe)
        except ValueError as exc:
            raise InputError(str(exc), "symbol_y") from None
        timeframe_us(timeframe)
        if pair.symbol_y == pair.symbol_x:
            raise InputError(f"a pair needs two different symbols, both legs are {pair.symbol_y}", "symbol_x")
        with self._lock:
            known = self.pairs()
            if pair in known:
                return pair
            if len(known) >= MOST_PAIRS:
                raise InputError(f"there may be at most {MOST_PAIRS} watched pairs", "symbol_y")
            self._keep(PAIRS, [*known, pair])
            self._keep_rules([self._joined(rule, pair) for rule in self.rules()])
        return pair

    def remove(self, pair: Watched) -> None:
        """Take a pair off the list, and the rules of the list off it.

        Raises
        ------
        NotFound
        """
        with self._lock:
            known = self.pairs()
            if pair not in known:
                raise NotFound(f"{pair.name} is not watched", "pair")
            self._keep(PAIRS, [other for other in known if other != pair])
            self._keep_rules([self._left(rule, pair) for rule in self.rules()])

    def standings(self) -> list[Standing]:
        """Where each pair stands now."""
        return [self.standing(pair) for pair in self.pairs()]

    def standing(self, pair: Watched) -> Standing:
        """Where one pair stands now, by the configured window and thresholds."""
        missing = [symbol for symbol in pair[:2] if symbol not in self._host.symbols]
        if missing:
            return Standing(pair, "not followed", detail=f"{' and '.join(missing)} is not followed")
        rule = SignalParams.around(config.ENTRY_Z, config.EXIT_Z, config.STOP_Z)
        try:
            analysis = self._host.analysis(*pair, self._params)
            found = self._host.signal(*pair, self._params, rule)
        except AnalysisError as exc:
            return Standing(pair, "collecting", detail=str(exc))
        reading = analysis.reading()
        return Standing(
            pair,
            STATES[found.position],
            zscore=reading["zscore"],
            edge_bps=_edge(reading, found.cost if found.cost_measured else None),
            half_life=reading["half_life"],
            pvalue=reading["pvalue"],
            opportunity=found.opportunity.score,
            detail="; ".join(reason.text for reason in found.reasons[:2]),
        )

    # --- rules of the list --------------------------------------------------------------------

    def rules(self) -> list[ListRule]:
        """The rules that hold for every pair."""
        return [ListRule(row["id"], row["fields"], row["members"]) for row in self._noted(RULES)]

    def add_rule(self, fields: Mapping[str, Any]) -> ListRule:
        """Make a rule for every pair of the list, those that come later included.

        Parameters
        ----------
        fields : of a rule, without its pair and bars

        Raises
        ------
        InputError
        """
        named = [name for name in OF_A_PAIR if fields.get(name)]
        if named:
            raise InputError(f"a rule of the list takes {named[0]} from each pair", named[0])
        with self._lock:
            known, pairs = self.rules(), self.pairs()
            if len(known) >= MOST_RULES:
                raise InputError(f"there may be at most {MOST_RULES} rules of the list", "metric")
            for pair in pairs[:1] or [Watched("Y", "X", "1m")]:  # refused before any is made
                self._host.alerts.checked(_of_pair(fields, pair))
            made = ListRule(uuid.uuid4().hex[:12], dict(fields), {})
            for pair in pairs:
                made = self._joined(made, pair)
            self._keep_rules([*known, made])
        return made

    def remove_rule(self, list_rule_id: str) -> None:
        """End a rule of the list on every pair.

        Raises
        ------
        NotFound
        """
        with self._lock:
            known = {rule.list_rule_id: rule for rule in self.rules()}
            if list_rule_id not in known:
                raise NotFound(f"there is no rule {list_rule_id[:40]!r} of the list", "rule")
            for pair in self.pairs():
                known[list_rule_id] = self._left(known[list_rule_id], pair)
            del known[list_rule_id]
            self._keep_rules(known.values())

    def firing(self, list_rule: ListRule) -> list[str]:
        """Names of the pairs on which a rule of the list fires now."""
        states = self._host.alerts.state
        return [name for name, rule_id in list_rule.members.items() if states(rule_id).state == "FIRING"]

    def _joined(self, rule: ListRule, pair: Watched) -> ListRule:
        """The rule with one more pair; where that cannot be made the log says why, and the others hold."""
        try:
            made: Rule = self._host.alerts.add(_of_pair(rule.fields, pair))
        except InputError as exc:
            LOG.warning("the rule %s was not made for %s: %s", rule.list_rule_id, pair.name, exc)
            return rule
        return replace(rule, members={**rule.members, pair.name: made.rule_id})

    def _left(self, rule: ListRule, pair: Watched) -> ListRule:
        rule_id = rule.members.get(pair.name)
        if rule_id is None:
            return rule
        try:
            self._host.alerts.remove(rule_id)
        except KeyError:
            LOG.info("the rule of %s was removed before", pair.name)
        return replace(rule, members={name: kept for name, kept in rule.members.items() if name != pair.name})

    # --- notes --------------------------------------------------------------------------------

    def _noted(self, key: str) -> list[Any]:
        found: list[Any] = json.loads(self._host.notes(key).get(key, "[]"))
        return found

    def _keep(self, key: str, rows: Iterable[Any]) -> None:
        self._host.put_note(key, json.dumps(list(rows)))

    def _keep_rules(self, rules: Iterable[ListRule]) -> None:
        self._keep(RULES, [{"id": rule.list_rule_id, "fields": rule.fields, "members": rule.members} for rule in rules])


def _of_pair(fields: Mapping[str, Any], pair: Watched) -> dict[str, Any]:
    return {**fields, "symbol_y": pair.symbol_y, "symbol_x": pair.symbol_x, "timeframe": pair.timeframe}


def _edge(reading: Mapping[str, float], measured: float | None) -> float:
    """Expected way back less costs, over both notionals; without measured costs those of four fills."""
    y, x, ratio = (reading[name] for name in ("price_y", "price_x", "hedge_ratio"))
    cost = round_trip_cost(y, x, ratio, config.FEE_BPS) if measured is None else measured
    gap = abs(reading["zscore"]) * reading["spread_std"]
    return float(edge_bps(gap, reading["half_life"], cost, abs(y) + abs(ratio * x), HORIZON_BARS))
