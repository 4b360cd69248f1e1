"""taskiq: how it is recognised, what its tasks really do, who kicks them, and what people get
wrong.

A handler is a function that a broker's `task` decorator takes, or `register_task`. `brokers.py`
reads the brokers with
their middlewares, `tasks.py` a task's labels and the calls that kick it, `policy.py` and
`deadletter.py` conclude;
`sends.py` finds who enqueues or schedules it, `hooks.py` the middlewares' methods; `rules/` holds
what people get
wrong, each with its source. taskiq itself is never imported.

For a proof (taskiq 0.13, taskiq-redis 1.2): `Receiver.callback` runs a message; whatever the task
raises is caught,
handed to `on_error` of the middlewares in reverse order, and then the message is acknowledged: an
exception by itself
brings nothing back. A retry is another message, sent by a middleware while the task asks for it
(`retry_on_error`):
`max_retries`, 3 by default, counts runs. `SmartRetryMiddleware` waits through its schedule source;
without one it sets
the label `delay`, which no broker of taskiq-redis reads. Only RedisStreamBroker gives the message
of a dead worker
back: when it was idle for `idle_timeout` (600 s), and another message comes after it. There are no
dead letters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from skillrun.frameworks.features import Features
from skillrun.frameworks.taskiq.broker import TaskiqBroker
from skillrun.frameworks.taskiq.idioms import IDIOMS as IDIOMS

if TYPE_CHECKING:
    from skillrun.frameworks.broker import Broker, Premises
    from skillrun.frameworks.interface import Policy, Rule, Send
    from skillrun.frameworks.writer import JobWriter
    from skillrun.repo.python import Definition, Project
    from skillrun.repo.survey import Recogniser
    from skillrun.repo.uses import FrameworkUse, Place

ID = "taskiq"
TITLE = "Taskiq"
DRIVER: str | None = "taskiq"
FEATURES = Features(tables=r"taskiq_\w+", keys=r"taskiq.*|[0-9a-f]{32}")


def recogniser() -> Recogniser:
    """A fresh recogniser for one pass over the files."""
    from skillrun.frameworks.taskiq.recognise import recogniser as made

    return made()


def find_handler(project: Project, use: FrameworkUse, handler: str) -> Definition | None:
    """The function behind an import path, also where the object is what `register_task(f)`
    returned.
    """
    from skillrun.frameworks.taskiq import tasks

    return tasks.find_handler(project, handler)


def find_registration(project: Project, use: FrameworkUse, handler: Definition) -> Place | None:
    """The decorator or the call that makes the handler a task, or None."""
    from skillrun.frameworks.taskiq.tasks import read_task

    return read_task(project, handler).registered


def read_policy(project: Project, use: FrameworkUse, handler: Definition) -> Policy:
    """The effective policy of a handler."""
    from skillrun.frameworks.taskiq import policy

    return policy.read_policy(project, handler)


def find_sends(project: Project, use: FrameworkUse, handler: Definition) -> tuple[Send, ...]:
    """Every place that kicks or schedules the handler."""
    from skillrun.frameworks.taskiq import sends

    return sends.find_sends(project, use, handler)


def find_hooks(project: Project, use: FrameworkUse, handler: Definition) -> dict[str, Definition]:
    """Event -> the method of the repository's own middlewares that taskiq calls then."""
    from skillrun.frameworks.taskiq import hooks

    return hooks.find_hooks(project, handler)


def list_rules() -> tuple[Rule, ...]:
    """What people get wrong with it."""
    from skillrun.frameworks.common import racing
    from skillrun.frameworks.rulebook import collect_rules
    from skillrun.frameworks.taskiq.rules import ending, retrying, sending

    return collect_rules(ID, retrying, ending, sending, racing)


def make_broker(premises: Premises) -> Broker:
    """What its real worker is confirmed on."""
    return TaskiqBroker(premises)


def load_writer() -> JobWriter:
    """What writes its jobs; much is imported for that, and only a scaffold needs it."""
    from skillrun.frameworks.taskiq import scaffold

    return scaffold
