"""A scan on a Dask cluster is the scan of this machine."""

import sys
import threading

import pytest
from pandas.testing import assert_frame_equal

from analytics.scanner import scan
from tests.analytics.universes import families
from utils.cluster import cluster_executor
from utils.errors import Cancelled, SettingsError


@pytest.fixture(scope="module")
def cluster():
    distributed = pytest.importorskip("distributed", reason="Dask is not installed: requirements-dev.txt has it")
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=True, host="127.0.0.1", scheduler_port=0, dashboard_address=None
    ) as made:
        yield made


def test_a_cluster_gives_the_same_table(cluster, monkeypatch):
    monkeypatch.setattr("analytics.scanner.tiles.WIDEST", 4)
    prices = families([4, 3, 1, 1, 1], bars=150, half_life=8, seed=16)
    told = []
    with cluster_executor(cluster.scheduler_address) as executor:
        there = scan(prices, executor=executor, progress=lambda done, total: told.append((done, total)))
    assert_frame_equal(there, scan(prices))
    assert told[-1] == (45, 45) and len(told) == 6


def test_a_scan_on_a_cluster_can_be_cancelled(cluster):
    stop = threading.Event()
    stop.set()
    with cluster_executor(cluster.scheduler_address) as executor, pytest.raises(Cancelled):
        scan(families([2, 2], bars=100, half_life=8, seed=1), executor=executor, cancelled=stop.is_set)


def test_no_scheduler_is_one_line(monkeypatch):
    pytest.importorskip("distributed", reason="Dask is not installed: requirements-dev.txt has it")
    monkeypatch.setattr("utils.cluster.ANSWER_S", 0.2)
    with (
        pytest.raises(SettingsError, match=r"no scheduler answers at tcp://127\.0\.0\.1:9"),
        cluster_executor("tcp://127.0.0.1:9"),
    ):
        pass


def test_without_dask_the_package_to_install_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(SettingsError, match="pip install distributed"), cluster_executor("tcp://127.0.0.1:8786"):
        pass
