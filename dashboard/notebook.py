"""Python that gives the numbers of a view again, from the database beside the capture: for notebooks and scripts.

Each snippet names what the view looks at, up to the newest bar that was closed when the page was drawn, over as many
bars as the page's numbers rest on, and ends with these numbers. It imports what the contract offers (docs/notebook.md),
and reads only: the capture goes on.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from textwrap import dedent
from typing import Any

import streamlit as st

import config
from analytics.resampling import timeframe_us
from dashboard import studies
from dashboard.backtest_form import held
from dashboard.live.figures import warm_up_bars
from dashboard.panels import panel
from dashboard.scan_view import ScanView
from dashboard.view import View
from engine import Engine, ScanRequest
from engine.analyses import TRADES_LOOKED_AT, TRADES_SINCE_US
from engine.backtests import FILE, MARKET, RECORDING
from engine.scan_request import EXCHANGE, LIVE, STORED, TABLE, VENUES
from utils.clock import US_PER_S
from utils.errors import TooFewObservations

TITLE = "Use this in a notebook"
KEY = "notebook"
HELP = (
    "Run it with .venv/bin/python in Pairscope's folder. It reads the database while the capture goes on, and gives "
    "the numbers of the newest bar that was closed when the page was last loaded or changed."
)
TAPE_US = 3_700 * US_PER_S  # of the tape, which is compared with up to an hour before
INDICATORS = {  # as the page draws them: call on the frame `bars`
    "sma": "sma(close, 20)",
    "ema": "ema(close, 20)",
    "bollinger": "bollinger(close, 20, 2.0)",
    "vwap": 'vwap(bars["vwap"].to_numpy(), bars["volume"].to_numpy(), bars.index.asi8)',
    "rsi": "rsi(close, 14)",
    "macd": "macd(close, 12, 26, 9)",
    "atr": 'atr(bars["high"].to_numpy(), bars["low"].to_numpy(), close, 14)',
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a snippet reads, and up to when."""

    database: str  # as Python writes it
    venue: str
    stream: str
    now_us: int

    @classmethod
    def of(cls, engine: Engine) -> "Place":
        """That of an engine, now."""
        file = f"Path({str(Path(engine.settings.database).resolve())!r})"
        return cls(file, engine.venue, engine.session.feed.stream, engine.now_us())

    def closed_us(self, timeframe: str) -> int:
        """End of the newest closed bar."""
        width_us = timeframe_us(timeframe)
        return self.now_us // width_us * width_us


def notebook(engine: Engine, view: View, page: str) -> None:
    """The snippet of a page, made when it is unfolded: the script that colours it would hold up the first chart."""
    st.fragment(_foldable)(engine, view, page)


def _foldable(engine: Engine, view: View, page: str) -> None:
    foldable = st.expander(TITLE, on_change="rerun", key=KEY)
    if foldable.open:
        with foldable, panel("notebook", view):
            st.caption(HELP)
            st.code(snippet(engine, view, page), language="python")


def snippet(engine: Engine, view: View, page: str) -> str:
    """Python that gives the numbers of a page again.

    Raises
    ------
    InputError
        What is chosen on the page cannot be.
    """
    return SNIPPETS.get(page, _overview)(engine, view, Place.of(engine)).strip() + "\n"


def _code(text: str, **values: Any) -> str:
    """A snippet with its values filled in; a line whose value is empty is left out."""
    lines = []
    for line in dedent(text).strip().splitlines():
        names = [name for name in values if f"<{name}>" in line]
        if names and not any(str(values[name]) for name in names):
            continue
        for name in names:
            line = line.replace(f"<{name}>", str(values[name]))
        lines.append(line)
    return "\n".join(lines)


def _call(given: Any) -> str:
    """A frozen value as the call that makes it: what differs from the default."""
    default = type(given)()
    parts = {field.name: (getattr(given, field.name), getattr(default, field.name)) for field in fields(given)}
    told = ", ".join(f"{name}={_literal(value)}" for name, (value, usual) in parts.items() if value != usual)
    return f"{type(given).__name__}({told})"


def _literal(value: object) -> str:
    return 'float("inf")' if isinstance(value, float) and math.isinf(value) else repr(value)


def _pair_bars(view: View, place: Place, rows: int, until_us: int) -> str:
    """The call that reads the bars of the pair."""
    pair, until = (view.symbol_y, view.symbol_x), f"until_us={until_us}"
    return f'of_file({place.database}, "{place.venue}", {pair!r}, "{view.timeframe}", {rows}, {until})'


