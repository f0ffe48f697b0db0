"""The gate: a feed does not pass a moment before it was judged, and never waits at a closed one."""

import threading

from data.feeds.gate import Gate, Moment


def passing(gate: Gate, moments: int, passed: list[bool]) -> threading.Thread:
    def run() -> None:
        passed.extend(gate.stop_at(Moment(k)) for k in range(moments))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def test_every_moment_is_judged_once_and_in_order():
    gate, passed, seen = Gate(), [], []
    thread = passing(gate, 50, passed)
    while len(seen) < 50:
        moment = gate.next(10)
        assert moment is not None and len(passed) == len(seen)
        seen.append(moment.at_us)
        gate.done()
    thread.join(10)
    assert seen == list(range(50)) and passed == [True] * 50


def test_a_moment_waits_until_it_is_judged():
    gate, passed = Gate(), []
    thread = passing(gate, 1, passed)
    assert gate.next(10) == gate.next(10) == Moment(0)
    assert passed == []
    gate.done()
    thread.join(10)
    assert passed == [True]


def test_nobody_waits_at_a_closed_gate():
    gate, passed = Gate(), []
    thread = passing(gate, 2, passed)
    assert gate.next(10) is not None
    gate.close()
    thread.join(10)
    assert passed == [False, False] and gate.next(10) is None


def test_a_moment_at_which_there_is_nothing_to_judge_passes_by_itself():
    gate, passed = Gate(lambda moment: moment.at_us == 3), []
    thread = passing(gate, 5, passed)
    assert gate.next(10) == Moment(3) and passed == [True] * 3
    gate.done()
    thread.join(10)
    assert passed == [True] * 5


def test_without_a_moment_the_wait_ends():
    assert Gate().next(0) is None
