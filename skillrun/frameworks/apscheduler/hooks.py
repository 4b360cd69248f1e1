"""What a scheduler calls around a run: its listeners. A listener hears of every job of the
scheduler.

Sources: apscheduler/events.py of 3.11 (EVENT_JOB_SUBMITTED, _EXECUTED, _ERROR; a listener without a
mask hears all),
`subscribe` of 4.0 (JobAcquired, JobReleased).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from skillrun.frameworks.common.callables import policy
from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.common.records import first_record
from skillrun.repo.places import is_aside
from skillrun.repo.source import last_word
from skillrun.repo.syntax import find_nodes

if TYPE_CHECKING:
    from skillrun.frameworks.interface import (
        Policy,
    )
    from skillrun.repo.python import Definition, Project
    from skillrun.repo.uses import FrameworkUse, Place

_EVENTS = {
    "started": ("EVENT_JOB_SUBMITTED", "JobAcquired"),
    "succeeded": ("EVENT_JOB_EXECUTED", "JobReleased"),
    "failed": ("EVENT_JOB_ERROR", "JobReleased"),
}


def find_hooks(project: Project) -> dict[str, Definition]:
    """Event -> the first of the repository's functions that listens to it."""
    found: dict[str, Definition] = {}
    for call, listener in _find_listeners(project):
        words = set()
        for a in _list_masks(call):
            for n in find_nodes(a, ast.expr):
                words.add(last_word(n))
        for event, names in _EVENTS.items():
            if not _list_masks(call) or words & set(names) or "EVENT_ALL" in words:
                found.setdefault(event, listener)
    return found


def _find_listeners(project: Project) -> Iterator[tuple[ast.Call, Definition]]:
    for word in ("add_listener", "subscribe"):
        for module in project.modules_with(word):
            for node in module.nodes(ast.Call):
                if last_word(node.func) != word or is_aside(module.path):
                    continue
                ours = (
                    isinstance(node.func, ast.Attribute)
                    and "sched" in ast.unparse(node.func.value).lower()
                )
                name = None
                if node.args and ours:
                    name = module.resolve(node.args[0])
                listener = None
                if name:
                    listener = project.definition(project.owned(module, node, name))
                if listener is not None and not listener.is_class:
                    yield node, listener


def _list_masks(call: ast.Call) -> list[ast.expr]:
    """The events that are asked for; none given means all."""
    return [*call.args[1:2], *(k.value for k in call.keywords if k.arg in ("mask", "event_types"))]


def read_policy(project: Project, use: FrameworkUse, handler: Definition) -> Policy:
    """The handler's own retry; a listener on errors may write the dead letter."""
    found = policy.read_policy(project, use, handler)
    place = found.dead_letter or _find_failure_record(project)
    return replace(found, dead_letter=place, sources={**found.sources, "dead_letter": place})


def _find_failure_record(project: Project) -> Place | None:
    listener = find_hooks(project).get("failed")
    record = None
    if listener:
        record = first_record(project, listener.node.body, listener.module)
    if listener and record is not None:
        return place_of(listener.module, record)
    return None
