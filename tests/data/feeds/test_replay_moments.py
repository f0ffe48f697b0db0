"""Moments, steps and targets of a replay: what is judged, and when, follows from the files alone."""

import threading

import pytest

from data.feeds.gate import Gate
from data.feeds.replay import QUIET, ReplayFeed
from tests.data.feeds.test_replay import Tape
from tests.fakes.feed import T0, S
from tests.fakes.recordings import made_up, recorded
from tests.waiting import until
from utils.errors import InputError


class Judged:
    """A replay with somebody who judges each of its moments, and remembers what was there."""

    def __init__(self, feed: ReplayFeed) -> None:
        self.feed, self.tape = feed, Tape()
        self.seen: list[tuple[int, int, int]] = []  # moment, trades until then, market time
        feed.gate = Gate()
        self._thread = threading.Thread(target=self._judge, daemon=True)
        self._thread.start()

    def _judge(self) -> None:
        assert self.feed.gate is not None
        while not self.feed.ended:
            moment = self.feed.gate.next(0.02)
            if moment is not None:
                trades = sum(map(len, self.tape.parts))
                self.seen.append((moment.at_us, trades, self.feed.market_us()))
                self.feed.gate.done()

    def stand(self) -> "Judged":
        until(lambda: self.feed.position, lambda position: position.standing)
        return self

    def __enter__(self) -> "Judged":
        self.feed.start(self.tape)
        return self

    def __exit__(self, *_: object) -> None:
        self.feed.stop()
        self._thread.join(10)


def test_each_second_is_judged_on_the_trades_before_it(tmp_path):
    trades = made_up(20)
    with Judged(ReplayFeed([recorded(tmp_path / "a", trades)], speed=0)) as fast:
        fast.stand()
    first_us, last_us = trades[0].ts_us, trades[-1].ts_us
    moments = range(first_us // S * S + S, last_us + 1, S)
    expected = [(at_us, sum(trade.ts_us < at_us for trade in trades), at_us) for at_us in moments]
    assert fast.seen == [*expected, (last_us, len(trades), last_us)]
    with Judged(ReplayFeed([recorded(tmp_path / "a", trades)], speed=100)) as paced:
        paced.stand()
    assert paced.seen == fast.seen


def test_a_long_silence_has_moments_only_at_its_beginning(tmp_path):
    late_us = 3_600 * S
    trades = [*made_up(3), *made_up(2, at_us=T0 + late_us)]
    with Judged(ReplayFeed([recorded(tmp_path / "a", trades)], speed=0)) as judged:
        judged.stand()
    times = [at_us for at_us, _, _ in judged.seen[:-1]]
    silent = [at_us for at_us in times if T0 + 3 * S < at_us < trades[-1].ts_us // S * S]
    assert QUIET <= len(silent) <= QUIET + 2
    assert silent[-1] == T0 + late_us  # the second of the next trade
    assert times == sorted(set(times))


def test_a_step_goes_to_the_next_trade_or_second_and_stands(tmp_path):
    trades = made_up(10)
    times = sorted({trade.ts_us for trade in trades})
    feed = ReplayFeed([recorded(tmp_path / "a", trades)], speed=1)
    feed.begin_at(times[0], plays=False)
    with Judged(feed) as judged:
        judged.stand()
        for time in times[1:4]:
            feed.step()
            assert judged.stand().feed.market_us() == time
        assert sum(map(len, judged.tape.parts)) == sum(trade.ts_us <= times[3] for trade in trades)
        feed.step("second")
        second_us = judged.stand().feed.market_us()
        assert second_us == (times[3] // S + 1) * S and judged.seen[-1][0] == second_us
        assert feed.position.paused and not feed.position.ended
        with pytest.raises(InputError, match="trade or second, was 'minute'"):
            feed.step("minute")


def test_a_replay_goes_to_a_later_time_and_plays_or_stands_there(tmp_path):
    trades = made_up(30)
    feed = ReplayFeed([recorded(tmp_path / "a", trades)], speed=1)
    feed.begin_at(T0 + 4 * S, plays=False)
    with Judged(feed) as judged:
        judged.stand()
        assert feed.market_us() == T0 + 4 * S
        where_us = feed.time_at(0.5)
        feed.seek(where_us)
        judged.stand()
        assert feed.market_us() == where_us and feed.position.share == pytest.approx(0.5, abs=1e-6)
        assert sum(map(len, judged.tape.parts)) == sum(trade.ts_us <= where_us for trade in trades)
        with pytest.raises(InputError, match=f"must be {where_us} or later, was {T0}"):
            feed.seek(T0)
        with pytest.raises(InputError, match=r"between 0 and 1, was 1\.5"):
            feed.time_at(1.5)
        feed.set_speed(0)
        feed.play()
        until(lambda: feed.ended, bool)
    assert feed.position.share == 1.0 and sum(map(len, judged.tape.parts)) == len(trades)


def test_a_replay_that_waits_to_be_judged_can_be_stopped(tmp_path):
    feed = ReplayFeed([recorded(tmp_path / "a", made_up(5))], speed=0)
    feed.gate = Gate()
    feed.start(Tape())
    assert feed.gate.next(20) is not None
    feed.stop()
    assert feed.ended and feed.market_us() == T0 + S


def test_disordered_ids_are_kept_wherever_the_delivery_is_cut(tmp_path):
    trades = made_up(6, symbols=("BTCUSDT",))
    for k in range(2, len(trades) - 1, 5):
        trades[k], trades[k + 1] = trades[k + 1], trades[k]
    path = recorded(tmp_path / "a", trades, "trade")
    for speed in (0, 50):
        with Judged(ReplayFeed([path], speed)) as judged:
            judged.stand()
        ids = judged.tape.of("BTCUSDT").trade_id
        assert ids.tolist() == sorted(trade.trade_id for trade in trades)
