"""A replay through the whole engine: the same at any speed, and the same again after going back."""

import threading

import numpy as np
import pytest

from alerts.alert_engine import AlertEngine
from config import Settings
from data.feeds.control import FASTEST
from data.feeds.gate import Gate
from engine import Engine
from tests.fakes.engine import settings
from tests.fakes.exchange import FakeExchange
from tests.fakes.feed import T0, S
from tests.fakes.recordings import made_up, recorded
from tests.market import market
from tests.waiting import until
from utils.errors import InputError, NotFound

SIX_MINUTES = ("ws/usdm_btcusdt_20240808.gz", "ws/usdm_ethusdt_20240808.gz")
SECONDS = 100.0  # 60 bars fill the window of a rule


class Replaying(Engine):
    """An engine with a rule that is in force from the first trade on, and alarms now and then."""

    def __init__(self, options: Settings) -> None:
        super().__init__(options)
        load = self.alerts.load

        def load_and_add() -> None:
            load()
            rule = {"metric": "zscore", "condition": "outside", "threshold": 1.0, "cooldown_s": 5}
            self.alerts.add({**self.rule_defaults(), **rule})

        self.alerts.load = load_and_add


@pytest.fixture(scope="module")
def tape(tmp_path_factory):
    """A recording in which trades are missing: raw material for gaps."""
    trades = [trade for k, trade in enumerate(made_up(SECONDS)) if k % 400 not in (90, 91)]
    return recorded(tmp_path_factory.mktemp("tape") / "tape.gz", trades)


@pytest.fixture
def open_replay(tmp_path, tape):
    opened: list[Engine] = []

    def make(name: str = "a", engine: type[Engine] = Replaying, files=(tape,), **options: object) -> Engine:
        (tmp_path / name).mkdir()
        made = engine(settings(tmp_path / name, source="replay", replay=files, **{"speed": 0} | options))
        opened.append(made)
        made.start()
        return made

    yield make
    for made in opened:
        made.stop()


def ended(engine: Engine) -> Engine:
    until(engine.replay.position, lambda position: position.ended, 60)
    return engine


def standing(engine: Engine) -> Engine:
    until(engine.replay.position, lambda position: position.standing, 60)
    return engine


def events(engine: Engine, after: int = 0) -> list[tuple[str, int, float | None]]:
    return [(event.state, event.at_us, event.value) for event in engine.alerts.events_after(after)]


def test_two_replays_have_one_state_whatever_their_speed_and_whoever_looks(open_replay):
    fast, paced = ended(open_replay("fast")), open_replay("paced", speed=FASTEST)
    while not paced.replay.position().ended:  # a page that looks all the time
        paced.bars("ETHUSDT", "1s", 50)
        paced.bars("BTCUSDT", "1m", 5)
        paced.status()
        threading.Event().wait(0.001)
    assert len(events(fast)) > 2 and events(fast) == events(paced)
    assert all(at_us % S == 0 for _, at_us, _ in events(fast))
    assert fast.state_hash() == paced.state_hash()
    assert [(gap.first_id, gap.last_id, gap.found_us) for gap in fast.gaps()] == [
        (gap.first_id, gap.last_id, gap.found_us) for gap in paced.gaps()
    ]
    assert len(fast.gaps()) > 2 and all(T0 < gap.found_us < T0 + (SECONDS + 1) * S for gap in fast.gaps())


