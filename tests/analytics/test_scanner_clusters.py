"""Related symbols: the dendrogram against scipy's own, the spanning tree against every tree."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster import hierarchy
from scipy.spatial.distance import squareform

from analytics.correlation.matrix import CorrelationMatrix, correlation_matrix
from analytics.scanner import dendrogram, spanning_tree
from analytics.scanner.clusters import LINKS, distances
from tests.analytics.universes import families, walks
from utils.errors import InputError, TooFewObservations


def matrix(correlation: np.ndarray) -> CorrelationMatrix:
    names = tuple("ABCDEFGHIJKLMNOP"[: len(correlation)])
    return CorrelationMatrix(names, correlation, correlation, correlation, np.full(correlation.shape, 99))


def made_up(n: int, seed: int) -> np.ndarray:
    return np.corrcoef(np.random.default_rng(seed).standard_normal((n, n + 3)))


def groups() -> pd.DataFrame:
    """Prices of three groups whose members share most of their moves."""
    rng = np.random.default_rng(1)
    shared = np.repeat(rng.standard_normal((300, 3)), [4, 3, 2], axis=1)
    return pd.DataFrame(100 * np.exp(0.01 * (shared + 0.4 * rng.standard_normal((300, 9))).cumsum(axis=0))).add_prefix(
        "S"
    )


def test_distance_is_that_of_mantegna():
    assert distances(np.array([1.0, 0.5, 0.0, -1.0])) == pytest.approx([0, 1, 2**0.5, 2])


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("n", [2, 3, 12])
def test_the_arches_are_those_that_scipy_draws(link, n):
    correlation = made_up(n, seed=n)
    found = dendrogram(matrix(correlation), link)
    apart = squareform(distances(correlation), checks=False)
    drawn = hierarchy.dendrogram(hierarchy.linkage(apart, link, optimal_ordering=True), no_plot=True)
    assert found.symbols == tuple("ABCDEFGHIJKL"[leaf] for leaf in drawn["leaves"])
    places = np.array(drawn["icoord"]) / 10 - 0.5  # scipy puts leaf k at 5 + 10 k
    assert corners(found.x, found.height) == corners(places, np.array(drawn["dcoord"]))


def corners(x: np.ndarray, height: np.ndarray) -> set[tuple[float, ...]]:
    """The arches in any order."""
    return {tuple(arch) for arch in np.round(np.column_stack((x, height)), 9)}


def test_groups_are_found_and_told_from_the_left():
    found = dendrogram(correlation_matrix(groups()))
    assert {frozenset(members) for members in found.members()} == {
        frozenset({"S0", "S1", "S2", "S3"}),
        frozenset({"S4", "S5", "S6"}),
        frozenset({"S7", "S8"}),
    }
    assert sum(found.members(), ()) == found.symbols and found.left_out == ()
    assert len(dendrogram(correlation_matrix(groups()), cut=2.0).members()) == 1
    assert len(dendrogram(correlation_matrix(groups()), cut=0.0).members()) == 9


@settings(max_examples=25)
@given(n=st.integers(2, 6), seed=st.integers(0, 10_000))
def test_no_tree_is_shorter(n, seed):
    correlation = made_up(n, seed)
    apart = distances(correlation)
    found = spanning_tree(matrix(correlation))
    assert len(found.edges) == n - 1
    assert [edge.distance for edge in found.edges] == sorted(edge.distance for edge in found.edges)
    every = (edges for edges in combinations(combinations(range(n), 2), n - 1) if joins(n, edges))
    shortest = min(sum(apart[edge] for edge in edges) for edges in every)
    assert sum(edge.distance for edge in found.edges) == pytest.approx(shortest)


def joins(n: int, edges: tuple[tuple[int, int], ...]) -> bool:
    """Whether every node is reached from the first."""
    reached = {0}
    for _ in range(n):
        reached |= {node for edge in edges if reached & set(edge) for node in edge}
    return len(reached) == n


def test_the_same_series_twice_are_neighbours_at_no_distance():
    correlation = np.array([[1.0, 1.0, 0.2], [1.0, 1.0, 0.2], [0.2, 0.2, 1.0]])
    found = spanning_tree(matrix(correlation))
    assert (found.edges[0].one, found.edges[0].other, found.edges[0].distance) == ("A", "B", 0.0)
    assert len(found.edges) == 2


def test_the_drawing_of_a_tree_has_no_two_symbols_in_one_place():
    found = spanning_tree(matrix(made_up(16, seed=4)))
    places = np.round(np.column_stack((found.x, found.y)), 6)
    assert len({tuple(place) for place in places}) == 16
    at = dict(zip(found.symbols, np.hypot(found.x, found.y), strict=True))
    assert all(abs(at[edge.one] - at[edge.other]) == pytest.approx(1) for edge in found.edges)


def test_symbols_without_a_known_correlation_are_left_out_by_name():
    prices = walks(5, 200, seed=2)
    prices.loc[:, "S01"] = 7.0
    prices.iloc[:195, 3] = np.nan
    correlations = correlation_matrix(prices)
    for found in (dendrogram(correlations), spanning_tree(correlations)):
        assert found.left_out == ("S01", "S03")
        assert set(found.symbols) == {"S00", "S02", "S04"}


def test_a_long_chain_is_drawn():
    prices = families([1] * 400, bars=60, half_life=5, seed=3)
    found = dendrogram(correlation_matrix(prices.abs() + 1), "single")
    assert found.x.shape == (399, 4) and np.isfinite(found.height).all()


def test_what_cannot_be_clustered_is_named():
    correlations = matrix(made_up(3, seed=5))
    with pytest.raises(InputError, match="link must be"):
        dendrogram(correlations, "median")
    with pytest.raises(InputError, match="cut must lie"):
        dendrogram(correlations, cut=3)
    with pytest.raises(TooFewObservations, match="needs 2 symbols"):
        spanning_tree(matrix(np.array([[1.0, np.nan], [np.nan, 1.0]])))
