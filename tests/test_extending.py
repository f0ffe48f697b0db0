"""What the pages for developers name exists: files, functions, constants, tests, threads and packages."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from dashboard import view
from dashboard.charts import indicators
from dashboard.main import PAGES as PAGES_SHOWN
from tests.test_layers import RULES

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("docs/architecture.md", "docs/extending.md")
CODE = ("data", "alerts", "engine", "dashboard", "api", "utils", "analytics", "operations")


@cache
def names_in(path: Path) -> frozenset[str]:
    """What a module defines at its top, and `Class.name` of what classes define."""
    found: set[str] = set()
    for node in ast.parse(path.read_text("utf-8")).body:
        found |= _defined(node)
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{name}" for inner in node.body for name in _defined(inner)}
    return frozenset(found)


def _defined(node: ast.stmt) -> set[str]:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return {node.name}
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return {target.id for target in targets if isinstance(target, ast.Name)}


@pytest.mark.parametrize("page", PAGES)
def test_every_file_and_name_that_is_told_exists(page):
    text = (ROOT / page).read_text("utf-8")
    told = re.findall(r"`([\w.]+(?:/[\w.]+)*\.py|[\w/]+/)(?:::([\w.]+))?`", text)
    assert len(told) > 20
    files = [(file, name) for file, name in told if "NAME" not in file]
    assert [file for file, _ in files if not (ROOT / file).exists()] == []
    assert [f"{file}::{name}" for file, name in files if name and name not in names_in(ROOT / file)] == []
    linked = re.findall(r"\]\((?!http)([\w./-]+)\)", text)
    assert [path for path in linked if not (ROOT / "docs" / path).is_file()] == []


def test_a_name_that_is_not_there_is_found():
    assert "SYMBOL_METRICS" in names_in(ROOT / "analytics/readings.py")
    assert "PairAnalysis.reading" in names_in(ROOT / "analytics/pair/analysis.py")
    assert "nothing_of_this_name" not in names_in(ROOT / "analytics/readings.py")


def table(page: str, heading: str) -> list[str]:
    """First cells of the table below a heading."""
    text = (ROOT / page).read_text("utf-8").partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]


def test_the_table_of_threads_has_every_thread_of_ours():
    told = {name.removesuffix("-…") for cell in table(PAGES[0], "Threads") for name in re.findall("`(.+?)`", cell)}
    code = "\n".join(path.read_text("utf-8") for folder in CODE for path in (ROOT / folder).rglob("*.py"))
    begun = re.findall(r"Thread\((?:[^()]|\([^()]*\))*?\bname=f?\"([\w-]+)", code)
    begun += re.findall(r'thread_name_prefix="([\w-]+)"', code)
    feeds = re.findall(r'row, thread_name = "\w+", "(\w+)"', code)
    found = {name.removesuffix("-") for name in begun} | {name + end for name in feeds for end in ("", "-relief")}
    assert found - {"pip-output"} == told  # that one belongs to the installation


def test_the_table_of_packages_has_every_package():
    told = {name for cell in table(PAGES[0], "Packages") for name in re.findall(r"`(\w+)/`", cell)}
    assert told == {name for name in RULES if (ROOT / name).is_dir()}


def test_the_tour_names_pages_and_words_that_are_on_the_screen():
    tour = (ROOT / "README.md").read_text("utf-8").partition("## Five minutes\n")[2].partition("\n## ")[0]
    assert set(re.findall(r"\*\*(\w+)\*\*", tour)) <= PAGES_SHOWN.keys()
    shown = "\n".join(path.read_text("utf-8") for path in (ROOT / "dashboard").rglob("*.py"))
    words = re.findall(r"(?<!\*)\*([^*\n]+)\*(?!\*)", tour)
    made = {"Add rule: |z| > 2": "Add rule: |z| > {", "Trades of BTCUSDT, CSV": "{about[:1].upper()}{about[1:]}, {"}
    assert len(words) == 10
    assert [word for word in words if made.get(word, f'"{word}') not in shown and f">{word}<" not in shown] == []


def test_every_indicator_that_is_offered_is_drawn():
    assert view.INDICATORS.keys() == indicators.INDICATORS.keys()
    assert set(indicators.PANES) <= indicators.INDICATORS.keys()
