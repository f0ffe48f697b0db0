"""The house rules of imports (DESIGN, section 2), held by walking every import of the repository."""

import ast
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
EVERYBODY = (
    "config",
    "utils",
    "analytics",
    "alerts",
    "data",
    "engine",
    "dashboard",
    "api",
    "operations",
    "app",
    "bench",
)
EVERYBODY += ("tests",)
NO_ROOMS = {"core", "common", "services", "models"}
NOT_WALKED = {"tests", "docs", "var"}


@dataclass(frozen=True)
class Rule:
    """What the modules under one name may import."""

    ours: tuple[str, ...] = ()  # names of ours, each with everything below it
    foreign: tuple[str, ...] | None = None  # packages beside the standard library; None = any
    never: tuple[str, ...] = ()  # forbidden although the rest would allow it


SCREEN = ("streamlit", "plotly")
STATISTICS = ("scipy", "statsmodels", "arch", "numba")
CLOCKS_AND_FILES = ("socket", "sqlite3", "logging", "time", "urllib", "http", "pathlib", "random")
ABOVE_THE_ENGINE = ("config", "utils", "engine", "analytics", "alerts.rules", "data.exporters", "data.importers")

# The longest name that fits a module is its rule; a module without a rule has no place in the house.
RULES = {
    "utils": Rule(ours=("utils",), foreign=()),
    "utils.compiled": Rule(foreign=("numba",)),
    "utils.cluster": Rule(ours=("utils",), foreign=("distributed",)),
    "config": Rule(ours=("utils",), never=SCREEN),
    "data.trades": Rule(ours=("utils",), foreign=("numpy", "pandas")),
    "analytics": Rule(
        ours=("analytics", "utils"),
        foreign=("numpy", "pandas", *STATISTICS),
        never=(*CLOCKS_AND_FILES, "utils.logger", "utils.clock.now_us", "utils.clock.monotonic_s"),
    ),
    "data": Rule(ours=("config", "utils", "data", "analytics.resampling"), never=(*SCREEN, *STATISTICS)),
    "alerts": Rule(ours=("config", "utils", "alerts", "analytics", "data.trades"), never=SCREEN),
    "engine": Rule(ours=("config", "utils", "analytics", "alerts", "data", "engine"), never=SCREEN),
    "dashboard": Rule(ours=(*ABOVE_THE_ENGINE, "dashboard")),
    "dashboard.charts": Rule(ours=(*ABOVE_THE_ENGINE, "dashboard"), never=("streamlit",)),
    "api": Rule(ours=(*ABOVE_THE_ENGINE, "api"), never=SCREEN),
    "operations": Rule(ours=("config", "utils", "data", "operations"), never=(*SCREEN, *STATISTICS)),
    "app": Rule(ours=EVERYBODY, never=("plotly",)),
    "run": Rule(ours=("utils",), foreign=()),  # runs before anything is installed
    "bench": Rule(ours=EVERYBODY),
}


def lies_under(name: str, parents: tuple[str, ...]) -> bool:
    """Whether a dotted name is one of the parents, or below one."""
    return any(name == parent or name.startswith(f"{parent}.") for parent in parents)


def rule_of(module: str) -> Rule | None:
    """The rule of a module."""
    return RULES.get(max((name for name in RULES if lies_under(module, (name,))), key=len, default=""))


