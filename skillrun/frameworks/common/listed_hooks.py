"""What a worker that lists its functions calls around a job (arq, SAQ), and the record that is left
of one which is given up.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from skillrun.frameworks.common.again import Tries, Way
from skillrun.frameworks.common.giving_up import Record, find_record
from skillrun.frameworks.common.listed import Manner, find_entries, find_hook
from skillrun.repo.python import Definition, Handler, Project


@dataclass(frozen=True)
class Hooks:
    """How a library calls them. What comes after a job is called whatever became of it: only one
    that asks for the end knows of a failure.
    """

    manner: Manner
    before: str  # the option of a worker's settings
    after: str
    asked: frozenset[str]  # attributes and keys that say how a job ended

    def find_hooks(self, project: Project, handler: Definition) -> dict[str, Definition]:
        """Event -> function."""
        found: dict[str, Definition] = {}
        for entry in find_entries(project, self.manner, handler):
            before = find_hook(project, entry.worker, self.before)
            after = find_hook(project, entry.worker, self.after)
            if before is not None:
                found.setdefault("started", before)
            if after is not None and self.asked & set(_list_words(after)):
                found.setdefault("failed", after)
        return found

    def find_left(
        self,
        project: Project,
        handler: Definition,
        tries: Tries,
        ways: Sequence[Way],
        is_again: Callable[[Handler], bool],
        steering: Collection[str] = (),
    ) -> Record | None:
        """As `find_record`, with what is called after the job."""
        hook = self.find_hooks(project, handler).get("failed")
        hooks = []
        if hook is not None:
            hooks = [(self.after, hook)]
        return find_record(project, handler, tries, ways, is_again, steering, hooks)


def _list_words(hook: Definition) -> Iterator[str]:
    for node in ast.walk(hook.node):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
