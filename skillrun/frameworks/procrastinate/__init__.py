"""Procrastinate: how it is recognised, what its tasks really do, who defers them, and what people
get wrong.

A handler is a function under `@app.task` or `@blueprint.task`. `tasks.py` finds what makes it one,
`retries.py` reads
its strategy, `recovery.py` who gives back the jobs of dead workers, `policy.py` and `deadletter.py`
conclude;
`sends.py` finds what defers it and its periodic schedules; `rules/` holds what people get wrong,
each with its source.
The library itself is never imported.

For a proof (Procrastinate 3, procrastinate/worker.py, sql/schema.sql): a job is `doing` while it
runs, and its status
is written when it has ended. `retry=3` and `max_attempts=3` are three retries, so four runs;
`max_attempts=0` bounds
nothing. The job of a dead worker stays `doing` until somebody calls `get_stalled_jobs` and
`retry_job`, and with it its
lock; `retry_job` counts an attempt, and nothing but an exception asks for the bound. A job that
fails is kept as
`failed`: that is the only dead letter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from skillrun.frameworks.features import Features
from skillrun.frameworks.procrastinate.broker import ProcrastinateBroker
from skillrun.frameworks.procrastinate.idioms import IDIOMS as IDIOMS

if TYPE_CHECKING:
    from skillrun.frameworks.broker import Broker, Premises
    from skillrun.frameworks.interface import Policy, Rule, Send
    from skillrun.frameworks.writer import JobWriter
    from skillrun.repo.python import Definition, Project
    from skillrun.repo.survey import Recogniser
    from skillrun.repo.uses import FrameworkUse, Place

ID = "procrastinate"
TITLE = "Procrastinate"
DRIVER: str | None = "procrastinate"
FEATURES = Features(own_dead_letters=True, tables=r"procrastinate_\w+")


def recogniser() -> Recogniser:
    """A fresh recogniser for one pass over the files."""
    from skillrun.frameworks.procrastinate.recognise import recogniser as made

    return made()


def find_handler(project: Project, use: FrameworkUse, handler: str) -> Definition | None:
    """The function behind an import path; also where the object is what `app.task(...)(function)`
    returned.
    """
    from skillrun.frameworks.procrastinate import tasks

    return tasks.find_task(project, use, handler)


def find_registration(project: Project, use: FrameworkUse, handler: Definition) -> Place | None:
    """The decorator or the call that makes it a task, or None."""
    from skillrun.frameworks.procrastinate import tasks

    return tasks.read_task(project, use, handler).registered


def read_policy(project: Project, use: FrameworkUse, handler: Definition) -> Policy:
    """The effective policy of a handler."""
    from skillrun.frameworks.procrastinate import policy

    return policy.read_policy(project, use, handler)


def find_sends(project: Project, use: FrameworkUse, handler: Definition) -> tuple[Send, ...]:
    """Every place that defers or schedules the handler."""
    from skillrun.frameworks.procrastinate import sends

    return sends.find_sends(project, use, handler)


def find_hooks(project: Project, use: FrameworkUse, handler: Definition) -> dict[str, Definition]:
    """None: what a middleware or a strategy does is read where the dead letter is looked for."""
    return {}


def list_rules() -> tuple[Rule, ...]:
    """What people get wrong with it."""
    from skillrun.frameworks.common import racing
    from skillrun.frameworks.procrastinate.rules import (
        deferring,
        giving_up,
        recovering,
        retrying,
        running,
    )
    from skillrun.frameworks.rulebook import collect_rules

    return collect_rules(ID, retrying, recovering, giving_up, running, deferring, racing)


def make_broker(premises: Premises) -> Broker:
    """What its real worker is confirmed on."""
    return ProcrastinateBroker(premises)


def load_writer() -> JobWriter:
    """What writes its jobs; much is imported for that, and only a scaffold needs it."""
    from skillrun.frameworks.procrastinate import scaffold

    return scaffold
