"""The replay bar and the list of recordings, over a real engine that plays a recording."""

from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest

import engine as engines
from dashboard import replay_bar
from dashboard.recordings import row_text, running_text, sessions
from dashboard.replay_bar import position_text
from engine import Engine, Recorded
from tests.dashboard.test_pages import open_page, words
from tests.fakes.engine import ScriptedEngine, print_pair, settings
from tests.fakes.feed import T0, S
from tests.fakes.recordings import made_up, recorded
from tests.waiting import until

BEGAN = datetime(2023, 11, 14, 22, 13, 20)  # T0


@pytest.fixture
def replayed(tmp_path):
    file = recorded(tmp_path / "tape.gz", made_up(120))
    engine = Engine(settings(tmp_path, source="replay", replay=(file,), speed=1))
    engine.start()
    engine.replay.pause()
    engines.install(engine)
    until(engine.replay.position, lambda place: place.last_us)
    yield engine
    engine.stop()
    engines.install(None)


def at_rest(engine):
    return until(engine.replay.position, lambda place: place.standing)


def test_a_replay_is_commanded_from_the_data_page(replayed):
    app = open_page("data")
    assert ">REPLAY<" in words(app) and "stands" in words(app) and " of 2023-11-14 22:13:20" in words(app)
    before = at_rest(replayed).position_us
    app.button(key="bar-second").click().run()
    assert at_rest(replayed).position_us == (before // S + 1) * S
    app.button(key="bar-trade").click().run()
    assert at_rest(replayed).position_us > (before // S + 1) * S
    app.selectbox(key="bar-speed").set_value(1_000.0).run()
    assert replayed.replay.position().speed == 1_000.0
    app.slider(key="replay-at").set_value(BEGAN + timedelta(seconds=60)).run()
    assert at_rest(replayed).position_us == pytest.approx(T0 + 60 * S, abs=S)
    app.slider(key="replay-at").set_value(BEGAN + timedelta(seconds=5)).run()
    assert at_rest(replayed).position_us == pytest.approx(T0 + 5 * S, abs=S)
    app.selectbox(key="bar-speed").set_value(0.0).run()
    app.button(key="bar-play").click().run()
    until(replayed.replay.position, lambda place: place.ended)
    app.run()
    assert not app.exception and "as fast as possible" in words(app)
    assert app.button(key="bar-play").label == "Again"


def test_every_page_says_replay_and_has_the_short_bar(replayed):
    app = open_page("pair")
    assert '<b class="ps-accent">REPLAY</b>' in words(app)
    assert app.button(key="strip-play").label == "Play"
    app.selectbox(key="strip-speed").set_value(20.0).run()
    app.button(key="strip-play").click().run()
    place = replayed.replay.position()
    assert (place.paused, place.speed) == (False, 20.0)
    assert app.button(key="strip-play").label == "Pause"


def test_a_time_zone_moves_the_slider_and_not_the_seek(replayed):
    app = open_page("data", zone="Asia/Kolkata")
    first = BEGAN + timedelta(hours=5, minutes=30)
    assert abs(app.slider(key="replay-at").value - first) < timedelta(seconds=2)
    app.slider(key="replay-at").set_value(first + timedelta(seconds=30)).run()
    assert at_rest(replayed).position_us == pytest.approx(T0 + 30 * S, abs=S)


def test_a_command_without_a_replay_is_said(replayed):
    app = open_page("pair")
    replayed.switch("demo")
    app.button(key="strip-trade").click().run()
    assert "no recording is being replayed" in app.toast[0].value and not app.exception


def test_a_speed_that_a_browser_was_only_shown_is_no_command(monkeypatch):
    commands = []
    state = {"bar-speed": 20.0, "bar-shown": 20.0}
    monkeypatch.setattr(replay_bar, "st", SimpleNamespace(session_state=state))
    monkeypatch.setattr(replay_bar, "_tell", lambda *command: commands.append(command))
    replay_bar._change_speed("bar")
    state["bar-speed"] = 50.0
    replay_bar._change_speed("bar")
    assert commands == [("speed", 50.0)]


def test_a_recording_is_made_replayed_and_deleted_from_the_page(tmp_path):
    engine = ScriptedEngine(settings(tmp_path))
    engine.start()
    engines.install(engine)
    try:
        app = open_page("data")
        assert "Nothing was recorded yet" in words(app)
        app.button(key="record-start").click().run()
        print_pair(engine, 50)
        assert engine.status().recording["running"]
        app.run()
        assert ">RECORDING<" in words(app)
        app.button(key="record-stop").click().run()
        (row,) = engine.recordings()
        assert "ended: stopped · 100 frames" in words(app) and "demo, aggTrade · BTCUSDT, ETHUSDT" in words(app)
        engine._feed = lambda market: Engine._feed(engine, market)
        app.button(key=f"replay-{row.session}").click().run()
        assert engine.venue == "replay" and ">REPLAY<" in words(app)
        assert app.button(key="record-start").disabled
        app.button(key=f"gone-{row.session}").click().run()
        assert engine.recordings() == [] and not app.exception
    finally:
        engine.stop()
        engines.install(None)


def test_parts_of_one_recording_are_one_row():
    def part(number, began_us, ended_us):
        return Recorded(
            f"{number}.gz", 2_000_000, "v", "t", ("A", "B", "C", "D", "E"), began_us, ended_us, "s", number, False
        )

    found = sessions([part(2, T0 + 60 * S, None), part(1, T0, T0 + 60 * S)])
    assert [row.part for row in found["s"]] == [1, 2]
    text = row_text(found["s"], "UTC")
    assert "A, B, C, D and 1 more" in text and "60 s · 4.0 MB in 2 files" in text
    assert running_text({"running": False, "reason": "no room"}) == "no room"
    told = {"running": True, "name": "a", "frames": 466, "bytes": 12_340, "dropped": 0}
    assert running_text(told) == "recording a: 466 frames, 12.3 kB"


def test_the_position_says_what_is_known():
    assert position_text({}, "UTC") == "playing · 1×"
    known = {"position_us": T0, "first_us": T0, "last_us": None, "share": 0.25, "seeking_us": T0, "speed": 0}
    assert position_text(known, "UTC").endswith(
        "its end is not known yet UTC · 25.0 % · going there · as fast as possible"
    )
