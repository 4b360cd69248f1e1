"""The README is short and honest, and so are the documents: their commands, files and make targets exist."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import helpers
import pytest

from skillrun.__main__ import COMMANDS

README = (helpers.ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (helpers.ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
CHANGELOG = (helpers.ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
REFERENCE = (helpers.ROOT / "docs/reference/commands.md").read_text(encoding="utf-8")
# Whoever opens it reads one screen; everything else is on the site.
LONGEST_README = 6_000


def read_documents() -> dict[str, str]:
    """The README and every page of the site, by their paths."""
    paths = [helpers.ROOT / "README.md", *sorted((helpers.ROOT / "docs").rglob("*.md"))]
    return {str(path.relative_to(helpers.ROOT)): path.read_text(encoding="utf-8") for path in paths}


def list_below(command: str) -> set[str]:
    """The commands below one, as the reference has them: `list` of `ledger`."""
    return set(re.findall(rf"^### skillrun {command} (\S+)$", REFERENCE, re.MULTILINE))


def test_the_readme_is_short_and_shows_a_refutation_first() -> None:
    assert len(README) < LONGEST_README
    assert README.splitlines()[2].endswith("(docs/refutation.svg)")


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


def test_the_help_of_the_reference_is_what_the_command_prints(tmp_path: Path) -> None:
    """The page is made within this process (`tests/site/reference.py`); a shell prints the same."""
    block = re.search(r"```text\n(.*?)```", REFERENCE, re.DOTALL)
    assert block is not None
    printed = helpers.run_cli("--help", cwd=tmp_path, env={"COLUMNS": "80"})
    assert printed.returncode == 0
    assert block[1].strip() == printed.stdout.strip()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_help_text_and_is_named_in_the_documents(
    command: str, tmp_path: Path
) -> None:
    printed = helpers.run_cli(command, "--help", cwd=tmp_path)
    assert printed.returncode == 0
    assert printed.stdout.startswith(f"Usage: skillrun {command}")
    assert re.search(rf"^## skillrun {command}$", REFERENCE, re.MULTILINE)
    assert re.search(rf"\b{command}\b", CHANGELOG)


@pytest.mark.parametrize("name", sorted(read_documents()))
def test_every_command_line_of_a_document_is_a_command(name: str) -> None:
    """Those that are too long to be run by a test at least exist."""
    text = read_documents()[name]
    for command, word in re.findall(
        r"^ *\$ skillrun ([a-z-]+)(?: ([a-z][\w-]*))?", text, re.MULTILINE
    ):
        assert command in (*COMMANDS, "job-worker-orchestration"), command
        if list_below(command) and word:
            assert word in list_below(command), word


def test_every_make_target_of_the_documents_exists() -> None:
    targets = set(re.findall(r"[`$] ?make ([\w-]+)", README + CONTRIBUTING))
    assert {"test", "site", "wheel"} <= targets
    for target in targets:
        done = subprocess.run(
            ["make", "-n", target, "LABELS=x", "CHECKOUTS=y"],
            cwd=helpers.ROOT,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr


def test_every_path_of_the_readme_exists() -> None:
    named = re.findall(r"`((?:docs|schemas|skills|ledger|skillrun)/[\w./-]+)`", README)
    linked = re.findall(r"\]\(([\w./-]+)\)", README)
    assert len(linked) > 10
    for path in (*named, *linked):
        assert (helpers.ROOT / path).exists(), path
