"""Django Q2: how it is recognised, what its jobs really do, who queues them, and what people get
wrong.

A handler is a plain function that `async_task`, `schedule` or a row of Schedule names, by its path
or as an object.
`cluster.py` reads Q_CLUSTER, `sends.py` finds who publishes with which options, `again.py` what a
handler does to run once more by itself, `policy.py` and `deadletter.py` conclude; `hooks.py` finds
what is called afterwards; `rules/` holds what people get wrong, each with its source. Django Q2
itself is never imported.

For a proof (Django Q2 1.6 to 1.11): the ORM broker's row is locked for `retry` seconds when it is
taken, and deleted when the result is saved (django_q/monitor.py): after a success, after a failure
with `ack_failure`, or once the Task row counts `max_attempts` (0, the default, is no bound). Else
it is taken again when its lock is over, at the same wait each time, whatever the exception was. A
death saves no result and counts as no attempt. A failure that is not run again stays as a row of
Task with success=False. The Redis broker pops: what fails, or dies, is gone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from skillrun.frameworks.django_q2.broker import DjangoQ2Broker
from skillrun.frameworks.django_q2.idioms import IDIOMS as IDIOMS
from skillrun.frameworks.features import Features

if TYPE_CHECKING:
    from skillrun.frameworks.broker import Broker, Premises
    from skillrun.frameworks.interface import Policy, Rule, Send
    from skillrun.frameworks.writer import JobWriter
    from skillrun.repo.python import Definition, Project
    from skillrun.repo.survey import Recogniser
    from skillrun.repo.uses import FrameworkUse, Place

ID = "django-q2"
TITLE = "Django Q2"
DRIVER: str | None = "django_q2"
FEATURES = Features(
    own_dead_letters=True,
    rows_in_database=True,
    schedules_in_rows=True,
    tables=r"django_q_\w+",
    keys=r"django_q.*",
)


def recogniser() -> Recogniser:
    """A fresh recogniser for one pass over the files."""
    from skillrun.frameworks.django_q2.recognise import recogniser as made

    return made()


def find_handler(project: Project, use: FrameworkUse, handler: str) -> Definition | None:
    """The function behind an import path: Django Q2 runs whatever can be imported."""
    found = project.find(handler)
    if found is None or found.is_class:
        return None
    return found


def find_registration(project: Project, use: FrameworkUse, handler: Definition) -> Place | None:
    """The function itself: nothing registers it. None where a worker cannot import it: inside a
    function.
    """
    from skillrun.frameworks.common.reading import place_of

    inner = handler.module.function_of(handler.node) is not None
    if inner:
        return None
    return place_of(handler.module, handler.node)


def read_policy(project: Project, use: FrameworkUse, handler: Definition) -> Policy:
    """The effective policy of a handler."""
    from skillrun.frameworks.django_q2 import policy

    return policy.read_policy(project, use, handler)


def find_sends(project: Project, use: FrameworkUse, handler: Definition) -> tuple[Send, ...]:
    """Every place that enqueues or schedules the handler."""
    from skillrun.frameworks.django_q2 import sends

    return sends.find_sends(project, use, handler)


def find_hooks(project: Project, use: FrameworkUse, handler: Definition) -> dict[str, Definition]:
    """Event -> the function that is called then: a hook of the job, or a receiver of Django Q2's
    signals.
    """
    from skillrun.frameworks.django_q2 import hooks

    return hooks.find_hooks(project, handler)


def list_rules() -> tuple[Rule, ...]:
    """What people get wrong with it."""
    from skillrun.frameworks.common import racing
    from skillrun.frameworks.django_q2.rules import cluster, failing, publishing
    from skillrun.frameworks.rulebook import collect_rules

    return collect_rules(ID, cluster, failing, publishing, racing)


def make_broker(premises: Premises) -> Broker:
    """What its real worker is confirmed on."""
    return DjangoQ2Broker(premises)


def load_writer() -> JobWriter:
    """What writes its jobs; much is imported for that, and only a scaffold needs it."""
    from skillrun.frameworks.django_q2 import scaffold

    return scaffold
