"""Versions: of what runs here, and Pairscope's own as the change log has it."""

import sqlite3

import numpy as np
import pytest

from utils import versions


def test_versions_are_those_of_what_runs():
    found = versions.versions()
    assert next(iter(found)) == "pairscope"
    assert (found["numpy"], found["sqlite"]) == (np.__version__, sqlite3.sqlite_version)


@pytest.mark.parametrize(
    "text, version", [("# Changelog\n\n## 1.2.3 - unreleased\n\n## 1.2.2\n", "1.2.3"), ("# Changelog\n", "unknown")]
)
def test_our_version_is_the_newest_of_the_change_log(tmp_path, monkeypatch, text, version):
    (tmp_path / "CHANGELOG.md").write_text(text)
    monkeypatch.setattr(versions, "CHANGELOG", tmp_path / "CHANGELOG.md")
    assert versions.pairscope_version.__wrapped__() == version
