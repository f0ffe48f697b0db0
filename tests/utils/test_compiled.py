"""Machine code on disk is never that of an older version."""

import subprocess
import sys
from pathlib import Path

import pytest

from utils import compiled

CALLED = """
from utils.compiled import compiled

SHARE = {share}


@compiled
def part(value):
    return SHARE * value
"""
CALLING = """
from parts.called import SHARE, part
from utils.compiled import compiled


@compiled
def whole(value):
    return part(value) + SHARE
"""
RUN = """
import sys
from pathlib import Path

from utils import compiled

compiled.ROOT = Path(sys.argv[1])
sys.path.insert(0, sys.argv[1])
from parts.calling import whole

print(whole(10.0), sum(whole.stats.cache_hits.values()))
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Two modules, the second of which calls the first and holds its constant."""
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "__init__.py").touch()
    (tmp_path / "parts" / "calling.py").write_text(CALLING)
    return tmp_path


def said(project: Path, share: float) -> str:
    """What a process of its own says of it: the result, and how often it found machine code on disk."""
    (project / "parts" / "called.py").write_text(CALLED.format(share=share))
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(project)], check=True, capture_output=True, text=True, cwd=compiled.ROOT
    )
    return done.stdout.strip()


def test_a_change_in_a_module_that_is_called_is_seen(project):
    assert said(project, 2.0) == "22.0 0"
    assert said(project, 2.0) == "22.0 1"
    assert said(project, 3.0) == "33.0 0"


@pytest.mark.parametrize(
    "line",
    [
        "from parts.called import part",
        "from parts import called",
        "from parts import (\n    called,\n)",
        "import parts.called",
        "from parts.between import part",
    ],
)
def test_every_way_to_import_counts(tmp_path, monkeypatch, line):
    monkeypatch.setattr(compiled, "ROOT", tmp_path)
    for name, text in (("__init__", ""), ("called", "A = 1"), ("between", "from parts.called import A"), ("of", line)):
        (tmp_path / "parts").mkdir(exist_ok=True)
        (tmp_path / "parts" / f"{name}.py").write_text(text)

    def stamp() -> str:
        compiled._read.cache_clear()
        return compiled.stamp(tmp_path / "parts" / "of.py")

    before = stamp()
    assert stamp() == before
    (tmp_path / "parts" / "called.py").write_text("A = 2")
    assert stamp() != before
