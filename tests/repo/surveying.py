"""The commands that a repository declares."""

from __future__ import annotations

from pathlib import Path

import helpers

from skillrun.repo.commands import Commands
from skillrun.repo.survey import survey_tree
from skillrun.repo.tree import Tree

PYTHON = {"app/main.py": "x = 1\n" * 40, "requirements.txt": "django\n"}


def commands_of(root: Path, files: dict[str, str]) -> Commands:
    return survey_tree(Tree(helpers.build_tree(root, PYTHON | files)), []).commands


def check_finds(root: Path, files: dict[str, str], **expected: str) -> Commands:
    """Exactly these commands are found."""
    found = commands_of(root, files)
    assert {kind: fact.command for kind, fact in found.known().items()} == expected
    return found


class CommandLike:
    """Equal to any fact with this command."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __eq__(self, other: object) -> bool:
        return getattr(other, "command", None) == self.command