def test_going_back_gives_the_state_that_was_there_before(open_replay):
    engine = open_replay(speed=1)
    engine.replay.pause()
    engine.replay.speed(0)
    where_us = T0 + 80 * S + 300_000
    engine.replay.seek(where_us)
    before = standing(engine).state_hash()
    seen = events(engine)
    assert engine.now_us() == where_us and engine.ticks("BTCUSDT", 10_000).ts_us[-1] <= where_us
    engine.replay.play()
    last = ended(engine).state_hash()
    newest = engine.alerts.last_seq
    assert last != before and engine.replay.position().share == 1.0
    engine.replay.seek(where_us)
    assert standing(engine).state_hash() == before
    assert engine.replay.position().paused and engine.now_us() == where_us
    assert events(engine, newest) == seen and len(seen) > 0
    assert int(engine.ticks("BTCUSDT", 10_000).ts_us[-1]) <= where_us
    assert engine.bars("BTCUSDT", "1s", 1).index.asi8[-1] == where_us // S * S
    engine.replay.play()
    assert ended(engine).state_hash() == last
    assert engine.health() is None and engine.status().mode == "REPLAY"


def test_a_replay_is_stepped_and_follows_its_own_time(open_replay):
    engine = open_replay(engine=Engine, speed=1)
    engine.replay.seek(T0 + 10 * S)
    engine.replay.pause()
    engine.replay.seek(T0 + 20 * S)
    assert standing(engine).now_us() == T0 + 20 * S
    engine.replay.step("second")
    assert standing(engine).now_us() == T0 + 21 * S
    before = sum(len(engine.ticks(symbol, 10_000)) for symbol in engine.symbols)
    engine.replay.step()
    rows = [engine.ticks(symbol, 10_000) for symbol in standing(engine).symbols]
    assert sum(map(len, rows)) > before and max(int(trades.ts_us[-1]) for trades in rows) == engine.now_us()
    status = engine.status()
    assert status.replay["paused"] and status.replay["position_us"] == engine.now_us()
    assert all(0 <= row.last_trade_age_s < 5 and row.trades_per_s > 5 for row in status.symbols.values())


def test_at_its_end_a_replay_begins_again_when_it_is_told_to_play(open_replay):
    engine = ended(open_replay(engine=Engine))
    state = engine.state_hash()
    feed = engine.session.feed
    engine.replay.play()
    assert engine.session.feed is not feed
    assert ended(engine).state_hash() == state


def test_what_a_replay_cannot_do_is_refused_with_value_and_limit(open_replay, tmp_path):
    engine = ended(open_replay(engine=Engine))
    first_us, last_us = engine.replay.position().first_us, engine.replay.position().last_us
    with pytest.raises(InputError, match=r"0 \(as fast as possible\) or 0.01 to 1000 times real time, was 1001"):
        engine.replay.speed(1_001)
    with pytest.raises(InputError, match=f"at_us must be at least {first_us} and at most {last_us}, was {T0 - S}"):
        engine.replay.seek(T0 - S)
    with pytest.raises(InputError, match=f"was {last_us + 1}"):
        engine.replay.seek(last_us + 1)
    with pytest.raises(InputError, match="one of them"):
        engine.replay.seek()
    with pytest.raises(InputError, match=r"share must be between 0 and 1, was -0\.5"):
        engine.replay.seek(share=-0.5)
    with pytest.raises(InputError, match="was 'hour'"):
        engine.replay.step("hour")
    demo = Engine(settings(tmp_path, source="demo"))
    demo.start()
    for command in (demo.replay.play, demo.replay.pause, demo.replay.step, demo.replay.position):
        with pytest.raises(InputError, match="no recording is being replayed, the source is demo"):
            command()
    with pytest.raises(NotFound, match=r"no recording 'absent\.gz'"):
        demo.replay_recordings(["absent.gz"])
    with pytest.raises(InputError, match="at least one recording"):
        demo.replay_recordings([])
    assert demo.venue == "demo"
    demo.stop()


def test_a_replay_that_is_closed_while_it_waits_holds_nobody_up(open_replay, monkeypatch):
    engine = open_replay(engine=Engine, speed=1)
    monkeypatch.setattr(Gate, "done", lambda self: None)  # whoever judges never comes to an end
    engine.replay.speed(0)
    until(lambda: engine.session.feed.moment_us, lambda at_us: at_us > T0)
    engine.switch("demo")
    until(engine.status, lambda status: status.mode == "DEMO" and status.symbols)


