"""Jobs: one at a time, told, cancelled, kept, and never in each other's way."""

import threading

import pytest

from tests.waiting import until
from utils.errors import NotFound, PairscopeError
from utils.jobs import WAITING_MOST, Jobs


@pytest.fixture
def jobs():
    made = Jobs(kept=3)
    yield made
    made.stop()


def ended(jobs, job):
    return until(lambda: jobs.job(job.job_id), lambda job: job.ended)


def test_a_job_tells_how_far_it_is_and_keeps_its_result(jobs):
    told, go = threading.Event(), threading.Event()

    def work(progress):
        progress(1, 4)
        told.set()
        assert go.wait(10)
        return 42

    job = jobs.start("scan", "three pairs", work)
    assert told.wait(10)
    running = jobs.job(job.job_id)
    assert (running.state, running.share, jobs.result(job.job_id)) == ("running", 0.25, None)
    go.set()
    assert ended(jobs, job).state == "done"
    assert jobs.result(job.job_id) == 42
    assert [found.as_dict()["title"] for found in jobs.all("scan")] == ["three pairs"]
    assert jobs.all("backtest") == []


def test_a_cancelled_job_has_no_result(jobs):
    began = threading.Event()

    def work(progress):
        began.set()
        return until(progress.cancelled, bool)

    job = jobs.start("scan", "long", work)
    assert began.wait(10)
    jobs.cancel(job.job_id)
    assert ended(jobs, job).state == "cancelled"
    assert jobs.result(job.job_id) is None


def test_a_job_that_waits_is_cancelled_at_once_and_never_begins(jobs):
    go, done = threading.Event(), []
    first = jobs.start("scan", "first", lambda _: go.wait(10))
    second = jobs.start("scan", "second", lambda _: done.append(1))
    assert jobs.cancel(second.job_id).state == "cancelled"
    go.set()
    ended(jobs, first)
    assert ended(jobs, jobs.start("scan", "third", lambda _: done.append(3))).state == "done"
    assert done == [3]


def test_a_failure_is_told_in_words_and_the_next_job_runs(jobs):
    def refuse(_):
        raise PairscopeError("only 3 bars of 60")

    def break_down(_):
        raise ZeroDivisionError("by zero")

    assert ended(jobs, jobs.start("scan", "refused", refuse)).message == "only 3 bars of 60"
    failed = ended(jobs, jobs.start("scan", "broken", break_down))
    assert (failed.state, failed.message) == ("failed", "ZeroDivisionError: by zero")
    assert ended(jobs, jobs.start("scan", "next", lambda _: 1)).state == "done"


def test_old_results_are_forgotten_and_too_many_jobs_are_refused(jobs):
    old = [ended(jobs, jobs.start("scan", str(n), lambda _: 1)) for n in range(5)]
    with pytest.raises(NotFound, match="scan-1"):
        jobs.job(old[0].job_id)
    go = threading.Event()
    running = jobs.start("scan", "running", lambda _: go.wait(10))
    until(lambda: jobs.job(running.job_id), lambda job: job.state == "running")
    for n in range(WAITING_MOST):
        jobs.start("scan", str(n), lambda _: None)
    with pytest.raises(PairscopeError, match=f"{WAITING_MOST} jobs wait"):
        jobs.start("scan", "one too many", lambda _: None)
    go.set()


def test_a_script_waits_for_the_end_of_a_job(jobs):
    go = threading.Event()
    job = jobs.start("scan", "waits", lambda progress: go.wait(10))
    assert jobs.wait(job.job_id, 0.01).state in ("waiting", "running")
    go.set()
    assert jobs.wait(job.job_id).state == "done" and jobs.wait(job.job_id, 0).ended
    blocked = jobs.start("scan", "holds the thread", lambda progress: until(progress.cancelled, bool))
    waiting = jobs.start("scan", "never begins", lambda progress: None)
    jobs.cancel(waiting.job_id)
    assert jobs.wait(waiting.job_id).state == "cancelled"
    jobs.cancel(blocked.job_id)
    assert jobs.wait(blocked.job_id).state == "cancelled"
    with pytest.raises(NotFound):
        jobs.wait("scan-99")
