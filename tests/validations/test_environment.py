"""Which interpreter a repository's code runs with."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from skillrun.validations.environment import find_python


def _venv(folder: Path) -> Path:
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to(sys.executable)
    return folder


def test_the_repositorys_own_environment_before_the_activated_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    active = _venv(tmp_path / "elsewhere")
    monkeypatch.setenv("VIRTUAL_ENV", str(active))
    root = tmp_path / "repo"
    root.mkdir()
    assert find_python(root) == str(active / "bin" / "python")
    own = _venv(root / ".venv")
    assert find_python(root) == str(own / "bin" / "python")


def test_skillruns_own_where_nothing_else_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIRTUAL_ENV", str(tmp_path / "gone"))
    assert find_python(tmp_path) == sys.executable
    monkeypatch.delenv("VIRTUAL_ENV")
    assert find_python(tmp_path) == sys.executable
