"""What is deployed from the repository: each file is read by its own rules, and held against what is really there."""

import configparser
import fnmatch
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

import config
import run
from api.metrics import exposition
from tests.fakes.engine import ScriptedEngine, print_pair, settings
from tests.running import ROOT
from utils.errors import SettingsError

# --- the image ----------------------------------------------------------------------------------------


def instructions() -> list[tuple[str, str]]:
    """Name and words of each instruction of the Dockerfile."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text("utf-8"), flags=re.MULTILINE).replace("\\\n", " ")
    found = (line.strip().partition(" ") for line in text.splitlines() if line.strip())
    return [(name, " ".join(words.split())) for name, _, words in found]


def words_of(name: str) -> list[str]:
    return [words for found, words in instructions() if found == name]


def variables(words: str) -> dict[str, str]:
    return dict(part.split("=", 1) for part in words.split())


def copied() -> list[str]:
    """Paths of the repository that the image holds."""
    sources = [words.split()[:-1] for words in words_of("COPY") if not words.startswith("--from")]
    return [name for names in sources for name in names]


def test_everything_that_is_copied_exists_and_is_let_through():
    lets = [line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")]
    assert [name for name in copied() if not (ROOT / name).exists()] == []
    assert sorted(set(copied())) == sorted(lets)
    assert not [name for name in lets if fnmatch.fnmatch(name, "*secret*") or name in (".env", ".streamlit", "var")]


def test_the_base_is_pinned_and_nothing_that_builds_or_installs_is_left():
    assert re.fullmatch(r"BASE=python:3\.\d+\.\d+-slim-\w+@sha256:[0-9a-f]{64}", words_of("ARG")[0])
    assert words_of("FROM") == ["${BASE} AS packages", "${BASE}"]
    install, last = words_of("RUN")[1], words_of("RUN")[2]
    assert (
        "--require-hashes" in install
        and "--only-binary :all:" in install
        and "uninstall --yes setuptools pip" in install
    )
    assert "uninstall --yes setuptools wheel pip" in last
    assert not [words for words in words_of("RUN") if re.search(r"gcc|build-essential|curl", words)]


def test_it_runs_without_rights_and_says_how_it_is():
    order = [name for name, _ in instructions()]
    assert words_of("USER") == ["pairscope"] and order.index("USER") < order.index("CMD")
    (check,) = words_of("HEALTHCHECK")
    assert "http://127.0.0.1:8501/healthz" in check


def test_the_command_starts_from_what_is_copied_alone(tmp_path):
    """The files of the image in a folder of their own: the program starts there, and finds everything it imports."""
    for name in copied():
        source, target = ROOT / name, tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    (command,) = words_of("CMD")
    assert json.loads(command)[2] == "python -m analytics.warm; exec python app.py"
    env = {name: value for name, value in os.environ.items() if not name.startswith("PAIRSCOPE_")}
    env |= {name: value for name, value in variables(words_of("ENV")[0]).items() if name.startswith("PAIRSCOPE_")}
    done = subprocess.run(
        [sys.executable, "app.py"], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
    assert "PAIRSCOPE_HOST '0.0.0.0' is not a loopback address" in done.stderr  # as it should, without a token
    loads = (
        "import app, operations.doctor, operations.backup, importlib.util as u; assert u.find_spec('analytics.warm')"
    )
    env["PAIRSCOPE_HOST"] = "127.0.0.1"
    done = subprocess.run(
        [sys.executable, "-c", loads], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


# --- compose ------------------------------------------------------------------------------------------


def service() -> dict[str, object]:
    return yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))


def test_compose_opens_the_port_for_this_machine_alone_and_asks_for_a_token():
    one = service()["services"]["pairscope"]
    assert one["ports"] == ["127.0.0.1:8501:8501"]
    assert one["environment"]["PAIRSCOPE_API_TOKEN"].startswith("${PAIRSCOPE_API_TOKEN:?")
    assert one["read_only"] is True and one["cap_drop"] == ["ALL"] and "no-new-privileges:true" in one["security_opt"]
    (volume,) = one["volumes"]
    assert volume == f"kept:{words_of('VOLUME')[0]}" and "kept" in service()["volumes"]


def test_what_compose_gives_the_image_are_settings_that_hold_together(monkeypatch):
    given = service()["services"]["pairscope"]["environment"] | variables(words_of("ENV")[0])
    for name, value in given.items():
        if name.startswith("PAIRSCOPE_"):
            assert name.removeprefix("PAIRSCOPE_").lower() in config.Settings.model_fields
            monkeypatch.setenv(name, re.sub(r"\$\{\w+:-(.*)\}", r"\1", value))
    monkeypatch.setenv("PAIRSCOPE_API_TOKEN", "a-token-long-enough")
    assert config.load().host == "0.0.0.0"
    (subnet,) = service()["networks"]["inside"]["ipam"]["config"]
    assert config.load().trusted_proxies == (subnet["gateway"],)
    monkeypatch.delenv("PAIRSCOPE_TRUSTED_PROXIES")
    with pytest.raises(SettingsError):
        config.load()


# --- systemd ------------------------------------------------------------------------------------------

UNIT = ROOT / "deploy" / "pairscope.service"


def unit() -> configparser.RawConfigParser:
    found = configparser.RawConfigParser(strict=False)
    found.optionxform = str
    found.read_string(UNIT.read_text("utf-8"))
    return found


def test_the_unit_starts_what_the_repository_has():
    found = unit()["Service"]
    assert found["ExecStart"] == f"{found['WorkingDirectory']}/.venv/bin/python app.py"
    module = found["ExecStartPre"].rpartition(" ")[2]
    assert importlib.util.find_spec(module) is not None
    told = re.findall(
        r"(PAIRSCOPE_\w+)=", "\n".join(re.findall(r"^Environment=.*", UNIT.read_text("utf-8"), re.MULTILINE))
    )
    assert told and all(name.removeprefix("PAIRSCOPE_").lower() in config.Settings.model_fields for name in told)
    assert found["StateDirectory"] == "pairscope"
    assert "PAIRSCOPE_DATABASE=/var/lib/pairscope/" in UNIT.read_text("utf-8")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_reads_the_unit_and_finds_it_hardened(tmp_path):
    text = UNIT.read_text("utf-8").replace("/opt/pairscope/.venv/bin/python", sys.executable)
    copy = tmp_path / UNIT.name
    copy.write_text(re.sub(r"^(User|Group)=.*\n", "", text, flags=re.MULTILINE).replace("/opt/pairscope", str(ROOT)))
    verified = subprocess.run(["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, check=False)
    assert (verified.returncode, verified.stderr) == (0, "")
    rated = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(copy)], capture_output=True, check=False
    )
    assert rated.returncode == 0, rated.stdout[-300:]


# --- Grafana and Prometheus -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> dict[str, set[str]]:
    """Name of everything that /metrics exports -> its labels."""
    engine = ScriptedEngine(settings(tmp_path_factory.mktemp("deploy")))
    engine.start()
    print_pair(engine, 200)
    engine.scripted.sink.reject("BTCUSDT", "price", 3)
    text = exposition(engine).decode()
    engine.stop()
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        ends = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(family.type, ("",))
        found |= {family.name + end: {"instance"} for end in ends}
        for sample in family.samples:
            found.setdefault(sample.name, {"instance"}).update(sample.labels)
    found["pairscope_dropped_total"] |= {"symbol", "reason"}  # there are none here
    return found


NAME = re.compile(r"\b((?:pairscope|process)_\w+)(?:{([^}]*)})?")


def board() -> dict[str, object]:
    return json.loads((ROOT / "deploy" / "grafana-dashboard.json").read_text("utf-8"))


def rules() -> list[dict[str, object]]:
    (group,) = yaml.safe_load((ROOT / "deploy" / "prometheus-alerts.yml").read_text("utf-8"))["groups"]
    return group["rules"]


def expressions() -> list[str]:
    asked = [target["expr"] for panel in board()["panels"] for target in panel.get("targets", ())]
    return [*asked, *(rule["expr"] for rule in rules())]


def test_every_metric_and_label_that_is_asked_for_is_exported(exported):
    asked = [found for expression in expressions() for found in NAME.findall(expression)]
    assert len({name for name, _ in asked}) > 25
    assert {name for name, _ in asked} - exported.keys() == set()
    for name, labels in asked:
        assert set(re.findall(r"(\w+)\s*[=!]", labels)) <= exported[name] | {"job"}, name
    by = [set(re.split(r",\s*", labels)) for text in expressions() for labels in re.findall(r"by \(([^)]*)\)", text)]
    assert set().union(*by) <= set().union(*exported.values())


def test_every_figure_of_ours_but_sums_is_on_the_board(exported):
    asked = {name for expression in expressions() for name, _ in NAME.findall(expression)}
    left = {name for name in exported if name.startswith("pairscope_")} - asked
    assert left == {
        f"pairscope_{name}_seconds_{end}" for name in ("readable", "stored") for end in ("sum", "count")
    } | {"pairscope_info"}


def test_panels_explain_themselves_and_do_not_overlap():
    panels = board()["panels"]
    cells = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells)) and max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in panels}) == len(panels)
    shown = [panel for panel in panels if panel["type"] != "row"]
    assert all(panel["title"] and panel["description"] for panel in shown)


def test_alerts_say_what_is_the_case_and_how_bad_it_is():
    for rule in rules():
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"]["summary"] and rule["expr"].count("(") == rule["expr"].count(")")


# --- what the pages for operators say -------------------------------------------------------------------


@pytest.mark.parametrize("name", ["README.md", "docs/operations.md", "docs/security.md"])
def test_settings_commands_and_files_that_are_told_of_exist(name):
    text = (ROOT / name).read_text("utf-8")
    told = {word.removeprefix("PAIRSCOPE_").lower() for word in re.findall(r"PAIRSCOPE_[A-Z_]*[A-Z]", text)}
    assert told - set(config.Settings.model_fields) == set()
    assert set(re.findall(r"python run\.py ([a-z]+)", text)) - set(run.COMMANDS) == set()
    linked = re.findall(r"\]\((?!http)([\w./-]+)\)|`((?:deploy|docs)/[\w.-]+)`", text)
    folder = (ROOT / name).parent
    assert [
        path for pair in linked for path in pair if path and not {(ROOT / path), (folder / path)} & existing()
    ] == []


def existing() -> set[Path]:
    return {
        path
        for folder in (ROOT, ROOT / "docs", ROOT / "docs" / "screenshots", ROOT / "deploy")
        for path in folder.iterdir()
    }


def test_every_alert_that_the_operations_page_explains_is_a_rule():
    told = set(re.findall(r"`(Pairscope\w+)`", (ROOT / "docs" / "operations.md").read_text("utf-8")))
    assert told == {rule["alert"] for rule in rules()}
