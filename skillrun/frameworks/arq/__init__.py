"""arq: how it is recognised, what its jobs really do, who enqueues them, and what people get wrong.

A handler is a coroutine function that some worker settings list in `functions` or `cron_jobs`.
`workers.py` finds the settings and the entries in them, `retries.py` what is raised as `Retry` and
how often, `policy.py` and `deadletter.py` conclude; `sends.py` finds `enqueue_job` by the
function's name, `hooks.py` what a worker calls around a job; `rules/` holds what people get wrong,
each with its source. arq itself is never imported.

For a proof (arq 0.28, arq/worker.py): `run_job` counts a try when it begins, so a death uses one
up; `max_tries` 5 is
five runs, and a cron job has one by default. Only `Retry` (and a cancelled task) is run again, at
`defer` from now; any
other exception ends the job, whose result is kept for `keep_result`. The job of a dead worker is
run again when
`arq:in-progress:<id>` has run out: the longest timeout of the worker's functions, and 10 s. A job
with more tries than
`max_tries` is given up without a call of the application's code. There are no dead letters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from skillrun.frameworks.arq.broker import ArqBroker
from skillrun.frameworks.arq.idioms import IDIOMS
from skillrun.frameworks.arq.recognise import ENTRY
from skillrun.frameworks.common.listed_framework import make_framework
from skillrun.frameworks.interface import Code

if TYPE_CHECKING:
    from skillrun.frameworks.writer import JobWriter


def _load_code() -> Code:
    from skillrun.frameworks.arq import hooks, policy, sends
    from skillrun.frameworks.arq.rules import enqueueing, giving_up, retrying, running
    from skillrun.frameworks.common.listed_code import make_code

    rules = (retrying, enqueueing, giving_up, running)
    return make_code(sends.QUEUEING, hooks.HOOKS, policy.read_policy, *rules)


def _load_writer() -> JobWriter:
    from skillrun.frameworks.arq.scaffold import WRITER

    return WRITER


FRAMEWORK = make_framework(ENTRY, IDIOMS, ArqBroker, _load_code, _load_writer)
