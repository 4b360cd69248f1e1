"""The README is honest: its help block is the real one, and its commands, files and make targets
exist.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import helpers
import pytest

from skillrun.__main__ import COMMANDS

README = (helpers.ROOT / "README.md").read_text(encoding="utf-8")
CHANGELOG = (helpers.ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
LEDGER_COMMANDS = ("list", "show", "query", "stats", "verify")


def test_the_first_test_that_is_shown_to_a_stranger_passes(tmp_path: Path) -> None:
    """`tests/README.md` shows it as it would be written."""
    shown = (helpers.ROOT / "tests" / "README.md").read_text(encoding="utf-8")
    block = re.search(r"```python\n(.*?)```", shown, re.DOTALL)
    assert block is not None
    names: dict[str, Any] = {}
    exec(block[1], names)
    tests = [name for name in names if name.startswith("test_")]
    assert len(tests) == 2
    for name in tests:
        names[name](tmp_path / name)


def test_the_help_block_is_what_the_command_prints(tmp_path: Path) -> None:
    block = re.search(
        r"<!-- help: begin -->\n```text\n(.*?)```\n<!-- help: end -->", README, re.DOTALL
    )
    assert block is not None
    printed = helpers.run_cli("--help", cwd=tmp_path, env={"COLUMNS": "100"})
    assert printed.returncode == 0
    assert block[1].strip() == printed.stdout.strip()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_help_text_and_is_named_in_the_documents(
    command: str, tmp_path: Path
) -> None:
    printed = helpers.run_cli(command, "--help", cwd=tmp_path)
    assert printed.returncode == 0
    assert printed.stdout.startswith(f"Usage: skillrun {command}")
    assert re.search(rf"\b{command}\b", README)
    assert re.search(rf"\b{command}\b", CHANGELOG)


def test_every_command_line_of_the_readme_is_a_command() -> None:
    lines = re.findall(r"^\$ skillrun (\S+)(?: (\S+))?", README, re.MULTILINE)
    assert lines
    for command, word in lines:
        assert command in (*COMMANDS, "job-worker-orchestration"), command
        if command == "ledger":
            assert word in LEDGER_COMMANDS


def test_every_make_target_of_the_readme_exists() -> None:
    for target in set(re.findall(r"[`$] ?make ([\w-]+)", README)):
        done = subprocess.run(
            ["make", "-n", target, "LABELS=x", "CHECKOUTS=y"],
            cwd=helpers.ROOT,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr


def test_every_path_of_the_readme_exists() -> None:
    for path in re.findall(r"`((?:docs|schemas|skills|ledger|skillrun)/[\w./-]+)`", README):
        assert (helpers.ROOT / path).exists(), path
