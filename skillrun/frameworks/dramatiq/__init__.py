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

from typing import TYPE_CHECKING

from skillrun.frameworks.dramatiq.broker import DramatiqBroker
from skillrun.frameworks.dramatiq.idioms import IDIOMS as IDIOMS
from skillrun.frameworks.features import Features

if TYPE_CHECKING:
    from skillrun.frameworks.broker import Broker, Premises
    from skillrun.frameworks.interface import Policy, Rule, Send
    from skillrun.frameworks.writer import JobWriter
    from skillrun.repo.python import Definition, Project
    from skillrun.repo.survey import Recogniser
    from skillrun.repo.uses import FrameworkUse, Place

ID = "dramatiq"
TITLE = "Dramatiq"
DRIVER: str | None = "dramatiq"
FEATURES = Features(
    tasks_are_objects=True,
    own_dead_letters=True,
    tables=r"django_dramatiq_\w+|dramatiq\.\w+",
    keys=r"dramatiq.*",
)


def recogniser() -> Recogniser:
    """A fresh recogniser for one pass over the files."""
    from skillrun.frameworks.dramatiq.recognise import recogniser as made

    return made()


def find_handler(project: Project, use: FrameworkUse, handler: str) -> Definition | None:
    """The function or class behind an import path "module:object", or None."""
    from skillrun.frameworks.dramatiq import actors

    return actors.find_handler(project, handler)


def find_registration(project: Project, use: FrameworkUse, handler: Definition) -> Place | None:
    """The decorator or the call that makes the handler an actor, or None."""
    from skillrun.frameworks.dramatiq.actors import read_actor

    return read_actor(project, handler).registered


def read_policy(project: Project, use: FrameworkUse, handler: Definition) -> Policy:
    """The effective policy of a handler."""
    from skillrun.frameworks.dramatiq import policy

    return policy.read_policy(project, use, handler)


def find_sends(project: Project, use: FrameworkUse, handler: Definition) -> tuple[Send, ...]:
    """Every place that sends the actor a message or schedules it."""
    from skillrun.frameworks.dramatiq import sends

    return sends.find_sends(project, use, handler)


def find_hooks(project: Project, use: FrameworkUse, handler: Definition) -> dict[str, Definition]:
    """Event -> the repository's function that Dramatiq calls then: a callback actor, or a
    middleware's method.
    """
    from skillrun.frameworks.dramatiq import hooks

    return hooks.find_hooks(project, use, handler)


def list_rules() -> tuple[Rule, ...]:
    """What people get wrong with it."""
    from skillrun.frameworks.common import lock_times, racing
    from skillrun.frameworks.dramatiq.rules import ending, retrying, sending
    from skillrun.frameworks.rulebook import collect_rules

    return collect_rules(ID, retrying, ending, sending, lock_times, racing)


def make_broker(premises: Premises) -> Broker:
    """What its real worker is confirmed on."""
    return DramatiqBroker(premises)


def load_writer() -> JobWriter:
    """What writes its jobs; much is imported for that, and only a scaffold needs it."""
    from skillrun.frameworks.dramatiq import scaffold

    return scaffold
