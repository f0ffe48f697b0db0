"""The demo market: cointegrated symbols with realistic ticks, seeded, at a rate users can set.

    log price of symbol i = base_i + beta_i * common walk + level_i + gap_i

The common walk has a volatility that drifts (log-normal, half-life of minutes) and jumps between a calm and a
hectic regime. gap_i reverts to zero with a half-life of HALF_LIFE_S, so every pair of symbols is cointegrated.
Now and then the relation of one symbol (never the first) breaks: its level moves to another place, or the gap
wanders for some minutes without reverting and a new equilibrium forms where it ends.

Trades arrive in bursts: every print belongs to an order that may fill in several prints of one millisecond, orders
come in clusters, and large moves bring more of them. A taker buys at the ask and sells at the bid, one tick apart,
and rather buys while the price rises. Best quotes follow the same price: bid and ask are the ticks around it, and their
sizes lean so that the microprice is that price. None of this is calibrated to a day of the exchange; it is made to
look and test like one, and it is not a forecast of anything.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import exp, floor, log, log10
from typing import Self, TypeVar
from zlib import crc32

import numpy as np

from data.feeds.feed import FeedState, Sink
from data.quotes import Quotes, QuoteSink
from data.trades import Columns, Trades
from utils import logger
from utils.clock import US_PER_MS, US_PER_S, now_us
from utils.errors import InputError

HISTORY_S = 600.0  # past market that a feed delivers when it starts, so that pages have bars at once
HISTORY_TRADES = 200_000  # the past is shortened to about this many trades at high rates
TICK_S = 0.05  # wall time between two deliveries
CATCH_UP_US = 60 * US_PER_S  # most market time made in one delivery: history, or after the machine slept

BIN_US = 50_000  # grid of the latent prices and of the arrival intensity
BINS = 80  # bins generated at once; the number of trades in such a block is exact, so the rate is met
BLOCK_S = BINS * BIN_US / US_PER_S

VOLATILITY = 9e-5  # of the common log price per square root of a second: about 50 % a year
VOLATILITY_HALF_LIFE_S, VOLATILITY_SD = 240.0, 0.3  # of its logarithm
HECTIC = 2.0  # factor on the volatility in the hectic regime
REGIME_S = (420.0, 90.0)  # mean length of the calm and of the hectic regime

HALF_LIFE_S = 20.0  # of a gap to its equilibrium
GAP_SHARE = 0.42  # volatility of a gap over the volatility of the common walk
BREAK_EVERY_S = (480.0, 1_200.0)  # market time from one break of a relation to the next, uniform
FIRST_BREAK_S = 900.0  # not before: the first pictures of the demo show an intact relation
WANDER_S = (60.0, 180.0)  # length of a wander, uniform
SHIFT_SD = (4.0, 8.0)  # size of a shift of the level, in standard deviations of the gap, uniform

CLUSTERS_PER_S, CLUSTER_S = 1.0, 0.3  # clusters of arrivals of one symbol: how many, and their decay
QUIET = 0.25  # intensity between clusters, where 1 is that of the clusters on average
NEW_ORDER = 0.6  # share of prints that begin an order; the others continue the one before
PRINTS_A_LEVEL = 3  # prints of an order before it reaches the next price level
NOTIONAL, NOTIONAL_SIGMA = 900.0, 1.3  # median print in quote currency, and sigma of its logarithm
DEPTH, DEPTH_SIGMA = 60_000.0, 0.4  # bid and ask size together, median in quote currency, and sigma of its logarithm
QUOTE_BINS = 5  # bins from one quote to the next where nothing trades
THINNEST = 0.02  # least share of a side in that depth

# Price, sensitivity to the common walk; every other name draws both from its own hash.
KNOWN = {"BTCUSDT": (60_000.0, 1.0), "ETHUSDT": (3_000.0, 1.15), "BNBUSDT": (550.0, 0.9), "SOLUSDT": (150.0, 1.3)}
QTY_DECIMALS = {"BTCUSDT": 3, "ETHUSDT": 3}

C = TypeVar("C", bound=Columns)

_LOG = logger.get("feed.demo")
_STEPS = np.arange(1, BINS + 1)
_FADE = exp(-BIN_US / US_PER_S / CLUSTER_S)
_CLUSTER = np.tril(_FADE ** np.subtract.outer(_STEPS, _STEPS).clip(0))  # (BINS, BINS): hits to intensity


@dataclass(frozen=True, slots=True)
class Instrument:
    """What a symbol trades like: first price, sensitivity, and the grids of price and quantity (powers of ten)."""

    symbol: str
    price: float
    beta: float
    price_scale: int  # ticks in one unit of quote currency: 10 for a tick of 0.1
    qty_scale: int  # steps in one unit of base currency

    @classmethod
    def of(cls, symbol: str) -> Self:
        """The instrument of a name; always the same for the same name."""
        draw = crc32(symbol.encode()) / 2**32
        price, beta = KNOWN.get(symbol, (0.05 * 10 ** (4 * draw), 0.8 + 0.6 * (97 * draw % 1)))
        tick_decimals = max(0, 5 - floor(log10(price)))
        qty_decimals = QTY_DECIMALS.get(symbol, max(0, floor(log10(price))))
        return cls(symbol, price, beta, 10**tick_decimals, 10**qty_decimals)


class _Relations:
    """Gaps to the equilibrium and its levels; breaks come now and then. Arrays have one value a symbol."""

    def __init__(self, rng: np.random.Generator, size: int, breaks: bool) -> None:
        self._rng = rng
        self._gap_sd = GAP_SHARE * VOLATILITY / (2 * log(2) / HALF_LIFE_S) ** 0.5
        self._gap = rng.normal(0, self._gap_sd, size)
        self._level = np.zeros(size)
        self._wander_s = np.zeros(size)  # what is left of a wander
        self._break_in_s = FIRST_BREAK_S + rng.uniform(0, BREAK_EVERY_S[0]) if breaks and size > 1 else np.inf

    def block(self, volatility: float) -> np.ndarray:
        """Level plus gap at the end of each bin, shape (BINS, symbols); volatility per square root of a bin."""
        self._break_in_s -= BLOCK_S
        if self._break_in_s <= 0:
            self._break()
        wanders = self._wander_s > 0
        keep = np.where(wanders, 1.0, 0.5 ** (BIN_US / US_PER_S / HALF_LIFE_S))
        fade = keep ** _STEPS[:, None]
        shocks = GAP_SHARE * volatility * self._rng.standard_normal((BINS, self._gap.size))
        gaps = fade * (self._gap + np.cumsum(shocks / fade, axis=0))
        path = self._level + gaps
        self._gap = gaps[-1]
        self._settle(wanders)
        return path

    def _break(self) -> None:
        """One symbol leaves its relation to the others."""
        self._break_in_s = self._rng.uniform(*BREAK_EVERY_S)
        symbol = self._rng.integers(1, self._gap.size)
        if self._rng.random() < 0.5:
            self._wander_s[symbol] = self._rng.uniform(*WANDER_S)
            return
        shift = self._rng.choice((-1, 1)) * self._rng.uniform(*SHIFT_SD) * self._gap_sd
        self._level[symbol] += shift
        self._gap[symbol] -= shift  # no jump: the price is drawn to the new level at the pace of the half-life

    def _settle(self, wandered: np.ndarray) -> None:
        """Where a wander ends, the place reached becomes the new equilibrium."""
        self._wander_s -= BLOCK_S
        ends = wandered & (self._wander_s <= 0)
        self._level[ends] += self._gap[ends]
        self._gap[ends] = 0.0


class _Prices:
    """Latent log prices of all symbols."""

    def __init__(self, rng: np.random.Generator, instruments: Sequence[Instrument], breaks: bool) -> None:
        self._rng = rng
        self._base = np.log([instrument.price for instrument in instruments])
        self._beta = np.array([instrument.beta for instrument in instruments])
        self._relations = _Relations(rng, len(instruments), breaks)
        self._common = 0.0
        self._hectic = False
        self._log_volatility = rng.normal(0, VOLATILITY_SD)
        self._last = self._base

    def block(self) -> np.ndarray:
        """Log mid prices at the edges of the bins, shape (BINS + 1, symbols)."""
        volatility = self._volatility() * (BIN_US / US_PER_S) ** 0.5
        common = self._common + np.cumsum(volatility * self._rng.standard_normal(BINS))
        path = self._base + self._beta * common[:, None] + self._relations.block(volatility)
        edges = np.vstack([self._last, path])
        self._common, self._last = float(common[-1]), path[-1]
        return edges

    def _volatility(self) -> float:
        """Volatility of this block, per square root of a second."""
        keep = 0.5 ** (BLOCK_S / VOLATILITY_HALF_LIFE_S)
        self._log_volatility = keep * self._log_volatility + self._rng.normal(0, VOLATILITY_SD * (1 - keep**2) ** 0.5)
        if self._rng.random() < BLOCK_S / REGIME_S[self._hectic]:
            self._hectic = not self._hectic
        return VOLATILITY * exp(self._log_volatility) * (HECTIC if self._hectic else 1.0)


class _Arrivals:
    """How many prints fall into each bin: clustered, more of them in large moves, an exact number a block."""

    def __init__(self, rng: np.random.Generator, size: int, rate: float) -> None:
        self._rng = rng
        self._rate = rate
        self._owed = 0.0
        self._excited = np.zeros(size)

    def block(self, edges: np.ndarray) -> np.ndarray:
        """Counts, shape (BINS, symbols), which add up to rate * BLOCK_S (fractions are carried over)."""
        self._owed += self._rate * BLOCK_S
        total = int(self._owed)
        self._owed -= total
        moves = np.abs(np.diff(edges, axis=0))
        weights = self._intensity() * (1 + moves / (moves.mean(axis=0) + 1e-12))
        shares = weights.ravel() / weights.sum()
        return self._rng.multinomial(total, shares).reshape(weights.shape)

    def _intensity(self) -> np.ndarray:
        """Quiet flow plus clusters that fade, each symbol its own, some common to all."""
        shape = (BINS, self._excited.size)
        hits = self._rng.poisson(CLUSTERS_PER_S * BIN_US / US_PER_S, shape) * self._rng.lognormal(0, 0.8, shape)
        hits += self._rng.poisson(0.3 * CLUSTERS_PER_S * BIN_US / US_PER_S, (BINS, 1))
        excited = _CLUSTER @ hits + self._excited * _FADE ** _STEPS[:, None]
        self._excited = excited[-1]
        return QUIET + excited / (CLUSTERS_PER_S * CLUSTER_S)


def _prints(
    rng: np.random.Generator, instrument: Instrument, counts: np.ndarray, edges: np.ndarray, start_us: int
) -> Trades:
    """Prints of one symbol in one block (ids still to be given), from counts (BINS,) and log mids (BINS + 1,)."""
    bins = np.repeat(np.arange(BINS), counts)
    if not bins.size:
        return Trades.empty(instrument.symbol)
    begins = rng.random(bins.size) < NEW_ORDER
    begins[0] = True
    order = np.cumsum(begins) - 1
    when = np.sort(bins[begins] + rng.random(int(order[-1]) + 1))  # in bins since the block began, one an order
    mid = np.exp(np.interp(when, np.arange(BINS + 1), edges))
    buys = _sides(rng, when, edges)
    place = np.arange(bins.size) - np.flatnonzero(begins)[order]  # of a print within its order
    ticks = np.floor(mid * instrument.price_scale)[order]
    levels = place // PRINTS_A_LEVEL
    ticks = np.maximum(np.where(buys[order], ticks + 1 + levels, ticks - levels), 1)
    price = ticks / instrument.price_scale  # division of integers gives the float nearest to the printed decimal
    steps = np.exp(rng.normal(log(NOTIONAL), NOTIONAL_SIGMA, bins.size)) / price * instrument.qty_scale
    qty = np.maximum(np.rint(steps), 1) / instrument.qty_scale
    ts_us = (start_us + (when * BIN_US).astype(np.int64)) // US_PER_MS * US_PER_MS  # the exchange prints milliseconds
    return Trades.of(instrument.symbol, np.zeros(bins.size), ts_us[order], price, qty, ~buys[order])


def _sides(rng: np.random.Generator, when: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """True where the taker of an order buys: the likelier, the more the price rises in that bin."""
    moves = np.diff(edges)
    strength = moves / (moves.std() + 1e-12)
    return rng.random(when.size) < 0.5 + 0.45 * np.tanh(strength[when.astype(np.int64)])


def _quotes(
    rng: np.random.Generator, instrument: Instrument, trades: Trades, edges: np.ndarray, start_us: int
) -> Quotes:
    """Best quotes of one symbol in one block (ids still to be given): now and then, and just before each order.

    An order trades at the quote of the millisecond before it, or beyond; of two orders in one millisecond the first.
    """
    every = np.arange(0, BINS, QUOTE_BINS)
    even_us = (start_us + every * BIN_US) // US_PER_MS * US_PER_MS
    firsts = np.flatnonzero(np.diff(trades.ts_us, prepend=-1))
    asks = np.rint(trades.price[firsts] * instrument.price_scale) + trades.buyer_is_maker[firsts]
    ts_us = np.concatenate((even_us, trades.ts_us[firsts] - US_PER_MS))  # of one time, that of the order counts
    mid = np.exp(np.interp((ts_us - start_us) / BIN_US, np.arange(BINS + 1), edges)) * instrument.price_scale
    ticks = np.concatenate((np.maximum(np.floor(mid[: every.size]), 1), asks - 1))
    lean = np.clip(mid - ticks, THINNEST, 1 - THINNEST)  # where the price is between bid and ask
    depth = rng.lognormal(log(DEPTH), DEPTH_SIGMA) * instrument.price_scale / ticks * instrument.qty_scale
    bid_qty, ask_qty = (np.maximum(np.rint(depth * share), 1) / instrument.qty_scale for share in (lean, 1 - lean))
    order = np.argsort(ts_us, kind="stable")
    columns = (ticks / instrument.price_scale, bid_qty, (ticks + 1) / instrument.price_scale, ask_qty)
    ids = np.zeros(ts_us.size, np.int64)
    return Quotes(instrument.symbol, ids, ts_us[order], *(column[order] for column in columns))


class SimulatedMarket:
    """Market time in, trades out: the same trades for the same arguments, however the time is cut into calls.

    Parameters
    ----------
    symbols : names; the first never breaks its relation to the others
    rate : trades per second of market time over all symbols
    seed : of every random number; prices and sizes depend on it alone
    start_us : first moment of the market, and the first trade id of every symbol, so that ids of a later start are
        larger and those of two starts do not meet in one database
    breaks : whether relations break now and then

    Raises
    ------
    InputError
        No symbol, or a rate that is not positive and finite.
    """

    def __init__(
        self, symbols: Sequence[str], rate: float = 20.0, seed: int = 7, start_us: int = 0, breaks: bool = True
    ) -> None:
        if not symbols:
            raise InputError("the demo market needs at least one symbol", "symbols")
        if not 0 < rate < np.inf:
            raise InputError(f"trades per second must be > 0, was {rate!r}", "rate")
        self.quoting = False  # whether quotes are made too; the trades are the same with them and without
        self._rng = np.random.default_rng(seed)
        self._quote_rng = np.random.default_rng((seed, 1))
        self._instruments = [Instrument.of(symbol) for symbol in symbols]
        self._prices = _Prices(self._rng, self._instruments, breaks)
        self._arrivals = _Arrivals(self._rng, len(symbols), rate)
        self._held = [Trades.empty(symbol) for symbol in symbols]  # made, but not due yet
        self._held_quotes = [Quotes.empty(symbol) for symbol in symbols]
        self._next_id = [start_us] * len(symbols)
        self._next_quote_id = [start_us] * len(symbols)
        self._made_us = self._advanced_us = start_us

    def advance(self, until_us: int) -> list[Trades]:
        """Trades up to and including `until_us` that were not delivered yet, one `Trades` a symbol that has some."""
        self._advanced_us = max(self._advanced_us, until_us)
        while self._made_us <= until_us:
            made = zip(self._held, self._block(), strict=True)
            self._held = [Trades.concat(held.symbol, (held, trades)) for held, trades in made]
        return _due(self._held, until_us)

    def quotes(self) -> list[Quotes]:
        """Quotes up to the time of the last `advance` that were not delivered yet, if `quoting`."""
        return _due(self._held_quotes, self._advanced_us)

    def _block(self) -> list[Trades]:
        """The next BLOCK_S of market time."""
        edges = self._prices.block()
        counts = self._arrivals.block(edges)
        start_us, self._made_us = self._made_us, self._made_us + BINS * BIN_US
        made = [
            self._numbered(i, _prints(self._rng, instrument, counts[:, i], edges[:, i], start_us))
            for i, instrument in enumerate(self._instruments)
        ]
        if self.quoting:
            self._quote(made, edges, start_us)
        return made

    def _quote(self, made: list[Trades], edges: np.ndarray, start_us: int) -> None:
        """Make the quotes around the trades of a block."""
        for i, instrument in enumerate(self._instruments):
            quotes = _quotes(self._quote_rng, instrument, made[i], edges[:, i], start_us)
            first, self._next_quote_id[i] = self._next_quote_id[i], self._next_quote_id[i] + len(quotes)
            quotes = replace(quotes, update_id=np.arange(first, self._next_quote_id[i], dtype=np.int64))
            self._held_quotes[i] = Quotes.concat(instrument.symbol, (self._held_quotes[i], quotes))

    def _numbered(self, i: int, trades: Trades) -> Trades:
        first, self._next_id[i] = self._next_id[i], self._next_id[i] + len(trades)
        return replace(trades, trade_id=np.arange(first, self._next_id[i], dtype=np.int64))


def _due(held: list[C], until_us: int) -> list[C]:
    """Take the rows up to a time out of what is held of each symbol; of the symbols that have some."""
    ready = []
    for i, rows in enumerate(held):
        due = int(np.searchsorted(rows.columns[1], until_us, "right"))
        if due:
            ready.append(rows[:due])
            held[i] = rows[due:]
    return ready


class SimulatedFeed:
    """The demo market as a feed, paced by the wall clock.

    When it starts it delivers at once the `history_s` seconds before `start_us` (less at high rates: about
    HISTORY_TRADES trades at most), then live. Ids of every symbol begin at the first microsecond of that history.

    Parameters
    ----------
    symbols, rate, seed : as of `SimulatedMarket`
    start_us : where the live part begins, microseconds; None is now
    history_s : seconds of past market delivered at the start
    """

    venue = "demo"
    stream = "trade"
    contiguous = True

    def __init__(
        self,
        symbols: Sequence[str],
        rate: float = 20.0,
        seed: int = 7,
        start_us: int | None = None,
        history_s: float = HISTORY_S,
    ) -> None:
        self.quote_sink: QuoteSink | None = None
        self._offset_us = 0 if start_us is None else start_us - now_us()
        history_us = int(max(0.0, min(history_s, HISTORY_TRADES / rate)) * US_PER_S)
        self._reached_us = (now_us() if start_us is None else start_us) - history_us
        self._market = SimulatedMarket(symbols, rate, seed, self._reached_us)
        self._state = FeedState("CONNECTING", "the demo market has not been started")
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def state(self) -> FeedState:
        """How the feed stands."""
        return self._state

    def market_us(self) -> int:
        """Wall-clock time, moved so that the live part began at `start_us` where one was given."""
        return now_us() + self._offset_us

    def start(self, sink: Sink) -> None:
        """Deliver the history, then go on live."""
        self._market.quoting = self.quote_sink is not None
        self._state = FeedState("LIVE", "simulated market, not real prices")
        self._thread = threading.Thread(target=self._run, args=(sink,), name="demo", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop and join."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()
        self._state = FeedState("ENDED", "stopped")

    def _run(self, sink: Sink) -> None:
        try:
            while not self._stopped.wait(self._deliver(sink)):
                pass
        except Exception:
            _LOG.exception("the demo market failed")
            self._state = FeedState("ENDED", "the demo market failed: see the log")
            raise

    def _deliver(self, sink: Sink) -> float:
        """Deliver what is due; seconds to wait before the next time."""
        due_us = self.market_us()
        # A wall clock that steps back makes nothing new until it is where it was.
        self._reached_us = max(self._reached_us, min(due_us, self._reached_us + CATCH_UP_US))
        ready = self._market.advance(self._reached_us)
        if self.quote_sink is not None:
            for quotes in self._market.quotes():
                self.quote_sink.offer(quotes)
        for trades in ready:
            sink.offer(trades)
        return TICK_S if self._reached_us >= due_us else 0.0
