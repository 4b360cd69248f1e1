"""APScheduler 3 and 4: schedulers and jobs, what their options do, and what people get wrong.

Its jobs are plain functions, so their own retry, their callers and their rows are read by
`common/callables/`: the
library retries nothing, acknowledges nothing, and keeps no dead letters. Of its own: `recognise.py`
finds schedulers,
`jobs.py` finds the places that schedule a function, with the options that then hold, `hooks.py` its
listeners,
`rules.py` what people get wrong.

For a prover: a delivery is a call of the function, in a thread of the scheduler's process. Measured
(3.11): with a persistent store a date job killed within milliseconds of its submission runs again
after a restart; one killed half a second into its work is lost. A tick that comes more than
misfire_grace_time (3.x: 1 s) late is dropped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from skillrun.frameworks.broker import NotConfirmed
from skillrun.frameworks.common.callables.idioms import IDIOMS as IDIOMS
from skillrun.frameworks.features import Features

if TYPE_CHECKING:
    from skillrun.frameworks.broker import Broker, Premises
    from skillrun.frameworks.interface import Policy, Rule, Send
    from skillrun.frameworks.writer import JobWriter
    from skillrun.repo.python import Definition, Project
    from skillrun.repo.survey import Recogniser
    from skillrun.repo.uses import FrameworkUse, Place

ID = "apscheduler"
TITLE = "APScheduler"
DRIVER: str | None = None
FEATURES = Features(runs_in_place=True, tables=r"apscheduler_jobs|django_apscheduler_\w+")


def recogniser() -> Recogniser:
    """A fresh recogniser for one pass over the files."""
    from skillrun.frameworks.apscheduler.recognise import APSchedulerRecogniser

    return APSchedulerRecogniser()


def find_handler(project: Project, use: FrameworkUse, handler: str) -> Definition | None:
    """The function behind an import path "module:function", or None."""
    from skillrun.frameworks.common.callables.callers import find_callable

    return find_callable(project, use, handler)


def find_registration(project: Project, use: FrameworkUse, handler: Definition) -> Place | None:
    """The decorator or call that schedules the handler; else its own `def`, as any function can be
    scheduled.
    """
    from skillrun.frameworks.apscheduler.jobs import find_jobs
    from skillrun.frameworks.common.callables.callers import is_nested, own_place

    first = next((job for job in find_jobs(project, handler) if not job.in_tests), None)
    if first:
        return first.place
    if is_nested(handler):
        return None
    return own_place(handler)


def read_policy(project: Project, use: FrameworkUse, handler: Definition) -> Policy:
    """The effective policy of a handler: its own retry; the dead letters may be written by a
    listener.
    """
    from skillrun.frameworks.apscheduler import hooks

    return hooks.read_policy(project, use, handler)


def find_sends(project: Project, use: FrameworkUse, handler: Definition) -> tuple[Send, ...]:
    """Every place that schedules the handler, or adds it to be run once."""
    from skillrun.frameworks.apscheduler import jobs

    return jobs.find_sends(project, handler)


def find_hooks(project: Project, use: FrameworkUse, handler: Definition) -> dict[str, Definition]:
    """Event -> the repository's function that a scheduler calls then."""
    from skillrun.frameworks.apscheduler import hooks

    return hooks.find_hooks(project)


def list_rules() -> tuple[Rule, ...]:
    """What people get wrong with it."""
    from skillrun.frameworks.apscheduler import rules
    from skillrun.frameworks.common import racing
    from skillrun.frameworks.common.callables import marks
    from skillrun.frameworks.rulebook import collect_rules

    return collect_rules(ID, marks, racing, rules)


def make_broker(premises: Premises) -> Broker:
    """Nobody stands between the clock and the handler. Raises NotConfirmed."""
    raise NotConfirmed("there is no worker for it that could be started here")


def load_writer() -> JobWriter:
    """What writes its jobs; much is imported for that, and only a scaffold needs it."""
    from skillrun.frameworks.apscheduler import scaffold

    return scaffold
