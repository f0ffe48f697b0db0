"""Jobs side by side in threads: compiled loops leave the interpreter's lock alone."""

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

Result = TypeVar("Result")
Progress = Callable[[int, int], None]  # jobs done, jobs in all
Cancel = Callable[[], bool]  # whether to stop
LOOK_S = 0.1  # how often it is asked


def in_threads(
    jobs: Sequence[Callable[[], Result]],
    threads: int,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> list[Result | None]:
    """Results in the order of the jobs; None for those that a cancel left undone.

    `progress` and `cancel` are called in this thread. A job that has begun is brought to its end. The first error of a
    job is raised, after those that had begun.
    """
    found: list[Result | None] = [None] * len(jobs)
    done = 0
    with ThreadPoolExecutor(max(1, threads), thread_name_prefix="backtest") as pool:
        waiting: dict[Future[Result], int] = {pool.submit(job): at for at, job in enumerate(jobs)}
        try:
            while waiting and not (cancel and cancel()):
                for future in wait(waiting, LOOK_S, FIRST_COMPLETED).done:
                    found[waiting.pop(future)] = future.result()
                    done += 1
                    if progress:
                        progress(done, len(jobs))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
        for future, at in waiting.items():  # begun before the cancel
            if not future.cancelled():
                found[at] = future.result()
    return found
