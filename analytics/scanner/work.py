"""Tiles through whatever computes them: this thread, a pool of threads or processes, a cluster."""

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import closing
from itertools import islice

from analytics.scanner.tiles import Columns, Tile, scan_tile
from utils.errors import Cancelled

AHEAD = 64  # tiles given to an executor before their turn
LOOK_S = 0.1  # how often is asked whether to go on while tiles are computed

Progress = Callable[[int, int], None]
Question = Callable[[], bool]
Step = tuple[int, int, Columns] | None  # number, pairs and columns of a tile; None = a moment to ask


def scanned(
    tiles: Iterable[Tile], total: int, executor: Executor | None, progress: Progress | None, cancelled: Question | None
) -> list[Columns]:
    """The columns of every tile, in the order of the tiles whoever computed them.

    Parameters
    ----------
    total : pairs in all tiles
    progress : told pairs done and `total` after every tile, in this thread
    cancelled : asked often; True ends the work

    Raises
    ------
    Cancelled
    """
    found: dict[int, Columns] = {}
    done = 0
    with closing(_here(tiles) if executor is None else _elsewhere(tiles, executor)) as steps:
        for step in steps:
            if step is None:
                if cancelled and cancelled():
                    raise Cancelled(done, total)
                continue
            at, pairs, columns = step
            found[at] = columns
            done += pairs
            if progress:
                progress(done, total)
    return [found[at] for at in sorted(found)]


def _here(tiles: Iterable[Tile]) -> Generator[Step, None, None]:
    for at, tile in enumerate(tiles):
        yield None
        yield at, tile.pairs, scan_tile(tile)


def _elsewhere(tiles: Iterable[Tile], executor: Executor) -> Generator[Step, None, None]:
    """Tiles as they are done; however this ends, none is begun after it."""
    coming = enumerate(tiles)
    running: dict[Future[Columns], tuple[int, int]] = {}
    try:
        while True:
            for at, tile in islice(coming, AHEAD - len(running)):
                running[executor.submit(scan_tile, tile)] = at, tile.pairs
            if not running:
                return
            yield None
            for future in wait(running, timeout=LOOK_S, return_when=FIRST_COMPLETED).done:
                at, pairs = running.pop(future)
                yield at, pairs, future.result()
    finally:
        for future in running:
            future.cancel()
