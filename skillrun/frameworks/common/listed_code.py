"""What is read of jobs that their worker lists (arq, SAQ), from the words of a library."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

from skillrun.frameworks.common import listed, racing, reading
from skillrun.frameworks.common.listed_hooks import Hooks
from skillrun.frameworks.common.listed_sends import Queueing
from skillrun.frameworks.interface import Code, Policy
from skillrun.frameworks.rulebook import collect_rules
from skillrun.repo.python import Definition, Project
from skillrun.repo.uses import FrameworkUse, Place


def make_code(
    queueing: Queueing,
    hooks: Hooks,
    read_job: Callable[[Project, Definition], Policy],
    *rules: ModuleType,
) -> Code:
    """Any function that can be imported is a handler; a worker's list registers it."""

    def find_registration(project: Project, use: FrameworkUse, handler: Definition) -> Place | None:
        return listed.find_registration(project, queueing.manner, handler)

    def read_policy(project: Project, use: FrameworkUse, handler: Definition) -> Policy:
        return read_job(project, handler)

    def find_hooks(
        project: Project, use: FrameworkUse, handler: Definition
    ) -> dict[str, Definition]:
        return hooks.find_hooks(project, handler)

    return Code(
        find_handler=reading.find_function,
        find_registration=find_registration,
        read_policy=read_policy,
        find_sends=queueing.find_sends,
        find_hooks=find_hooks,
        rules=collect_rules(queueing.manner.library, *rules, racing),
    )
