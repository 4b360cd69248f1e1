"""Procrastinate: how it is recognised, what its tasks really do, who defers them, and what people
get wrong.

A handler is a function under `@app.task` or `@blueprint.task`. `tasks.py` finds what makes it one,
`retries.py` reads
its strategy, `recovery.py` who gives back the jobs of dead workers, `policy.py` and `deadletter.py`
conclude;
`sends.py` finds what defers it and its periodic schedules; `rules/` holds what people get wrong,
each with its source.
The library itself is never imported.

For a proof (Procrastinate 3, procrastinate/worker.py, sql/schema.sql): a job is `doing` while it
runs, and its status
is written when it has ended. `retry=3` and `max_attempts=3` are three retries, so four runs;
`max_attempts=0` bounds
nothing. The job of a dead worker stays `doing` until somebody calls `get_stalled_jobs` and
`retry_job`, and with it its
lock; `retry_job` counts an attempt, and nothing but an exception asks for the bound. A job that
fails is kept as
`failed`: that is the only dead letter.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from skillrun.frameworks.features import Features
from skillrun.frameworks.interface import Code, Framework
from skillrun.frameworks.known.making import make_recogniser
from skillrun.frameworks.procrastinate.broker import ProcrastinateBroker
from skillrun.frameworks.procrastinate.idioms import IDIOMS
from skillrun.frameworks.procrastinate.recognise import ENTRY

if TYPE_CHECKING:
    from skillrun.frameworks.writer import JobWriter


def _load_code() -> Code:
    from skillrun.frameworks.common import racing
    from skillrun.frameworks.procrastinate import policy, sends, tasks
    from skillrun.frameworks.procrastinate.rules import (
        deferring,
        giving_up,
        recovering,
        retrying,
        running,
    )
    from skillrun.frameworks.rulebook import collect_rules

    return Code(
        find_handler=tasks.find_task,
        find_registration=lambda project, use, handler: (
            tasks.read_task(project, use, handler).registered
        ),
        read_policy=policy.read_policy,
        find_sends=sends.find_sends,
        rules=collect_rules(
            "procrastinate", retrying, recovering, giving_up, running, deferring, racing
        ),
    )


def _load_writer() -> JobWriter:
    from skillrun.frameworks.procrastinate import scaffold

    return scaffold


FRAMEWORK = Framework(
    ID="procrastinate",
    TITLE="Procrastinate",
    IDIOMS=IDIOMS,
    DRIVER="procrastinate",
    FEATURES=Features(
        own_dead_letters=True,
        programs=("procrastinate",),
        control=r"procrastinate\.exceptions[.:](JobAborted|JobRetry)",
        tables=r"procrastinate_\w+",
    ),
    recogniser=partial(make_recogniser, ENTRY),
    make_broker=ProcrastinateBroker,
    load_code=_load_code,
    load_writer=_load_writer,
)
