"""Celery 5: how it is recognised, what its tasks really do, who publishes them, and what people get
wrong.

`recognise.py` finds its use; `policy.py` reads the effective policy with `config.py`, `tasks.py`,
`retries.py`,
`deadletter.py` and `common/countdown.py`; `sends.py` finds publishers and schedules; `rules/`
holds what people get
wrong, each with its source; `driver.py` runs its jobs in a proof.
Celery itself is never imported. Everything heavy is imported when it is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from skillrun.frameworks.celery.broker import CeleryBroker
from skillrun.frameworks.celery.idioms import IDIOMS as IDIOMS
from skillrun.frameworks.features import Features

if TYPE_CHECKING:
    from skillrun.frameworks.broker import Broker, Premises
    from skillrun.frameworks.interface import Policy, Rule, Send
    from skillrun.frameworks.writer import JobWriter
    from skillrun.repo.python import Definition, Project
    from skillrun.repo.survey import Recogniser
    from skillrun.repo.uses import FrameworkUse, Place

ID = "celery"
TITLE = "Celery"
DRIVER: str | None = "celery"
FEATURES = Features(
    tasks_are_objects=True,
    tables=(
        r"celery_taskmeta|celery_tasksetmeta|django_celery_(results|beat)_\w+"
        r"|(dj)?kombu_(message|queue)|(message|queue|task|taskset)_id_sequence"
    ),
    keys=r"celery.*|_kombu\..*|unacked.*",
)


def recogniser() -> Recogniser:
    """A fresh recogniser for one pass over the files."""
    from skillrun.frameworks.celery.recognise import recogniser as made

    return made()


def find_handler(project: Project, use: FrameworkUse, handler: str) -> Definition | None:
    """The task behind an import path "module:object", or None."""
    from skillrun.frameworks.celery.tasks import find_task

    return find_task(project, use, handler)


def find_registration(project: Project, use: FrameworkUse, handler: Definition) -> Place | None:
    """The decorator or the call that makes the handler a task, or None."""
    from skillrun.frameworks.celery.tasks import read_task

    return read_task(project, use, handler).registered


def read_policy(project: Project, use: FrameworkUse, handler: Definition) -> Policy:
    """The effective policy of a handler."""
    from skillrun.frameworks.celery import policy

    return policy.read_policy(project, use, handler)


def find_sends(project: Project, use: FrameworkUse, handler: Definition) -> tuple[Send, ...]:
    """Every place that enqueues or schedules the handler."""
    from skillrun.frameworks.celery import sends

    return sends.find_sends(project, use, handler)


def find_hooks(project: Project, use: FrameworkUse, handler: Definition) -> dict[str, Definition]:
    """Event -> the repository's function that Celery calls then: a method of the task's class, or a
    receiver.
    """
    from skillrun.frameworks.celery import hooks
    from skillrun.frameworks.celery.tasks import read_task

    return hooks.find_hooks(project, read_task(project, use, handler))


def list_rules() -> tuple[Rule, ...]:
    """What people get wrong with it."""
    from skillrun.frameworks.celery.rules import (
        delivery,
        publishing,
        retrying,
        scheduling,
        swallowing,
    )
    from skillrun.frameworks.common import lock_times, racing
    from skillrun.frameworks.rulebook import collect_rules

    return collect_rules(
        ID, delivery, retrying, swallowing, publishing, scheduling, lock_times, racing
    )


def make_broker(premises: Premises) -> Broker:
    """What its real worker is confirmed on."""
    return CeleryBroker(premises)


def load_writer() -> JobWriter:
    """What writes its jobs; much is imported for that, and only a scaffold needs it."""
    from skillrun.frameworks.celery import scaffold

    return scaffold
