"""Quotes of recordings: every one of them, in recorded order, beside trades that they leave as they are."""

from pathlib import Path

import numpy as np
import pytest

from data.feeds import merge
from data.feeds.binance import SPOT, USDM, Market, format_trade
from data.feeds.book_ticker import format_quote
from data.feeds.replay import ReplayFeed
from data.quotes import Quote, QuoteBook
from data.trades import Trade, Trades
from tests.data.feeds.test_replay import START_US, Tape, play, played, wait_for_end
from tests.market import market


def played_quotes(*paths: Path, **options: object) -> tuple[Tape, QuoteBook, ReplayFeed]:
    """Trades and quotes of recordings, to their end."""
    feed, book = ReplayFeed(paths, **({"speed": 0} | options)), QuoteBook()
    feed.quote_sink = book
    return played(feed), book, feed


def written(path: Path, rows: list[Trade | Quote], venue: Market) -> Path:
    """A recording of trades and quotes in this order."""
    texts = [format_quote(row, venue) if isinstance(row, Quote) else format_trade(row, venue, "trade") for row in rows]
    path.write_text("\n".join(f"{START_US * 1_000 + k} {text}" for k, text in enumerate(texts)) + "\n")
    return path


def quote(update_id: int, at_us: int = START_US, symbol: str = "BTCUSDT") -> Quote:
    return Quote(symbol, update_id, at_us, 100.0, 1.0, 101.0, 2.0)


def trade(trade_id: int, at_us: int, symbol: str = "BTCUSDT") -> Trade:
    return Trade(symbol, trade_id, at_us, 100.0, 1.0, False)


# Counts of the recordings' own README; spot quotes before the first trade of a file have no time.
QUOTED = [
    ("ws/usdm_btcusdt_20240808.gz", {"BTCUSDT": 66_089}),
    ("ws/spot_btcusdt_20240808.gz", {"BTCUSDT": 28_040 - 1}),
    ("ws/usdm_btcusdt_20230404.dat.gz", {"BTCUSDT": 6_765}),
]


@pytest.mark.parametrize("name, counts", QUOTED)
def test_recorded_quotes_are_delivered_and_the_trades_are_the_same(name, counts):
    tape, book, feed = played_quotes(market(name))
    assert {symbol: row.kept for symbol, row in book.counts().items()} == counts
    assert all(row.received == row.kept and not row.rejected for row in book.counts().values())
    alone = play(market(name))
    for column, other in zip(tape.of("BTCUSDT").columns, alone.of("BTCUSDT").columns, strict=True):
        np.testing.assert_array_equal(column, other)
    assert feed.position.position_us == int(tape.of("BTCUSDT").ts_us.max())


def test_quotes_of_files_that_hold_none_are_none(tmp_path):
    _, book, _ = played_quotes(written(tmp_path / "a", [trade(1, START_US)], USDM))
    assert book.counts() == {}


def test_a_quote_of_spot_has_the_time_of_the_trade_before_it(tmp_path):
    ms = 1_000
    rows = [quote(1), trade(1, START_US), quote(2), quote(3), trade(2, START_US + 5 * ms), quote(4)]
    _, book, _ = played_quotes(written(tmp_path / "a", rows, SPOT))
    held = book.snapshot("BTCUSDT")
    assert held.update_id.tolist() == [2, 3, 4]
    assert (held.ts_us - START_US).tolist() == [0, 0, 5 * ms]


def test_quotes_come_no_later_than_the_trades_after_them(tmp_path):
    rows: list[Trade | Quote] = []
    for k in range(50):
        rows += [quote(k, START_US + k * 100_000), trade(k, START_US + k * 100_000 + 1_000)]

    class Watching(Tape):
        def offer(self, trades: Trades) -> None:
            super().offer(trades)
            self.held = len(book.snapshot("BTCUSDT"))
            assert self.held >= int(trades.trade_id[-1]) + 1

    feed, book, tape = ReplayFeed([written(tmp_path / "a", rows, USDM)], speed=100), QuoteBook(), Watching()
    feed.quote_sink = book
    feed.start(tape)
    wait_for_end(feed)
    feed.stop()
    assert (tape.held, len(tape.of("BTCUSDT"))) == (50, 50)
    assert len(tape.parts) > 1


def test_only_the_symbols_asked_for_have_quotes_and_bad_ones_are_counted(tmp_path):
    path = written(tmp_path / "a", [trade(1, START_US), trade(1, START_US, "ETHUSDT"), quote(1)], USDM)
    bad = format_quote(quote(2), USDM).replace('"101.0"', '"-1"')
    path.write_text(path.read_text() + bad + "\n" + format_quote(quote(3, symbol="ETHUSDT"), USDM) + "\n")
    _, book, _ = played_quotes(path, symbols=("BTCUSDT",))
    counts = book.counts()
    assert counts.keys() == {"BTCUSDT"}
    assert (counts["BTCUSDT"].kept, counts["BTCUSDT"].rejected) == (1, {"ask": 1})


def test_more_quotes_than_anybody_holds_are_not_held(tmp_path, monkeypatch):
    monkeypatch.setattr(merge, "QUOTES_KEPT", 10)
    rows = [quote(k, START_US + k * 1_000) for k in range(100)] + [trade(1, START_US + 200_000)]
    _, book, _ = played_quotes(written(tmp_path / "a", rows, USDM))
    assert book.snapshot("BTCUSDT").update_id.tolist() == list(range(90, 100))
