"""SAQ: how it is recognised, what its jobs really do, who enqueues them, and what people get wrong.

A handler is a function that the settings of a worker list in `functions` or `cron_jobs`; retries,
timeout and waits are said by who enqueues it. `workers.py` finds the settings, `sends.py` the calls
of `enqueue`, `attempts.py` what the handler itself does with the number of the attempt, `policy.py`
concludes; `rules.py` holds what people get wrong, each with its source. SAQ is never imported.

For a proof (SAQ 0.26, saq/worker.py `process`, saq/queue/redis.py): `attempts` grows when a job is
begun, so a death uses one up; `retries` 5 is five attempts, and 1 is the default. Whatever
exception leaves the function has it run again, `Job.next_retry_delay` later, while `retries` is
more than `attempts`; then it is `failed`, and its record is gone after its ttl (600 s). A job that
outlasts its timeout (10 s) is cancelled, which is a failure like any other. The job of a dead
worker stays in the active list until a sweep, every 60 s, finds it older than its timeout: it is
run again, or ended as `aborted` without a call of the application's code. There are no dead
letters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from skillrun.frameworks.features import Features
from skillrun.frameworks.saq.broker import SaqBroker
from skillrun.frameworks.saq.idioms import IDIOMS as IDIOMS

if TYPE_CHECKING:
    from skillrun.frameworks.broker import Broker, Premises
    from skillrun.frameworks.interface import Policy, Rule, Send
    from skillrun.frameworks.writer import JobWriter
    from skillrun.repo.python import Definition, Project
    from skillrun.repo.survey import Recogniser
    from skillrun.repo.uses import FrameworkUse, Place

ID = "saq"
TITLE = "SAQ"
DRIVER: str | None = "saq"
FEATURES = Features(needs_redis=True, context_first=True, program="saq", keys=r"saq:.*")


def recogniser() -> Recogniser:
    """A fresh recogniser for one pass over the files."""
    from skillrun.frameworks.saq import recognise

    return recognise.recogniser()


def find_handler(project: Project, use: FrameworkUse, handler: str) -> Definition | None:
    """The function behind an import path; SAQ runs whatever its settings list."""
    found = project.find(handler)
    return None if found is None or found.is_class else found


def find_registration(project: Project, use: FrameworkUse, handler: Definition) -> Place | None:
    """The entry in the worker's `functions` or `cron_jobs`, or None."""
    from skillrun.frameworks.common import listed
    from skillrun.frameworks.saq.workers import MANNER

    return listed.find_registration(project, MANNER, handler)


def read_policy(project: Project, use: FrameworkUse, handler: Definition) -> Policy:
    """The effective policy of a handler."""
    from skillrun.frameworks.saq import policy

    return policy.read_policy(project, use, handler)


def find_sends(project: Project, use: FrameworkUse, handler: Definition) -> tuple[Send, ...]:
    """Every place that enqueues or schedules the handler."""
    from skillrun.frameworks.saq import sends

    return sends.find_sends(project, use, handler)


def find_hooks(project: Project, use: FrameworkUse, handler: Definition) -> dict[str, Definition]:
    """Event -> the function of the worker's settings that SAQ calls then."""
    from skillrun.frameworks.saq import workers

    return workers.find_hooks(project, handler)


def list_rules() -> tuple[Rule, ...]:
    """What people get wrong with it."""
    from skillrun.frameworks.common import racing
    from skillrun.frameworks.rulebook import collect_rules
    from skillrun.frameworks.saq import rules

    return collect_rules(ID, rules, racing)


def make_broker(premises: Premises) -> Broker:
    """What its real worker is confirmed on."""
    return SaqBroker(premises)


def load_writer() -> JobWriter:
    """What writes its jobs; much is imported for that, and only a scaffold needs it."""
    from skillrun.frameworks.saq import scaffold

    return scaffold