def _closes(place: Place, timeframe: str, symbols: Sequence[str], since_us: int, until_us: int) -> str:
    """A frame of stored closes, a column a symbol."""
    where = f'{place.database}, "{place.venue}", symbol, "{timeframe}", {since_us}, {until_us}'
    return f'pd.DataFrame({{symbol: stored_bars({where})["close"] for symbol in {tuple(symbols)!r}}})'


def _overview(engine: Engine, view: View, place: Place) -> str:
    frame = engine.bars(view.symbol, view.timeframe, config.CHART_BARS + warm_up_bars(view.indicators))
    if len(frame) < 2:
        raise TooFewObservations(have=len(frame), need=2, what="bars")
    ts_us = frame.index.asi8
    return _code(
        """
        from pathlib import Path

        import numpy as np

        from analytics.indicators import <names>
        from data.history import stored_bars

        # closed bars; those before the ones shown are for the indicators
        bars = stored_bars(<database>, "<venue>", "<symbol>", "<timeframe>", <begin>, <until>)
        close = bars["close"].to_numpy()
        <drawn>
        shown = bars[bars.index.asi8 >= <since>]
        change = shown["close"].iloc[-1] / shown["open"].iloc[0] - 1
        volatility = np.diff(np.log(shown["close"])).std(ddof=1) * np.sqrt(365 * 86_400 / <width>)  # a year
        change, volatility
        """,
        names=", ".join(view.indicators),
        database=place.database,
        venue=place.venue,
        symbol=view.symbol,
        timeframe=view.timeframe,
        begin=ts_us[0],
        since=ts_us[-config.CHART_BARS :][0],
        until=ts_us[-1],
        width=f"{timeframe_us(view.timeframe) / US_PER_S:g}",
        drawn="\n".join(f"{name} = {INDICATORS[name]}" for name in view.indicators),
    )


PAIR = """
    from pathlib import Path

    from analytics.pair import PairParams, analyse_pair
    <more>
    from data.pair_bars import of_file

    bars = <bars>
    params = <params>
    analysis = analyse_pair(bars.y, bars.x, params, ts_us=bars.ts_us, complete=bars.complete)
    """


def _analysis(engine: Engine, view: View, place: Place, more: str = "") -> str:
    params = view.params
    found = engine.analysis(view.symbol_y, view.symbol_x, view.timeframe, params)
    until_us = place.closed_us(view.timeframe) if found.ts_us is None else int(found.ts_us[-1]) + 1
    return _code(PAIR, more=more, bars=_pair_bars(view, place, found.n_obs, until_us), params=_call(params))


def _pair(engine: Engine, view: View, place: Place) -> str:
    told = ("reading = analysis.reading()", "print(analysis.verdict)", "reading")
    return "\n".join((_analysis(engine, view, place), *told))


def _microstructure(engine: Engine, view: View, place: Place) -> str:
    return _code(
        """
        from pathlib import Path

        from analytics.microstructure import tape_reading
        from data.stored import Span, trade_pages
        from data.trades import Trades

        now_us = <now>
        owner = ("<venue>", "<stream>", "<symbol>")
        pages = trade_pages(<database>, owner, Span(now_us - <tape>, now_us))
        reading = tape_reading(Trades.concat("<symbol>", pages), now_us).reading()
        reading
        """,
        now=place.now_us,
        venue=place.venue,
        stream=place.stream,
        symbol=view.symbol,
        database=place.database,
        tape=TAPE_US,
    )


def _signals(engine: Engine, view: View, place: Place) -> str:
    rule = f"SignalParams.around({view.entry_z}, {view.exit_z}, {view.stop_z}, fast={view.fast}, slow={view.slow})"
    names = "from analytics.signals import SignalParams, mean_reversion_signal, momentum_signal"
    told = _code(
        """
        rule = <rule>
        reversion = mean_reversion_signal(analysis.path.zscore, rule)
        momentum = momentum_signal(analysis.path.zscore, rule)
        reversion.position[-1], momentum.strength[-1]
        """,
        rule=rule,
    )
    return f"{_analysis(engine, view, place, names)}\n{told}"


