"""A meter between threads: what readers get is what a batch over all trades gives, repaired ones included."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from analytics.microstructure import LevelLearner, LiveQuotes, LiveTape, TapeParams, quote_reading, tape_reading
from analytics.microstructure.live import AGAIN_US, MOST_WAITING
from data.quotes import Quotes
from data.trades import Trades
from utils.errors import TooFewObservations

S = 1_000_000
START_US = 1_700_000_000 * S
PARAMS = TapeParams(window_s=10, history_s=60)


def tape(n: int, seed: int = 1) -> Trades:
    """n trades, ten a second."""
    random = np.random.default_rng(seed)
    price = np.round(100 + random.standard_normal(n).cumsum() / 50, 2)
    ids = np.arange(1, n + 1)
    return Trades.of("A", ids, START_US + ids * S // 10, price, random.integers(1, 9, n) / 4, random.integers(0, 2, n))


class Memory:
    """Trades in memory, as far as they have arrived."""

    def __init__(self, trades: Trades) -> None:
        self.trades = trades
        self.tape = LiveTape(lambda: self.trades, params=PARAMS)

    def add(self, more: Trades) -> None:
        self.trades = Trades.concat("A", [self.trades, more]).sorted_by_id()
        self.tape.add(more)


def same(found, expected):
    np.testing.assert_allclose(list(found.reading().values()), list(expected.reading().values()), rtol=1e-9)


def test_a_reader_gets_what_a_batch_over_all_trades_gives():
    trades = tape(900)
    memory = Memory(trades[:300])
    for end in range(350, 901, 50):
        if end > 400:  # before, nobody has asked
            now_us = int(memory.trades.ts_us[-1])
            same(memory.tape.reading(now_us), tape_reading(memory.trades, now_us, PARAMS))
        memory.add(trades[end - 50 : end])
    now_us = int(trades.ts_us[-1]) + S
    same(memory.tape.reading(now_us), tape_reading(trades, now_us, PARAMS))


def test_repaired_trades_are_read_once_the_whole_tape_is_read_again():
    trades, gap = tape(900), slice(500, 520)
    memory = Memory(trades[:500])
    memory.tape.reading(int(trades.ts_us[499]))
    memory.add(trades[520:])
    memory.add(trades[gap])
    now_us = int(trades.ts_us[-1])
    assert now_us - int(trades.ts_us[499]) > AGAIN_US
    same(memory.tape.reading(now_us), tape_reading(trades, now_us, PARAMS))


def test_a_feed_that_nobody_reads_does_not_pile_up():
    trades = tape(MOST_WAITING + 2_000)
    memory = Memory(trades[:1_000])
    memory.tape.reading(int(trades.ts_us[999]))
    for start in range(1_000, len(trades), 100):
        memory.tape.add(trades[start : start + 100])
    assert memory.tape.waiting < 2_000
    now_us = int(trades.ts_us[-1])
    same(memory.tape.reading(now_us), tape_reading(trades, now_us, PARAMS))


def test_what_stored_bars_tell_of_the_time_of_day_is_asked_for_the_time_before_the_tape():
    asked = []

    def levels(before_us: int) -> LevelLearner:
        asked.append(before_us)
        learner = LevelLearner()
        for day in (3, 2, 1):
            begin = START_US // learner.slot_us * learner.slot_us - day * 86_400 * S
            learner.learn(begin + np.arange(30) * 60 * S, np.full(30, 120), np.full(30, 6_000.0), 60.0)
        return learner

    trades = tape(300)
    found = LiveTape(lambda: trades, levels, PARAMS).reading(int(trades.ts_us[-1]))
    assert asked == [int(trades.ts_us[0])]
    assert (found.normal.trades_per_s, found.normal.notional_per_s, found.normal.days) == (2.0, 100.0, 3)


def test_no_trade_is_not_enough_data():
    with pytest.raises(TooFewObservations):
        LiveTape(lambda: Trades.empty("A")).reading(START_US)


def test_readers_and_the_feed_do_not_disturb_each_other():
    trades = tape(6_000)
    memory = Memory(trades[:100])
    now_us = int(trades.ts_us[-1])

    def read() -> None:
        for _ in range(40):
            memory.tape.reading(now_us)

    with ThreadPoolExecutor(3) as pool:
        readers = [pool.submit(read) for _ in range(3)]
        for start in range(100, len(trades), 50):
            memory.add(trades[start : start + 50])
        for reader in readers:
            reader.result()
    same(memory.tape.reading(now_us + AGAIN_US), tape_reading(trades, now_us + AGAIN_US, PARAMS))


# --- best quotes ------------------------------------------------------------------------------------------


def quotes(trades: Trades) -> Quotes:
    """A quote just before each trade, a cent on both sides of its price."""
    size, random = np.full(len(trades), 2.0), np.random.default_rng(4)
    sides = trades.price - 0.01, size + random.integers(0, 3, len(trades)), trades.price + 0.01, 2 * size
    return Quotes.of("A", trades.trade_id + 20_000, trades.ts_us - 1_000, *sides)


class Books:
    """Quotes and trades in memory up to a row."""

    def __init__(self) -> None:
        self.trades, self.end, self.number, self.repairs = tape(3_000), 0, 0, 0
        self.quotes, self.missing = quotes(self.trades), slice(0, 0)
        self.live = LiveQuotes(
            lambda since_us: self.quotes[(self.quotes.ts_us >= since_us) & self.arrived],
            lambda since_us: self.trades[(self.trades.ts_us >= since_us) & self.arrived & ~self.gone],
            lambda: self.number,
            lambda: self.repairs,
        )

    @property
    def arrived(self) -> np.ndarray:
        return np.arange(len(self.trades)) < self.end

    @property
    def gone(self) -> np.ndarray:
        gone = np.zeros(len(self.trades), bool)
        gone[self.missing] = True
        return gone

    def reading(self):
        return self.live.reading(int(self.trades.ts_us[self.end - 1]))

    def expected(self):
        end = self.end
        return quote_reading(self.quotes[:end], self.trades[:end], int(self.trades.ts_us[end - 1]))


def test_quotes_read_now_and_then_are_those_of_a_batch():
    books = Books()
    for end in (5, 300, 310, 1_700, 3_000):
        books.end = end
        same(books.reading(), books.expected())


def test_a_new_numbering_of_quotes_begins_a_new_meter():
    books = Books()
    books.end = 1_000
    books.reading()
    books.quotes = Quotes.of("A", books.quotes.update_id - 10_000, books.quotes.ts_us, *books.quotes.columns[2:])
    books.end, books.number = 2_500, 1
    same(books.reading(), books.expected())


def test_repaired_trades_older_than_what_is_read_again_begin_a_new_meter():
    books = Books()
    for end in range(1_200, 1_500, 20):
        books.end = end
        books.missing = slice(1_000, 1_100)
        books.reading()
    books.missing, books.repairs = slice(0, 0), 1
    for end in range(1_500, 1_600, 20):
        books.end = end
        found = books.reading()
    same(found, books.expected())


def test_no_quote_is_not_enough_data():
    books = Books()
    with pytest.raises(TooFewObservations, match="quotes"):
        books.live.reading(START_US)
