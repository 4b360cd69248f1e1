"""SAQ: how it is recognised, what its jobs really do, who enqueues them, and what people get wrong.

A handler is a function that the settings of a worker list in `functions` or `cron_jobs`; retries,
timeout and waits are said by who enqueues it. `words.py` says how SAQ calls all that, `policy.py`
what senders and the handler itself make of it; `rules.py` holds what people get wrong, each with
its source. SAQ is never imported.

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

from skillrun.frameworks.common.listed_framework import make_framework
from skillrun.frameworks.interface import Code
from skillrun.frameworks.saq.broker import SaqBroker
from skillrun.frameworks.saq.idioms import IDIOMS
from skillrun.frameworks.saq.recognise import ENTRY

if TYPE_CHECKING:
    from skillrun.frameworks.writer import JobWriter


def _load_code() -> Code:
    from skillrun.frameworks.common.listed_code import make_code
    from skillrun.frameworks.saq import policy, rules, words

    return make_code(words.QUEUEING, words.HOOKS, policy.read_policy, rules)


def _load_writer() -> JobWriter:
    from skillrun.frameworks.saq.scaffold import WRITER

    return WRITER


FRAMEWORK = make_framework(ENTRY, IDIOMS, SaqBroker, _load_code, _load_writer)