def _backtest(engine: Engine, view: View, place: Place) -> str:
    request = held().request(view)
    reader, bars = "of_file", _pair_bars(view, place, request.bars, place.closed_us(view.timeframe))
    if request.source.startswith(FILE):
        bars = bars.replace(f'"{place.venue}"', repr(request.source.removeprefix(FILE)))
    elif request.source != MARKET:
        reader = "of_recordings"
        files = ", ".join(f"Path({str(path)!r})" for path in _files(engine, request.source))
        bars = f'of_recordings([{files}], {(view.symbol_y, view.symbol_x)!r}, "{view.timeframe}", {request.bars})'
    return _code(
        """
        from pathlib import Path

        from analytics.backtest import BacktestParams, backtest
        from data.pair_bars import <reader>

        bars = <bars>
        params = <params>
        result = backtest(bars.y, bars.x, params, ts_us=bars.ts_us, complete=bars.complete)
        result.trades
        result.metrics
        """,
        reader=reader,
        bars=bars,
        params=_call(request.params),
    )


def _files(engine: Engine, source: str) -> list[Path]:
    """The recorded files of a source, oldest first."""
    if not source.startswith(RECORDING):
        return list(engine.replay_files)
    folder, session = Path(engine.settings.database).parent / "recordings", source.removeprefix(RECORDING)
    return [(folder / row.name).resolve() for row in engine.recordings()[::-1] if row.session == session]


def _scanner(engine: Engine, view: View, place: Place) -> str:
    asked = ScanView.of(view.scan).request
    names, prices = PRICES[asked.source](engine, asked, place)
    return _code(
        """
        from pathlib import Path

        import pandas as pd

        from analytics.scanner import ScanParams, scan
        <names>

        prices = <prices>
        pairs = scan(prices, alpha=<alpha>, fdr="<fdr>", params=<params>)
        pairs
        """,
        names=names,
        prices=prices,
        alpha=asked.alpha,
        fdr=asked.fdr,
        params=_call(asked.params),
    )


def _prices_live(engine: Engine, asked: ScanRequest, place: Place) -> tuple[str, str]:
    until_us = place.closed_us(asked.timeframe)
    since_us = until_us - asked.bars * timeframe_us(asked.timeframe)
    prices = _closes(place, asked.timeframe, asked.symbols or engine.symbols, since_us, until_us)
    return "from data.history import stored_bars", prices


def _prices_stored(engine: Engine, asked: ScanRequest, place: Place) -> tuple[str, str]:
    venue = asked.venue or place.venue
    held = [row.symbol for row in engine.holdings().bars if (row.venue, row.timeframe) == (venue, asked.timeframe)]
    where = f'{place.database}, "{venue}", "{asked.timeframe}", {tuple(asked.symbols or held)!r}, {asked.bars}'
    until = f"until_us={place.closed_us(asked.timeframe)}"
    return "from data.closes import stored_closes", f"stored_closes({where}, {until})"


def _prices_of_table(engine: Engine, asked: ScanRequest, place: Place) -> tuple[str, str]:
    columns = f"[{list(asked.symbols)!r}]" if asked.symbols else ""
    table = f"read_closes({asked.table!r}, Path({asked.table!r}).read_bytes()){columns}"
    return "from data.closes import read_closes", f"{table}.tail({asked.bars})"


def _prices_of_exchange(engine: Engine, asked: ScanRequest, place: Place) -> tuple[str, str]:
    venue = asked.venue or VENUES[0]
    names = """
        from data.feeds.binance import MARKETS
        from data.feeds.klines import Klines
        from data.feeds.rest import Rest

        served = Klines(Rest(MARKETS["<venue>"], "<url>"), told=print)
        symbols = served.symbols(<symbols>, <most>)
        """
    told = {"venue": venue, "url": engine.settings.rest_base(venue), "symbols": asked.symbols, "most": asked.most}
    prices = f'served.closes(symbols, "{asked.timeframe}", {asked.bars}, lambda done, total: None)'
    return _code(names, **told), prices


PRICES: dict[str, Callable[[Engine, ScanRequest, Place], tuple[str, str]]] = {
    LIVE: _prices_live,
    STORED: _prices_stored,
    TABLE: _prices_of_table,
    EXCHANGE: _prices_of_exchange,
}


def _alerts(engine: Engine, view: View, place: Place) -> str:
    return _code(
        """
        from pathlib import Path

        import pandas as pd

        from data.alert_rows import read_alert_history, read_alert_rules

        rules = pd.DataFrame(read_alert_rules(<database>))
        history = pd.DataFrame(read_alert_history(<database>, limit=10_000))
        history
        """,
        database=place.database,
    )


STUDIES = {  # topic: imports, then what is done with `prices`, the closes of the symbols
    "correlation": (
        "from analytics.correlation.matrix import correlation_matrix",
        ["found = correlation_matrix(prices)", "pd.DataFrame(found.correlation, found.symbols, found.symbols)"],
    ),
    "distribution": (
        "from analytics.descriptive import describe\nfrom analytics.returns import log_returns",
        ["summary = describe(<changes>)", "summary"],
    ),
    "season": (
        "from analytics.seasonality import decompose",
        ["found = decompose(<levels>, <period>)", "found"],
    ),
}


