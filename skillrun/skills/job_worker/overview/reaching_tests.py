"""The tests of the repository that reach a handler, as far as their text shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skillrun.repo.places import is_test
from skillrun.repo.uses import Place

if TYPE_CHECKING:
    from collections.abc import Iterator

    from skillrun.repo.python import Definition, Project
    from skillrun.skills.job_worker.overview.handlers import FoundJob

_FOLLOWED = 2  # helpers and fixtures between a test and the handler


def find_reaching_tests(project: Project, job: FoundJob) -> tuple[Place, ...]:
    """Test functions that name the handler, one of the functions that send it, or a helper that
    does, in order of path and line.
    """
    return _follow_doors(project, _list_doors(project, job))


def find_tests_of(project: Project, function: Definition) -> tuple[Place, ...]:
    """The same for any function."""
    return _follow_doors(project, [function.dotted])


def _follow_doors(project: Project, doors: list[str]) -> tuple[Place, ...]:
    found: dict[tuple[str, int], Place] = {}
    waiting = [(name, 0) for name in doors]
    seen = {name for name, _ in waiting}
    while waiting:
        name, height = waiting.pop()
        for function in _find_users(project, name):
            if _is_test_function(function):
                place = Place(function.path, function.line, function.name)
                found[function.path, function.line] = place
            elif height < _FOLLOWED and function.dotted not in seen:
                seen.add(function.dotted)
                waiting.append((function.dotted, height + 1))
    return tuple(found[key] for key in sorted(found))


def _list_doors(project: Project, job: FoundJob) -> list[str]:
    """The handler, and the application's functions that send it."""
    doors = [job.handler.dotted]
    for send in job.real_sends:
        call = send.call
        function = call.module.function_of(call.node) if call is not None else None
        if call is not None and function is not None:
            doors.append(project.define(call.module, function).dotted)
    return list(dict.fromkeys(doors))


def _find_users(project: Project, name: str) -> Iterator[Definition]:
    for use in project.uses(name):
        function = use.module.function_of(use.node)
        if function is not None and is_test(use.path):
            yield project.define(use.module, function)


def _is_test_function(function: Definition) -> bool:
    return function.name.rpartition(".")[2].startswith("test")
