"""Celery 5: how it is recognised, what its tasks really do, who publishes them, and what people get wrong.

`recognise.py` finds its use; `policy.py` reads the effective policy with `config.py`, `tasks.py`, `retries.py`,
`countdown.py` and `deadletter.py`; `wiring.py` finds publishers and schedules; `rules/` holds what people get wrong,
each with its source.
Celery itself is never imported. Everything heavy is imported when it is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from skillrun.frameworks.celery.rules.catalogue import RULES as RULES

if TYPE_CHECKING:
    from skillrun.frameworks.interface import FrameworkUse, Place, Policy, Wiring
    from skillrun.repo.python import Definition, Project
    from skillrun.repo.survey import Recogniser

ID = "celery"
TITLE = "Celery"


def recogniser() -> Recogniser:
    """A fresh recogniser for one pass over the files."""
    from skillrun.frameworks.celery.recognise import CeleryRecogniser

    return CeleryRecogniser()


def find_handler(project: Project, use: FrameworkUse, handler: str) -> Definition | None:
    """The task behind an import path "module:object", or None."""
    from skillrun.frameworks.celery.tasks import find_task

    return find_task(project, use, handler)


def registered(project: Project, use: FrameworkUse, handler: Definition) -> Place | None:
    """The decorator or the call that makes the handler a task, or None."""
    from skillrun.frameworks.celery.tasks import read_task

    return read_task(project, use, handler).registered


def policy(project: Project, use: FrameworkUse, handler: Definition) -> Policy:
    """The effective policy of a handler."""
    from skillrun.frameworks.celery.policy import read_policy

    return read_policy(project, use, handler)


def wiring(project: Project, use: FrameworkUse, handler: Definition) -> tuple[Wiring, ...]:
    """Every place that enqueues or schedules the handler."""
    from skillrun.frameworks.celery.wiring import find_wiring

    return find_wiring(project, use, handler)
