"""Dramatiq 2: how it is recognised, what its actors really do, who sends them messages, and what
people get wrong.

`recognise.py` finds its use; `setup.py` reads broker and middleware, `actors.py` the options of one
actor and of the
messages sent to it, `predicate.py` a `retry_when` function; `policy.py` puts them together.
`sends.py` finds senders
and schedules, `hooks.py` callbacks, `deadletter.py` what is recorded at the end; `rules/` is what
people get wrong.
Dramatiq itself is never imported. Everything heavy is imported when it is first asked for.

For whoever proves (read in Dramatiq 2.2.1, the starred ones seen in a run):
- a message is acknowledged after the run (`Worker.process_message`); a killed worker's messages
  come back after
  `heartbeat_timeout` (Redis, 60 s by default) or once the connection is gone (RabbitMQ); `Retries`
  counts none of that;
- a retry is a new message with `options["retries"]` one higher, sent by
  `Retries.after_process_message`, then the old
  one is acknowledged; the dead-letter queue of Redis is `<namespace>:<queue>.XQ`, kept for seven
  days;
- * `on_failure` is sent after every failed attempt, `on_retry_exhausted` once, neither for what
  `throws` names (only
  `on_failure` is); both take the *name* of an actor, and an actor object raises ActorNotFound
  inside the middleware;
- * a second `Retries` beside the default one sends a second retry of each failure;
- without `Retries` a failed message is acknowledged as done: no retry, no dead letter.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from skillrun.frameworks.dramatiq.broker import DramatiqBroker
from skillrun.frameworks.dramatiq.idioms import IDIOMS
from skillrun.frameworks.dramatiq.recognise import ENTRY
from skillrun.frameworks.features import Features
from skillrun.frameworks.interface import Code, Framework
from skillrun.frameworks.known.making import make_recogniser

if TYPE_CHECKING:
    from skillrun.frameworks.writer import JobWriter


def _load_code() -> Code:
    from skillrun.frameworks.common import lock_times, racing
    from skillrun.frameworks.dramatiq import actors, hooks, policy, sends
    from skillrun.frameworks.dramatiq.rules import ending, retrying, sending
    from skillrun.frameworks.rulebook import collect_rules

    return Code(
        find_handler=lambda project, use, handler: actors.find_handler(project, handler),
        find_registration=lambda project, use, handler: (
            actors.read_actor(project, handler).registered
        ),
        read_policy=policy.read_policy,
        find_sends=sends.find_sends,
        find_hooks=hooks.find_hooks,
        rules=collect_rules("dramatiq", retrying, ending, sending, lock_times, racing),
    )


def _load_writer() -> JobWriter:
    from skillrun.frameworks.dramatiq import scaffold

    return scaffold


FRAMEWORK = Framework(
    ID="dramatiq",
    TITLE="Dramatiq",
    IDIOMS=IDIOMS,
    DRIVER="dramatiq",
    FEATURES=Features(
        programs=("dramatiq", "dramatiq-gevent"),
        tasks_are_objects=True,
        control=r"dramatiq(\.errors)?[.:](Retry|RateLimitExceeded)",
        own_dead_letters=True,
        tables=r"django_dramatiq_\w+|dramatiq\.\w+",
        keys=r"dramatiq.*",
    ),
    recogniser=partial(make_recogniser, ENTRY),
    make_broker=DramatiqBroker,
    load_code=_load_code,
    load_writer=_load_writer,
)
