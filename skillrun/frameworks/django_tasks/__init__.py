"""Django's tasks: how they are recognised, what they really do, who enqueues them, and what people
get wrong.

`django.tasks` (Django 6) and its backport `django_tasks` alike. `recognise.py` finds their use;
`tasks.py` reads a
task's options, `backends.py` the setting TASKS; `retries.py` finds how a handler enqueues itself
again, `policy.py` and
`deadletter.py` conclude; `sends.py` finds who enqueues, `hooks.py` receivers of the signals;
`rules/` holds what
people get wrong, each with its source. Neither library is ever imported.

For a proof (django-tasks-db 0.13, management/commands/db_worker.py): the worker claims a row (READY
becomes RUNNING, in a transaction of its own) and runs it once; it ends SUCCESSFUL, or FAILED after
any exception, also SystemExit. Nothing is run again: `context.attempt` is 1, and a row whose worker
dies stays RUNNING (django-tasks#46). A row is written in the transaction that is open: it is there
with the commit. Django itself has no backend with a worker.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from skillrun.frameworks.django_tasks.broker import DjangoTasksBroker
from skillrun.frameworks.django_tasks.idioms import IDIOMS as IDIOMS
from skillrun.frameworks.features import Features

if TYPE_CHECKING:
    from skillrun.frameworks.broker import Broker, Premises
    from skillrun.frameworks.interface import Policy, Rule, Send
    from skillrun.frameworks.writer import JobWriter
    from skillrun.repo.python import Definition, Project
    from skillrun.repo.survey import Recogniser
    from skillrun.repo.uses import FrameworkUse, Place

ID = "django-tasks"
TITLE = "Django tasks"
DRIVER: str | None = "django_tasks"
FEATURES = Features(own_dead_letters=True, rows_in_database=True, tables=r"django_tasks_\w+")


def recogniser() -> Recogniser:
    """A fresh recogniser for one pass over the files."""
    from skillrun.frameworks.django_tasks.recognise import recogniser as made

    return made()


def find_handler(project: Project, use: FrameworkUse, handler: str) -> Definition | None:
    """The task's function behind an import path "module:object", or None."""
    from skillrun.frameworks.django_tasks.tasks import find_task

    return find_task(project, handler)


def find_registration(project: Project, use: FrameworkUse, handler: Definition) -> Place | None:
    """The decorator or the call that makes the handler a task, or None."""
    from skillrun.frameworks.django_tasks.tasks import read_task

    return read_task(project, handler).registered


def read_policy(project: Project, use: FrameworkUse, handler: Definition) -> Policy:
    """The effective policy of a handler."""
    from skillrun.frameworks.django_tasks import policy

    return policy.read_policy(project, use, handler)


def find_sends(project: Project, use: FrameworkUse, handler: Definition) -> tuple[Send, ...]:
    """Every place that enqueues or schedules the handler."""
    from skillrun.frameworks.django_tasks import sends

    return sends.find_sends(project, use, handler)


def find_hooks(project: Project, use: FrameworkUse, handler: Definition) -> dict[str, Definition]:
    """Event -> the repository's receiver of the signal that is sent then."""
    from skillrun.frameworks.django_tasks import hooks

    return hooks.find_hooks(project)


def list_rules() -> tuple[Rule, ...]:
    """What people get wrong with it."""
    from skillrun.frameworks.common import racing
    from skillrun.frameworks.django_tasks.rules import ending, enqueueing, retrying, running
    from skillrun.frameworks.rulebook import collect_rules

    return collect_rules(ID, retrying, ending, running, enqueueing, racing)


def make_broker(premises: Premises) -> Broker:
    """What its real worker is confirmed on."""
    return DjangoTasksBroker(premises)


def load_writer() -> JobWriter:
    """What writes its jobs; much is imported for that, and only a scaffold needs it."""
    from skillrun.frameworks.django_tasks import scaffold

    return scaffold
