"""What is taken away as a file: trades, bars, the analysis of a pair and what alert rules did, as streamed tables."""

from dataclasses import replace
from typing import Protocol

import pandas as pd

from analytics.pair import PairAnalysis, PairParams
from analytics.resampling import timeframe_us
from config import Settings
from data import exporters
from data.exporters import Table
from data.session import Session
from data.stored import Span
from engine.imports import Imports
from engine.tapes import check_followed
from utils.clock import LATEST_US

MEMORY_BARS = 20_000  # newest bars in memory that are looked at beside the file


class Host(Protocol):
    """What exports need of the engine."""

    settings: Settings
    imports: Imports

    @property
    def session(self) -> Session: ...
    @property
    def symbols(self) -> tuple[str, ...]: ...
    @property
    def venue(self) -> str: ...
    def bars(self, symbol: str, timeframe: str, limit: int = ...) -> pd.DataFrame: ...
    def analysis(
        self, symbol_y: str, symbol_x: str, timeframe: str, params: PairParams, bars: int | None = ...
    ) -> PairAnalysis: ...


class Exports:
    """Tables of the open market; any thread may call."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def ticks(self, symbol: str, span: Span) -> Table:
        """Trades of one symbol, imported, stored and not yet stored; in a replay those up to where it stands.

        Raises
        ------
        InputError, StorageError
        """
        host, session = self._host, self._host.session
        check_followed(symbol, host.symbols)
        owner, held = (session.feed.venue, session.feed.stream, symbol), session.buffer.snapshot(symbol)
        what = host.settings.database, owner, span, held, host.imports.archive
        if session.live:
            return exporters.ticks(*what)
        first_id, _ = session.began(symbol) or (0, 0)
        return exporters.ticks(*what, (first_id, int(held.trade_id.max()) if len(held) else -1))

    def bars(self, symbol: str, timeframe: str, span: Span) -> Table:
        """Bars of one symbol, stored and held, the forming one last.

        Bars of an earlier run of the demo market, and of other recordings or what they hold after the time at which a
        replay stands, lie in the file too and are left out.

        Raises
        ------
        InputError, StorageError
        """
        host, session = self._host, self._host.session
        check_followed(symbol, host.symbols)
        held = exporters.numbered(host.bars(symbol, timeframe, MEMORY_BARS))
        if not session.live:
            _, began_us = session.began(symbol) or (0, LATEST_US)
            width_us = timeframe_us(timeframe)
            span = replace(span, since_us=max(span.since_us, began_us // width_us * width_us))
        return exporters.bars(host.settings.database, (host.venue, symbol, timeframe), span, held)

    def analysis(self, symbol_y: str, symbol_x: str, timeframe: str, params: PairParams, span: Span) -> Table:
        """The analysis of a pair bar by bar, as far back as its bars are held.

        Raises
        ------
        TooFewObservations, DegenerateSeries, InputError
        """
        looked_at = MEMORY_BARS if span.limit is None else span.limit + params.warm_up
        frame = self._host.analysis(symbol_y, symbol_x, timeframe, params, bars=looked_at).frame()
        frame = frame[span.inside(frame["ts_us"].to_numpy())]
        return exporters.table_of(frame if span.limit is None else frame.tail(span.limit))

    def alerts(self, span: Span) -> Table:
        """What the alert rules did, in the order they did it.

        Raises
        ------
        StorageError
        """
        return exporters.alerts(self._host.settings.database, span)
