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

from functools import partial
from typing import TYPE_CHECKING

from skillrun.frameworks.django_tasks.broker import DjangoTasksBroker
from skillrun.frameworks.django_tasks.idioms import IDIOMS
from skillrun.frameworks.django_tasks.recognise import ENTRY
from skillrun.frameworks.features import Features
from skillrun.frameworks.interface import Code, Framework
from skillrun.frameworks.known.making import make_recogniser

if TYPE_CHECKING:
    from skillrun.frameworks.writer import JobWriter


def _load_code() -> Code:
    from skillrun.frameworks.common import racing
    from skillrun.frameworks.django_tasks import hooks, policy, sends, tasks
    from skillrun.frameworks.django_tasks.rules import ending, enqueueing, retrying, running
    from skillrun.frameworks.rulebook import collect_rules

    return Code(
        find_handler=lambda project, use, handler: tasks.find_task(project, handler),
        find_registration=lambda project, use, handler: (
            tasks.read_task(project, handler).registered
        ),
        read_policy=policy.read_policy,
        find_sends=sends.find_sends,
        find_hooks=lambda project, use, handler: hooks.find_hooks(project),
        rules=collect_rules("django-tasks", retrying, ending, running, enqueueing, racing),
    )


def _load_writer() -> JobWriter:
    from skillrun.frameworks.django_tasks import scaffold

    return scaffold


FRAMEWORK = Framework(
    ID="django-tasks",
    TITLE="Django tasks",
    IDIOMS=IDIOMS,
    DRIVER="django_tasks",
    FEATURES=Features(own_dead_letters=True, rows_in_database=True, tables=r"django_tasks_\w+"),
    recogniser=partial(make_recogniser, ENTRY),
    make_broker=DjangoTasksBroker,
    load_code=_load_code,
    load_writer=_load_writer,
)
