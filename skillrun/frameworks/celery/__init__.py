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

from functools import partial
from typing import TYPE_CHECKING

from skillrun.frameworks.celery.broker import CeleryBroker
from skillrun.frameworks.celery.idioms import IDIOMS
from skillrun.frameworks.celery.recognise import ENTRY
from skillrun.frameworks.features import Features
from skillrun.frameworks.interface import Code, Framework
from skillrun.frameworks.known.making import make_recogniser

if TYPE_CHECKING:
    from skillrun.frameworks.writer import JobWriter


def _load_code() -> Code:
    from skillrun.frameworks.celery import hooks, policy, sends, tasks
    from skillrun.frameworks.celery.rules import (
        delivery,
        publishing,
        retrying,
        scheduling,
        swallowing,
    )
    from skillrun.frameworks.common import lock_times, racing
    from skillrun.frameworks.rulebook import collect_rules

    return Code(
        find_handler=tasks.find_task,
        find_registration=lambda project, use, handler: (
            tasks.read_task(project, use, handler).registered
        ),
        read_policy=policy.read_policy,
        find_sends=sends.find_sends,
        find_hooks=lambda project, use, handler: hooks.find_hooks(
            project, tasks.read_task(project, use, handler)
        ),
        rules=collect_rules(
            "celery", delivery, retrying, swallowing, publishing, scheduling, lock_times, racing
        ),
    )


def _load_writer() -> JobWriter:
    from skillrun.frameworks.celery import scaffold

    return scaffold


FRAMEWORK = Framework(
    ID="celery",
    TITLE="Celery",
    IDIOMS=IDIOMS,
    DRIVER="celery",
    FEATURES=Features(
        programs=("celery",),
        read_retries=("self.retry",),
        tasks_are_objects=True,
        control=r"celery\.exceptions[.:](Retry|Ignore|Reject)",
        tables=(
            r"celery_taskmeta|celery_tasksetmeta|django_celery_(results|beat)_\w+"
            r"|(dj)?kombu_(message|queue)|(message|queue|task|taskset)_id_sequence"
        ),
        keys=r"celery.*|_kombu\..*|unacked.*",
    ),
    recogniser=partial(make_recogniser, ENTRY),
    make_broker=CeleryBroker,
    load_code=_load_code,
    load_writer=_load_writer,
)