def test_an_error_in_the_judgement_of_a_moment_stops_nothing(open_replay, monkeypatch):
    judged: list[int] = []

    def fail(self: AlertEngine, reading: object, at_us: int, *_: object) -> None:
        judged.append(at_us)
        raise ZeroDivisionError

    monkeypatch.setattr(AlertEngine, "evaluate", fail)
    engine = ended(open_replay())
    assert len(judged) > SECONDS / 2
    assert engine.health() is None and sum(len(engine.ticks(s, 10_000)) for s in engine.symbols) > 1_900


def test_a_replay_waits_for_a_disk_that_is_slower(open_replay, monkeypatch):
    monkeypatch.setattr("engine.evaluator.BACKLOG", 500)
    engine = ended(open_replay(engine=Engine))
    assert all(row.dropped == {} for row in engine.status().symbols.values())


def test_six_recorded_minutes_have_one_state(open_replay):
    files = tuple(market(name) for name in SIX_MINUTES)
    hashes = {ended(open_replay(name, Engine, files)).state_hash() for name in "ab"}
    assert len(hashes) == 1


# --- recording ------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", ["aggTrade", "trade"])
def test_a_live_session_is_recorded_and_played_back_exactly(tmp_path, stream):
    with FakeExchange(rate=300) as exchange:
        exchange.quoting = True
        live = {"source": "binance-um", "ws_url": exchange.ws_url, "backfill": 0, "quotes": True, "stream": stream}
        engine = Engine(settings(tmp_path, record=True, speed=0, **live))
        engine.start()
        until(
            engine.status, lambda s: len(s.quotes) == 2 and len(s.symbols) == 2 and s.symbols["BTCUSDT"].received > 50
        )
        assert engine.status().recording["running"] and engine.status().mode == "LIVE"
        engine.stop_recording()
        trades = {symbol: list(engine.ticks(symbol, 10_000)) for symbol in engine.symbols}
        quotes = {symbol: list(engine.quotes(symbol, 10_000)) for symbol in engine.symbols}
        (row,) = engine.recordings()
        assert (row.venue, row.stream, row.symbols) == ("binance-um", stream, ("BTCUSDT", "ETHUSDT"))
        engine.replay_recordings([row.name])
        engine.replay.speed(0)
    ended(engine)
    for symbol in engine.symbols:
        played, shown = list(engine.ticks(symbol, 10_000)), list(engine.quotes(symbol, 10_000))
        assert len(played) > 20 and trades[symbol][: len(played)] == played
        assert len(shown) > 20 and quotes[symbol][: len(shown)] == shown
    with pytest.raises(InputError, match="a replay is a recording already"):
        engine.start_recording()
    engine.delete_recording(row.name)
    assert engine.recordings() == []
    engine.stop()


def test_the_demo_market_is_recorded_and_played_back_exactly(tmp_path):
    engine = Engine(settings(tmp_path, demo_rate=100, record=True, speed=0))
    engine.start()
    until(engine.status, lambda status: status.recording and status.recording["frames"] > 1_000)
    engine.switch("demo")  # another market: its recording is another one
    until(engine.status, lambda status: len(engine.recordings()) == 2 and status.recording["frames"] > 1_000)
    engine.stop_recording()
    market_rows = {symbol: (engine.ticks(symbol, 100_000), engine.quotes(symbol, 100_000)) for symbol in engine.symbols}
    engine.replay_recordings([engine.recordings()[0].name])
    engine.replay.speed(0)
    ended(engine)
    for symbol, before in market_rows.items():
        for one, two in zip(before, (engine.ticks(symbol, 100_000), engine.quotes(symbol, 100_000)), strict=True):
            rows = min(len(one), len(two))
            assert rows > 100
            for shown, played in zip(one[:rows].columns, two[:rows].columns, strict=True):
                np.testing.assert_array_equal(shown, played)
    engine.stop()
