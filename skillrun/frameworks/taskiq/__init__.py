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

from functools import partial
from typing import TYPE_CHECKING

from skillrun.frameworks.features import Features
from skillrun.frameworks.interface import Code, Framework
from skillrun.frameworks.known.making import make_recogniser
from skillrun.frameworks.taskiq.broker import TaskiqBroker
from skillrun.frameworks.taskiq.idioms import IDIOMS
from skillrun.frameworks.taskiq.recognise import ENTRY

if TYPE_CHECKING:
    from skillrun.frameworks.writer import JobWriter


def _load_code() -> Code:
    from skillrun.frameworks.common import racing
    from skillrun.frameworks.rulebook import collect_rules
    from skillrun.frameworks.taskiq import hooks, policy, sends, tasks
    from skillrun.frameworks.taskiq.rules import ending, retrying, sending

    return Code(
        find_handler=lambda project, use, handler: tasks.find_handler(project, handler),
        find_registration=lambda project, use, handler: (
            tasks.read_task(project, handler).registered
        ),
        read_policy=lambda project, use, handler: policy.read_policy(project, handler),
        find_sends=sends.find_sends,
        find_hooks=lambda project, use, handler: hooks.find_hooks(project, handler),
        rules=collect_rules("taskiq", retrying, ending, sending, racing),
    )


def _load_writer() -> JobWriter:
    from skillrun.frameworks.taskiq import scaffold

    return scaffold


FRAMEWORK = Framework(
    ID="taskiq",
    TITLE="Taskiq",
    IDIOMS=IDIOMS,
    DRIVER="taskiq",
    FEATURES=Features(
        programs=("taskiq",),
        control=r"taskiq\.exceptions[.:](NoResultError|TaskRejectedError)",
        tables=r"taskiq_\w+",
        keys=r"taskiq.*|[0-9a-f]{32}",
    ),
    recogniser=partial(make_recogniser, ENTRY),
    make_broker=TaskiqBroker,
    load_code=_load_code,
    load_writer=_load_writer,
)
