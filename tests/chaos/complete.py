"""A tape with faults in it: with REST every trade is stored once, without it every absence is on record."""

import random
from collections.abc import Iterator

from tests.chaos.proof import BarProof, gap_rows, joined, prove_bars, stored, stored_all
from tests.chaos.subject import SEED, SYMBOLS, StatusReads, capture, caught_up, folder, live, settled, stop, subscribed
from tests.fakes.exchange import FakeExchange
from tests.fakes.faults import Faults
from tests.running import Running
from tests.table import Row, Size, at_least, equal
from tests.waiting import until

ENDS = 20  # trades of each symbol at both ends of the tape that nothing befalls
RATE = 2_000.0
READS = 30
REFUSALS = {503: 180.0, 451: 0.0}  # status -> seconds to wait for the repair when it is over; 0: not waited for


def complete(size: Size) -> Iterator[Row]:
    """Repeated, reordered, lost on the way and with the connection: all there at the end."""
    name, made, lost = "complete", size.count(6_000, 60_000), size.count(10, 50)
    with FakeExchange(symbols=SYMBOLS, seed=SEED) as exchange, folder() as path:
        database = path / "tape.db"
        with capture(exchange, database) as app:
            reads = StatusReads(app, READS, made / RATE)
            faults = tell(exchange, app, made, lost, reads)
            status = settled(app, exchange, 240)
            reads.join(60)
            gaps = app.get("/api/v1/gaps")
            proofs = [prove_bars(app, ledger) for ledger in exchange.tape.trades.values()]
            stop(app)
        found = stored_all(database, list(exchange.tape.trades.values()))
        on_record = gap_rows(database)
    yield equal(name, "trades made", made, len(exchange.tape))
    yield at_least(name, "sent three times", made // 200, faults.repeated)
    yield at_least(name, "sent out of order", made // 100, faults.reordered)
    yield equal(name, "never sent live", lost, len(faults.dropped))
    yield equal(name, "resets in mid-stream", 2, status["reconnects"])
    yield equal(name, "stored", made, found.rows)
    yield equal(name, "stored, by the status", made, sum(row["stored"] for row in status["symbols"].values()))
    yield equal(name, "missing", 0, found.missed)
    yield equal(name, "stored twice", 0, found.repeated)
    yield equal(name, "stored with other values, or invented", 0, found.invented)
    yield at_least(name, "gaps found", 1, len(gaps))
    yield equal(name, "gaps open", 0, sum(gap["filled_us"] is None for gap in gaps))
    yield equal(name, "gaps open on record", 0, sum(gap["filled_us"] is None for gap in on_record))
    yield from bar_rows(name, proofs)
    yield equal(name, f"of {READS} status reads, books that do not add up", (READS, 0), (reads.read, reads.wrong))


def refused(size: Size) -> Iterator[Row]:
    """The same while REST refuses: what is missing is known, shown and marked."""
    for status, patience_s in REFUSALS.items():
        yield from _refused(size, status, 0.0 if size.short else patience_s)


def _refused(size: Size, status: int, patience_s: float) -> Iterator[Row]:
    name, made, lost = f"refused-{status}", size.count(3_000, 60_000), size.count(10, 50)
    with FakeExchange(symbols=SYMBOLS, seed=SEED) as exchange, folder() as path:
        database = path / "tape.db"
        exchange.refuse_rest(status)
        with capture(exchange, database) as app:
            reads = StatusReads(app, READS, made / RATE)
            faults = tell(exchange, app, made, lost, reads)
            caught_up(app, exchange, 30)
            reads.join(60)
            gaps = app.get("/api/v1/gaps")
            ledgers = exchange.tape.trades
            rest = {symbol: stored(database, ledger) for symbol, ledger in ledgers.items()}
            proofs = [prove_bars(app, ledgers[symbol], rest[symbol].missing) for symbol in ledgers]
            until(lambda: gap_rows(database), lambda rows: len(rows) >= len(gaps))
            on_record = gap_rows(database)
            exchange.admit_rest()
            if patience_s:
                settled(app, exchange, patience_s)
            stop(app)
        repaired = stored_all(database, list(ledgers.values()))
    missing = {symbol: one.missing for symbol, one in rest.items()}
    yield at_least(name, "trades that never came", len(faults.dropped), sum(one.missed for one in rest.values()))
    same = sum(joined(gaps, symbol) == missing[symbol] for symbol in ledgers)
    yield equal(name, "symbols whose open gaps are just the missing ids", len(ledgers), same)
    same = sum(joined(on_record, symbol) == missing[symbol] for symbol in ledgers)
    yield equal(name, "the same on record", len(ledgers), same)
    yield equal(name, "stored twice", 0, sum(one.repeated for one in rest.values()))
    yield equal(name, "stored with other values, or invented", 0, sum(one.invented for one in rest.values()))
    yield from bar_rows(name, proofs)
    yield equal(name, f"of {READS} status reads, books that do not add up", (READS, 0), (reads.read, reads.wrong))
    if patience_s:
        yield equal(name, "missing when REST answers again", 0, repaired.missed)


def tell(exchange: FakeExchange, app: Running, made: int, lost: int, reads: StatusReads) -> Faults:
    """Make a tape of so many trades with its faults, two resets included, and send it; what befell it."""
    subscribed(exchange)
    for symbol in exchange.tape.symbols:
        exchange.emit(ENDS, symbol)
    live(app)
    middle = made - 2 * ENDS * len(exchange.tape.symbols)
    drop_at = frozenset(random.Random(SEED).sample(range(middle), lost))
    faults = exchange.faults = Faults(SEED, drop_at=drop_at, repeat=0.01, reorder=0.02)
    reads.start()
    exchange.run(middle, RATE)
    for left in (2 * middle // 3, middle // 3):
        until(lambda: exchange.left or 0, lambda now, left=left: now <= left, 120)
        subscribed(exchange)
        exchange.reset_all(mid_frame=True)
    until(lambda: (exchange.left, faults.waiting), lambda left: left == (0, 0), 120)
    exchange.faults = Faults()
    subscribed(exchange)
    for symbol in exchange.tape.symbols:
        exchange.emit(ENDS, symbol)
    return faults


def bar_rows(name: str, proofs: list[BarProof]) -> Iterator[Row]:
    """What became of the bars."""
    bars = sum(proof.compared for proof in proofs)
    yield equal(name, f"of {bars} bars, unlike those of the ledger", 0, sum(proof.different for proof in proofs))
    yield equal(name, "bars that miss trades and are not marked", 0, sum(proof.unmarked for proof in proofs))
    yield equal(name, "bars that miss none and are marked", 0, sum(proof.overmarked for proof in proofs))
