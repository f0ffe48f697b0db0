"""Jobs side by side in threads: compiled loops leave the interpreter's lock alone."""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

from utils.errors import InputError

Result = TypeVar("Result")
Progress = Callable[[int, int], None]  # jobs done, jobs in all
Cancel = Callable[[], bool]  # whether to stop


def in_threads(
    jobs: Sequence[Callable[[], Result]],
    threads: int,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> list[Result | None]:
    """Results in the order of the jobs; None for those that a cancel left undone.

    `progress` and `cancel` are called in this thread, the latter before any job and after each. A job that has begun
    is brought to its end; the first error of one is raised once the others that had begun are at theirs.

    Raises
    ------
    InputError
    """
    if threads < 1:
        raise InputError(f"threads must be >= 1, was {threads}", "threads")
    found: list[Result | None] = [None] * len(jobs)
    todo, waiting, done = deque(enumerate(jobs)), dict[Future[Result], int](), 0
    with ThreadPoolExecutor(threads, thread_name_prefix="backtest") as pool:
        while todo or waiting:
            if cancel and cancel():
                todo.clear()
            while todo and len(waiting) < threads:
                at, job = todo.popleft()
                waiting[pool.submit(job)] = at
            for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                found[waiting.pop(future)] = future.result()
                done += 1
                if progress:
                    progress(done, len(jobs))
    return found
