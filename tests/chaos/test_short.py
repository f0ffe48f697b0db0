"""Every chaos scenario in its short form: what `python run.py chaos` shows in full."""

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor, wait
from multiprocessing import get_context

import pytest

from tests.chaos.__main__ import PROOF, SCENARIOS
from tests.table import Row, Size, table

AT_ONCE = 3  # most of their time is waiting
SLOWEST_FIRST = ("limits", "storage", "silence", "files", "refused", "complete", "sustained")
ALONE = ("kills",)  # promises how soon a start is LIVE, so nothing else may start beside it


@pytest.fixture(scope="module")
def results() -> Iterator[Mapping[str, Future[list[Row]]]]:
    """The rows of every scenario, as they come, each from a process of its own: an exchange must not wait."""
    with ProcessPoolExecutor(AT_ONCE, get_context("spawn")) as pool:
        yield {name: pool.submit(PROOF.run, name, Size(short=True)) for name in SLOWEST_FIRST}


def test_every_scenario_is_here():
    assert {*SLOWEST_FIRST, *ALONE} == set(SCENARIOS)


@pytest.mark.parametrize("name", SLOWEST_FIRST)
def test_it_holds(results, name):
    check(results[name].result())


@pytest.mark.parametrize("name", ALONE)
def test_it_holds_alone(results, name):
    wait(results.values())
    check(PROOF.run(name, Size(short=True)))


def check(rows: list[Row]) -> None:
    assert len(rows) > 1
    assert all(row.holds for row in rows), "\n" + table(rows)
