"""The hub: one builder for all readers, numbers without holes, an end at the signal."""

import asyncio
import json
import threading

import pytest

from dashboard.live import hub as hubs
from dashboard.live.hub import Hub, Key
from dashboard.live.patch import apply
from utils.clock import monotonic_s
from utils.errors import InputError

KEY = Key("pair", (("y", "ETHUSDT"),), "dark", 0.01)


class Counting:
    """Builds a figure whose rows roll on with each call."""

    def __init__(self) -> None:
        self.calls = 0
        self.threads: set[str] = set()
        self.error: Exception | None = None

    def __call__(self, key: Key) -> dict:
        if self.error is not None:
            raise self.error
        self.calls += 1
        self.threads.add(threading.current_thread().name)
        x = list(range(self.calls, self.calls + 30))
        return {"figure": {"data": [{"x": x, "y": [2 * i for i in x]}]}, "message": None}


def body(message: bytes) -> dict:
    return json.loads(message)


async def events(hub: Hub, count: int, key: Key = KEY) -> list[dict]:
    found = []
    stream = hub.stream(key)
    async for message in stream:
        found.append(body(message))
        if len(found) == count:
            break
    await stream.aclose()
    return found


def test_snapshot_and_patches_give_what_was_built_last():
    async def scene() -> None:
        build = Counting()
        hub = Hub(build)
        stream = hub.stream(KEY)
        hello = body(await anext(stream))
        state = json.loads(await hub.snapshot(KEY))
        assert hello["epoch"] == state["epoch"]
        value = {"figure": state["figure"], "message": state["message"]}
        seq = state["seq"]
        while seq < 6:
            patch = body(await anext(stream))
            if patch["seq"] <= seq:
                continue
            assert patch["seq"] == seq + 1
            seq = patch["seq"]
            value = apply(value, patch["operations"])
            assert value["figure"]["data"][0]["x"] == list(range(seq, seq + 30))
        await stream.aclose()
        hub.close()

    asyncio.run(scene())


def test_all_readers_of_one_view_share_one_builder_and_its_bytes():
    async def scene() -> None:
        build = Counting()
        hub = Hub(build)
        seen = await asyncio.gather(*(events(hub, 4) for _ in range(8)))
        assert hub.producers == 1
        assert all(row[1:] == seen[0][1:] for row in seen)
        assert build.calls <= 8
        assert all(name.startswith("figures") for name in build.threads)
        hub.close()

    asyncio.run(scene())


def test_a_slow_reader_loses_the_oldest_patches_and_sees_the_hole_in_the_numbers():
    async def scene() -> None:
        build = Counting()
        hub = Hub(build)
        stream = hub.stream(KEY)
        first = body(await anext(stream))["seq"]
        async with asyncio.timeout(5):
            while build.calls < hubs.QUEUE + 6:
                await asyncio.sleep(0.01)
        seen = [body(await anext(stream))["seq"] for _ in range(hubs.QUEUE)]
        assert seen[0] > first + 1
        assert seen == list(range(seen[0], seen[0] + hubs.QUEUE))
        await stream.aclose()
        hub.close()

    asyncio.run(scene())


def test_close_ends_every_stream_and_begins_none():
    async def scene() -> None:
        hub = Hub(Counting())
        reader = asyncio.create_task(events(hub, 10_000))
        await hub.snapshot(KEY)
        hub.close()
        async with asyncio.timeout(2):
            await reader
        with pytest.raises(InputError, match="stopping"):
            await hub.snapshot(KEY)

    asyncio.run(scene())


def test_another_loop_may_use_the_hub_after_it_was_closed():
    hub = Hub(Counting())

    async def scene() -> None:
        assert json.loads(await hub.snapshot(KEY))["figure"]
        hub.close()

    asyncio.run(scene())
    asyncio.run(scene())


def test_a_producer_nobody_looks_at_ends(monkeypatch):
    monkeypatch.setattr(hubs, "LINGER_S", 0.02)

    async def scene() -> None:
        hub = Hub(Counting())
        await hub.snapshot(KEY)
        async with asyncio.timeout(5):
            while hub.producers:
                await asyncio.sleep(0.01)
        hub.close()

    asyncio.run(scene())


def test_a_bug_in_a_builder_is_shown_with_its_number_and_the_stream_recovers(caplog):
    async def scene() -> None:
        build = Counting()
        build.error = ZeroDivisionError("a bug, as a test ordered")
        hub = Hub(build)
        state = json.loads(await hub.snapshot(KEY))
        assert state["message"]["state"] == "error"
        assert "ZeroDivisionError" in caplog.text
        build.error = None
        async with asyncio.timeout(5):
            while json.loads(await hub.snapshot(KEY))["message"] is not None:
                await asyncio.sleep(0.01)
        hub.close()

    asyncio.run(scene())


def test_different_figures_are_limited_in_number(monkeypatch):
    monkeypatch.setattr(hubs, "MAX_PRODUCERS", 1)

    async def scene() -> None:
        hub = Hub(Counting())
        await hub.snapshot(KEY)
        with pytest.raises(InputError, match="at most 1"):
            await hub.snapshot(Key("pair", (), "light", 1.0))
        hub.close()

    asyncio.run(scene())


def test_figures_of_one_interval_are_built_in_one_beat_whenever_they_began():
    interval_s, built = 0.5, {"pair": [], "panels": []}

    def build(key: Key) -> dict:
        built[key.name].append(monotonic_s())
        return {"figure": {"data": [{"x": [len(built[key.name])]}]}, "message": None}

    async def scene() -> None:
        hub = Hub(build)
        first = asyncio.create_task(events(hub, 6, Key("pair", (), "dark", interval_s)))
        await asyncio.sleep(0.6 * interval_s)  # a late comer
        await asyncio.gather(first, events(hub, 5, Key("panels", (), "dark", interval_s)))
        hub.close()

    asyncio.run(scene())
    apart = [min(abs(at_s - other_s) for other_s in built["pair"]) for at_s in built["panels"]]
    assert apart[0] > 0.25 * interval_s > min(apart[1:])


@pytest.mark.parametrize("young_s, again", [(0.0, True), (3_600.0, False)])
def test_a_new_figure_brings_the_next_beat_forward(monkeypatch, young_s, again):
    monkeypatch.setattr(hubs, "YOUNG_S", young_s)

    async def scene() -> int:
        build = Counting()
        hub = Hub(build)
        await hub.snapshot(Key("panels", (), "dark", 3_600.0))
        for symbol in ("A", "B"):
            await hub.snapshot(Key("pair", (("y", symbol),), "dark", 3_600.0))
            for _ in range(100 if again else 1):
                await asyncio.sleep(0.02)
                if build.calls >= 4:
                    break
        hub.close()
        return build.calls

    calls = asyncio.run(scene())
    assert calls >= 4 if again else calls == 3
