"""An environment of its own, in which plug-ins are installed as pip installs them."""

from __future__ import annotations

from pathlib import Path

import pytest
from plugged_environment import HERE, Environment, make_environment


@pytest.fixture(scope="session")
def with_changelog_entry(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The environment with the skill of `changelog_entry/` in it."""
    pytest.importorskip("hatchling", reason="the plug-in's build backend; it comes with [dev]")
    made = make_environment(tmp_path_factory.mktemp("plugged") / "env")
    made.install(HERE / "changelog_entry")
    return made


@pytest.fixture
def bare(tmp_path: Path) -> Environment:
    """An environment without a plug-in."""
    return make_environment(tmp_path / "env")
