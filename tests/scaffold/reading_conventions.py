"""The conventions of a repository with some files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from bundled import bundled_skill

from skillrun.frameworks.pieces import Conventions
from skillrun.repo.git import open_repo
from skillrun.repo.tree import Tree
from skillrun.skills.job_worker.job_case import JobCase
from skillrun.skills.job_worker.scaffold.manner.conventions import read_conventions

Read = Callable[..., Conventions]
SINGLE = "A = 'a'\nB = 'b'\nC = \"c\"\n"
DOUBLE = 'A = "a"\nB = "b"\nC = \'c\'\n'
TASKS = "shop/tasks.py"


@pytest.fixture
def conventions_of(make_repo: Callable[..., Path]) -> Read:
    """`conventions_of({...}, handler_path)`: the conventions of a repository with these files."""

    def work(files: Mapping[str, str | bytes], handler: str = TASKS) -> Conventions:
        root = make_repo({"shop/__init__.py": "", **files})
        skill = bundled_skill()
        return read_conventions(JobCase(skill, None, open_repo(root), Tree(root)), handler)

    return work
