"""SAQ's own words: the settings of its workers, what they call around a job, and who enqueues or
schedules one (`enqueue`, `apply` and `map` with its name, `Job(...)`, `CronJob(...)`).

Sources: saq/worker.py (`Worker`, `schedule`; `import_settings`: a dictionary, or a function that
returns one; functions are known by `__qualname__`, or by the name that a pair gives), saq/job.py
(`CronJob`), saq/queue/base.py (`enqueue`: what is named like a field of `Job` is the job's, the
rest the function's).
"""

from __future__ import annotations

from collections.abc import Iterator

from skillrun.frameworks.common.listed import Manner
from skillrun.frameworks.common.listed_hooks import Hooks
from skillrun.frameworks.common.listed_sends import Queueing, make_sender
from skillrun.frameworks.common.named_sends import NamedCall, find_calls, read_name
from skillrun.frameworks.common.sender import pickle_in_redis
from skillrun.repo.python import Definition, Project

MANNER = Manner(
    library="saq",
    makers=("saq.Worker", "saq.worker.Worker", "saq.types.SettingsDict"),
    positions=("queue", "functions"),
    wrappers=("saq.CronJob", "saq.job.CronJob"),
    wrapped="function",
    name_entry=lambda kind, function: function,
)


HOOKS = Hooks(
    MANNER, "before_process", "after_process", asked=frozenset(("exception", "status", "error"))
)
# The fields of `saq.job.Job`, which `enqueue` keeps for itself.
JOB_FIELDS = frozenset(
    {
        *("function", "kwargs", "queue", "key", "timeout", "heartbeat", "retries", "ttl"),
        *("retry_delay", "retry_backoff", "scheduled", "progress", "attempts", "completed"),
        *("queued", "started", "touched", "result", "error", "status", "priority"),
        *("group_key", "meta", "worker_id"),
    }
)


def _find_built(project: Project, handler: Definition) -> Iterator[NamedCall]:
    """`Job("name", kwargs={...})`, which is given to `enqueue`."""
    for module, node in find_calls(project, "Job", ("saq.Job", "saq.job.Job")):
        given = project.call_at(module, node).argument(0, "function")
        name = read_name(project, given, module, handler)
        if name is not None:
            yield NamedCall(module, node, name)


QUEUEING = Queueing(
    manner=MANNER,
    methods=("enqueue", "apply", "map"),
    keyword="job_or_func",
    cron="CronJob",
    options=JOB_FIELDS,
    has_default_name=True,
    held="kwargs",
    of_many="map",
    find_built=_find_built,
)


SENDER = make_sender(
    QUEUEING,
    "SAQ",
    context="its context",
    key="key",
    pickling=pickle_in_redis(
        "the queue's jobs are pickled", "leave dump and load at json", is_default=False
    ),
)
