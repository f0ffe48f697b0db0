"""Long work behind a page or a request: one at a time, with progress, cancel and a result that is kept for a while."""

import itertools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Any

from utils import logger
from utils.clock import now_us
from utils.errors import NotFound, PairscopeError

LOG = logger.get("jobs")

WAITING, RUNNING, DONE, FAILED, CANCELLED = "waiting", "running", "done", "failed", "cancelled"
ENDED = (DONE, FAILED, CANCELLED)
KEPT = 32  # ended jobs whose results are kept
WAITING_MOST = 16  # jobs that may wait


@dataclass(frozen=True, slots=True)
class Job:
    """How one job stands."""

    job_id: str
    kind: str  # "backtest", "scan", "import" ...
    title: str
    state: str  # waiting, running, done, failed, cancelled
    done: int  # parts of the work
    total: int  # 0 while it is not known
    asked_us: int
    began_us: int | None
    ended_us: int | None
    message: str  # why it failed, in plain words

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return self.state in ENDED

    @property
    def share(self) -> float:
        """Share of the work that is done, 0 to 1; 0 while the amount of work is not known."""
        return min(1.0, self.done / self.total) if self.total else 0.0

    def as_dict(self) -> dict[str, Any]:
        """The same as a dictionary, for JSON."""
        return asdict(self)


class Progress:
    """What the work of a job tells, and asks."""

    def __init__(self, told: Callable[[int, int], None], cancelled: threading.Event) -> None:
        self._told = told
        self.cancelled = cancelled.is_set  # ask it often

    def __call__(self, done: int, total: int) -> None:
        """Tell parts done and parts in all."""
        self._told(done, total)


class Jobs:
    """The jobs of a process, done one after the other in a thread of their own."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._jobs: dict[str, Job] = {}
        self._results: dict[str, Any] = {}
        self._cancels: dict[str, threading.Event] = {}
        self._ends: dict[str, threading.Event] = {}
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="jobs")

    def start(self, kind: str, title: str, work: Callable[[Progress], Any]) -> Job:
        """Take up work, to be begun when those before it have ended.

        Parameters
        ----------
        work : gets a `Progress` to tell and to ask; what it returns is the result

        Raises
        ------
        PairscopeError
            Too many jobs wait.
        """
        with self._lock:
            waiting = sum(job.state == WAITING for job in self._jobs.values())
            if waiting >= WAITING_MOST:
                raise PairscopeError(f"{waiting} jobs wait already, the most is {WAITING_MOST}: wait or cancel some")
            job_id = f"{kind}-{next(self._numbers)}"
            job = self._jobs[job_id] = Job(job_id, kind, title, WAITING, 0, 0, now_us(), None, None, "")
            self._cancels[job_id], self._ends[job_id] = threading.Event(), threading.Event()
            self._forget_oldest()
        self._pool.submit(self._do, job_id, work)
        return job

    def job(self, job_id: str, kind: str | None = None) -> Job:
        """How a job stands, of one kind or any.

        Raises
        ------
        NotFound
        """
        with self._lock:
            job = self._jobs.get(job_id)
        if job is None or kind not in (None, job.kind):
            what = kind or "job"
            raise NotFound(f"there is no {what} {job_id[:40]!r}, or it is long over", what)
        return job

    def all(self, kind: str | None = None) -> list[Job]:
        """Jobs of one kind or of all, newest first."""
        with self._lock:
            return [job for job in reversed(self._jobs.values()) if kind in (None, job.kind)]

    def result(self, job_id: str) -> Any:
        """What a job returned; None unless it is done.

        Raises
        ------
        NotFound
        """
        self.job(job_id)
        with self._lock:
            return self._results.get(job_id)

    def wait(self, job_id: str, within_s: float | None = None) -> Job:
        """How a job stands once it has ended, or after so many seconds; for scripts, which have nothing else to do.

        Raises
        ------
        NotFound
        """
        with self._lock:
            end = self._ends.get(job_id)
        if end is not None:
            end.wait(within_s)
        return self.job(job_id)

    def cancel(self, job_id: str) -> Job:
        """Ask a job to end; one that waits ends at once.

        Raises
        ------
        NotFound
        """
        self.job(job_id)
        with self._lock:
            self._cancels[job_id].set()
            if self._jobs[job_id].state == WAITING:
                self._change(job_id, state=CANCELLED, ended_us=now_us())
            return self._jobs[job_id]

    def stop(self) -> None:
        """Cancel all and wait for the one that runs."""
        for job in self.all():
            self.cancel(job.job_id)
        self._pool.shutdown(cancel_futures=True)

    def _do(self, job_id: str, work: Callable[[Progress], Any]) -> None:
        with self._lock:
            if self._jobs[job_id].state == CANCELLED:
                return
            self._change(job_id, state=RUNNING, began_us=now_us())
            cancelled = self._cancels[job_id]
        state, message, result = DONE, "", None
        try:
            result = work(Progress(lambda done, total: self._tell(job_id, done, total), cancelled))
        except PairscopeError as exc:
            state, message = FAILED, str(exc)
        except Exception as exc:  # a bug must not end the thread that later jobs wait for
            LOG.exception("job %s failed", job_id)
            state, message = FAILED, f"{type(exc).__name__}: {exc}"
        with self._lock:
            if cancelled.is_set():
                state, message = CANCELLED, ""
            elif state == DONE:
                self._results[job_id] = result
            self._change(job_id, state=state, message=message, ended_us=now_us())

    def _tell(self, job_id: str, done: int, total: int) -> None:
        with self._lock:
            self._change(job_id, done=done, total=total)

    def _change(self, job_id: str, **fields: Any) -> None:
        job = self._jobs[job_id] = replace(self._jobs[job_id], **fields)
        if job.ended:
            self._ends[job_id].set()

    def _forget_oldest(self) -> None:
        """Keep no more ended jobs than `kept`."""
        ended = [job_id for job_id, job in self._jobs.items() if job.ended]
        for job_id in ended[: max(0, len(ended) - self._kept)]:
            for kept in (self._jobs, self._results, self._cancels, self._ends):
                kept.pop(job_id, None)