def _advanced(engine: Engine, view: View, place: Place) -> str:
    if view.topic == "trades":
        return _lead_lag(view, place)
    names, steps = STUDIES[view.topic]
    if view.topic != "correlation" and view.subject == "spread":
        return _of_spread(engine, view, place, names, steps)
    symbol = view.symbol_y if view.subject == "y" else view.symbol_x
    symbols = engine.symbols[: studies.MOST_SYMBOLS] if view.topic == "correlation" else (symbol,)
    column = f'prices["{symbol}"].dropna().to_numpy()'
    closes = engine.closes(view.timeframe, config.CHART_BARS, symbols)
    if not len(closes):
        raise TooFewObservations(have=0, need=2, what="bars")
    first_us, newest_us = (int(closes.index.asi8[row]) for row in (0, -1))
    head = _code(
        """
        from pathlib import Path

        import pandas as pd

        <names>
        from data.history import stored_bars

        prices = <prices>
        """,
        names=names,
        prices=_closes(place, view.timeframe, symbols, first_us, newest_us + 1),
    )
    return f"{head}\n{_steps(view, steps, column, f'10_000 * log_returns({column})')}"


def _of_spread(engine: Engine, view: View, place: Place, names: str, steps: list[str]) -> str:
    logs = "np.log({})" if view.log_prices else "{}"
    y, x = logs.format("analysis.y"), logs.format("analysis.x")
    used = "\n".join(line for line in names.splitlines() if "log_returns" not in line)
    spread = f"spread = ({y} - analysis.path.hedge_ratio[-1] * {x})[-{config.CHART_BARS}:]  # at the newest ratio"
    head = _analysis(engine, view, place, used).replace(
        "from pathlib import Path\n", "from pathlib import Path\n\nimport numpy as np\n", 1
    )
    return f"{head}\n{spread}\n{_steps(view, steps, 'spread', 'np.diff(spread)')}"


def _steps(view: View, steps: list[str], levels: str, changes: str) -> str:
    period = studies.season_period(view, studies.season_of(view)) if view.topic == "season" else 0
    return "\n".join(_code(step, levels=levels, changes=changes, period=period) for step in steps)


def _lead_lag(view: View, place: Place) -> str:
    return _code(
        """
        from pathlib import Path

        from analytics.correlation.lead_lag import lead_lag
        from data.legs import together
        from data.stored import Span, trade_pages
        from data.trades import Trades

        newest = Span(<since>, <until>, limit=<most>)


        def tape(symbol):
            return Trades.concat(symbol, trade_pages(<database>, ("<venue>", "<stream>", symbol), newest))


        y, x = together(tape("<y>"), tape("<x>"))
        found = lead_lag(x.ts_us, x.price, y.ts_us, y.price)
        found
        """,
        since=place.now_us - TRADES_SINCE_US,
        until=place.now_us + 1,
        most=TRADES_LOOKED_AT,
        venue=place.venue,
        stream=place.stream,
        database=place.database,
        y=view.symbol_y,
        x=view.symbol_x,
    )


def _data(engine: Engine, view: View, place: Place) -> str:
    return _code(
        """
        from pathlib import Path

        import pandas as pd

        from data.sqlite import reading
        from data.stored import read_bar_spans, read_trade_spans

        database = <database>
        trades = pd.DataFrame(read_trade_spans(database, 10.0))
        bars = pd.DataFrame(read_bar_spans(database, 10.0))
        with reading(database) as connection:
            gaps = pd.read_sql_query("select * from gaps", connection)
        trades
        """,
        database=place.database,
    )


def _system(engine: Engine, view: View, place: Place) -> str:
    return _code(
        """
        from pathlib import Path

        import pandas as pd

        from data.stored import read_trade_spans
        from utils.versions import versions

        spans = pd.DataFrame(read_trade_spans(<database>, 10.0))
        stored = spans[spans["venue"] == "<venue>"].set_index("symbol")
        print(versions())
        stored
        """,
        database=place.database,
        venue=place.venue,
    )


SNIPPETS: dict[str, Callable[[Engine, View, Place], str]] = {
    "pair": _pair,
    "microstructure": _microstructure,
    "signals": _signals,
    "backtest": _backtest,
    "scanner": _scanner,
    "alerts": _alerts,
    "advanced": _advanced,
    "data": _data,
    "system": _system,
}
