"""Which symbols of a universe move together: a dendrogram, and the shortest tree that joins all of them."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.cluster import hierarchy
from scipy.sparse.csgraph import minimum_spanning_tree
from scipy.spatial.distance import squareform

from analytics.correlation.matrix import CorrelationMatrix
from utils.errors import InputError, TooFewObservations

LINKS = ("average", "single", "complete", "ward")


@dataclass(frozen=True, slots=True, eq=False)
class Dendrogram:
    """Symbols joined step by step, the nearest first. The lines of a drawing are given: a join is an arch."""

    symbols: tuple[str, ...]  # from left to right: leaf k stands at x = k
    cluster: np.ndarray  # int, shape (n,), of each symbol, 0 from the left
    x: np.ndarray  # shape (n - 1, 4), of the corners of each arch
    height: np.ndarray  # the same corners: distance at which the two sides are joined
    cut: float  # distance above which clusters are apart
    left_out: tuple[str, ...]  # their correlation with another is not known

    def members(self) -> tuple[tuple[str, ...], ...]:
        """The symbols of each cluster, from the left."""
        names = np.array(self.symbols, object)
        return tuple(tuple(names[self.cluster == k]) for k in range(int(self.cluster.max()) + 1))


@dataclass(frozen=True, slots=True)
class Edge:
    """Two neighbours in a tree."""

    one: str
    other: str
    correlation: float
    distance: float


@dataclass(frozen=True, slots=True, eq=False)
class SpanningTree:
    """The n - 1 edges of least total distance that join n symbols, shortest first, and a drawing of them."""

    symbols: tuple[str, ...]
    edges: tuple[Edge, ...]
    x: np.ndarray  # shape (n,): the symbol with most neighbours in the middle, each step outwards one ring further
    y: np.ndarray
    left_out: tuple[str, ...]


def distances(correlation: np.ndarray) -> np.ndarray:
    """sqrt(2 (1 - correlation)), dimensionless: 0 for the same moves, 1.41 for unrelated ones, 2 for opposite ones.

    References
    ----------
    R. N. Mantegna, European Physical Journal B 11 (1999).
    """
    return np.sqrt(2 * np.clip(1 - correlation, 0, 2))


def dendrogram(correlations: CorrelationMatrix, link: str = "average", cut: float = 0.7) -> Dendrogram:
    """Hierarchical clusters of symbols by the distance of their returns.

    Parameters
    ----------
    correlations : as of `correlation_matrix`; symbols are left out, those with most unknown ones first, until each
        pair has one
    link : how far apart two groups are: "average", "single", "complete" or "ward"
    cut : 0 to 2; groups farther apart are clusters of their own. 0.7 is a correlation of 0.755

    Raises
    ------
    InputError, TooFewObservations
    """
    if link not in LINKS:
        raise InputError(f"link must be one of {', '.join(LINKS)}, was {link!r}", "link")
    if not 0 <= cut <= 2:
        raise InputError(f"cut must lie from 0 to 2, was {cut:g}", "cut")
    kept, left_out = _known(correlations)
    apart = distances(correlations.correlation[np.ix_(kept, kept)])
    merges = hierarchy.linkage(squareform(apart, checks=False), link, optimal_ordering=True)
    leaves = hierarchy.leaves_list(merges)
    x, height = _arches(merges, leaves)
    flat = hierarchy.fcluster(merges, cut, "distance")[leaves]
    return Dendrogram(
        symbols=tuple(correlations.symbols[kept[leaf]] for leaf in leaves),
        cluster=np.concatenate(([0], np.cumsum(np.diff(flat) != 0))),  # a cluster's leaves lie side by side
        x=x,
        height=height,
        cut=cut,
        left_out=left_out,
    )


def spanning_tree(correlations: CorrelationMatrix) -> SpanningTree:
    """The minimum spanning tree of symbols by the distance of their returns: the strongest ties that leave none out.

    Raises
    ------
    TooFewObservations

    References
    ----------
    R. N. Mantegna, European Physical Journal B 11 (1999).
    """
    kept, left_out = _known(correlations)
    together = correlations.correlation[np.ix_(kept, kept)]
    apart = distances(together)
    # One more on every edge chooses the same tree, and keeps a distance of 0 from being read as no edge.
    joined = minimum_spanning_tree(np.triu(1 + apart, 1)).tocoo()
    names = tuple(correlations.symbols[at] for at in kept)
    order = np.lexsort((joined.col, joined.row, apart[joined.row, joined.col]))
    ends = [(int(joined.row[at]), int(joined.col[at])) for at in order]
    x, y = _rings(len(names), ends)
    edges = tuple(Edge(names[i], names[j], float(together[i, j]), float(apart[i, j])) for i, j in ends)
    return SpanningTree(names, edges, x, y, left_out)


def _known(correlations: CorrelationMatrix) -> tuple[np.ndarray, tuple[str, ...]]:
    """Symbols of which every pair has a correlation, and the names of the others.

    Raises
    ------
    TooFewObservations
    """
    missing = np.isnan(correlations.correlation)
    kept = list(range(len(correlations.symbols)))
    while kept and missing[np.ix_(kept, kept)].any():
        kept.pop(int(missing[np.ix_(kept, kept)].sum(axis=1).argmax()))
    if len(kept) < 2:
        raise TooFewObservations(have=len(kept), need=2, what="symbols with known correlations")
    left_out = sorted(set(range(len(correlations.symbols))) - set(kept))
    return np.array(kept), tuple(correlations.symbols[at] for at in left_out)


def _arches(merges: np.ndarray, leaves: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Corners of the arch of each join: up from one side, across, and down to the other, each (n - 1, 4)."""
    n = leaves.size
    place, top = np.empty(2 * n - 1), np.zeros(2 * n - 1)
    place[leaves] = np.arange(n)
    x, height = np.empty((n - 1, 4)), np.empty((n - 1, 4))
    for k, (one, other, apart, _) in enumerate(merges):
        left, right = sorted((int(one), int(other)), key=place.__getitem__)
        x[k] = place[left], place[left], place[right], place[right]
        height[k] = top[left], apart, apart, top[right]
        place[n + k], top[n + k] = (place[left] + place[right]) / 2, apart
    return x, height


def _rings(n: int, ends: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    """Places of the nodes of a tree: the one with most neighbours in the middle, each with a sector for its leaves."""
    near: list[list[int]] = [[] for _ in range(n)]
    for one, other in ends:
        near[one].append(other)
        near[other].append(one)
    root = max(range(n), key=lambda node: len(near[node]))
    order, above = [root], {root: -1}
    for node in order:  # grows as it is read: ring by ring
        inner = [other for other in near[node] if other != above[node]]
        above |= dict.fromkeys(inner, node)
        order += inner
    leaves = np.zeros(n)
    for node in reversed(order):
        leaves[node] = max(leaves[node], 1)
        if node != root:
            leaves[above[node]] += leaves[node]
    ring, start = np.zeros(n), np.zeros(n)
    taken = start.copy()
    for node in order[1:]:
        parent = above[node]
        ring[node] = ring[parent] + 1
        start[node] = start[parent] + taken[parent]
        taken[parent] += leaves[node]
    angle = 2 * math.pi * (start + leaves / 2) / leaves[root]
    return ring * np.cos(angle), ring * np.sin(angle)
