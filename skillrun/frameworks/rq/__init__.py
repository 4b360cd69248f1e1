"""RQ 2 and 3, also through django-rq, Flask-RQ and rq-scheduler: how it is recognised, and what its
jobs really do.

A handler is a plain function: what it may do is said where it is enqueued, or by its `@job`
decorator. `sends.py` finds these places with their options, `retry.py` reads `Retry`, `policy.py`
puts one policy together, `callbacks.py` reads on_failure and its kind, `workers.py` the command
lines of workers, `recognise.py` finds the use, `rules/` holds what people get wrong. RQ itself is
never imported.

For whoever drives it (measured with RQ 3.0.0, and read in rq/worker and rq/job.py):
- `Retry(max=3)` is four runs; attempt = max + 1 - job.retries_left. A *returned* Retry is counted
  apart, in
  `number_of_retries`, so both together add up. RQ retries whatever the function lets out: it has no
  list of exceptions.
- on_failure runs after *every* failed attempt, before `retries_left` falls: on the last one it is
  0. A killed work
  horse does not call it; what is left then is the FailedJobRegistry.
- A killed work horse is requeued at once, if retries are left. A killed worker: its job is found by
  the maintenance of
  another one, `StartedJobRegistry.cleanup()`, once the execution's heartbeat (90 s) has run out,
  every 600 s.
- A wait before the retry needs a scheduler: `rq worker --with-scheduler`; else the job stays in
  ScheduledJobRegistry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from skillrun.frameworks.features import Features
from skillrun.frameworks.rq.broker import RqBroker
from skillrun.frameworks.rq.idioms import IDIOMS as IDIOMS

if TYPE_CHECKING:
    from skillrun.frameworks.broker import Broker, Premises
    from skillrun.frameworks.interface import Policy, Rule, Send
    from skillrun.frameworks.writer import JobWriter
    from skillrun.repo.python import Definition, Project
    from skillrun.repo.survey import Recogniser
    from skillrun.repo.uses import FrameworkUse, Place

ID = "rq"
TITLE = "RQ"
DRIVER: str | None = "rq"
FEATURES = Features(own_dead_letters=True, needs_redis=True, keys=r"rq:.*")


def recogniser() -> Recogniser:
    """A fresh recogniser for one pass over the files."""
    from skillrun.frameworks.rq.recognise import recogniser as made

    return made()


def find_handler(project: Project, use: FrameworkUse, handler: str) -> Definition | None:
    """The function or class behind an import path: RQ runs whatever can be imported."""
    return project.find(handler)


def find_registration(project: Project, use: FrameworkUse, handler: Definition) -> Place | None:
    """The `@job` decorator, else the function itself; None where a worker cannot import it: inside
    a function.
    """
    from skillrun.frameworks.rq.sends import registration

    return registration(project, handler)


def read_policy(project: Project, use: FrameworkUse, handler: Definition) -> Policy:
    """The effective policy of a handler."""
    from skillrun.frameworks.rq import policy

    return policy.read_policy(project, handler)


def find_sends(project: Project, use: FrameworkUse, handler: Definition) -> tuple[Send, ...]:
    """Every place that enqueues or schedules the handler."""
    from skillrun.frameworks.rq import sends

    return sends.find_sends(project, use, handler)


def find_hooks(project: Project, use: FrameworkUse, handler: Definition) -> dict[str, Definition]:
    """Event -> the callback or exception handler that RQ calls then."""
    from skillrun.frameworks.rq.callbacks import find_hooks as found

    return found(project, handler)


def list_rules() -> tuple[Rule, ...]:
    """What people get wrong with it."""
    from skillrun.frameworks.common import lock_times, racing
    from skillrun.frameworks.rq.rules import dead_letters, publishing, retrying
    from skillrun.frameworks.rulebook import collect_rules

    return collect_rules(ID, retrying, dead_letters, publishing, lock_times, racing)


def make_broker(premises: Premises) -> Broker:
    """What its real worker is confirmed on."""
    return RqBroker(premises)


def load_writer() -> JobWriter:
    """What writes its jobs; much is imported for that, and only a scaffold needs it."""
    from skillrun.frameworks.rq import scaffold

    return scaffold
