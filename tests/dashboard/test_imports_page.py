"""Import on the Data page: a file is looked at, taken in as a job, and what it brought is told."""

import threading
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from pydantic import SecretStr

import engine as engines
from data.importers.plan import Market
from engine.imports import Imports
from tests.dashboard.fake_engine import FakeEngine
from tests.dashboard.test_pages import open_page, words
from tests.data.importers.files import START_US, Place, archive_csv, trades
from tests.waiting import until
from utils.jobs import Jobs


class Written:
    """A mirror that writes at once."""

    error, alive = None, True

    def __init__(self, place):
        self._place = place

    def write(self, write):
        self._place.write(write)
        return SimpleNamespace(wait=lambda timeout: True)


@pytest.fixture
def place(tmp_path):
    found = Place(tmp_path)
    yield found
    found.close()


@pytest.fixture
def engine(place):
    @contextmanager
    def mirror():
        yield Written(place)

    fake = FakeEngine()
    fake.settings = fake.settings.model_copy(update={"database": place.database})
    fake.jobs = Jobs()
    fake.imports = Imports(place.database, fake.jobs, mirror, Market, lambda venue, symbols: None)
    engines.install(fake)
    yield fake
    fake.jobs.stop()
    engines.install(None)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "BTCUSDT-aggTrades-2025-01-01.csv"
    path.write_bytes(archive_csv(trades(500)) + b"501,nonsense,1,1,2,%d,True,True\n" % START_US)
    return path


def looked_at(path):
    app = open_page("data")
    return app.text_input(key="import-path").set_value(str(path)).run()


def test_a_file_is_shown_before_anything_is_written(engine, place, file):
    app = looked_at(file)
    text = words(app)
    for part in ("What is in it", "trades (aggTrade) of BTCUSDT", "binance-spot", "500 taken, 1 rejected", "line 501"):
        assert part in text
    assert not place.archive.folder.exists()


def test_an_import_runs_as_a_job_and_tells_what_it_brought(engine, place, file):
    app = looked_at(file)
    app.button(key="import-start").click().run()
    assert not app.exception
    (job,) = engine.imports.jobs()
    until(lambda: engine.jobs.job(job.job_id), lambda job: job.ended)
    app.run()
    text = words(app)
    for part in ("trades added</td><td>500", "rejected</td><td>1<", "days written</td><td>1<", "Rejected: price (1)."):
        assert part in text
    assert app.text_input(key="import-path").value == ""
    assert place.trades("binance-spot", "aggTrade", "BTCUSDT").trade_id.size == 500


def test_a_running_import_shows_its_progress_and_is_cancelled(engine, file):
    held, go_on = threading.Event(), threading.Event()
    engine.jobs.start("other", "in front", lambda progress: (held.set(), go_on.wait(20)))
    held.wait(20)
    app = looked_at(file)
    app.button(key="import-start").click().run()
    (job,) = engine.imports.jobs()
    app.button(key=f"cancel-{job.job_id}").click().run()
    go_on.set()
    assert "cancelled, nothing was stored" in words(app)


def test_all_or_nothing_refuses_a_file_with_a_bad_row(engine, place, file):
    app = looked_at(file)
    app.toggle(key="import-whole").set_value(True).run()
    app.button(key="import-start").click().run()
    (job,) = engine.imports.jobs()
    until(lambda: engine.jobs.job(job.job_id), lambda job: job.ended)
    assert "1 of 501 rows cannot be taken" in words(app.run())
    assert place.archive.owners() == []


@pytest.mark.parametrize("name, why", [("gone.csv", "cannot be read"), ("odd.csv", "one column only")])
def test_what_cannot_be_imported_says_why_in_its_place(engine, tmp_path, name, why):
    (tmp_path / "odd.csv").write_text("nothing\n1\n")
    app = looked_at(tmp_path / name)
    assert why in words(app)
    assert not [button for button in app.button if button.key == "import-start"]


def test_an_upload_is_kept_beside_the_database_until_it_is_imported(engine, place, file):
    app = open_page("data")
    app.file_uploader(key="import-file-0").upload("../../BTCUSDT-aggTrades.csv", file.read_bytes(), "text/csv").run()
    assert "500 taken, 1 rejected" in words(app)
    (kept,) = [path for path in (place.database.parent / "uploads").rglob("*") if path.is_file()]
    assert kept.name == "BTCUSDT-aggTrades.csv"
    app.button(key="import-start").click().run()
    (job,) = engine.imports.jobs()
    until(lambda: engine.jobs.job(job.job_id), lambda job: job.ended)
    assert not kept.exists()
    assert app.file_uploader(key="import-file-1").value is None


@pytest.mark.parametrize("name, why", [("evil.exe", "Invalid file extension"), ("evil.csv", "not text")])
def test_the_server_judges_what_a_browser_was_told_to_leave_out(engine, place, name, why):
    """The list of endings is the browser's; who sends a file past it gets the same refusal, and so does what lies."""
    app = open_page("data")
    app.file_uploader(key="import-file-0").upload(name, b"MZ" + bytes(5_000), "text/csv").run()
    assert why in words(app) + " ".join(str(one.value) for one in (*app.exception, *app.error))
    assert not [button for button in app.button if button.key == "import-start"]
    assert place.archive.owners() == [] and engine.imports.jobs() == []


def test_paths_are_for_this_computer_only(engine):
    changed = {"host": "0.0.0.0", "api_token": SecretStr("t" * 20)}
    engine.settings = engine.settings.model_copy(update=changed)
    app = open_page("data")
    assert "import-path" not in [field.key for field in app.text_input]
