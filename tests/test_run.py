"""run.py: what users type, without a real set-up (that takes half a minute and an index)."""

import ast
import errno
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import run
from utils import environment

HERE = Path("/home/ann/tapes") if os.name != "nt" else Path("C:/tapes")

OPTIONS = [
    ([], {}),
    (["--source", "demo", "--port", "9000"], {"PAIRSCOPE_SOURCE": "demo", "PAIRSCOPE_PORT": "9000"}),
    (["--symbols", "BTCUSDT,ETHUSDT"], {"PAIRSCOPE_SYMBOLS": "BTCUSDT,ETHUSDT"}),
    (
        ["--symbols", "BTCUSDT", "ETHUSDT", "--host", "::1"],
        {"PAIRSCOPE_SYMBOLS": "BTCUSDT,ETHUSDT", "PAIRSCOPE_HOST": "::1"},
    ),
    (["--database", "a b.db"], {"PAIRSCOPE_DATABASE": str(HERE / "a b.db")}),
    (["--database", "../x.db"], {"PAIRSCOPE_DATABASE": str(HERE.parent / "x.db")}),
    (
        ["--replay", "a.gz", "day/b.gz", "--speed", "20"],
        {
            "PAIRSCOPE_REPLAY": f"{HERE / 'a.gz'},{HERE / 'day' / 'b.gz'}",
            "PAIRSCOPE_SPEED": "20",
            "PAIRSCOPE_SOURCE": "replay",
        },
    ),
    (["--replay", "a.gz", "--source", "auto"], {"PAIRSCOPE_REPLAY": str(HERE / "a.gz"), "PAIRSCOPE_SOURCE": "auto"}),
]


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[list[str], dict[str, str]]]:
    """What would have been started: (arguments of Python, environment)."""
    calls: list[tuple[list[str], dict[str, str]]] = []

    def hand_over(python: Path, call: list[str], env: dict[str, str]) -> int:
        calls.append((call, env))
        return 0

    monkeypatch.setattr(run, "ROOT", tmp_path)  # no `.env` of a developer
    monkeypatch.setattr(run, "prepare", lambda command: Path("python"))
    monkeypatch.setattr(run, "hand_over", hand_over)
    return calls


@pytest.mark.parametrize("arguments, expected", OPTIONS)
def test_options_become_the_environment_of_the_app(arguments, expected):
    assert run.options_as_environment(arguments, HERE) == expected


def test_threads_of_linear_algebra_are_the_callers_choice(started):
    run.run(["test"], {"OPENBLAS_NUM_THREADS": "4"}, HERE)
    assert started[0][1]["OPENBLAS_NUM_THREADS"] == "4"


def test_options_win_over_the_environment(started):
    run.run(["--port", "0", "--source", "demo"], {"PAIRSCOPE_SOURCE": "replay", "OTHER": "x"}, HERE)
    expected = {"PAIRSCOPE_PORT": "0", "PAIRSCOPE_SOURCE": "demo", "OTHER": "x", "OPENBLAS_NUM_THREADS": "1"}
    assert started == [(["app.py"], expected)]


def test_paths_in_the_environment_count_from_the_callers_folder(started):
    environ = {"PAIRSCOPE_DATABASE": "x.db", "PAIRSCOPE_REPLAY": "a.gz, b.gz,c.gz", "PAIRSCOPE_PORT": "0"}
    run.run(["capture"], environ, HERE)
    call, env = started[0]
    assert call == ["app.py", "--capture"]
    assert env["PAIRSCOPE_DATABASE"] == str(HERE / "x.db")
    assert env["PAIRSCOPE_REPLAY"] == ",".join(str(HERE / name) for name in ("a.gz", "b.gz", "c.gz"))


@pytest.mark.parametrize("name, module", [("test", "pytest"), ("bench", "bench"), ("chaos", "tests.chaos")])
def test_test_bench_and_chaos_pass_their_arguments_on(started, name, module):
    run.run([name, "-k", "pair", "--port"], {}, HERE)
    call = started[0][0]
    assert call[:2] == ["-m", module] and call[-3:] == ["-k", "pair", "--port"]


def test_import_is_told_where_its_files_are_counted_from(started):
    run.run(["import", "a.zip", "--dry-run"], {}, HERE)
    assert started[0][0] == ["-m", "data.importers", "--from", str(HERE), "a.zip", "--dry-run"]


def test_the_doctor_is_told_the_options_and_looks_at_a_taken_port_itself(started, taken_port):
    run.run(["doctor", "--port", str(taken_port), "--json", "--database", "x.db"], {}, HERE)
    call, env = started[0]
    assert call == ["-m", "operations.doctor", "--json"]
    assert (env["PAIRSCOPE_PORT"], env["PAIRSCOPE_DATABASE"]) == (str(taken_port), str(HERE / "x.db"))