def imports(tree: ast.AST, package: str) -> Iterator[tuple[int, str]]:
    """Line and full dotted name of everything imported anywhere in a module, also inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def is_allowed(name: str, rule: Rule) -> bool:
    """Whether a rule lets a module import a dotted name."""
    top = name.split(".")[0]
    if lies_under(name, rule.never):
        return False
    if top in EVERYBODY or top in RULES:
        return lies_under(name, rule.ours)
    return top in sys.stdlib_module_names or rule.foreign is None or top in rule.foreign


def offences(source: str, path: str) -> list[str]:
    """Every import of a file that its place in the house forbids, as "file:line: ..."."""
    parts = path.removesuffix(".py").split("/")
    is_package = parts[-1] == "__init__"
    module = ".".join(parts[:-1] if is_package else parts)
    package = module if is_package else ".".join(parts[:-1])
    rule = rule_of(module)
    if rule is None:
        return [f"{path}:1: has no rule in the table of DESIGN, section 2"]
    found = imports(ast.parse(source, path), package)
    return [f"{path}:{line}: {module} may not import {name}" for line, name in found if not is_allowed(name, rule)]


def walk() -> Iterator[tuple[Path, list[str]]]:
    """Folders of the repository and the files in them; hidden ones, tests and run-time files left out."""
    for folder, inner, names in os.walk(ROOT):
        at_top = Path(folder) == ROOT
        inner[:] = sorted(name for name in inner if name[0] != "." and not (at_top and name in NOT_WALKED))
        yield Path(folder), sorted(names)


def sources() -> list[Path]:
    """Every Python file of the product."""
    return [folder / name for folder, names in walk() for name in names if name.endswith(".py")]


def test_every_import_stays_within_the_layers():
    found = [
        offence
        for path in sources()
        for offence in offences(path.read_text("utf-8"), path.relative_to(ROOT).as_posix())
    ]
    assert not found, "\n" + "\n".join(found)


def test_init_files_define_nothing():
    def is_bare(path: Path) -> bool:
        package = ".".join(path.parent.relative_to(ROOT).parts)
        body = ast.parse(path.read_text("utf-8")).body
        rest = body[1:] if ast.get_docstring(ast.Module(body, [])) is not None else body
        return all(_offers(statement, package) for statement in rest)

    full = [str(path.relative_to(ROOT)) for path in sources() if path.name == "__init__.py" and not is_bare(path)]
    assert not full, f"an init file says what is where, and offers names from below itself: {full}"


def _offers(statement: ast.stmt, package: str) -> bool:
    """Whether a statement imports from below a package, or lists the names."""
    if isinstance(statement, ast.ImportFrom):
        return statement.module is not None and statement.module.startswith(f"{package}.")
    return isinstance(statement, ast.Assign) and [ast.unparse(name) for name in statement.targets] == ["__all__"]


def test_no_room_has_a_name_that_says_nothing():
    rooms = [str(folder.relative_to(ROOT)) for folder, _ in walk() if folder.name in NO_ROOMS]
    assert not rooms


def test_the_walk_sees_the_house():
    seen = {path.relative_to(ROOT).parts[0] for path in sources()}
    assert {"config.py", "engine", "run.py", "utils", "data", "analytics", "alerts", "dashboard", "api"} <= seen


PLANTED = [
    ("utils/clock.py", "import pandas"),
    ("utils/clock.py", "import config"),
    ("analytics/hedge.py", "from data.storage import TickBuffer"),
    ("analytics/hedge.py", "import config"),
    ("analytics/hedge.py", "import sqlite3"),
    ("analytics/hedge.py", "from utils.clock import now_us"),
    ("analytics/hedge.py", "from ..data import storage"),
    ("data/trades.py", "from data.storage import TickBuffer"),
    ("data/resampler.py", "from analytics.hedge import ols"),
    ("data/resampler.py", "from analytics import hedge"),
    ("data/resampler.py", "import analytics"),
    ("data/feeds/socket.py", "import statsmodels.api"),
    ("alerts/rules.py", "from data import storage"),
    ("alerts/rules.py", "def late() -> None:\n    from engine import current"),
    ("engine/engine.py", "import plotly.graph_objects as go"),
    ("engine/engine.py", "from dashboard import view"),
    ("dashboard/pages/pair.py", "from api.schemas import Status"),
    ("dashboard/pages/pair.py", "from data.sqlite import open_reader"),
    ("dashboard/charts/pair.py", "import streamlit as st"),
    ("api/routes.py", "from dashboard.charts import pair"),
    ("api/routes.py", "import streamlit"),
    ("app.py", "import run"),
    ("run.py", "import requests"),
    ("operations/doctor.py", "from engine import current"),
    ("data/feeds/rest.py", "from operations import doctor"),
    ("services/helper.py", "import os"),
]
FITTING = [
    ("config.py", "from utils.errors import SettingsError"),
    ("analytics/pair.py", "from statsmodels.tsa.stattools import adfuller"),
    ("analytics/pair.py", "from . import hedge"),
    ("data/resampler.py", "from analytics import resampling"),
    ("data/resampler.py", "from analytics.resampling import bars"),
    ("data/__init__.py", "from . import trades"),
    ("engine/engine.py", "from data.feeds.socket import SocketFeed"),
    (
        "dashboard/pages/pair.py",
        "import streamlit as st\nimport plotly.graph_objects as go\nfrom engine import current",
    ),
    ("dashboard/pages/pair.py", "from ..charts import pair"),
    ("app.py", "import streamlit as st\nfrom api.app import build_api\nfrom dashboard.live import routes"),
]


@pytest.mark.parametrize("path, source", PLANTED)
def test_a_planted_import_is_caught_with_its_line(path, source):
    found = offences(f"import os\n{source}\n", path)
    line = 1 if path.startswith("services") else 1 + len(source.splitlines())
    assert len(found) == 1
    assert found[0].startswith(f"{path}:{line}: ")


@pytest.mark.parametrize("path, source", FITTING)
def test_an_import_that_fits_is_let_through(path, source):
    assert offences(source, path) == []
