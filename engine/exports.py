"""What is taken away as a file: trades, bars, the analysis of a pair and what alert rules did, as streamed tables."""

from typing import Protocol

import pandas as pd

from analytics.pair import PairAnalysis, PairParams
from config import Settings
from data import exporters
from data.exporters import Table
from data.session import Session
from data.stored import Span
from engine.imports import Imports
from engine.tapes import check_followed

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
        """Trades of one symbol, imported, stored and not yet stored.

        Raises
        ------
        InputError, StorageError
        """
        host = self._host
        check_followed(symbol, host.symbols)
        feed = host.session.feed
        owner, held = (feed.venue, feed.stream, symbol), host.session.buffer.snapshot(symbol)
        return exporters.ticks(host.settings.database, owner, span, held, host.imports.archive)

    def bars(self, symbol: str, timeframe: str, span: Span) -> Table:
        """Bars of one symbol, stored and held, the forming one last.

        Raises
        ------
        InputError, StorageError
        """
        host = self._host
        check_followed(symbol, host.symbols)
        held = exporters.numbered(host.bars(symbol, timeframe, MEMORY_BARS))
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