@pytest.mark.parametrize("name", ["backup", "restore"])
def test_backup_and_restore_know_where_they_were_called(started, name):
    run.run([name, "monday.zip", "--force"], {"PAIRSCOPE_DATABASE": "x.db"}, HERE)
    call, env = started[0]
    assert call == ["-m", f"operations.{name}", "--from", str(HERE), "monday.zip", "--force"]
    assert env["PAIRSCOPE_DATABASE"] == str(HERE / "x.db")


def test_bench_peers_have_an_environment_of_their_own():
    folders = {name: command.folder for name, command in run.COMMANDS.items()}
    assert folders.pop("bench") not in folders.values()


def test_exit_code_of_the_started_program_is_passed_through(started, monkeypatch):
    monkeypatch.setattr(run, "hand_over", lambda *_: 5)
    assert run.run(["test"], {}, HERE) == 5


def test_taken_port_is_one_sentence_before_anything_starts(started, taken_port):
    began = time.monotonic()
    with pytest.raises(run.Failure, match=rf"^port {taken_port} is taken: .* with --port$"):
        run.run(["--port", str(taken_port)], {}, HERE)
    assert time.monotonic() - began < 1
    assert not started


def test_taken_port_ends_the_real_command_with_an_error(taken_port):
    command = [sys.executable, str(run.__file__), "--port", str(taken_port)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f"port {taken_port} is taken" in done.stderr


def test_free_port_and_port_zero_pass(taken_port):
    with socket.create_server(("127.0.0.1", 0)) as server:
        free = server.getsockname()[1]
    run.check_port("127.0.0.1", free)
    run.check_port_of({"PAIRSCOPE_PORT": "0"})


def test_port_comes_from_the_settings_file_too(started, taken_port, tmp_path):
    (tmp_path / ".env").write_text(f"# mine\nexport PAIRSCOPE_PORT = '{taken_port}'  # taken\n")
    with pytest.raises(run.Failure, match="is taken"):
        run.run([], {}, HERE)
    run.run([], {"PAIRSCOPE_PORT": "0"}, HERE)  # the environment wins
    assert len(started) == 1


@pytest.mark.parametrize(
    "code, words", [(errno.EADDRNOTAVAIL, "--host"), (errno.EADDRINUSE, "is taken"), (errno.EACCES, "cannot be used")]
)
def test_failed_bind_says_what_to_change(code, words):
    assert words in run.why_unbound("10.0.0.9", 80, OSError(code, os.strerror(code)))


def test_unknown_host_is_one_sentence():
    with pytest.raises(run.Failure, match="is not known here"):
        run.check_port("no such host", 8501)


def test_too_old_python_is_one_sentence():
    with pytest.raises(run.Failure, match=r"^needs Python 3\.11 or newer, and this is 3\.8\.18; [^.]*$"):
        run.check_python((3, 8, 18))
    run.check_python((3, 11, 0))
    run.check_python((4, 0, 0))


def test_file_is_readable_by_an_old_python():
    ast.parse(Path(run.__file__).read_text("utf-8"), feature_version=(3, 8))


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--port", "70000"], "0 to 65535"),
        (["--port", "x"], "'x'"),
        (["--sauce", "demo"], "--sauce"),
        (["--replay"], "--replay"),
    ],
)
def test_wrong_option_is_one_sentence(arguments, words, capsys):
    with pytest.raises(SystemExit) as ended:
        run.parser().parse_args(arguments)
    told = capsys.readouterr().err
    assert ended.value.code == 2
    assert told.count("\n") == 1
    assert words in told


def test_unknown_command_is_one_sentence(started):
    with pytest.raises(run.Failure, match="'tset'"):
        run.run(["tset"], {}, HERE)


def test_help_names_every_command_and_option(capsys):
    with pytest.raises(SystemExit) as ended:
        run.run(["--help"], {}, HERE)
    told = capsys.readouterr().out
    assert ended.value.code == 0
    words = ["capture", "import", "doctor", "backup", "restore", "test", "check", "bench", "chaos"]
    words += ["--source", "--symbols", "--port", "--host", "--database"]
    words += ["--replay", "--speed", "python run.py --source demo"]
    assert [word for word in words if word not in told] == []


def test_failed_set_up_is_one_sentence(monkeypatch, capsys):
    def fail(*_: object) -> bool:
        raise environment.SetupError("installing failed: no space left")

    monkeypatch.setattr(environment, "prepare", fail)
    monkeypatch.setattr(sys, "argv", ["run.py", "test"])
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    assert run.main() == 1
    assert capsys.readouterr().err == "Pairscope: installing failed: no space left\n"
