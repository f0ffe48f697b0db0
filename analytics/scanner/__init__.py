"""Which pair? Every pair of a universe, tested at once and counted honestly.

universe     scan, pair_tests: from a table of prices to a table of pairs
params       ScanParams: how pairs are tested and measured
tiles        the universe cut up; what one tile of it yields
shared_sums  the tests of a tile from sums that its pairs share
measures     half-life, error of the ratio, stability: one pass over each spread
chance       what a p-value is worth in a short sample
work         tiles through this thread, an executor, a cluster; progress and cancel
ranking      another order, or a score of several columns
clusters     which symbols move together: dendrogram and spanning tree
edge         what is left of the way back once its costs are paid
paths        spreads in few points, for small pictures
changes      what is new since the last scan
"""

from analytics.scanner.changes import ScanChanges, changes
from analytics.scanner.clusters import Dendrogram, Edge, SpanningTree, dendrogram, spanning_tree
from analytics.scanner.edge import edge_bps
from analytics.scanner.params import ScanParams
from analytics.scanner.paths import spread_paths
from analytics.scanner.ranking import rank, score
from analytics.scanner.universe import pair_tests, scan

__all__ = [
    "Dendrogram",
    "Edge",
    "ScanChanges",
    "ScanParams",
    "SpanningTree",
    "changes",
    "dendrogram",
    "edge_bps",
    "pair_tests",
    "rank",
    "scan",
    "score",
    "spanning_tree",
    "spread_paths",
]
