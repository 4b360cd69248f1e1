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

from functools import partial
from typing import TYPE_CHECKING

from skillrun.frameworks.features import Features
from skillrun.frameworks.interface import Code, Framework
from skillrun.frameworks.known.making import make_recogniser
from skillrun.frameworks.rq.broker import RqBroker
from skillrun.frameworks.rq.idioms import IDIOMS
from skillrun.frameworks.rq.recognise import ENTRY

if TYPE_CHECKING:
    from skillrun.frameworks.writer import JobWriter


def _load_code() -> Code:
    from skillrun.frameworks.common import lock_times, racing
    from skillrun.frameworks.rq import callbacks, policy, sends
    from skillrun.frameworks.rq.rules import dead_letters, publishing, retrying
    from skillrun.frameworks.rulebook import collect_rules

    return Code(
        find_handler=lambda project, use, handler: project.find(handler),
        find_registration=lambda project, use, handler: sends.registration(project, handler),
        read_policy=lambda project, use, handler: policy.read_policy(project, handler),
        find_sends=sends.find_sends,
        find_hooks=lambda project, use, handler: callbacks.find_hooks(project, handler),
        rules=collect_rules("rq", retrying, dead_letters, publishing, lock_times, racing),
    )


def _load_writer() -> JobWriter:
    from skillrun.frameworks.rq import scaffold

    return scaffold


FRAMEWORK = Framework(
    ID="rq",
    TITLE="RQ",
    IDIOMS=IDIOMS,
    DRIVER="rq",
    FEATURES=Features(
        own_dead_letters=True,
        needs_redis=True,
        programs=("rq", "rqworker", "rqscheduler"),
        keys=r"rq:.*",
    ),
    recogniser=partial(make_recogniser, ENTRY),
    make_broker=RqBroker,
    load_code=_load_code,
    load_writer=_load_writer,
)
