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

from functools import partial
from typing import TYPE_CHECKING

from skillrun.frameworks.django_q2.broker import DjangoQ2Broker
from skillrun.frameworks.django_q2.idioms import IDIOMS
from skillrun.frameworks.django_q2.recognise import ENTRY
from skillrun.frameworks.features import Features
from skillrun.frameworks.interface import Code, Framework
from skillrun.frameworks.known.making import make_recogniser

if TYPE_CHECKING:
    from skillrun.frameworks.writer import JobWriter


def _load_code() -> Code:
    from skillrun.frameworks.common import racing, reading
    from skillrun.frameworks.django_q2 import hooks, policy, sends
    from skillrun.frameworks.django_q2.rules import cluster, failing, publishing
    from skillrun.frameworks.rulebook import collect_rules

    return Code(
        find_handler=reading.find_function,
        find_registration=reading.find_own_place,
        read_policy=policy.read_policy,
        find_sends=sends.find_sends,
        find_hooks=lambda project, use, handler: hooks.find_hooks(project, handler),
        rules=collect_rules("django-q2", cluster, failing, publishing, racing),
    )


def _load_writer() -> JobWriter:
    from skillrun.frameworks.django_q2 import scaffold

    return scaffold


FRAMEWORK = Framework(
    ID="django-q2",
    TITLE="Django Q2",
    IDIOMS=IDIOMS,
    DRIVER="django_q2",
    FEATURES=Features(
        own_dead_letters=True,
        rows_in_database=True,
        schedules_in_rows=True,
        tables=r"django_q_\w+",
        keys=r"django_q.*",
    ),
    recogniser=partial(make_recogniser, ENTRY),
    make_broker=DjangoQ2Broker,
    load_code=_load_code,
    load_writer=_load_writer,
)
