"""arq: how it is recognised, what its jobs really do, who enqueues them, and what people get wrong.

A handler is a coroutine function that some worker settings list in `functions` or `cron_jobs`.
`workers.py` finds the settings and the entries in them, `retries.py` what is raised as `Retry` and
how often, `policy.py` and `deadletter.py` conclude; `sends.py` finds `enqueue_job` by the
function's name, `hooks.py` what a worker calls around a job; `rules/` holds what people get wrong,
each with its source. arq itself is never imported.

For a proof (arq 0.28, arq/worker.py): `run_job` counts a try when it begins, so a death uses one
up; `max_tries` 5 is
five runs, and a cron job has one by default. Only `Retry` (and a cancelled task) is run again, at
`defer` from now; any
other exception ends the job, whose result is kept for `keep_result`. The job of a dead worker is
run again when
`arq:in-progress:<id>` has run out: the longest timeout of the worker's functions, and 10 s. A job
with more tries than
`max_tries` is given up without a call of the application's code. There are no dead letters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from skillrun.frameworks.arq.broker import ArqBroker
from skillrun.frameworks.arq.idioms import IDIOMS as IDIOMS
from skillrun.frameworks.features import Features

if TYPE_CHECKING:
    from skillrun.frameworks.broker import Broker, Premises
    from skillrun.frameworks.interface import Policy, Rule, Send
    from skillrun.frameworks.writer import JobWriter
    from skillrun.repo.python import Definition, Project
    from skillrun.repo.survey import Recogniser
    from skillrun.repo.uses import FrameworkUse, Place

ID = "arq"
TITLE = "arq"
DRIVER: str | None = "arq"
FEATURES = Features(needs_redis=True, context_first=True, program="arq", keys=r"arq:.*")


def recogniser() -> Recogniser:
    """A fresh recogniser for one pass over the files."""
    from skillrun.frameworks.arq.recognise import recogniser as made

    return made()


def find_handler(project: Project, use: FrameworkUse, handler: str) -> Definition | None:
    """The function behind an import path; arq runs whatever its settings list."""
    found = project.find(handler)
    if found is None or found.is_class:
        return None
    return found


def find_registration(project: Project, use: FrameworkUse, handler: Definition) -> Place | None:
    """The entry in the worker's `functions` or `cron_jobs`, or None."""
    from skillrun.frameworks.arq.workers import MANNER
    from skillrun.frameworks.common import listed

    return listed.find_registration(project, MANNER, handler)


def read_policy(project: Project, use: FrameworkUse, handler: Definition) -> Policy:
    """The effective policy of a handler."""
    from skillrun.frameworks.arq import policy

    return policy.read_policy(project, use, handler)


def find_sends(project: Project, use: FrameworkUse, handler: Definition) -> tuple[Send, ...]:
    """Every place that enqueues or schedules the handler."""
    from skillrun.frameworks.arq import sends

    return sends.find_sends(project, use, handler)


def find_hooks(project: Project, use: FrameworkUse, handler: Definition) -> dict[str, Definition]:
    """Event -> the function of the worker's settings that arq calls then."""
    from skillrun.frameworks.arq import hooks

    return hooks.find_hooks(project, handler)


def list_rules() -> tuple[Rule, ...]:
    """What people get wrong with it."""
    from skillrun.frameworks.arq.rules import enqueueing, giving_up, retrying, running
    from skillrun.frameworks.common import racing
    from skillrun.frameworks.rulebook import collect_rules

    return collect_rules(ID, retrying, enqueueing, giving_up, running, racing)


def make_broker(premises: Premises) -> Broker:
    """What its real worker is confirmed on."""
    return ArqBroker(premises)


def load_writer() -> JobWriter:
    """What writes its jobs; much is imported for that, and only a scaffold needs it."""
    from skillrun.frameworks.arq import scaffold

    return scaffold
