"""Huey 3: how it is recognised, what its tasks really do, who publishes them, and what people get
wrong.

`recognise.py` finds its use; `tasks.py` reads a task's options, `apps.py` the Huey
object's;
`failures.py` follows what becomes of an exception, `policy.py` and `deadletter.py` conclude;
`sends.py` finds
publishers and schedules, `hooks.py` signal receivers; `rules/` holds what people get wrong, each
with its source.
Huey itself is never imported. Everything heavy is imported when it is first asked for.

For a proof (Huey 3.5, huey/api.py `_execute`): nothing is acknowledged, a dequeued message is gone
when its process dies. `retries=3` is four runs; `task.retries` counts what is left, so the attempt
is `retries + 1 - task.retries`. A retry is a new message: `storage.add_to_schedule` with
`task.eta`, or `enqueue` without delay. RetryTask and CancelExecution(retry=True) use up no retry.
Receivers of SIGNAL_ERROR and `on_error` tasks run at every failed attempt; a lock stays locked when
its holder is killed. MemoryHuey, SqliteHuey and FileHuey need no server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from skillrun.frameworks.features import Features
from skillrun.frameworks.huey.broker import HueyBroker
from skillrun.frameworks.huey.idioms import IDIOMS as IDIOMS

if TYPE_CHECKING:
    from skillrun.frameworks.broker import Broker, Premises
    from skillrun.frameworks.interface import Policy, Rule, Send
    from skillrun.frameworks.writer import JobWriter
    from skillrun.repo.python import Definition, Project
    from skillrun.repo.survey import Recogniser
    from skillrun.repo.uses import FrameworkUse, Place

ID = "huey"
TITLE = "Huey"
DRIVER: str | None = "huey"
FEATURES = Features(tasks_are_objects=True, tables=r"kv|schedule|task|huey_\w+", keys=r"huey.*")


def recogniser() -> Recogniser:
    """A fresh recogniser for one pass over the files."""
    from skillrun.frameworks.huey.recognise import recogniser as made

    return made()


def find_handler(project: Project, use: FrameworkUse, handler: str) -> Definition | None:
    """The task behind an import path "module:object", or None."""
    from skillrun.frameworks.huey.tasks import find_task

    return find_task(project, use, handler)


def find_registration(project: Project, use: FrameworkUse, handler: Definition) -> Place | None:
    """The decorator or the call that makes the handler a task, or None."""
    from skillrun.frameworks.huey.tasks import read_task

    return read_task(project, use, handler).registered


def read_policy(project: Project, use: FrameworkUse, handler: Definition) -> Policy:
    """The effective policy of a handler."""
    from skillrun.frameworks.huey import policy

    return policy.read_policy(project, use, handler)


def find_sends(project: Project, use: FrameworkUse, handler: Definition) -> tuple[Send, ...]:
    """Every place that enqueues or schedules the handler."""
    from skillrun.frameworks.huey import sends

    return sends.find_sends(project, use, handler)


def find_hooks(project: Project, use: FrameworkUse, handler: Definition) -> dict[str, Definition]:
    """Event -> the repository's function that Huey calls then: a receiver of its signals, or an
    execution hook.
    """
    from skillrun.frameworks.huey import hooks

    return hooks.find_hooks(project, use, handler)


def list_rules() -> tuple[Rule, ...]:
    """What people get wrong with it."""
    from skillrun.frameworks.common import racing
    from skillrun.frameworks.huey.rules import publishing, retrying, running
    from skillrun.frameworks.rulebook import collect_rules

    return collect_rules(ID, retrying, running, publishing, racing)


def make_broker(premises: Premises) -> Broker:
    """What its real worker is confirmed on."""
    return HueyBroker(premises)


def load_writer() -> JobWriter:
    """What writes its jobs; much is imported for that, and only a scaffold needs it."""
    from skillrun.frameworks.huey import scaffold

    return scaffold
