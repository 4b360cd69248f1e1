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

from functools import partial
from typing import TYPE_CHECKING

from skillrun.frameworks.features import Features
from skillrun.frameworks.huey.broker import HueyBroker
from skillrun.frameworks.huey.idioms import IDIOMS
from skillrun.frameworks.huey.recognise import ENTRY
from skillrun.frameworks.interface import Code, Framework
from skillrun.frameworks.known.making import make_recogniser

if TYPE_CHECKING:
    from skillrun.frameworks.writer import JobWriter


def _load_code() -> Code:
    from skillrun.frameworks.common import racing
    from skillrun.frameworks.huey import hooks, policy, sends, tasks
    from skillrun.frameworks.huey.rules import publishing, retrying, running
    from skillrun.frameworks.rulebook import collect_rules

    return Code(
        find_handler=tasks.find_task,
        find_registration=lambda project, use, handler: (
            tasks.read_task(project, use, handler).registered
        ),
        read_policy=policy.read_policy,
        find_sends=sends.find_sends,
        find_hooks=hooks.find_hooks,
        rules=collect_rules("huey", retrying, running, publishing, racing),
    )


def _load_writer() -> JobWriter:
    from skillrun.frameworks.huey import scaffold

    return scaffold


FRAMEWORK = Framework(
    ID="huey",
    TITLE="Huey",
    IDIOMS=IDIOMS,
    DRIVER="huey",
    FEATURES=Features(
        tasks_are_objects=True,
        control=r"huey\.exceptions[.:](RetryTask|CancelExecution|TaskLockedException|RateLimitExceeded)",
        programs=("huey_consumer", "huey_consumer.py"),
        tables=r"kv|schedule|task|huey_\w+",
        keys=r"huey.*",
    ),
    recogniser=partial(make_recogniser, ENTRY),
    make_broker=HueyBroker,
    load_code=_load_code,
    load_writer=_load_writer,
)
