"""Python that is newer than the interpreter skillrun runs on is read all the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from skillrun.repo.python import Project
from skillrun.repo.tree import Tree

NEWER = """
    class Expired(Exception):
        pass


    def send(order_id: int) -> None:
        try:
            print(order_id)
        except Expired, TimeoutError:
            raise
    """


def test_a_function_is_found_beside_an_except_of_python_3_14(
    make_repo: Callable[..., Path],
) -> None:
    project = Project(Tree(make_repo({"shop/tasks.py": NEWER})))
    found = project.find("shop.tasks:send")
    assert found is not None
    assert [h.exceptions for h in project.handlers(found)] == [
        ("shop.tasks.Expired", "builtins.TimeoutError")
    ]


def test_a_file_that_nobody_can_parse_is_named(make_repo: Callable[..., Path]) -> None:
    project = Project(Tree(make_repo({"shop/tasks.py": "def send(:\n"})))
    assert project.find("shop.tasks:send") is None
    assert list(project.broken) == ["shop/tasks.py"]
