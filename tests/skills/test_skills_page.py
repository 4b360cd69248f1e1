"""docs/skills.md shows the example as it is, and the test that it gives to others runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import helpers
import pytest

PAGE = (helpers.ROOT / "docs" / "skills.md").read_text(encoding="utf-8")
EXAMPLE = Path(__file__).with_name("changelog_entry")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
TESTS = [block for block in BLOCKS if "def test_" in block]


@pytest.mark.parametrize("block", [block for block in BLOCKS if block not in TESTS])
def test_what_is_shown_stands_in_the_example(block: str) -> None:
    texts = [path.read_text(encoding="utf-8") for path in EXAMPLE.rglob("*.py")]
    assert any(block in text for text in texts)


def test_every_module_of_the_example_is_named() -> None:
    for path in EXAMPLE.rglob("*.py"):
        assert path.name in PAGE


@pytest.mark.real
def test_the_tests_for_another_project_pass(tmp_path: Path) -> None:
    (tmp_path / "test_stages.py").write_text("\n".join(TESTS), encoding="utf-8")
    path = os.pathsep.join((str(EXAMPLE), str(helpers.ROOT)))
    env = helpers.clean_env(tmp_path / "home", PYTHONPATH=path, PATH=os.environ["PATH"])
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_stages.py"]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert "2 passed" in done.stdout, done.stdout + done.stderr
